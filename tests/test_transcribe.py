"""What `transcribe` promises, on a real model and recordings whose truth is known."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.errors import RpcError
from tests.measures import word_errors
from tests.support import (
    RECORDINGS,
    SAMPLE_RATE,
    Session,
    children,
    encode,
    samples_of,
    write_wav,
)

# The small test model is a poor clock: what our own engine makes of times, tests/real shows.
PACKAGE = {"engine": "faster-whisper"}
SHORT = sorted(path.name for path in RECORDINGS.glob("*-*.flac"))


@pytest.fixture(scope="module")
def results(worker: Session) -> dict[str, Any]:
    """Every short recording transcribed with default options."""
    return {name: worker.transcribe(RECORDINGS / name, partialResultToken=name) for name in SHORT}


@pytest.fixture(scope="module")
def packaged(worker: Session) -> dict[str, Any]:
    """Every short recording transcribed by the package."""
    return {name: worker.transcribe(RECORDINGS / name, **PACKAGE) for name in SHORT}


@pytest.fixture(scope="module")
def worded(worker: Session) -> dict[str, Any]:
    """Every other short recording transcribed with word times."""
    options = {"wordTimestamps": True, **PACKAGE}
    return {name: worker.transcribe(RECORDINGS / name, **options) for name in SHORT[::2]}


@pytest.mark.parametrize(("engine", "most"), [("results", 0.10), ("packaged", 0.05)])
def test_few_words_are_wrong(
    request: pytest.FixtureRequest, engine: str, most: float, truth: dict[str, Any]
) -> None:
    errors = words = 0
    for name, result in request.getfixturevalue(engine).items():
        reference = truth[name]["text"].split()
        errors += word_errors(reference, result["text"].split())
        words += len(reference)
    assert words > 200
    assert errors / words <= most, f"{errors} of {words}"


def test_the_language_is_detected(results: dict[str, Any], truth: dict[str, Any]) -> None:
    right = sum(result["language"] == truth[name]["language"] for name, result in results.items())
    assert right >= len(results) - 1


def test_segments_have_the_times_of_the_phrases(
    packaged: dict[str, Any], truth: dict[str, Any]
) -> None:
    off: list[float] = []
    for name, result in packaged.items():
        wanted, got = truth[name]["segments"], result["segments"]
        if [s["text"] for s in got] == [s["text"] for s in wanted]:
            for a, b in zip(got, wanted, strict=True):
                off += [abs(a["start"] - b["start"]), abs(a["end"] - b["end"])]
    assert len(off) >= 20
    assert statistics.median(off) < 0.1


def test_word_times_are_roughly_those_of_the_words(
    worded: dict[str, Any], truth: dict[str, Any]
) -> None:
    # Cross-attention is a poor clock at this size; alignment is what times words well.
    off: list[float] = []
    for name, result in worded.items():
        got = [word for segment in result["segments"] for word in segment["words"]]
        wanted = [word for segment in truth[name]["segments"] for word in segment["words"]]
        if [w["word"].strip() for w in got] == [w["word"] for w in wanted]:
            off += [abs(a["start"] - b["start"]) for a, b in zip(got, wanted, strict=True)]
    assert len(off) >= 50
    assert statistics.median(off) < 0.3


def test_words_join_to_the_text_of_their_segment(worker: Session, worded: dict[str, Any]) -> None:
    own = [worker.transcribe(RECORDINGS / name, wordTimestamps=True) for name in SHORT[:4]]
    for result in [*worded.values(), *own]:
        for segment in result["segments"]:
            assert "".join(word["word"] for word in segment["words"]).strip() == segment["text"]
        assert " ".join(segment["text"] for segment in result["segments"]) == result["text"]


def test_partial_results_are_the_final_segments_one_by_one(
    worker: Session, results: dict[str, Any]
) -> None:
    for name, result in results.items():
        streamed = [
            segment
            for note in worker.notifications
            if note["params"].get("token") == name
            for segment in note["params"]["value"]["segments"]
        ]
        assert streamed == result["segments"]


def test_progress_begins_reports_audio_seconds_and_ends(start: Any, truth: dict[str, Any]) -> None:
    session = start()
    session.transcribe(RECORDINGS / "demo.flac", progressToken="p")
    values = [note["params"]["value"] for note in session.notifications]
    assert [values[0]["kind"], values[-1]["kind"]] == ["begin", "end"]
    reports = values[1:-1]
    assert {value["kind"] for value in reports} == {"report"}
    stages = list(dict.fromkeys(value["stage"] for value in reports))
    # A report that has not been read yet is replaced by the next.
    expected = iter(["load", "decode", "recognition"])
    assert all(stage in expected for stage in stages)
    assert stages[-1] == "recognition"
    done = [value["audioDone"] for value in reports if value["stage"] == "recognition"]
    assert done == sorted(done)
    assert len(done) >= 3
    assert done[0] == 0
    assert done[-1] == pytest.approx(truth["demo.flac"]["duration"], abs=0.02)


def test_notifications_need_a_token(start: Any) -> None:
    session = start()
    session.transcribe(RECORDINGS / "en-01.flac")
    assert session.notifications == []


def test_notifications_come_before_the_reply_and_none_after(start: Any) -> None:
    session = start()
    id_ = session.send_transcribe(
        RECORDINGS / "en-01.flac", progressToken=1, partialResultToken="two"
    )
    session.wait_for(lambda message: message.get("id") == id_)
    assert session.notifications[-1]["params"]["value"] == {"kind": "end"}
    session.close_input()
    assert list(session.messages()) == []


def test_tokens_are_echoed_as_they_were_given(start: Any) -> None:
    session = start()
    tokens = [7, 'a " \\ \u2028 é']
    session.transcribe(
        RECORDINGS / "en-01.flac", progressToken=tokens[0], partialResultToken=tokens[1]
    )
    seen = {note["params"]["token"] for note in session.notifications}
    assert seen == set(tokens)


def test_silence_gives_an_empty_transcript(worker: Session, tmp_path: Path) -> None:
    silence = write_wav(tmp_path / "silence.wav", np.zeros(8 * SAMPLE_RATE, np.int16))
    for options in ({}, {"vadFilter": True}, {"batchSize": 4}, {"language": "en"}):
        result = worker.transcribe(silence, **options)
        assert (result["text"], result["segments"]) == ("", []), options


def test_the_batched_mode_hears_the_same_words(worker: Session, truth: dict[str, Any]) -> None:
    result = worker.transcribe(RECORDINGS / "demo.flac", batchSize=4, progressToken="batched")
    reference = truth["demo.flac"]["text"].split()
    assert word_errors(reference, result["text"].split()) <= 0.15 * len(reference)
    ids = [segment["id"] for segment in result["segments"]]
    assert ids == list(range(len(ids)))


def test_the_batched_mode_without_vad_covers_the_whole_recording(
    worker: Session, truth: dict[str, Any]
) -> None:
    result = worker.transcribe(RECORDINGS / "demo.flac", batchSize=4, vadFilter=False)
    assert result["segments"][-1]["end"] > truth["demo.flac"]["segments"][-1]["start"]


@pytest.mark.parametrize(
    ("suffix", "codec", "video"),
    [
        ("wav", "pcm_s16le", False),
        ("flac", "flac", False),
        ("mp3", "libmp3lame", False),
        ("opus", "libopus", False),
        ("m4a", "aac", False),
        ("mp4", "aac", True),
        ("mkv", "libopus", True),
    ],
)
def test_any_container_that_pyav_decodes_is_transcribed(
    worker: Session, tmp_path: Path, truth: dict[str, Any], suffix: str, codec: str, video: bool
) -> None:
    name = "en-01.flac"
    file = encode(tmp_path / f"speech.{suffix}", samples_of(name), codec, video=video)
    result = worker.transcribe(file, language="en")
    reference = truth[name]["text"].split()
    assert result["duration"] == pytest.approx(truth[name]["duration"], abs=0.15)
    assert word_errors(reference, result["text"].split()) <= 1


def test_a_channel_is_transcribed_alone(
    worker: Session, tmp_path: Path, truth: dict[str, Any]
) -> None:
    left, right = samples_of("en-01.flac"), samples_of("en-02.flac")
    length = max(len(left), len(right))
    stereo = np.zeros((length, 2), np.int16)
    stereo[: len(left), 0], stereo[: len(right), 1] = left, right
    file = write_wav(tmp_path / "call.wav", stereo, channels=2)
    for channel, name in enumerate(("en-01.flac", "en-02.flac")):
        alone = worker.transcribe(RECORDINGS / name, language="en")
        result = worker.transcribe(file, channel=channel, language="en")
        assert result["text"] == alone["text"]


def test_a_clip_is_transcribed_with_the_times_of_the_recording(
    worker: Session, truth: dict[str, Any]
) -> None:
    segments = truth["demo.flac"]["segments"]
    second, third = segments[1], segments[2]
    end = (second["end"] + third["start"]) / 2
    begin = second["start"] - 0.4  # Whisper times the first speech within a second
    result = worker.transcribe(RECORDINGS / "demo.flac", start=begin, end=end, language="en")
    assert result["duration"] == pytest.approx(end - begin, abs=0.001)
    assert word_errors(second["text"].split(), result["text"].split()) <= 1
    assert result["segments"][0]["start"] == pytest.approx(second["start"], abs=0.5)


def test_clip_timestamps_decode_only_those_parts(worker: Session, truth: dict[str, Any]) -> None:
    second = truth["demo.flac"]["segments"][1]
    clip = [max(0.0, second["start"] - 0.2), second["end"] + 0.2]
    for options in ({}, {"batchSize": 2}):
        result = worker.transcribe(
            RECORDINGS / "demo.flac", clipTimestamps=clip, language="en", **options
        )
        assert word_errors(second["text"].split(), result["text"].split()) <= 1, options
        for segment in result["segments"]:
            assert clip[0] - 0.5 <= segment["start"] <= clip[1]


def test_options_reach_the_model(worker: Session) -> None:
    file = RECORDINGS / "en-05.flac"
    plain = worker.transcribe(file, language="en", **PACKAGE)
    bare = worker.transcribe(file, language="en", withoutTimestamps=True, **PACKAGE)
    assert bare["segments"] != plain["segments"]
    for options in ({"language": "en"}, {"language": "en", **PACKAGE}):
        few = worker.transcribe(file, maxNewTokens=3, temperature=0, **options)
        assert len(few["text"].split()) < len(plain["text"].split())
        hot = worker.transcribe(file, temperature=[0.4], **options)
        assert all(segment["temperature"] == pytest.approx(0.4) for segment in hot["segments"])
        strict = worker.transcribe(file, noSpeechThreshold=0.0, logProbThreshold=0.0, **options)
        assert strict["text"] == ""


@pytest.mark.parametrize("options", [{}, {"batchSize": 2, **PACKAGE}], ids=str)
def test_a_prompt_that_leaves_no_room_is_refused(worker: Session, options: dict[str, Any]) -> None:
    long = "left right " * 300
    with pytest.raises(RpcError) as caught:
        worker.transcribe(
            RECORDINGS / "en-01.flac",
            hotwords=long,
            initialPrompt=long,
            withoutTimestamps=True,
            **options,
        )
    assert caught.value.kind == "invalid_params"


def test_the_task_translate_gives_english(worker: Session) -> None:
    german = worker.transcribe(RECORDINGS / "de-01.flac", language="de")["text"]
    english = worker.transcribe(RECORDINGS / "de-01.flac", language="de", task="translate")["text"]
    assert english != german
    assert not set(english.split()) & {"null", "eins", "zwei", "drei", "vier", "fünf", "sieben"}


@pytest.mark.parametrize(
    ("options", "ignored"),
    [
        ({"batchSize": 2, "conditionOnPreviousText": False}, {"conditionOnPreviousText"}),
        ({"batchSize": 2, "temperature": [0, 0.5], "maxInitialTimestamp": 0.5}, set()),
        ({"batchSize": 2, "prefix": "x", "logProbThreshold": -2}, {"prefix"}),
        (
            {"batchSize": 2, "vadParameters": {"maxSpeechDuration": 5}},
            {"vadParameters.maxSpeechDuration"},
        ),
        ({"temperature": 0, "bestOf": 3}, {"bestOf"}),
        ({"beamSize": 1, "patience": 2}, {"patience"}),
        ({"vadParameters": {"threshold": 0.4}}, {"vadParameters"}),
        ({"language": "en", "languageDetectionSegments": 2}, {"languageDetectionSegments"}),
        ({"hallucinationSilenceThreshold": 1}, {"hallucinationSilenceThreshold"}),
        ({"clipTimestamps": [0, 1], "vadFilter": True}, {"vadFilter"}),
        ({"vadFilter": True, "vadParameters": {"threshold": 0.4}}, set()),
        ({"beamSize": 2, "wordTimestamps": True, "appendPunctuations": "."}, set()),
    ],
)
def test_an_option_that_the_mode_ignores_is_reported(
    worker: Session, options: dict[str, Any], ignored: set[str]
) -> None:
    result = worker.transcribe(RECORDINGS / "en-01.flac", **options, **PACKAGE)
    assert {warning["option"] for warning in result["warnings"]} == ignored


@pytest.mark.parametrize(
    ("options", "ignored"),
    [
        ({"conditionOnPreviousText": True}, {"conditionOnPreviousText"}),
        ({"conditionOnPreviousText": True, "batchSize": 1}, set()),
        ({"temperature": 0, "bestOf": 3, "beamSize": 1, "patience": 2}, {"bestOf", "patience"}),
        ({"vadParameters": {"threshold": 0.4}}, set()),
        ({"vadFilter": False, "vadParameters": {"threshold": 0.4}}, {"vadParameters"}),
        ({"maxInitialTimestamp": 0.5}, {"maxInitialTimestamp"}),
        ({"maxInitialTimestamp": 0.5, "withoutTimestamps": False}, set()),
        ({"languageDetectionThreshold": 0.4}, {"languageDetectionThreshold"}),
        ({"language": "en", "multilingual": True}, {"multilingual"}),
        ({"hallucinationSilenceThreshold": 1}, {"hallucinationSilenceThreshold"}),
        ({"prefix": "x", "hotwords": "y"}, {"hotwords"}),
        ({"prependPunctuations": "("}, {"prependPunctuations"}),
        ({"prependPunctuations": "(", "wordTimestamps": True}, set()),
    ],
)
def test_an_option_that_our_engine_ignores_is_reported(
    worker: Session, options: dict[str, Any], ignored: set[str]
) -> None:
    result = worker.transcribe(RECORDINGS / "en-01.flac", **options)
    assert {warning["option"] for warning in result["warnings"]} - {None} == ignored


def test_the_result_names_the_engine_and_its_timings(worker: Session) -> None:
    result = worker.transcribe(RECORDINGS / "en-01.flac", computeType="int8", device="auto")
    assert result["engine"] == "whisper"
    assert result["device"] in ("cpu", "cuda")
    assert result["computeType"].startswith("int8")
    timings = result["timings"]
    stages = timings["stages"]
    assert list(stages) == ["queue", "load", "decode", "speechDetection", "recognition"]
    del stages["speechDetection"]  # it is a part of recognition
    assert stages["recognition"]["audio"] == result["duration"]
    assert 0 < stages["recognition"]["busy"] <= timings["recognition"]
    assert {name: timings[name] for name in stages} == pytest.approx(
        {name: span["end"] - span["begin"] for name, span in stages.items()}
    )
    assert timings["total"] / 2 < sum(timings[name] for name in stages) <= timings["total"] + 0.001
    assert result["realTimeFactor"] > 0


def test_consecutive_requests_load_the_model_once(start: Any) -> None:
    session = start()
    ids = [session.send_transcribe(RECORDINGS / name) for name in SHORT[:4]]
    results = [session.result(id_) for id_ in ids]
    loads = [result["timings"]["load"] for result in results]
    assert all(load < loads[0] for load in loads[1:])
    assert len(session.notifications) == 0


def test_another_model_is_loaded_beside_the_first(start: Any, tmp_path: Path) -> None:
    import shutil

    from tests.support import MODEL

    session = start()
    session.transcribe(RECORDINGS / "en-01.flac")
    first = session.engine_pid()
    copy = shutil.copytree(MODEL, tmp_path / "an other model é")
    result = session.transcribe(RECORDINGS / "en-01.flac", model=str(copy))
    assert result["model"] == str(copy)
    first_and_second = children(session.process.pid)
    assert first in first_and_second
    assert len(first_and_second) == 2
