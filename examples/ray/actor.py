"""The actor that runs on the nodes, with its own worker process.

Ray ships this module by value: the nodes need transcription-worker, but none of the examples.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import ray

from protocol.errors import ErrorObject, RpcError
from worker.batch.done import Markers, fingerprint
from worker.batch.inputs import Task
from worker.batch.report import Line, done, failure
from worker.client import Client, WorkerEndedError
from worker.system.paths import to_wire

_ENDING: Final = ("cancelled", "shutting_down")
"""Errors from a worker that is ending."""


class Transcriber:
    """Transcribes one recording at a time; starts its worker for the first, and after a crash."""

    def __init__(self, output_dir: Path, folder: Path, *, resume: bool) -> None:
        self._markers = Markers(output_dir)
        self._resume = resume
        self._client: Client | None = None
        with suppress(OSError):  # resolve relative model paths as the driver does
            os.chdir(folder)

    def blind(self, seal: Path) -> str | None:
        """The name of this node, if it does not see the driver's file `seal`."""
        return None if seal.exists() else socket.gethostname()

    def transcribe(self, task: Task, params: dict[str, Any]) -> Line:
        """Write a task's files and its marker; the line reports failures and crashes."""
        mark = ""
        if task.path.is_file():
            with suppress(OSError):
                mark = fingerprint(task, params)
        if self._resume and mark:
            marker = self._markers.find(task, mark)
            if marker:
                return Line(
                    input=task.input,
                    status="skipped",
                    reason="done",
                    outputs=self._markers.paths(marker),
                    duration=marker.duration,
                )
        self._markers.remove(task)
        try:
            return self._finish(task, params, mark, self._ask(task, params))
        except RpcError as error:
            return Line(input=task.input, status="failed", error=failure(error))

    def close(self) -> None:
        """End the worker."""
        if self._client:
            self._client.close()
            self._client = None

    def _ask(self, task: Task, params: dict[str, Any]) -> dict[str, Any]:
        try:
            if self._client is None:
                self._client = Client(env=_environment())
                self._client.call("initialize", {"processId": os.getpid()})
            result: dict[str, Any] = self._client.call(
                "transcribe",
                {
                    **params,
                    "audio": to_wire(task.path),
                    "outputDir": to_wire(task.folder),
                    "name": task.name,
                },
            )
        except WorkerEndedError as error:
            message = f"While processing this file, {error}."
        except RpcError as error:
            if error.kind not in _ENDING:
                raise
            message = "The worker was ended from outside while it processed this file."
        else:
            return result
        self.close()
        raise RpcError("engine_crashed", message)

    def _finish(
        self, task: Task, params: dict[str, Any], mark: str, result: dict[str, Any]
    ) -> Line:
        failed = [each["error"] for each in result["warnings"] if each["kind"] == "stage_failed"]
        # The worker treats a failed export as a warning; for a batch the file has failed.
        if params.get("formats") and "files" not in result:
            raise RpcError.from_object(msgspec.convert(failed[-1], ErrorObject))
        line = done(task.input, result)
        if mark and not failed:  # without a marker, --resume retries failed stages
            self._markers.write(task, mark, line.outputs, result["duration"])
        return line


def _environment() -> dict[str, str]:
    """The actor's environment. Ray hides GPUs only from actors that have some; we hide all then."""
    hidden = {} if ray.get_gpu_ids() else {"CUDA_VISIBLE_DEVICES": ""}
    return {**os.environ, **hidden}
