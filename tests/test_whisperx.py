"""The engine `whisperx`: what the whisperx package gives, through the worker."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from protocol.errors import RpcError
from tests.support import MODEL, RECORDINGS, Session, samples_of

CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    # recording, our params, whisperx's asr_options and arguments of transcribe
    ("en-14.flac", {"language": "en"}, {"language": "en"}),
    ("de-04.flac", {}, {}),
    (
        "en-16.flac",
        {"language": "en", "beamSize": 1, "chunkLength": 6, "batchSize": 2, "hotwords": "yes"},
        {"language": "en", "chunk_size": 6, "asr": {"beam_size": 1, "hotwords": "yes"}},
    ),
]

WHISPERX = """
import json, sys
import whisperx
from worker.audio import decode
ask = json.load(sys.stdin)
found = []
for path, options in ask["cases"]:
    pipeline = whisperx.load_model(
        ask["model"], "cpu", compute_type="int8", asr_options=options.pop("asr", None),
        language=options.get("language"), vad_method="pyannote",
    )
    found.append(pipeline.transcribe(decode(path), batch_size=8, **options))
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def worker() -> Iterator[Session]:
    with Session() as session:
        yield session


def transcribe(worker: Session, name: str, **options: Any) -> dict[str, Any]:
    return worker.transcribe(
        RECORDINGS / name, **{"engine": "whisperx", "computeType": "int8", **options}
    )


@pytest.mark.slow
def test_results_equal_the_package(worker: Session) -> None:
    ask = {
        "model": str(MODEL),
        "cases": [(str(RECORDINGS / name), theirs) for name, _, theirs in CASES],
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WHISPERX],
        input=json.dumps(ask),
        capture_output=True,
        text=True,
        check=True,
    )
    expected = json.loads(done.stdout.splitlines()[-1])
    for (name, options, _), theirs in zip(CASES, expected, strict=True):
        ours = transcribe(worker, name, **options)
        assert theirs["segments"]
        assert ours["language"] == theirs["language"]
        assert [
            (each["start"], each["end"], each["text"], each["avgLogprob"])
            for each in ours["segments"]
        ] == [
            (
                each["start"],
                pytest.approx(min(each["end"], ours["duration"]), abs=1e-3),
                each["text"].strip(),
                pytest.approx(each["avg_logprob"]),
            )
            for each in theirs["segments"]
        ]


def test_the_result_names_the_engine(worker: Session) -> None:
    worker.notifications.clear()
    result = transcribe(worker, "en-14.flac", progressToken=1, partialResultToken=2)
    assert (result["engine"], result["language"]) == ("whisperx", "en")
    assert 0.5 < result["languageProbability"] <= 1
    assert 0 < result["durationAfterVad"] <= result["duration"]
    assert result["segments"][0]["noSpeechProb"] is None
    values = [note["params"]["value"] for note in worker.notifications]
    parts = [segment for value in values for segment in value.get("segments", ())]
    assert parts == result["segments"]
    done = [value["percentage"] for value in values if value.get("stage") == "recognition"]
    assert done == sorted(done)


def test_options_that_whisperx_ignores_are_reported(worker: Session) -> None:
    options = {
        "temperature": 0,
        "logProbThreshold": -2,
        "wordTimestamps": True,
        "vadFilter": False,
        "vadParameters": {"threshold": 0.6, "speechPad": 1},
        "beamSize": 2,
    }
    result = transcribe(worker, "en-01.flac", **options)
    assert {warning["option"] for warning in result["warnings"]} == {
        "temperature",
        "logProbThreshold",
        "wordTimestamps",
        "vadFilter",
        "vadParameters.speechPad",
    }


def test_silence_gives_no_segments(worker: Session, tmp_path: Any) -> None:
    from tests.support import write_wav

    path = write_wav(tmp_path / "silence.wav", samples_of("en-01.flac")[:16000] * 0)
    result = worker.transcribe(path, engine="whisperx", computeType="int8", language="en")
    assert (result["text"], result["segments"]) == ("", [])


def test_a_job_is_cancelled_and_the_next_one_works(worker: Session) -> None:
    id_ = worker.send_transcribe(
        RECORDINGS / "demo.flac",
        engine="whisperx",
        computeType="int8",
        partialResultToken=1,
        chunkLength=5,
        batchSize=1,
    )
    worker.wait_for_partial()
    worker.cancel(id_)
    with pytest.raises(RpcError) as caught:
        worker.result(id_, worker._keep)
    assert caught.value.kind == "cancelled"
    assert transcribe(worker, "en-01.flac")["segments"]


def test_an_unknown_language_is_a_typed_error(worker: Session) -> None:
    with pytest.raises(RpcError) as caught:
        transcribe(worker, "en-01.flac", language="xx")
    assert caught.value.kind == "language_unsupported"
