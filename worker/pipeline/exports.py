"""The files, or texts, that a `transcribe` with `formats` asks for."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from protocol.errors import RpcError
from protocol.transcript import ExportParams, Transcript
from protocol.values import Notice
from worker.session.lane import failure
from worker.system.paths import local, told, told_name

if TYPE_CHECKING:
    from protocol.transcription import TranscribeParams, TranscribeResult
    from worker.session.job import Job
    from worker.system.log import Log

_WITH_FORMATS: Final = ("outputDir", "name", "overwrite", "formatOptions")


def ignored(params: TranscribeParams, given: Collection[str]) -> list[Notice]:
    """What was given for files that nobody asked for."""
    if params.formats:
        return []
    return [
        Notice(
            kind="option_ignored",
            option=option,
            message=f"{option} changes nothing without formats.",
        )
        for option in _WITH_FORMATS
        if option in given
    ]


def refuse_taken(params: TranscribeParams) -> None:
    """Raise export_exists before any work, where files are not to be replaced."""
    if not params.formats or params.output_dir is None or params.overwrite:
        return
    from worker.formats.registry import WRITERS

    for each in params.formats:
        path = Path(local(params.output_dir), _name(params) + WRITERS[each].suffix).absolute()
        if path.exists():
            raise RpcError("export_exists", f"{told(path)} is there already.", path=told(path))


def add_files(
    job: Job,
    params: TranscribeParams,
    result: TranscribeResult,
    log: Log,
    fail: Callable[[RpcError], None],
) -> None:
    """Write the transcript in the formats that were asked for, into the result or to files.

    What goes wrong is handed to `fail`: the transcript itself is worth keeping.
    """
    if not params.formats:
        return
    from worker.formats.export import export

    try:
        exported = export(
            job,
            ExportParams(
                transcript=msgspec.convert(msgspec.to_builtins(result), Transcript),
                formats=params.formats,
                output_dir=params.output_dir,
                name=_name(params),
                overwrite=params.overwrite,
                options=params.format_options,
            ),
        )
    except Exception as error:
        fail(failure(error, job.method, log))
        return
    result.files = exported.files
    result.contents = exported.contents
    result.warnings += exported.warnings


def _name(params: TranscribeParams) -> str:
    return params.name or told_name(Path(local(params.audio)).stem)
