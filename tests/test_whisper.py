"""Our own recogniser: what it promises whatever the model hears."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ctranslate2
import numpy as np
import pytest
from faster_whisper import WhisperModel

from protocol.transcription import TranscribeParams
from protocol.values import TimeSpan
from tests.support import MODEL, RECORDINGS, SAMPLE_RATE, Session, samples_of, write_wav
from worker.engines.recognition.findings import Findings
from worker.engines.recognition.whisper.decoding import Decoder
from worker.engines.recognition.whisper.model import SinglyEncodingModel
from worker.engines.recognition.whisper.segments import without_loops
from worker.engines.recognition.whisper.windows import Stretch, Window

DEMO = RECORDINGS / "demo.flac"
WITHOUT_TIMES = ("segments", "text", "language", "languages", "speechSeconds", "lostSeconds")


def said(result: dict[str, Any]) -> dict[str, Any]:
    return {name: result[name] for name in WITHOUT_TIMES}


@pytest.fixture(scope="module")
def demo(worker: Session) -> dict[str, Any]:
    """A recording of 100 s, in several batches."""
    return worker.transcribe(DEMO, wordTimestamps=True, partialResultToken="demo")


def test_segments_ascend_and_partial_results_are_final(
    worker: Session, demo: dict[str, Any]
) -> None:
    segments = demo["segments"]
    assert [segment["id"] for segment in segments] == list(range(len(segments)))
    assert all(a["end"] <= b["start"] for a, b in pairwise(segments))
    sent = [
        segment
        for note in worker.notifications
        if note["params"].get("token") == "demo"
        for segment in note["params"]["value"]["segments"]
    ]
    assert sent == segments


def test_words_ascend_and_give_segments_their_times(demo: dict[str, Any]) -> None:
    words = [word for segment in demo["segments"] for word in segment["words"]]
    assert all(word["start"] < word["end"] for word in words)
    assert all(a["end"] <= b["start"] for a, b in pairwise(words))
    for segment in demo["segments"]:
        assert segment["start"] == segment["words"][0]["start"]
        assert segment["end"] == segment["words"][-1]["end"]


def test_no_segment_is_outside_of_speech(worker: Session, demo: dict[str, Any]) -> None:
    options = {"minSilenceDuration": 0.3, "speechPad": 0.1, "minSpeechDuration": 0.1}
    found = worker.call("detectSpeech", {"audio": str(DEMO), "vadParameters": options})["speech"]
    for segment in demo["segments"]:
        assert any(
            span["start"] - 0.2 <= segment["end"] and segment["start"] <= span["end"] + 0.2
            for span in found
        )


def test_confidence_and_languages_are_told(demo: dict[str, Any]) -> None:
    assert all(0 <= segment["confidence"] <= 1 for segment in demo["segments"])
    assert {segment["language"] for segment in demo["segments"]} == {demo["language"]}
    [english] = demo["languages"]
    assert (english["language"], english["seconds"]) == ("en", demo["speechSeconds"])


def test_the_same_request_gives_the_same_result(worker: Session, demo: dict[str, Any]) -> None:
    worker.transcribe(RECORDINGS / "en-01.flac", temperature=[0.5])
    again = worker.transcribe(DEMO, wordTimestamps=True)
    assert said(again) == said(demo)


def test_the_batch_size_changes_no_promise(worker: Session) -> None:
    for options in ({"batchSize": 1}, {"batchSize": 2}, {"chunkLength": 10}):
        segments = worker.transcribe(DEMO, **options)["segments"]
        assert all(a["end"] <= b["start"] for a, b in pairwise(segments)), options
        assert segments[-1]["end"] > 80


def test_each_stretch_of_speech_has_its_language(
    worker: Session, tmp_path: Path, truth: dict[str, Any]
) -> None:
    english, german = samples_of("en-01.flac"), samples_of("de-03.flac")
    pause = np.zeros(3 * SAMPLE_RATE, np.int16)
    file = write_wav(tmp_path / "two.wav", np.concatenate([english, pause, german]))
    result = worker.transcribe(file)
    change = len(english) / SAMPLE_RATE
    for segment in result["segments"]:
        assert segment["language"] == ("en" if segment["start"] < change else "de")
    assert [each["language"] for each in result["languages"]] == ["de", "en"]
    assert result["language"] == "de"
    one = worker.transcribe(file, multilingual=False)
    assert {segment["language"] for segment in one["segments"]} == {one["language"]}
    forced = worker.transcribe(file, language="en")
    assert {segment["language"] for segment in forced["segments"]} == {"en"}


def test_speech_without_probable_text_is_told(worker: Session) -> None:
    strict = {"noSpeechThreshold": 0.0, "logProbThreshold": 0.0}
    result = worker.transcribe(DEMO, language="en", **strict)
    [warning] = [each for each in result["warnings"] if each["kind"] == "speech_without_text"]
    lost = sum(span["end"] - span["start"] for span in warning["spans"])
    assert result["segments"] == []
    assert lost == pytest.approx(result["lostSeconds"], abs=0.01)
    assert lost > 0.8 * result["speechSeconds"]


def test_silences_and_speech_make_up_the_recording(
    worker: Session, demo: dict[str, Any], tmp_path: Path
) -> None:
    for silence in demo["silences"]:
        assert silence["end"] - silence["start"] >= 1
        assert not any(
            segment["start"] < silence["end"] - 0.4 and silence["start"] + 0.4 < segment["end"]
            for segment in demo["segments"]
        )
    speech = samples_of("en-01.flac")
    pause = np.zeros(5 * SAMPLE_RATE, np.int16)
    file = write_wav(tmp_path / "pause.wav", np.concatenate([pause, speech, pause, speech]))
    first, second, *_ = worker.transcribe(file)["silences"]
    length = len(speech) / SAMPLE_RATE
    assert first["start"] == 0 and 5 <= first["end"] < 6.5
    assert second["start"] < 5.2 + length and 10 + length <= second["end"] < 11.5 + length
    part = worker.transcribe(file, start=2, end=5 + length)["silences"]
    assert part[0] == {"start": 2, "end": pytest.approx(first["end"], abs=0.2)}


def test_silences_of_pieces_become_one() -> None:
    findings = Findings()
    findings.hear(2.0, 10.0, [(4.0, 5.0), (5.5, 9.4)])
    findings.hear(10.0, 20.0, [(11.0, 20.0)])
    findings.hear(20.0, 20.9, [])
    findings.hear(30.0, 32.0, [])
    assert [(span.start, span.end) for span in findings.silences] == [
        (2.0, 4.0),
        (9.4, 11.0),
        (30.0, 32.0),
    ]


def test_silence_and_noise_cost_nothing(worker: Session, tmp_path: Path) -> None:
    noise = np.random.default_rng(3).normal(0, 300, 60 * SAMPLE_RATE).astype(np.int16)
    for name, samples in (("silence", 0 * noise), ("noise", noise)):
        result = worker.transcribe(write_wav(tmp_path / f"{name}.wav", samples))
        assert (result["text"], result["segments"], result["languages"]) == ("", [], [])
        assert (result["speechSeconds"], result["lostSeconds"]) == (0, 0)


def test_without_speech_detection_everything_is_decoded(worker: Session) -> None:
    result = worker.transcribe(DEMO, vadFilter=False, language="en")
    assert result["speechSeconds"] == pytest.approx(result["duration"], abs=0.1)
    assert result["segments"]


def test_clips_alone_are_decoded(worker: Session) -> None:
    result = worker.transcribe(DEMO, clipTimestamps=[10, 20, 50, 60], language="en")
    assert result["segments"]
    for segment in result["segments"]:
        middle = (segment["start"] + segment["end"]) / 2
        assert 10 < middle < 20 or 50 < middle < 60


def test_findings_become_notices() -> None:
    findings = Findings()
    assert findings.notices() == []
    findings.silent.append(TimeSpan(start=1.0, end=3.5))
    findings.unspoken.append(TimeSpan(start=8.0, end=9.0, text="Thank you."))
    findings.repeated += [TimeSpan(start=n, end=n + 1, text="no") for n in range(200)]
    lost, unspoken, repeated = findings.notices()
    assert (lost.kind, lost.spans) == ("speech_without_text", findings.silent)
    assert lost.message.startswith("2.5 s")
    assert (unspoken.kind, unspoken.level) == ("text_without_speech", "info")
    assert len(repeated.spans or []) == 100
    assert "200 places" in repeated.message


class Counting:
    """A model that counts what it encodes."""

    device = "cpu"
    compute_type = "int8_float32"

    def __init__(self) -> None:
        self.encoded = 0

    def encode(self, features: Any, to_cpu: bool = False) -> Any:
        self.encoded += len(np.asarray(features))
        return ctranslate2.StorageView.from_array(encoded_from(np.asarray(features)).copy())


def encoded_from(features: Any) -> Any:
    """What `Counting` makes of features (windows, mels, frames)."""
    return features[:, :, ::2].swapaxes(1, 2)


@pytest.fixture
def encode() -> tuple[Counting, Callable[..., Any]]:
    counting = Counting()
    model = SinglyEncodingModel(counting)  # type: ignore[arg-type]
    return counting, lambda *rows: np.asarray(
        model.encode(ctranslate2.StorageView.from_array(np.stack(rows)))
    )


def test_each_window_is_encoded_once(encode: tuple[Counting, Callable[..., Any]]) -> None:
    counting, run = encode
    rows = np.random.default_rng(1).random((4, 80, 100), np.float32)
    both = run(rows[0], rows[1])
    assert np.array_equal(both, encoded_from(rows[:2]))
    assert np.array_equal(run(rows[1]), both[1:])
    assert np.array_equal(run(rows[2], rows[0]), encoded_from(rows[[2, 0]]))
    assert counting.encoded == 3


def test_encodings_are_kept_for_a_few_windows(encode: tuple[Counting, Callable[..., Any]]) -> None:
    counting, run = encode
    rows = np.random.default_rng(1).random((40, 2, 4), np.float32)
    run(*rows)
    run(rows[0])
    assert counting.encoded == 41


def test_a_part_is_cut_out_of_its_window(encode: tuple[Counting, Callable[..., Any]]) -> None:
    counting, run = encode
    rows = np.random.default_rng(1).random((1, 80, 100), np.float32)
    run(*rows)
    model = SinglyEncodingModel(counting)  # type: ignore[arg-type]
    for _ in range(2):
        part = np.asarray(model.encode_span(rows, 10, 30))
        assert np.array_equal(part, encoded_from(rows)[:, 10:30])
    assert counting.encoded == 2


def test_a_part_is_encoded_by_itself_on_a_gpu() -> None:
    counting = Counting()
    counting.device = "cuda"
    rows = np.random.default_rng(1).random((1, 80, 100), np.float32)
    model = SinglyEncodingModel(counting)  # type: ignore[arg-type]
    part = np.asarray(model.encode_span(rows, 10, 30))
    assert np.array_equal(part, encoded_from(rows[:, :, 20:60]))


class Looping:
    """A model, one of whose hypotheses repeats a token for as long as it may."""

    def __init__(self, actual: Any, most: int | None = None) -> None:
        self.actual = actual
        self.most = most
        """Tokens of the most probable hypothesis."""
        self.allowed: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.actual, name)

    def generate(self, encoded: Any, prompts: list[list[int]], **options: Any) -> list[Any]:
        """As CTranslate2's."""
        allowed = options["max_length"] - len(prompts[0])
        self.allowed.append(allowed)
        shown = [264] * min(allowed, self.most or allowed)
        return [
            SimpleNamespace(
                sequences_ids=[shown, [264] * allowed], scores=[-9.0], no_speech_prob=0.0
            )
            for _ in prompts
        ]


@pytest.mark.parametrize("shown", [None, 3])
def test_a_loop_costs_no_more_than_a_few_decodings(shown: int | None) -> None:
    model = WhisperModel(str(MODEL), device="cpu", compute_type="int8")
    looping = model.model = Looping(model.model, shown)
    samples = np.zeros(6 * SAMPLE_RATE, np.float32)
    decoder = Decoder(model, TranscribeParams(audio="x"), samples)
    window = Window((Stretch(0.5, 2.5),), "en")
    [short] = decoder.decode([window], [[]])
    assert decoder.is_doubtful(short)
    [found] = decoder.decode([window], [[]], wide=True)
    assert found.fails(TranscribeParams(audio="x"))
    assert sum(looping.allowed) <= 4 * (2 * 24 + 24)
    assert len(without_loops(found.words, failed=True)[0]) < 5
