"""What runs on the nodes: an actor with a worker process of its own.

Ray gets this module by value: the nodes need transcription-worker, and none of the examples.
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
from worker.system.paths import told

_ENDING: Final = ("cancelled", "shutting_down")
"""What a worker answers that somebody told to end."""


class Transcriber:
    """Works on one recording at a time; its worker starts with the first, and after a crash."""

    def __init__(self, output_dir: Path, folder: Path, *, resume: bool) -> None:
        self._markers = Markers(output_dir)
        self._resume = resume
        self._client: Client | None = None
        with suppress(OSError):  # relative paths of models mean what they mean to the driver
            os.chdir(folder)

    def blind(self, seal: Path) -> str | None:
        """The name of this node, if it does not see a file that the driver has written."""
        return None if seal.exists() else socket.gethostname()

    def transcribe(self, task: Task, params: dict[str, Any]) -> Line:
        """Write a task's files and its marker; the line tells of a failure, and of a crash."""
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
        self._markers.forget(task)
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
                    "audio": told(task.path),
                    "outputDir": told(task.folder),
                    "name": task.name,
                },
            )
        except WorkerEndedError as error:
            message = f"While it worked on this file, {error}."
        except RpcError as error:
            if error.kind not in _ENDING:
                raise
            message = "While it worked on this file, the worker was told to end."
        else:
            return result
        self.close()
        raise RpcError("engine_crashed", message)

    def _finish(
        self, task: Task, params: dict[str, Any], mark: str, result: dict[str, Any]
    ) -> Line:
        failed = [each["error"] for each in result["warnings"] if each["kind"] == "stage_failed"]
        # For the worker, writing is a stage like the others; here it is the purpose.
        if params.get("formats") and "files" not in result:
            raise RpcError.from_object(msgspec.convert(failed[-1], ErrorObject))
        line = done(task.input, result)
        if mark and not failed:  # what lacks a stage is to be done again
            self._markers.put(task, mark, line.outputs, result["duration"])
        return line


def _environment() -> dict[str, str]:
    """The actor's, with the GPUs that Ray gave it; Ray hides none from an actor without."""
    hidden = {} if ray.get_gpu_ids() else {"CUDA_VISIBLE_DEVICES": ""}
    return {**os.environ, **hidden}
