"""The version resource, which Windows shows in the program's properties."""

from __future__ import annotations

import re


def version_resource(version: str) -> str:
    """The version resource, in PyInstaller's format."""
    numbers = [int(number) for number in re.findall(r"\d+", version)][:4]
    four = tuple(numbers + [0] * (4 - len(numbers)))
    strings = {
        "FileDescription": "Local transcription behind JSON-RPC 2.0 on stdin and stdout",
        "FileVersion": version,
        "InternalName": "transcription-worker",
        "LegalCopyright": "The transcription-worker authors. MIT licence.",
        "OriginalFilename": "transcription-worker.exe",
        "ProductName": "transcription-worker",
        "ProductVersion": version,
    }
    table = ", ".join(f"StringStruct({name!r}, {text!r})" for name, text in strings.items())
    return (
        f"VSVersionInfo(ffi=FixedFileInfo(filevers={four}, prodvers={four}), kids=["
        f"StringFileInfo([StringTable('040904B0', [{table}])]), "
        "VarFileInfo([VarStruct('Translation', [0x0409, 1200])])])\n"
    )
