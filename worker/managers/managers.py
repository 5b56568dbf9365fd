"""All model managers, by the kind of their engine."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from worker.log import Log
from worker.managers.manager import ModelManager

if TYPE_CHECKING:
    from worker.channel import Writer
    from worker.engines.process import EngineProcess


class Managers:
    """Makes a manager when it is first asked for; each has an engine process of its own."""

    def __init__(self, writer: Writer, log: Log, cancel_grace: float | None = None) -> None:
        self._writer = writer
        self._log = log
        self._cancel_grace = cancel_grace
        self._token: str | None = None
        self._swept = False
        self._lock = threading.Lock()
        self._managers: dict[str, ModelManager] = {}

    def __getitem__(self, kind: str) -> ModelManager:
        with self._lock:
            if kind not in self._managers:
                self._managers[kind] = ModelManager(partial(self._start, kind), self._log)
            return self._managers[kind]

    def use_token(self, token: str) -> None:
        """Give the hub's token to the engines; in their environment, which others cannot read."""
        with self._lock:
            self._token = token
            for manager in self._managers.values():
                manager.restart()

    def close(self) -> None:
        """End all engines; from any thread."""
        with self._lock:
            managers = list(self._managers.values())
        closing = [threading.Thread(target=manager.close) for manager in managers]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join()

    def _start(self, kind: str) -> EngineProcess:
        from worker.engines.process import DEFAULT_CANCEL_GRACE, EngineProcess, engine_command
        from worker.scratch import sweep

        with self._lock:
            swept, self._swept = self._swept, True
        if not swept:
            sweep()

        grace = DEFAULT_CANCEL_GRACE if self._cancel_grace is None else self._cancel_grace
        return EngineProcess(
            kind,
            engine_command(kind),
            self._writer,
            self._log,
            cancel_grace=grace,
            environment={"HF_TOKEN": self._token} if self._token else {},
        )
