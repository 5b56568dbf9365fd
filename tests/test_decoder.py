"""The audio engine: what is decoded once is what every stage would have decoded."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.envelope import Call
from protocol.errors import RpcError
from tests.support import RECORDINGS, samples_of, write_wav
from worker import audio
from worker.engines.common.recording import open_recording
from worker.engines.contract import DecodeParams, DecodeResult, Source
from worker.engines.decoding import AudioEngine
from worker.session.job import Job


class Reports(Job):
    """A job without a client, which keeps what is reported."""

    def __init__(self) -> None:
        super().__init__(Call("decode", b"1", b""), None, lambda reply: None)  # type: ignore[arg-type]
        self.percentages: list[float] = []

    def report(self, report: Any) -> None:
        if report.percentage is not None:
            self.percentages.append(report.percentage)


def decode(directory: Path, path: Path, *, split: bool = False, **options: Any) -> DecodeResult:
    source = Source(path=str(path), **options)
    params = DecodeParams(source=source, directory=str(directory), split=split)
    return AudioEngine().decode(Reports(), params)


def stereo(path: Path, left: Any, right: Any) -> Path:
    return write_wav(path, np.stack([left, right], axis=1), channels=2)


def read(path: str) -> Any:
    with ExitStack() as stack:
        source = Source(path=path, raw=True)
        return open_recording(stack, source, lambda: None)[:]


@pytest.mark.parametrize("clip", [{}, {"start": 1.25}, {"start": 0.5, "end": 2.0}])
def test_samples_are_those_of_the_file(tmp_path: Path, clip: dict[str, float]) -> None:
    path = RECORDINGS / "en-05.flac"
    result = decode(tmp_path, path, **clip)  # type: ignore[arg-type]
    (raw,) = result.paths
    expected = audio.decode(str(path), **clip)  # type: ignore[arg-type]
    assert np.array_equal(read(raw), expected)
    assert result.duration == len(expected) / audio.SAMPLE_RATE


def test_each_channel_has_its_own_file(tmp_path: Path) -> None:
    left, right = samples_of("en-01.flac"), samples_of("en-02.flac")
    length = min(len(left), len(right))
    path = stereo(tmp_path / "call.wav", left[:length], right[:length])
    result = decode(tmp_path, path, split=True)
    assert not result.alike
    for raw, samples in zip(result.paths, (left, right), strict=True):
        assert np.array_equal(read(raw), audio.to_float(samples[:length]))


@pytest.mark.parametrize("copy", ["same", "quieter and noisy", "inverted", "silent"])
def test_identical_channels_are_detected(tmp_path: Path, copy: str) -> None:
    samples = samples_of("en-03.flac")
    noise = np.random.default_rng(1).normal(0, 20, len(samples))
    second = {
        "same": samples,
        "quieter and noisy": (samples * 0.5 + noise).astype(np.int16),
        "inverted": -samples,
        "silent": np.zeros_like(samples),
    }[copy]
    path = stereo(tmp_path / "call.wav", second, samples)
    result = decode(tmp_path, path, split=True)
    assert result.alike
    assert result.loudest == (0 if copy in ("same", "inverted") else 1)


def test_crosstalk_does_not_make_channels_identical(tmp_path: Path) -> None:
    left, right = samples_of("en-04.flac"), samples_of("en-05.flac")
    length = min(len(left), len(right))
    echo = (left[:length] * 0.2 + right[:length]).astype(np.int16)
    path = stereo(tmp_path / "call.wav", left[:length], echo)
    assert not decode(tmp_path, path, split=True).alike


def test_progress_reaches_100_percent(tmp_path: Path, long_file: Path) -> None:
    job = Reports()
    source = Source(path=str(long_file))
    AudioEngine().decode(job, DecodeParams(source=source, directory=str(tmp_path)))
    assert job.percentages == sorted(job.percentages)
    assert len(job.percentages) > 5
    assert job.percentages[-1] == 100


@pytest.mark.parametrize("clip", [{}, {"start": 5.0, "end": 12.0}])
def test_the_expected_duration_is_known_while_decoding(
    tmp_path: Path, long_file: Path, clip: dict[str, float]
) -> None:
    told: list[Any] = []

    class Reader(Reports):
        def report(self, report: Any) -> None:
            if report.audio_done and not told:
                with ExitStack() as stack:
                    source = Source(path=str(tmp_path / "0.f32"), raw=True)
                    growing = open_recording(stack, source, lambda: None)
                    assert not growing.complete
                    told.append(growing.expected_duration)

    source = Source(path=str(long_file), **clip)  # type: ignore[arg-type]
    params = DecodeParams(source=source, directory=str(tmp_path))
    result = AudioEngine().decode(Reader(), params)
    assert told == [pytest.approx(result.duration, abs=0.1)]


def test_an_unwritable_place_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(RpcError) as caught:
        decode(tmp_path / "none", RECORDINGS / "en-01.flac")
    assert caught.value.kind == "storage_failed"


def test_a_bad_recording_has_the_usual_errors(tmp_path: Path) -> None:
    for path, kind in ((tmp_path / "none", "audio_not_found"), (tmp_path, "audio_not_readable")):
        with pytest.raises(RpcError) as caught:
            decode(tmp_path, path)
        assert caught.value.kind == kind
