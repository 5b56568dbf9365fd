"""Runs first in the frozen program: cleans the environment for its children, finds certificates.

Without this, `nvidia-smi` and other system programs would load the bundle's libraries instead of
their own, and Python would find no certificates if this system keeps them in another folder than
the building system.
"""

import os
import sys


def _restore_library_path() -> None:
    """Undo the bootloader's change, which this process no longer needs and its children inherit."""
    for name in ("LD_LIBRARY_PATH", "LIBPATH"):
        original = os.environ.pop(f"{name}_ORIG", None)
        if original is not None:
            os.environ[name] = original
        elif os.environ.get(name, "").split(os.pathsep)[0] == sys._MEIPASS:
            del os.environ[name]
    # An engine is a separate start of this program, so its bootloader must set the variable again.
    os.environ["PYINSTALLER_RESET_ENVIRONMENT"] = "1"


def _find_certificates() -> None:
    """Point OpenSSL, which searches the building machine's paths, to this system's certificates.

    On Windows, Python asks the system instead.
    """
    if sys.platform == "win32" or "SSL_CERT_FILE" in os.environ or "SSL_CERT_DIR" in os.environ:
        return
    for file in (
        "/etc/ssl/certs/ca-certificates.crt",  # Debian, Arch, Gentoo
        "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, Red Hat
        "/etc/ssl/ca-bundle.pem",  # SUSE
        "/etc/ssl/cert.pem",  # Alpine, macOS
        f"{sys._MEIPASS}/certifi/cacert.pem",
    ):
        if os.path.isfile(file):  # noqa: PTH113 - pathlib costs a start 4 ms
            os.environ["SSL_CERT_FILE"] = file
            return


_restore_library_path()
_find_certificates()
