"""A Python client: spawns a worker and talks JSON-RPC to it over its pipes.

A thread reads the worker's messages into a queue. The caller's thread takes them from there while
it waits for a reply, and keeps replies to other requests until it asks for them.
"""

from __future__ import annotations

import queue
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, Final, Self

import msgspec
import orjson

from protocol.errors import ErrorObject, RpcError
from worker.system.program import program

CLOSE_SECONDS: Final = 5.0
"""How long `close` waits for the worker to exit before killing it."""


class WorkerEndedError(Exception):
    """The worker ended before it answered; the message says with which exit code."""


class Client:
    """One worker process and the session with it.

    With a `stderr` of `subprocess.PIPE`, the caller has to read it. `on_line` is called with every
    line in both directions: `(">" or "<", line)`. Use it as a context manager, from one thread.
    """

    def __init__(
        self,
        command: Sequence[str] | None = None,
        *,
        stderr: int | IO[bytes] | None = None,
        env: dict[str, str] | None = None,
        on_line: Callable[[str, bytes], None] = lambda direction, line: None,
    ) -> None:
        self.process = subprocess.Popen(
            command or program(),
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=env,
        )
        self._on_line = on_line
        self._ids = 0
        self._inbox: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._replies: dict[object, dict[str, Any]] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, method: str, params: object = None) -> int:
        """Send a request; return its id."""
        self._ids += 1
        self._write({"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params or {}})
        return self._ids

    def notify(self, method: str, params: object = None) -> None:
        """Send a notification."""
        self._write({"jsonrpc": "2.0", "method": method, "params": params or {}})

    def cancel(self, id_: int) -> None:
        """Cancel a request; the worker still answers it."""
        self.notify("$/cancelRequest", {"id": id_})

    def call(self, method: str, params: object = None) -> Any:
        """Send a request and return its result; raises `RpcError`."""
        return self.result(self.send(method, params))

    def result(
        self, id_: int, on_notification: Callable[[str, Any], None] = lambda method, params: None
    ) -> Any:
        """Wait for the reply to `id_` and return its result; raises `RpcError`.

        Notifications that arrive meanwhile go to `on_notification`.
        """
        while id_ not in self._replies:
            message = self.next_message()
            if "method" in message:
                on_notification(message["method"], message.get("params"))
            else:
                self._replies[message["id"]] = message
        reply = self._replies.pop(id_)
        if "error" in reply:
            raise RpcError.from_object(msgspec.convert(reply["error"], ErrorObject))
        return reply["result"]

    def next_message(self, timeout: float | None = None) -> dict[str, Any]:
        """Wait for the worker's next message; raises `queue.Empty` after `timeout` seconds."""
        message = self._inbox.get(timeout=timeout)
        if message is None:
            self._inbox.put(None)
            raise WorkerEndedError(f"the worker ended with code {self.process.wait()}")
        return message

    def messages(self) -> Iterator[dict[str, Any]]:
        """Yield every message until the worker ends."""
        while True:
            try:
                yield self.next_message()
            except WorkerEndedError:
                return

    def close_input(self) -> None:
        """End the worker's input; it still answers the requests it has received."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def close(self) -> int:
        """End the session; kill the worker if it does not exit. Returns its exit code."""
        try:
            self.close_input()
        except OSError:
            pass
        try:
            self.process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
        code = self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def _write(self, message: object) -> None:
        line = orjson.dumps(message)
        self._on_line(">", line)
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line + b"\n")
        except OSError:
            raise WorkerEndedError(f"the worker ended with code {self.process.wait()}") from None

    def _read(self) -> None:
        assert self.process.stdout is not None
        with open(self.process.stdout.fileno(), "rb", closefd=False) as lines:
            for line in lines:
                line = line.rstrip(b"\n")
                self._on_line("<", line)
                self._inbox.put(orjson.loads(line))
        self._inbox.put(None)
