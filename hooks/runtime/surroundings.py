"""Runs first in the frozen program: what it hands on to its children, and certificates.

Without this, `nvidia-smi` and other programs of the system load the bundle's libraries instead of
their own, and Python finds no certificates where the system keeps them in another place than the
system that this was built on.
"""

import os
import sys


def _restore_library_path() -> None:
    """The variable has done its work when the process has begun; its children have their own."""
    for name in ("LD_LIBRARY_PATH", "LIBPATH"):
        original = os.environ.pop(f"{name}_ORIG", None)
        if original is not None:
            os.environ[name] = original
        elif os.environ.get(name, "").split(os.pathsep)[0] == sys._MEIPASS:
            del os.environ[name]
    # An engine is a start of its own: it sets the variable up for itself again.
    os.environ["PYINSTALLER_RESET_ENVIRONMENT"] = "1"


def _find_certificates() -> None:
    """OpenSSL looks where the building machine keeps them. Windows asks the system instead."""
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
