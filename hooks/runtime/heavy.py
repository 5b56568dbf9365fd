"""Runs PyInstaller's own runtime hooks everywhere but in the front, which does not need them.

Their imports would make the front's start half as long again. Other processes need them for
packages that read their own source (`inspect`) or search their own submodules (`pkgutil`). The last
lines let `multiprocessing` start helpers from this executable (on macOS, every progress bar of tqdm
does); otherwise the program would refuse because it is not a Python interpreter.
"""

import sys

if len(sys.argv) > 1 and sys.argv[1] != "serve":
    import pyi_rth_inspect  # noqa: F401
    import pyi_rth_multiprocessing  # noqa: F401
    import pyi_rth_pkgutil  # noqa: F401

    # multiprocessing puts interpreter flags before `-c`.
    if "-c" in sys.argv or sys.argv[1] == "--multiprocessing-fork":
        import multiprocessing

        multiprocessing.freeze_support()
