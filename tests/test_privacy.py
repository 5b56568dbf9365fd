"""The worker talks to nobody, tells no secret, and leaves nothing that others can read."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from protocol.errors import RpcError
from tests import offline
from tests.support import (
    ALIGNMENT_MODEL,
    DIARIZATION_MODEL,
    RECORDINGS,
    TOKEN,
    WORKER,
    Engine,
    Session,
    tree,
)

GIVEN_TOKEN = "hf_givenByTheClientAndAlsoForNobodyToSee"

# Every process writes down whom it asks for, whether that succeeds or not.
_RECORDER = """
import os, sys
def record(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"):
        with open(os.environ["RECORD_NETWORK"], "a") as file:
            print(event, *args[-2:], file=file)
sys.addaudithook(record)
"""


class Watched(Session):
    """A session that could ask anybody, in a network namespace where the system grants one."""

    def __init__(self, place: Path) -> None:
        self.place = place
        for name in ("home", "tmp", "hub", "code"):
            (place / name).mkdir()
        (place / "code" / "sitecustomize.py").write_text(_RECORDER)
        self.record = place / "network.txt"
        self.record.touch()
        environment = {
            **os.environ,
            "HOME": str(place / "home"),
            "TMPDIR": str(place / "tmp"),
            "HF_HOME": str(place / "hub"),
            "HF_TOKEN": TOKEN,
            "PYTHONPATH": f"{place / 'code'}:{Path.cwd()}",
            "RECORD_NETWORK": str(self.record),
        }
        for name in ("HF_ENDPOINT", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
            environment.pop(name, None)
        umask = os.umask(0)  # nothing private may rely on it
        try:
            super().__init__([sys.executable, "-m", "tests.offline", *WORKER], env=environment)
        finally:
            os.umask(umask)

    def asked(self) -> str:
        """Whom its processes have asked for: a line for each attempt of Python code, and the
        kernel's count of those of any code."""
        ours, theirs = (
            Path(f"/proc/{pid}/ns/net").readlink() for pid in ("self", self.process.pid)
        )
        count = offline.attempts(self.process.pid) if ours != theirs else 0
        return self.record.read_text() + (f"{count} packets" if count else "")


class Observed(NamedTuple):
    """What there was to see of a session that did the whole job."""

    asked: str
    commands: list[bytes]
    environments: dict[str, dict[str, str]]
    """Of the engines, by kind."""
    modes: dict[str, int]
    """Of all that lay in the temporary directory while the engines were there."""
    place: Path
    """Holds the session's home, cache, temporary and output directories."""
    files: list[Path]
    result: dict[str, Any]


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    """The whole job, done without anything having been asked of the network."""
    place = tmp_path_factory.mktemp("private")
    with Watched(place) as session:
        session.secrets.add(GIVEN_TOKEN)
        session.call("initialize", {"hfToken": GIVEN_TOKEN, "logLevel": "debug"})
        session.call("models/list")
        result = session.transcribe(
            RECORDINGS / "en-05.flac",
            language="en",
            vadFilter=True,
            align={"model": str(ALIGNMENT_MODEL)},
            diarize={"model": str(DIARIZATION_MODEL)},
            formats=["srt", "html", "json"],
            outputDir=str(place / "out"),
            onStageError="fail",
        )
        processes = tree(session.process.pid)
        commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes]
        environments = {
            command.split(b"\0engine\0")[1].split(b"\0")[0].decode(): _environment(pid)
            for pid, command in zip(processes, commands, strict=True)
            if b"\0engine\0" in command
        }
        modes = {
            str(path.relative_to(place / "tmp")): stat.S_IMODE(path.lstat().st_mode)
            for path in (place / "tmp").rglob("*")
        }
        asked = session.asked()
    files = [path for path in place.rglob("*") if path.is_file()]
    return Observed(asked, commands, environments, modes, place, files, result)


