"""One `transcribe` with alignment, speakers or files: runs its stages side by side.

Each stage runs in an engine process, and waits for it on a thread here:

- decode: once, to a file that all engines read while it grows (one per channel for
  `channelSpeakers`, which have to be compared first);
- recognition: the segments go out as they come, and on to
- alignment, which follows recognition some segments behind;
- diarization, beside both.

The engines load their models while the first one decodes. When all stages have ended, `assemble`
assigns speakers to words and segments, and `add_files` writes the files.

This module holds only the threads and the error policy: the first error, or a cancellation, ends
all stages and answers the job. If a stage fails that a param asked for (`align`, `diarize`), the
job goes on with a warning, unless `onStageError` is `fail`.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from protocol.alignment import AlignmentOptions
from protocol.diarization import SpeakerOptions
from protocol.errors import CancelledBy, RpcError, cancelled
from protocol.progress import Stage
from protocol.values import option_ignored
from worker.pipeline import exports
from worker.pipeline.alignment import Alignment
from worker.pipeline.decode import Decode
from worker.pipeline.diarization import Diarization
from worker.pipeline.recognition import Recognition
from worker.pipeline.result import assemble
from worker.pipeline.stage import EngineStage, Shared, is_refusal, options_of, stage_failed
from worker.session.job import Json
from worker.session.lane import failure
from worker.system.scratch import Scratch

if TYPE_CHECKING:
    from protocol.transcription import TranscribeParams
    from worker.managers.pool import ModelPool
    from worker.session.job import Job
    from worker.system.log import Log


class Pipeline:
    """The stages of one job. Call `run` once."""

    def __init__(self, job: Job, params: TranscribeParams, pool: ModelPool, log: Log) -> None:
        self._job = job
        self._params = params
        self._log = log
        self._lock = threading.Lock()
        self._error: RpcError | None = None
        self._stages: list[EngineStage] = []
        self._align = (
            None if params.task == "translate" else options_of(params.align, AlignmentOptions)
        )
        self._diarize = options_of(params.diarize, SpeakerOptions)
        names: list[Stage] = ["decode", "recognition"]
        names += ["alignment"] if self._align else []
        names += ["diarization", "assignment"] if self._diarize else []
        self._shared = Shared(job, params, pool, names)
        self._shared.note(exports.ignored_options(params, job.given))
        if params.align and params.task == "translate":
            reason = "the words of a translation are not in the audio"
            self._shared.note([option_ignored("align", reason)])

    def run(self) -> Json:
        """Run the stages and return the result. Raises `RpcError`."""
        self._job.begin(f"Transcribing {os.path.basename(self._params.audio)}")
        exports.refuse_existing(self._params)
        with Scratch("job") as scratch:
            diarization = self._make_stages(scratch.path)
            self._job.on_cancel(self._cancel)
            try:
                self._run_stages()
                return self._finish(diarization)
            finally:
                self._job.on_cancel(None)

    def _make_stages(self, directory: Path) -> Diarization | None:
        shared = self._shared
        alignment = Alignment(shared, self._align) if self._align else None
        diarization = Diarization(shared, self._diarize) if self._diarize else None
        stages = Decode(shared, directory), Recognition(shared, alignment), alignment, diarization
        self._stages = [stage for stage in stages if stage]
        return diarization

    def _run_stages(self) -> None:
        """Run each stage on a thread, and wait for all."""
        started: list[threading.Thread] = []
        try:
            for stage in self._stages:
                thread = threading.Thread(
                    target=self._run_stage, args=[stage], name=stage.name, daemon=True
                )
                thread.start()
                started.append(thread)
        except RuntimeError as error:  # the system has no more threads; the job needs all
            self._end(failure(error, self._job.method, self._log))
        for thread in started:
            thread.join()
        self._raise_if_ended()

    def _finish(self, diarization: Diarization | None) -> Json:
        """Assemble the result and write the files."""
        result = assemble(self._shared, diarization)
        try:
            exports.add_files(self._job, self._params, result)
        except Exception as error:  # keep the transcript
            self._fail_option("formats", failure(error, self._job.method, self._log))
        self._raise_if_ended()
        return Json([msgspec.json.encode(result)])

    def _run_stage(self, stage: EngineStage) -> None:
        try:
            stage.run()
        except BaseException as error:
            reported = failure(error, self._job.method, self._log)
            if stage.option is None:
                self._end(reported)
            elif self._fail_option(stage.option, reported):
                self._shared.progress.finish(stage.name)

    def _fail_option(self, option: str, error: RpcError) -> bool:
        """What `option` asks for failed: add a warning and return True, or end the job."""
        if is_refusal(error, self._params):
            error.data.setdefault("option", option)
            self._end(error)
            return False
        self._shared.note([stage_failed(option, error)])
        return True

    def _cancel(self, by: CancelledBy) -> None:
        self._end(cancelled(by), by)

    def _end(self, error: RpcError, by: CancelledBy = "stage") -> None:
        """End all stages. The first error counts: later ones may follow from it."""
        with self._lock:
            self._error = self._error or error
        self._shared.tracks.release()
        for stage in self._stages:
            stage.caller.stop(by)

    def _raise_if_ended(self) -> None:
        if self._error:
            raise self._error
