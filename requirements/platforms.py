"""Says why this Python cannot install the locks, before pip only says that it finds no version.

    python requirements/platforms.py lite|full

The build of the package asks it, too (`pip install .`): see hatch.py. tests/network compares it
with the packages that the index has.
"""

from __future__ import annotations

import platform
import sys
import sysconfig
from typing import Final

OLDEST_MACOS: Final = {"arm64": 14, "x86_64": 13}
"""What the wheels of onnxruntime and av need."""


def refusal(flavor: str) -> str | None:
    """The reason why `flavor` ("lite" or "full") cannot be installed here; None if it can."""
    system, _, rest = sysconfig.get_platform().partition("-")
    if system == "win32" or (system == "win" and rest == "arm64"):
        return (
            "CTranslate2 is built only for Python for 64-bit Intel and AMD (x64) on Windows. "
            "Install that Python: Windows on ARM runs it, too."
        )
    if system == "linux" and platform.libc_ver()[0] != "glibc":
        return (
            "CTranslate2 is not built for this system's C library. "
            "Use a distribution with glibc, such as Debian or Fedora."
        )
    if system == "macosx":
        machine = platform.machine()
        oldest = OLDEST_MACOS.get(machine, 14)
        version = platform.mac_ver()[0]
        if int(version.partition(".")[0]) < oldest:
            return f"onnxruntime and PyAV need macOS {oldest} or later; this is {version}."
        if flavor == "full" and machine == "x86_64":
            return (
                "PyTorch 2.8, which alignment and diarization need, is not built for Intel Macs. "
                "Install recognition alone: make FLAVOR=lite setup, or pip install ."
            )
    return None


if __name__ == "__main__":
    sys.exit(refusal(sys.argv[1]))
