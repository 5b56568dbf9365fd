"""Helpers of the tests: sessions with a worker, recordings, and measures against the truth."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import psutil

from worker.client import CLOSE_SECONDS, Client
from worker.session.frames import ERROR, RESULT, FrameReader
from worker.system.stdio import READ_SIZE

HERE = Path(__file__).parent
RECORDINGS = HERE / "recordings"
MODEL = Path(os.environ.get("TEST_WHISPER_MODEL", HERE / "models" / "whisper"))
MIXTURES = HERE / "mixtures"
ALIGNMENT_MODEL = HERE / "models" / "alignment"
DIARIZATION_MODEL = HERE / "models" / "diarization"
WORKER = [sys.executable, "-m", "worker"]
"""The worker under test; TEST_WORKER names another program, such as the frozen one."""
if os.environ.get("TEST_WORKER"):
    WORKER = [os.environ["TEST_WORKER"]]

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
"""A program that does nothing."""

SAMPLE_RATE = 16_000

PATIENCE = 120.0
"""Seconds after which a wait counts as hung. Generous: the machine may be busy."""

TOKEN = "hf_nobodyMayEverReadThisInWhatTheWorkerWrites"
"""Is in the environment of every worker that is tested, and nowhere in what it writes."""


T = TypeVar("T")


class Session(Client):
    """A client that keeps what the worker wrote on stderr, and its notifications.

    Closing it fails when the worker has written any of the `secrets`.
    """

    def __init__(
        self,
        command: Sequence[str] = WORKER,
        *,
        on_line: Callable[[str, bytes], None] = lambda direction, line: None,
        **kwargs: Any,
    ) -> None:
        self.secrets = {TOKEN}
        self._leaks: list[bytes] = []
        self._see_line = on_line
        super().__init__(command, stderr=subprocess.PIPE, on_line=self._look_at, **kwargs)
        self.stderr = b""
        self.notifications: list[dict[str, Any]] = []
        self._drain = threading.Thread(target=self._read_stderr, daemon=True)
        self._drain.start()

    def transcribe(self, audio: str | Path, **options: Any) -> dict[str, Any]:
        """Transcribe with the test model and return the result."""
        return self.result(self.send_transcribe(audio, **options), self._keep)

    def send_transcribe(self, audio: str | Path, **options: Any) -> int:
        """Ask for a transcription; return the request's id."""
        return self.send("transcribe", {"audio": str(audio), "model": str(MODEL), **options})

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first message that is wanted; keep the notifications before it."""
        while True:
            message = self.next_message(PATIENCE)
            if wanted(message):
                return message
            if "method" in message:
                self.notifications.append(message)
            else:
                self._replies[message["id"]] = message

    def wait_for_partial(self) -> None:
        """Return when the first segment has come."""
        self.wait_for(lambda m: "segments" in m.get("params", {}).get("value", {}))

    def engine_pid(self) -> int:
        """The process id of the worker's only engine."""
        (pid,) = children(self.process.pid)
        return pid

    def close(self) -> int:
        """End the session; after a few seconds cancel its jobs. Wait for all of stderr."""
        with suppress(OSError):
            self.close_input()
        try:
            self.process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE)
        code = super().close()
        self._drain.join(PATIENCE)
        assert self.process.stderr is not None
        self.process.stderr.close()
        self._look_for_secrets(self.stderr)
        assert self._leaks == []
        return code

    def _look_at(self, direction: str, line: bytes) -> None:
        if direction == "<":
            self._look_for_secrets(line)
        self._see_line(direction, line)

    def _look_for_secrets(self, written: bytes) -> None:
        if any(secret.encode() in written for secret in self.secrets):
            self._leaks.append(written)

    def _keep(self, method: str, params: Any) -> None:
        self.notifications.append({"method": method, "params": params})

    def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        fd = self.process.stderr.fileno()
        while True:
            try:
                data = os.read(fd, 65536)
            except OSError:
                return
            if not data:
                return
            self.stderr += data


