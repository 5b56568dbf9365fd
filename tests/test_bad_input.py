"""Bad input gives one typed error that a user can act on, and the next request is served."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.errors import KINDS, RpcError
from tests.support import MODEL, RECORDINGS, SAMPLE_RATE, Session, encode, samples_of, write_wav
from worker.audio import check_file

GOOD = RECORDINGS / "en-01.flac"


@pytest.fixture
def refuse(worker: Session) -> Callable[..., RpcError]:
    """Ask for a transcription that must be refused; return the error."""

    def ask(audio: str | Path, **options: Any) -> RpcError:
        with pytest.raises(RpcError) as caught:
            worker.transcribe(audio, **options)
        error = caught.value
        assert error.message[-1] in ".?"
        assert error.code == KINDS[error.kind].code
        # The worker is unhurt, and its model too.
        assert worker.call("ping") == {}
        return error

    return ask


Refuse = Callable[..., RpcError]


def test_a_missing_file(refuse: Refuse, tmp_path: Path) -> None:
    error = refuse(tmp_path / "no such.wav")
    assert error.kind == "audio_not_found"
    assert "no such.wav" in error.message


def test_a_path_through_a_file(refuse: Refuse) -> None:
    assert refuse(GOOD / "inside.wav").kind == "audio_not_found"


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    file = tmp_path / "secret.flac"
    file.touch(mode=0)
    user, nobody = os.geteuid(), 65534
    if user == 0:  # root may read everything
        os.seteuid(nobody)
    try:
        with pytest.raises(RpcError) as caught:
            check_file(str(file))
    finally:
        os.seteuid(user)
    assert caught.value.kind == "audio_not_readable"


def test_a_link_to_itself(refuse: Refuse, tmp_path: Path) -> None:
    link = tmp_path / "loop.wav"
    link.symlink_to(link)
    assert refuse(link).kind == "audio_not_readable"


def test_a_directory(refuse: Refuse, tmp_path: Path) -> None:
    assert refuse(tmp_path).kind == "audio_not_readable"


def test_a_device_does_not_hang_the_worker(refuse: Refuse) -> None:
    assert refuse("/dev/zero").kind == "audio_not_readable"


def test_a_path_with_a_nul(refuse: Refuse) -> None:
    assert refuse("a\0b").kind == "audio_not_readable"


def test_a_path_that_is_too_long(refuse: Refuse) -> None:
    assert refuse("/" + "x" * 5000).kind == "audio_not_readable"


def test_an_empty_file(refuse: Refuse, tmp_path: Path) -> None:
    file = tmp_path / "empty.wav"
    file.touch()
    assert refuse(file).kind == "audio_empty"


def test_a_file_without_samples(refuse: Refuse, tmp_path: Path) -> None:
    assert refuse(write_wav(tmp_path / "none.wav", np.zeros(0, np.int16))).kind == "audio_empty"


def test_a_text_file(refuse: Refuse, tmp_path: Path) -> None:
    file = tmp_path / "notes.wav"
    file.write_text("This is no recording.\n" * 100)
    assert refuse(file).kind == "audio_invalid"


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "mp4"])
def test_the_remedy_for_a_damaged_file_suits_any_format(
    refuse: Refuse, tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"x.{suffix}"
    file.write_bytes(b"RIFF\0\0\0\0WAVEfmt " if suffix == "wav" else b"no recording " * 99)
    error = refuse(file)
    assert error.kind == "audio_invalid"
    assert "intact copy" in error.data["remedy"]
    assert not {"WAV", "FLAC"} & set(error.data["remedy"].replace(".", " ").split())


@pytest.mark.parametrize(("suffix", "codec"), [("wav", "pcm_s16le"), ("flac", "flac")])
def test_a_truncated_file_gives_what_it_has(
    worker: Session, tmp_path: Path, suffix: str, codec: str
) -> None:
    whole = encode(tmp_path / f"whole.{suffix}", samples_of("en-05.flac"), codec)
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    result = worker.transcribe(cut)
    [notice] = [each for each in result["warnings"] if each["kind"] == "damaged"]
    assert result["duration"] == pytest.approx(notice["spans"][0]["start"], abs=0.01)
    assert notice["spans"][0]["end"] == pytest.approx(
        len(samples_of("en-05.flac")) / SAMPLE_RATE, abs=0.01
    )


def test_a_truncated_file_can_be_refused(refuse: Refuse, tmp_path: Path) -> None:
    whole = encode(tmp_path / "whole.flac", samples_of("en-05.flac"), "flac")
    cut = tmp_path / "cut.flac"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert refuse(cut, onDamage="fail").kind == "audio_invalid"


def test_a_recording_without_its_index(refuse: Refuse, tmp_path: Path) -> None:
    whole = encode(tmp_path / "whole.m4a", samples_of("en-05.flac"), "aac")
    cut = tmp_path / "cut.m4a"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    error = refuse(cut)
    assert error.kind == "audio_invalid"
    assert "index" in error.message


def test_a_video_without_sound(refuse: Refuse, tmp_path: Path) -> None:
    import av

    file = tmp_path / "mute.mp4"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    assert refuse(file).kind == "audio_no_stream"


def test_a_channel_that_is_not_there(refuse: Refuse) -> None:
    error = refuse(GOOD, channel=1)
    assert (error.kind, error.data["channels"]) == ("audio_no_channel", 1)


@pytest.mark.parametrize(
    "clip",
    [
        {"start": 99.0},
        {"end": 99.0},
        {"start": 3.0, "end": 2.0},
        {"start": 1.0, "end": 1.0},
        {"clipTimestamps": [99.0]},
        {"clipTimestamps": [0.0, 99.0]},
        {"clipTimestamps": [2.0, 1.0]},
        {"start": 2.0, "clipTimestamps": [1.0, 3.0]},
        {"batchSize": 2, "clipTimestamps": [0.0, 99.0]},
    ],
    ids=str,
)
def test_a_clip_outside_of_the_file(refuse: Refuse, clip: dict[str, Any]) -> None:
    assert refuse(GOOD, **clip).kind == "clip_out_of_range"


@pytest.mark.parametrize("name", ["smal", "no/such/model", "./nowhere", "models\0bad"])
def test_an_unknown_model(refuse: Refuse, name: str) -> None:
    error = refuse(GOOD, model=name)
    assert error.kind == "model_not_found"
    if name == "smal":
        assert "small" in error.message
        assert "large-v3" in error.data["known"]


@pytest.mark.parametrize("name", ["small", "Systran/faster-whisper-tiny"])
def test_a_model_that_is_not_cached_is_not_fetched_unasked(refuse: Refuse, name: str) -> None:
    error = refuse(GOOD, model=name)
    assert error.kind == "model_not_cached"
    assert "download" in error.data["remedy"]


def test_a_hub_that_cannot_be_reached(refuse: Refuse) -> None:
    assert refuse(GOOD, model="tiny", download=True).kind == "model_download_failed"


@pytest.mark.parametrize(
    "missing", ["model.bin", "config.json", "tokenizer.json", "vocabulary.json"]
)
def test_a_model_directory_that_lacks_a_file(refuse: Refuse, tmp_path: Path, missing: str) -> None:
    copy = shutil.copytree(MODEL, tmp_path / "model")
    (copy / missing).unlink()
    error = refuse(GOOD, model=str(copy))
    assert (error.kind, error.data["missing"]) == ("model_invalid", [missing])


@pytest.mark.parametrize("damaged", ["model.bin", "tokenizer.json"])
def test_a_model_directory_with_a_damaged_file(
    refuse: Refuse, tmp_path: Path, damaged: str
) -> None:
    copy = shutil.copytree(MODEL, tmp_path / "model")
    content = (copy / damaged).read_bytes()
    (copy / damaged).write_bytes(content[: len(content) // 2])
    assert refuse(GOOD, model=str(copy)).kind == "model_invalid"


def test_a_language_that_the_model_does_not_know(refuse: Refuse) -> None:
    error = refuse(GOOD, language="fr")
    assert (error.kind, error.data["known"]) == ("language_unsupported", ["de", "en"])


def test_a_device_that_is_not_there(refuse: Refuse) -> None:
    assert refuse(GOOD, device="cuda", deviceIndex=63).kind == "device_unavailable"


def test_a_compute_type_that_the_device_lacks(refuse: Refuse) -> None:
    error = refuse(GOOD, device="cpu", computeType="int8_float16")
    assert error.kind == "compute_type_unsupported"
    assert "int8" in error.data["supported"]


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"beamSize": 0}, "$.beamSize"),
        ({"beamSize": "5"}, "$.beamSize"),
        ({"temperature": [0.0, -1.0]}, "$.temperature[1]"),
        ({"temperature": []}, "$.temperature"),
        ({"batchSize": 0}, "$.batchSize"),
        ({"start": -1}, "$.start"),
        ({"chunkLength": 31}, "$.chunkLength"),
        ({"vadParameters": {"threshold": 2}}, "$.vadParameters.threshold"),
        ({"task": "summarise"}, "$.task"),
        ({"engine": "whisper.cpp"}, "$.engine"),
        ({"progressToken": True}, "$.progressToken"),
        ({"model": ""}, "$.model"),
        ({"maxNewTokens": 500}, "$.maxNewTokens"),
    ],
    ids=str,
)
def test_an_option_out_of_range(refuse: Refuse, options: dict[str, Any], path: str) -> None:
    error = refuse(GOOD, **options)
    assert (error.kind, error.data["path"]) == ("invalid_params", path)


@pytest.mark.parametrize(
    ("options", "nearest"),
    [
        ({"beamSzie": 5}, "beamSize"),
        ({"beam_size": 5}, "beamSize"),
        ({"vadParameters": {"treshold": 0.5}}, "threshold"),
        ({"zzzz": 1}, None),
    ],
    ids=str,
)
def test_an_unknown_option_is_named_with_its_nearest(
    refuse: Refuse, options: dict[str, Any], nearest: str | None
) -> None:
    error = refuse(GOOD, **options)
    assert error.kind == "invalid_params"
    assert error.data.get("nearest") == nearest
    assert error.data["unknown"] in error.message


def test_the_audio_is_required(worker: Session) -> None:
    with pytest.raises(RpcError) as caught:
        worker.call("transcribe", {})
    assert caught.value.kind == "invalid_params"
    assert "audio" in caught.value.message


def test_audio_shorter_than_a_frame(worker: Session, tmp_path: Path) -> None:
    for length in (1, 10, 400, SAMPLE_RATE // 10):
        file = write_wav(tmp_path / f"{length}.wav", np.full(length, 1000, np.int16))
        for options in ({}, {"batchSize": 1}, {"vadFilter": True}, {"wordTimestamps": True}):
            result = worker.transcribe(file, **options)
            assert result["duration"] == pytest.approx(length / SAMPLE_RATE)


def test_the_next_request_is_served(worker: Session) -> None:
    assert worker.transcribe(GOOD, language="en")["segments"]
