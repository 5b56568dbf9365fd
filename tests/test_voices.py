"""Known voices: what is enrolled is recognised, and nobody else."""

from __future__ import annotations

import json
import math
import shutil
import stat
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.diarization import DiarizeResult, Turn
from protocol.errors import RpcError
from protocol.values import Timings
from tests.streams import Stream
from tests.support import (
    DIARIZATION_MODEL,
    MIXTURES,
    SAMPLE_RATE,
    WORKER,
    Session,
    load_truth,
    write_wav,
)
from worker.audio import decode
from worker.pipeline import voices
from worker.pipeline.voices import Voice, name_speakers, name_with_folder

MODEL = str(DIARIZATION_MODEL)
MIXTURE = "mixture-20.flac"


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """One session for all tests."""
    with Session() as session:
        yield session


@pytest.fixture(scope="module")
def turns() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = load_truth(MIXTURES)[MIXTURE]["turns"]
    return found


def enroll(session: Session, turns: list[dict[str, Any]], name: str, path: Path) -> Any:
    """Enroll a voice of the mixture from all of its turns."""
    samples = [
        {"audio": str(MIXTURES / MIXTURE), "start": each["start"], "end": each["end"]}
        for each in turns
        if each["speaker"] == name and each["end"] - each["start"] > 1.5
    ]
    params = {"name": name, "recordings": samples, "output": str(path), "model": MODEL}
    return session.call("speakers/enroll", params)


def said_by(turns: list[dict[str, Any]], start: float, end: float) -> Counter[str]:
    """Seconds that each voice speaks between two times."""
    seconds: Counter[str] = Counter()
    for each in turns:
        seconds[each["speaker"]] += max(0.0, min(end, each["end"]) - max(start, each["start"]))
    return seconds