class Engine(Session):
    """A session with an engine's process alone, as the front has it."""

    def __init__(self, kind: str, first: str = "", **kwargs: Any) -> None:
        """Start the engine; `first` is a script that runs in its process before."""
        script = f"{first}\nfrom worker.engines.host import main\nmain({kind!r}, None)\n"
        hooked = [sys.executable, "-c", script]
        super().__init__(hooked if first else [*WORKER, "engine", kind], **kwargs)

    def ask(self, method: str, **params: Any) -> Any:
        """Call a method; keep the notifications that come meanwhile."""
        return self.result(self.send(method, params), self._keep)

    def _read(self) -> None:
        """Read frames as the messages that the front would make of them for a client."""
        assert self.process.stdout is not None
        reader = FrameReader()
        while data := os.read(self.process.stdout.fileno(), READ_SIZE):
            for kind, call, payload in reader.feed(data):
                value = b"".join(payload)
                self._on_line("<", value)
                if kind in (RESULT, ERROR):
                    member = "result" if kind == RESULT else "error"
                    message = {"id": call, member: json.loads(value)}
                else:
                    params = {"token": kind.decode(), "value": json.loads(value)}
                    message = {"method": "$/progress", "params": params}
                self._inbox.put(message)
        self._inbox.put(None)


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


def load_truth(directory: Path = RECORDINGS) -> dict[str, Any]:
    """What is said in each recording of a directory, by file name."""
    loaded: dict[str, Any] = json.loads((directory / "truth.json").read_text("utf-8"))
    return loaded


def children(pid: int) -> list[int]:
    """Direct child processes; not what Windows starts for each that has a console."""
    try:
        found = psutil.Process(pid).children()
    except psutil.NoSuchProcess:  # it has just ended
        return []
    if sys.platform == "win32":
        found = [child for child in found if not _is_console(child)]
    return [child.pid for child in found]


def _is_console(process: psutil.Process) -> bool:
    try:
        return bool(process.name() == "conhost.exe")
    except (psutil.NoSuchProcess, OSError):  # it has just ended
        return False


def tree(pid: int) -> list[int]:
    """A process and all of its descendants."""
    return [pid, *(each for child in children(pid) for each in tree(child))]


def alive(pid: int) -> bool:
    """Whether a process runs: neither gone nor a zombie."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], T], seconds: float = PATIENCE) -> T:
    """Wait until a condition returns something true; return that."""
    import time

    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain"
        time.sleep(0.005)
    return found


def wait_until_gone(pids: Iterable[int]) -> None:
    """Wait until none of these processes runs."""
    left = list(pids)
    wait_until(lambda: not any(map(alive, left)))


def kill_hard(pid: int) -> None:
    """End a process so that it cannot do anything about it."""
    os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))  # on Windows, SIGTERM does that


def write_wav(
    path: Path, samples: npt.NDArray[np.int16], rate: int = SAMPLE_RATE, channels: int = 1
) -> Path:
    """Write int16 samples (interleaved when there are several channels)."""
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return path


def encode(path: Path, samples: npt.NDArray[np.int16], codec: str, *, video: bool = False) -> Path:
    """Write 16 kHz mono samples with any codec that PyAV has, in the container of the suffix."""
    import av

    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=5) if video else None
        stream = container.add_stream(codec, rate=SAMPLE_RATE)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"  # type: ignore[assignment]
        if picture is not None:
            assert isinstance(picture, av.VideoStream)
            picture.width = picture.height = 64
            picture.pix_fmt = "yuv420p"
            for _ in range(5):
                image = av.VideoFrame(64, 64, "yuv420p")
                container.mux(picture.encode(image))
            container.mux(picture.encode(None))
        frame = av.AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for part in (frame, None):
            container.mux(stream.encode(part))
    return path


def samples_of(name: str) -> npt.NDArray[np.int16]:
    """The samples of one of the recordings."""
    from worker.audio import decode

    return np.round(decode(str(RECORDINGS / name)) * 32768).astype(np.int16)


def long_recording(path: Path, times: int = 10) -> Path:
    """The demo recording repeated: minutes of speech, to be interrupted."""
    return write_wav(path, np.tile(samples_of("demo.flac"), times))
