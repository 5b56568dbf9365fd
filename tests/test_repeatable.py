"""The same request gives the same bytes, whatever came before, in whatever process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import RpcError
from tests.support import MODEL, RECORDINGS, Session, long_recording
from tests.test_batch import batch
from worker.engines.recognition.repeatable import RepeatableModel

FILES = [RECORDINGS / name for name in ("en-01.flac", "de-01.flac", "en-05.flac")]
FALLBACKS = {"temperature": [0.4, 0.8], "logProbThreshold": 0.0, "noSpeechThreshold": None}
"""No window passes: each is decoded at every temperature."""


def told(result: dict[str, Any]) -> list[dict[str, Any]]:
    segments: list[dict[str, Any]] = result["segments"]
    return segments


@pytest.mark.parametrize(
    "mode",
    [
        FALLBACKS,
        pytest.param({**FALLBACKS, "batchSize": 2}, marks=pytest.mark.slow),
        pytest.param({"temperature": 0.8}, marks=pytest.mark.slow),
        {"temperature": 0.8, "batchSize": 2, "wordTimestamps": True},
        pytest.param({"engine": "whisperx", "language": "en"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_request_gives_the_same_words_in_any_order_and_process(
    start: Callable[..., Session], mode: dict[str, Any]
) -> None:
    forth, back = start(), start()
    wanted = [told(forth.transcribe(file, **mode)) for file in FILES]
    assert all(wanted)
    back.transcribe(FILES[0], temperature=1.0)
    found = [told(back.transcribe(file, **mode)) for file in reversed(FILES)]
    assert found[::-1] == wanted
    assert [told(forth.transcribe(file, **mode)) for file in FILES] == wanted


def test_fallbacks_equal_those_of_the_checkpoint(
    start: Callable[..., Session], tmp_path: Path
) -> None:
    session = start()
    options = {**FALLBACKS, "checkpoint": str(tmp_path / "kept")}
    plain = told(session.transcribe(FILES[0], **FALLBACKS))
    assert told(session.transcribe(FILES[0], **options)) == plain
    resumed = start().transcribe(FILES[0], **options)
    assert {warning["kind"] for warning in resumed["warnings"]} == {"resumed"}
    assert told(resumed) == plain


@pytest.mark.slow
def test_overtaking_changes_no_words_of_a_batch(
    start: Callable[..., Session], tmp_path: Path
) -> None:
    long_file = long_recording(tmp_path / "long.wav", times=2)
    session = start()
    wanted = told(session.transcribe(long_file, **FALLBACKS))
    batch = session.send_transcribe(
        long_file, **FALLBACKS, priority="batch", partialResultToken="parts"
    )
    session.wait_for_partial()
    for file in FILES:
        session.transcribe(file, **FALLBACKS)
    assert told(session.result(batch)) == wanted


def test_a_batch_writes_the_same_files_in_any_order(tmp_path: Path) -> None:
    written = []
    for name, order in (("forth", FILES), ("back", FILES[::-1])):
        manifest = [{"audio": str(file), "name": file.stem, **FALLBACKS} for file in order]
        lines = b"".join(json.dumps(entry).encode() + b"\n" for entry in manifest)
        assert batch(tmp_path / name, "--formats", "json", stdin=lines).code == 0
        documents = {
            file.name: json.loads(file.read_bytes()) for file in (tmp_path / name).glob("*-0?.json")
        }
        assert len(documents) == len(FILES)
        written.append({key: each["segments"] for key, each in documents.items()})
    assert written[0] == written[1]


def test_a_failed_reload_is_retried_by_the_next_request() -> None:
    class Model:
        def generate(self, features: Any, prompts: Any, **options: Any) -> Any:
            return options

    def load() -> Model:
        if not loads:
            loads.append(1)
            raise RuntimeError("bad_alloc")
        return Model()

    loads: list[int] = []
    model = RepeatableModel(Model(), load)
    with pytest.raises(RuntimeError):
        model.generate(None, [], sampling_temperature=0.2)
    assert model.generate(None, [], beam_size=5) == {"beam_size": 5}


def test_vanished_weights_are_a_typed_error(start: Callable[..., Session], tmp_path: Path) -> None:
    session = start()
    copy = Path(shutil.copytree(MODEL, tmp_path / "model"))
    session.transcribe(FILES[0], model=str(copy))
    (copy / "model.bin").unlink()
    with pytest.raises(RpcError) as raised:
        session.transcribe(FILES[0], model=str(copy), temperature=0.8)
    assert raised.value.kind == "model_invalid"
    shutil.copy(MODEL / "model.bin", copy)
    assert session.transcribe(FILES[0], model=str(copy), temperature=0.8)["segments"]
