"""Writes a script that starts a frozen program with what it was built from out of its sight.

    python -m tests.sealed PROGRAM SCRIPT

On Linux the script gives the program a mount namespace of its own, in which the virtual
environment, Python and the sources are empty folders; the tests, which run on all three, see them.
Where that is not possible, it starts the program as it is and says so: move the virtual
environment away before the tests, and run them with the Python in it. That the program cannot see
it is a test of tests/test_bundle.py.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
HIDDEN: Final = (
    Path(sys.prefix),
    Path(sysconfig.get_path("stdlib")),
    *(ROOT / name for name in ("worker", "protocol", "hooks", "build/lite", "build/full")),
)
"""`build/lite` and `build/full` hold PyInstaller's work."""


def main(program: Path, script: Path) -> None:
    """Write `script`."""
    commands = _seal(program)
    if commands is None:
        print("not sealed: the program could see what it was built from", file=sys.stderr)
        commands = f'exec {shlex.quote(str(program))} "$@"'
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(f"#!/bin/sh\n{commands}\n", "utf-8")
    script.chmod(0o755)


def _seal(program: Path) -> str | None:
    """Commands that start the program sealed; None where that is not possible."""
    unshare, mount = shutil.which("unshare"), shutil.which("mount")
    if not unshare or not mount:
        return None
    # Who is not root may be in a namespace of users of its own.
    for flags in ("--mount", "--mount --map-root-user"):
        if subprocess.run([unshare, *flags.split(), "true"], stderr=subprocess.DEVNULL).returncode:
            continue
        hide = "".join(
            f"{mount} -n -t tmpfs -o size=4k none {shlex.quote(str(place))} || exit 125\n"
            for place in HIDDEN
            if place.is_dir()
        )
        inner = f'{hide}unset PWD OLDPWD\nexec {shlex.quote(str(program))} "$@"'
        return f'exec {unshare} {flags} /bin/sh -c {shlex.quote(inner)} worker "$@"'
    return None


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute())
