"""Compresses a bundle into one file beside its folder, to be given away.

    python -m hooks.zipped dist/lite/transcription-worker

The archive has one folder, transcription-worker, with permissions and links as they are: every
`unzip` restores them. Names and times do not depend on when and where it was built, so the same
bundle gives the same archive.
"""

from __future__ import annotations

import os
import stat
import sys
import sysconfig
import time
import zipfile
from pathlib import Path
from typing import Final

from worker import __version__

_EARLIEST: Final = 315532800  # 1980, before which zip knows no time


def compress(bundle: Path, target: Path) -> int:
    """Write the archive `target`; return its bytes."""
    at = max(int(os.environ.get("SOURCE_DATE_EPOCH") or 0), _EARLIEST)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(bundle.rglob("*")):
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode):
                continue
            place = Path(bundle.name, path.relative_to(bundle))
            entry = zipfile.ZipInfo(place.as_posix(), time.gmtime(at)[:6])
            entry.external_attr = mode << 16
            if stat.S_ISLNK(mode):
                archive.writestr(entry, path.readlink().as_posix())
                continue
            entry.compress_type = zipfile.ZIP_DEFLATED
            with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as packed:
                while block := source.read(1 << 20):
                    packed.write(block)
    return target.stat().st_size


def main() -> None:
    """Compress the bundle that the command line names."""
    bundle = Path(sys.argv[1])
    name = f"{bundle.name}-{__version__}-{bundle.parent.name}-{sysconfig.get_platform()}.zip"
    target = bundle.with_name(name)
    print(f"{target}: {compress(bundle, target) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