def test_enrolled_voices_have_their_names(
    session: Session, turns: list[dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "voice.json"
    enrolled = enroll(session, turns, "voice-0", path)
    assert (enrolled["name"], enrolled["path"]) == ("voice-0", str(path))
    assert enrolled["seconds"] > 2
    result = session.call(
        "diarize",
        {"audio": str(MIXTURES / MIXTURE), "model": MODEL, "voices": [str(path)]},
    )
    assert "embeddings" not in result and "embeddingModel" not in result
    [match] = result["voices"]
    assert match["name"] == "voice-0" and 0.5 <= match["score"] <= 1
    assert "voice-0" in result["speakers"]
    right: dict[bool, float] = defaultdict(float)
    for turn in result["exclusiveTurns"]:
        for truth, seconds in said_by(turns, turn["start"], turn["end"]).items():
            right[(truth == "voice-0") == (turn["speaker"] == "voice-0")] += seconds
    assert right[True] > 4 * right[False]


@pytest.mark.skipif(sys.platform == "win32", reason="reads permissions of POSIX")
def test_a_voice_print_is_private(
    session: Session, turns: list[dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "voice.json"
    enroll(session, turns, "voice-0", path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    embedding = json.loads(path.read_text())["embedding"]
    assert embedding.encode() not in session.stderr
    voice = voices.load(str(path))
    assert str(voice.embedding[0]) not in repr(voice)


def test_no_file_is_replaced_unasked(
    session: Session, turns: list[dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "voice.json"
    path.write_text("precious")
    with pytest.raises(RpcError) as refused:
        enroll(session, turns, "voice-0", path)
    assert refused.value.kind == "export_exists"
    assert path.read_text() == "precious"


def test_too_little_speech_is_refused(session: Session, tmp_path: Path) -> None:
    sample = {"audio": str(MIXTURES / MIXTURE), "start": 0.0, "end": 0.5}
    params = {
        "name": "nobody",
        "recordings": [sample],
        "output": str(tmp_path / "x"),
        "model": MODEL,
    }
    with pytest.raises(RpcError) as refused:
        session.call("speakers/enroll", params)
    assert refused.value.kind == "voice_too_short"
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_speakers_of_a_stream_are_named_while_they_speak(
    session: Session, turns: list[dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "voice.json"
    enroll(session, turns, "voice-0", path)
    stream = Stream(session, diarize={"model": MODEL, "voices": [str(path)]}, language="en")
    stream.speak((decode(str(MIXTURES / MIXTURE)) * 32767).astype("<i2"))
    result = stream.finish()
    assert [each["kind"] for each in result["warnings"] if each["kind"] == "stage_failed"] == []
    assert [each["name"] for each in result["voices"]] == ["voice-0"]
    assert "voice-0" in {each["speaker"] for each in result["segments"]}


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[1]", '{"format":"transcription-worker voice"}', "\0" * 100],
)
def test_what_is_no_voice_print_is_refused(session: Session, tmp_path: Path, content: str) -> None:
    path = tmp_path / "voice.json"
    path.write_text(content)
    for named in (path, tmp_path / "missing", tmp_path):
        params = {"audio": str(MIXTURES / MIXTURE), "model": MODEL, "voices": [str(named)]}
        with pytest.raises(RpcError) as refused:
            session.call("diarize", params)
        assert refused.value.kind == "voice_invalid"


def voice(name: str, *embedding: float, model: str = "m") -> Voice:
    return Voice(name, model, voices.normalised(embedding), 10.0)


def found(**embeddings: list[float]) -> DiarizeResult:
    """A result with one turn of each speaker."""
    turns = [
        Turn(start=float(at), end=at + 1.0, speaker=name) for at, name in enumerate(embeddings)
    ]
    return DiarizeResult(
        turns=turns,
        exclusive_turns=[Turn(start=t.start, end=t.end, speaker=t.speaker) for t in turns],
        speakers=list(embeddings),
        embeddings=embeddings,
        embedding_model="m",
        model="x",
        device="cpu",
        duration=1.0,
        timings=Timings(stages={}),
    )


def test_an_unknown_voice_keeps_its_number_across_recordings(tmp_path: Path) -> None:
    folder = tmp_path / "voices"
    first = found(SPEAKER_00=[1.0, 0.0, 0.0], SPEAKER_01=[0.0, 1.0, 0.0])
    second = found(SPEAKER_00=[0.0, 0.0, 1.0], SPEAKER_01=[1.0, 0.1, 0.0])
    for result in (first, second):
        for turn in result.exclusive_turns:
            turn.end = turn.start + 5.0
        name_with_folder(result, [], 0.5, folder)
    assert first.speakers == ["SPEAKER_00", "SPEAKER_01"]
    assert second.speakers == ["SPEAKER_02", "SPEAKER_00"]
    assert sorted(path.stem for path in folder.iterdir()) == [
        "SPEAKER_00",
        "SPEAKER_01",
        "SPEAKER_02",
    ]


@pytest.mark.slow
def test_speakers_have_one_name_in_a_batch(turns: list[dict[str, Any]], tmp_path: Path) -> None:
    for name in ("a.flac", "b.flac"):
        shutil.copy(MIXTURES / MIXTURE, tmp_path / name)
    command = ["batch", *(str(tmp_path / name) for name in ("a.flac", "b.flac"))]
    command += ["--model", str(DIARIZATION_MODEL.parent / "whisper"), "--diarize-model", MODEL]
    command += ["--output-dir", str(tmp_path / "out"), "--formats", "json", "--speakers-across"]
    subprocess.run([*WORKER, *command, "--jobs", "1"], check=True, capture_output=True)
    speakers = [
        {
            each.get("speaker")
            for each in json.loads((tmp_path / "out" / f"{name}.json").read_text())["segments"]
        }
        for name in ("a", "b")
    ]
    assert speakers[0] == speakers[1] != {None}
    assert list((tmp_path / "out" / ".voices").iterdir())


@pytest.mark.slow
def test_the_command_line_enrolls_and_recognises(
    turns: list[dict[str, Any]], tmp_path: Path
) -> None:
    samples = decode(str(MIXTURES / MIXTURE))
    own = [each for each in turns if each["speaker"] == "voice-0"]
    parts = [
        samples[round(each["start"] * SAMPLE_RATE) : round(each["end"] * SAMPLE_RATE)]
        for each in own
    ]
    alone = write_wav(tmp_path / "anna.wav", (np.concatenate(parts) * 32767).astype(np.int16))
    voice_file = tmp_path / "anna.voice"
    options = ["--diarize-model", MODEL, "--offline"]
    enrolled = [*WORKER, "enroll", "Anna", str(alone), "--output", str(voice_file), *options]
    done = subprocess.run(enrolled, check=True, capture_output=True, text=True)
    assert "s of speech" in done.stdout
    assert subprocess.run(enrolled, check=False, capture_output=True).returncode == 1
    done = subprocess.run(
        [
            *(*WORKER, "transcribe", str(MIXTURES / MIXTURE), "--json"),
            *("--model", str(DIARIZATION_MODEL.parent / "whisper"), *options),
            *("--voice", str(voice_file)),
        ],
        check=True,
        capture_output=True,
    )
    assert "Anna" in json.loads(done.stdout)["speakers"]


def test_a_file_gives_back_the_voice(tmp_path: Path) -> None:
    path = tmp_path / "ånna.json"
    voices.save(voice("Ånna", 1, 2, 2), path, overwrite=False)
    loaded = voices.load(str(path))
    assert (loaded.name, loaded.embedding_model, loaded.seconds) == ("Ånna", "m", 10.0)
    assert loaded.embedding == pytest.approx([1 / 3, 2 / 3, 2 / 3])


def test_speakers_of_one_voice_are_one() -> None:
    result = found(SPEAKER_00=[1.0, 0.0], SPEAKER_01=[0.0, 1.0], SPEAKER_02=[1.0, 0.1])
    name_speakers(result, [voice("Anna", 1, 0)], 0.5)
    assert result.speakers == ["Anna", "SPEAKER_01"]
    assert [turn.speaker for turn in result.turns] == ["Anna", "SPEAKER_01", "Anna"]
    assert [match.label for match in result.voices or []] == ["SPEAKER_00", "SPEAKER_02"]
    assert result.embeddings and result.embeddings.keys() == {"Anna", "SPEAKER_01"}


def test_an_unknown_speaker_never_takes_a_known_name() -> None:
    result = found(SPEAKER_00=[0.0, 1.0], SPEAKER_01=[1.0, 0.0])
    name_speakers(result, [voice("SPEAKER_00", 1, 0)], 0.5)
    assert [turn.speaker for turn in result.turns] == ["SPEAKER_01", "SPEAKER_00"]


def test_voices_of_another_model_are_refused() -> None:
    with pytest.raises(RpcError) as refused:
        name_speakers(found(SPEAKER_00=[1.0]), [voice("Anna", 1, model="other")], 0.5)
    assert refused.value.kind == "voice_invalid"


def test_without_embeddings_nobody_is_known() -> None:
    result = found()
    name_speakers(result, [voice("Anna", 1)], 0.5)
    assert (result.voices, result.speakers) == ([], [])


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_a_more_similar_voice_is_more_probable(one: float, other: float) -> None:
    low, high = sorted([one, other])
    assert 0 <= voices.probability(low) <= voices.probability(high) <= 1


@given(
    st.lists(
        st.tuples(
            st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3).filter(
                lambda values: math.hypot(*values) > 1e-3
            ),
            st.floats(0.1, 60),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_a_mean_has_unit_length_or_no_direction(parts: list[tuple[list[float], float]]) -> None:
    try:
        unit = voices.mean(parts)
    except ValueError:
        return
    assert math.hypot(*unit) == pytest.approx(1.0)
