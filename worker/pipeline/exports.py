"""The files, or texts, that a `transcribe` with `formats` asks for."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Final

from protocol.errors import RpcError
from protocol.values import Notice, option_ignored
from worker.system.paths import from_wire, name_to_wire, to_wire

if TYPE_CHECKING:
    from protocol.transcription import TranscribeParams, TranscribeResult
    from worker.session.job import Job

_ONLY_WITH_FORMATS: Final = ("outputDir", "name", "overwrite", "formatOptions")


def ignored_options(params: TranscribeParams, given: Collection[str]) -> list[Notice]:
    """Warnings of options for files, where the client asks for no file."""
    if params.formats:
        return []
    reason = "it only applies with formats"
    return [option_ignored(name, reason) for name in _ONLY_WITH_FORMATS if name in given]


def refuse_existing(params: TranscribeParams) -> None:
    """Before any work, raise export_exists if a file exists that the job may not replace."""
    if not params.formats or params.output_dir is None or params.overwrite:
        return
    from worker.formats.registry import WRITERS

    for each in params.formats:
        path = Path(from_wire(params.output_dir), _name(params) + WRITERS[each].suffix).absolute()
        if path.exists():
            there = to_wire(path)
            raise RpcError("export_exists", f"{there} already exists.", path=there)


def add_files(job: Job, params: TranscribeParams, result: TranscribeResult) -> None:
    """Write the transcript in each of `formats`, to files or into the result."""
    if not params.formats:
        return
    from worker.formats.export import export

    exported = export(
        job,
        result,
        params.formats,
        params.format_options,
        name=_name(params),
        output_dir=params.output_dir,
        overwrite=params.overwrite,
    )
    result.files = exported.files
    result.contents = exported.contents
    result.warnings += exported.warnings


def _name(params: TranscribeParams) -> str:
    return params.name or name_to_wire(Path(from_wire(params.audio)).stem)