def _environment(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(entry.split("=", 1) for entry in entries if entry)


def test_the_job_was_done(observed: Observed) -> None:
    assert observed.result["segments"][0]["words"]
    assert observed.result["speakers"]
    assert observed.result["warnings"] == []
    assert {"whisper", "alignment", "diarization"} <= set(observed.environments)


def test_the_whole_job_makes_no_network_requests(observed: Observed) -> None:
    assert observed.asked == ""


@pytest.mark.slow  # tests/test_probe.py counts what the hub is asked
def test_the_probe_makes_no_network_requests(tmp_path: Path) -> None:
    with Watched(tmp_path) as session:
        probed = session.call("environment/probe", {"timeout": 300.0})
        assert probed["healthMetrics"]["overallScore"] == 100
        assert session.asked() == ""


def test_a_network_request_would_be_noticed(tmp_path: Path) -> None:
    with Watched(tmp_path) as session:
        with pytest.raises(RpcError):
            session.transcribe(RECORDINGS / "en-01.flac", model="tiny", download=True)
        assert "socket.getaddrinfo" in session.asked()


def test_no_token_is_in_a_file_or_on_a_command_line(observed: Observed) -> None:
    assert observed.files
    for token in (TOKEN, GIVEN_TOKEN):
        for path in observed.files:
            assert token.encode() not in path.read_bytes(), path
        assert not any(token.encode() in command for command in observed.commands)


def test_no_engine_that_runs_models_has_a_token(observed: Observed) -> None:
    for kind in set(observed.environments) - {"hub"}:
        text = str(observed.environments[kind])
        assert TOKEN not in text, kind
        assert GIVEN_TOKEN not in text, kind


def test_temporary_files_are_private(observed: Observed) -> None:
    assert observed.modes
    top = {mode for name, mode in observed.modes.items() if "/" not in name}
    assert top == {0o700}


def test_outputs_have_the_users_umask(observed: Observed) -> None:
    for path in (observed.place / "out").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o666, path


def test_nothing_is_left_in_the_home_or_temporary_directory(observed: Observed) -> None:
    left = [path for path in observed.files if path.is_relative_to(observed.place / "home")]
    left += (observed.place / "tmp").iterdir()
    # A list of the fonts of the machine, of which there is none in the bundle.
    assert [path for path in left if "matplotlib" not in path.parts] == []


@pytest.mark.parametrize(
    ("engine", "script"),
    [
        (
            "whisper",
            "from huggingface_hub import constants as c; assert c.HF_HUB_DISABLE_TELEMETRY",
        ),
        ("whisper", "from huggingface_hub import constants as c; assert c.HF_HUB_OFFLINE"),
        (
            "whisper",
            "from faster_whisper.vad import get_vad_model; get_vad_model();"
            "from pathlib import Path; assert not [*Path.home().rglob('*onnx*')]",
        ),
        pytest.param(
            "diarization",
            "from pyannote.audio.telemetry import metrics; assert not metrics.is_metrics_enabled()",
            marks=pytest.mark.slow,  # it takes long to import, and the whole job tells nobody
        ),
        (
            "diarization",
            "from opentelemetry.sdk.trace import TracerProvider;"
            "span = TracerProvider().get_tracer('test').start_span('test');"
            "assert not span.is_recording()",
        ),
    ],
    ids=["huggingface_hub", "hub_offline", "onnxruntime", "pyannote", "opentelemetry"],
)
def test_telemetry_is_off_in_the_environment_of_the_engines(
    observed: Observed, engine: str, script: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**observed.environments[engine], "TMPDIR": str(observed.place / "tmp")},
        stderr=subprocess.PIPE,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_the_user_cannot_turn_telemetry_on_by_accident() -> None:
    from worker.system.child_environment import QUIET

    assert {
        "HF_HUB_DISABLE_TELEMETRY",
        "ORT_DISABLE_TELEMETRY",
        "PYANNOTE_METRICS_ENABLED",
        "OTEL_SDK_DISABLED",
    } <= QUIET.keys()


def test_decoded_samples_are_private_under_any_umask(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        engine = Engine("audio")
    finally:
        os.umask(umask)
    with engine:
        source = {"path": str(RECORDINGS / "en-01.flac")}
        engine.send("decode", {"source": source, "directory": str(tmp_path)})
        (path,) = engine.wait_for(lambda message: "result" in message)["result"]["paths"]
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
