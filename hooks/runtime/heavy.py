"""Runs PyInstaller's own runtime hooks where they are needed: everywhere but in the front.

What they import takes the front half as long as all the rest of its start. Elsewhere they are for
packages that read their own source (`inspect`) or look for their own submodules (`pkgutil`).
Without the last lines, a helper that `multiprocessing` starts from this executable (on macOS for
every progress bar of tqdm) is told that this is no Python interpreter.
"""

import sys

if len(sys.argv) > 1 and sys.argv[1] != "serve":
    import pyi_rth_inspect  # noqa: F401
    import pyi_rth_multiprocessing  # noqa: F401
    import pyi_rth_pkgutil  # noqa: F401

    # `-c` stands behind flags that such a helper's interpreter is given.
    if "-c" in sys.argv or sys.argv[1] == "--multiprocessing-fork":
        import multiprocessing

        multiprocessing.freeze_support()
