"""Recordings of any length: in bounded memory, while they grow, and cut where it is quiet."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.errors import RpcError, cancelled
from tests.support import MIXTURES, SAMPLE_RATE, Session, alive, encode, samples_of, write_wav
from worker import audio
from worker.engines.common import recording
from worker.engines.common.recording import END_SUFFIX, InMemory, Recording, open_recording
from worker.engines.contract import Source


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that seconds do for minutes."""
    monkeypatch.setattr(recording, "LONGEST_PIECE", 10)


def speech_and_silence(*silences: float) -> Any:
    """Noise of seven seconds before each silence, and after the last."""
    chance = np.random.default_rng(3)

    def noise() -> Any:
        return chance.normal(0, 3000, 7 * SAMPLE_RATE).astype(np.int16)

    parts = [noise()]
    for seconds in silences:
        parts += [np.zeros(int(seconds * SAMPLE_RATE), np.int16), noise()]
    return np.concatenate(parts)


def opened(stack: ExitStack, path: Path, **clip: Any) -> Recording:
    return open_recording(stack, Source(path=str(path), **clip), lambda: None)


def test_a_long_recording_is_read_like_a_short_one(
    stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_wav(tmp_path / "r.wav", speech_and_silence(1.0, 0.5, 2.0))
    expected = audio.decode(str(path), start=1.5)
    short = opened(stack, path, start=1.5)
    monkeypatch.setattr(recording, "LONGEST_PIECE", 4)
    long = opened(stack, path, start=1.5)
    assert type(short) is not type(long)
    for found in (short, long):
        assert np.array_equal(found[:], expected)
        assert np.array_equal(found[1000:2000], expected[1000:2000])
        assert np.array_equal(found.whole(), expected)
        assert found.complete
        assert found.duration == len(expected) / SAMPLE_RATE


@pytest.mark.usefixtures("short_pieces")
def test_pieces_are_cut_in_silence_and_join_seamlessly() -> None:
    samples = audio.to_float(speech_and_silence(1.0, 1.0, 1.0, 1.0))
    pieces = list(InMemory(samples).pieces())
    assert np.array_equal(np.concatenate([each.samples for each in pieces]), samples)
    assert [each.first / SAMPLE_RATE for each in pieces] == pytest.approx(
        [0.0, 7.5, 15.5, 23.5, 31.5], abs=0.1
    )
    assert [each.last for each in pieces] == [False, False, False, False, True]


@pytest.mark.usefixtures("short_pieces")
def test_a_cut_prefers_the_longest_silence() -> None:
    silence = np.zeros(SAMPLE_RATE, np.int16)
    noise = speech_and_silence()[: int(2.5 * SAMPLE_RATE)]
    parts = [noise, noise, silence[:9600], noise, silence, noise, noise]
    first, *_ = InMemory(audio.to_float(np.concatenate(parts))).pieces()
    assert len(first.samples) / SAMPLE_RATE == pytest.approx(8.6, abs=0.1)


@pytest.mark.usefixtures("short_pieces")
def test_repetitions_are_cut_alike() -> None:
    again = audio.to_float(np.tile(speech_and_silence(1.0)[: 8 * SAMPLE_RATE], 6))
    _, *pieces, _ = InMemory(again).pieces()
    assert len(pieces) > 2
    assert all(np.array_equal(each.samples, pieces[0].samples) for each in pieces)
    # Windows of speech detection, and frames of features, lie as they do without cuts.
    assert all(each.first % 512 == each.first % 160 == 0 for each in pieces)


@pytest.mark.usefixtures("short_pieces")
def test_the_first_piece_may_be_shorter_where_there_are_others() -> None:
    samples = audio.to_float(np.tile(speech_and_silence(1.0)[: 4 * SAMPLE_RATE], 6))
    lengths = [len(each.samples) / SAMPLE_RATE for each in InMemory(samples).pieces(4)]
    assert sum(lengths) == 24
    assert 2 <= lengths[0] <= 4 < lengths[1]
    (whole,) = InMemory(samples[: 10 * SAMPLE_RATE]).pieces(4)
    assert len(whole.samples) == 10 * SAMPLE_RATE


@pytest.mark.usefixtures("short_pieces")
def test_sound_without_pauses_is_cut() -> None:
    tone = np.sin(np.arange(35 * SAMPLE_RATE) / 5).astype(np.float32)
    lengths = [len(each.samples) / SAMPLE_RATE for each in InMemory(tone).pieces()]
    assert sum(lengths) == 35
    assert all(5 <= length <= 10 for length in lengths[:-1])


@pytest.mark.usefixtures("short_pieces")
def test_the_first_piece_does_not_wait_for_the_last(stack: ExitStack, tmp_path: Path) -> None:
    samples = audio.to_float(speech_and_silence(1.0, 1.0, 1.0))
    path = tmp_path / "0.f32"
    growing = open_recording_in_time(stack, path)
    pieces = growing.pieces()
    with path.open("ab") as file:
        file.write(samples[: 11 * SAMPLE_RATE].tobytes())
    first = next(pieces)
    assert not growing.complete
    assert len(first.samples) / SAMPLE_RATE == pytest.approx(7.5, abs=0.1)
    with path.open("ab") as file:
        file.write(samples[11 * SAMPLE_RATE :].tobytes())
    Path(f"{path}{END_SUFFIX}").touch()
    rest = [each.samples for each in pieces]
    assert np.array_equal(np.concatenate([first.samples, *rest]), samples)


def open_recording_in_time(stack: ExitStack, path: Path) -> Recording:
    """A recording that is opened before its file is there."""
    made = threading.Timer(0.1, path.touch)
    made.start()
    stack.callback(made.join)
    return open_recording(stack, Source(path=str(path), raw=True), lambda: None)


def test_waiting_for_samples_ends_with_a_cancel(stack: ExitStack, tmp_path: Path) -> None:
    def give_up() -> None:
        raise cancelled("client")

    path = tmp_path / "0.f32"
    path.touch()
    growing = open_recording(stack, Source(path=str(path), raw=True), give_up)
    with pytest.raises(RpcError, match="cancelled"):
        len(growing)


@pytest.mark.parametrize("begun", [False, True])
def test_waiting_for_samples_ends_when_their_directory_vanishes(
    stack: ExitStack, tmp_path: Path, begun: bool
) -> None:
    path = tmp_path / "decoded" / "0.f32"
    path.parent.mkdir()
    if begun:
        path.touch()
    vanishes = threading.Timer(0.1, shutil.rmtree, [path.parent])
    vanishes.start()
    with pytest.raises(RpcError, match="deleted") as caught:
        len(open_recording(stack, Source(path=str(path), raw=True), lambda: None))
    assert caught.value.kind == "storage_failed"


@pytest.mark.usefixtures("short_pieces")
def test_damage_at_the_end_of_a_file_is_told_or_an_error(stack: ExitStack, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "cut.wav", speech_and_silence(1.0, 1.0))
    path.write_bytes(path.read_bytes()[:-100_000])
    recording = opened(stack, path)
    assert sum(1 for _ in recording.pieces())
    assert [notice.kind for notice in recording.notices] == ["damaged"]
    with pytest.raises(RpcError, match="is damaged"):
        for _ in opened(stack, path, on_damage="fail").pieces():
            pass


# Through the worker.


def peak_megabytes(pid: int) -> float:
    """What the process has had in memory at most, files that it maps included."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1000


@pytest.fixture(scope="module")
def hours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half an hour, nearly all of it silence; as samples it would be 115 MB."""
    silence = np.zeros(360 * SAMPLE_RATE, np.int16)
    said = samples_of("en-01.flac")
    parts = [part for _ in range(5) for part in (said, silence[len(said) :])]
    return encode(tmp_path_factory.mktemp("hours") / "hours.flac", np.concatenate(parts), "flac")


def test_a_long_recording_needs_the_memory_of_a_short_one(worker: Session, hours: Path) -> None:
    options = {"language": "en", "vadFilter": True, "temperature": 0}
    short = worker.transcribe(hours, end=300, **options)
    for _ in range(2):  # the libraries' allocators have then taken what they keep
        worker.transcribe(hours, end=600, **options)
    pid = worker.engine_pid()
    before = peak_megabytes(pid)
    result = worker.transcribe(hours, **options)
    assert worker.engine_pid() == pid
    assert peak_megabytes(pid) < 1.2 * before
    assert result["duration"] == 1800
    assert result["text"] == " ".join([short["text"]] * 5)
    starts = [segment["start"] for segment in result["segments"]]
    assert starts == sorted(starts)
    assert {start // 360 for start in starts if start % 360 < 10} == set(range(5))
    assert [segment["id"] for segment in result["segments"]] == list(range(len(starts)))


def test_progress_over_a_long_recording_never_goes_back(worker: Session, hours: Path) -> None:
    worker.notifications.clear()
    worker.transcribe(hours, language="en", vadFilter=True, progressToken=1)
    reports = [each["params"]["value"] for each in worker.notifications]
    done = [each["audioDone"] for each in reports if each.get("stage") == "recognition"]
    assert done == sorted(done)
    percentages = [each["percentage"] for each in reports if "percentage" in each]
    assert percentages == sorted(percentages)


def test_clips_are_taken_from_any_part_of_a_long_recording(worker: Session, hours: Path) -> None:
    clips = [time for n in (0, 2, 4) for time in (360.0 * n, 360.0 * n + 5)]
    result = worker.transcribe(hours, language="en", clipTimestamps=clips)
    assert {segment["start"] // 360 for segment in result["segments"]} == {0, 2, 4}
    with pytest.raises(RpcError, match="does not lie within"):
        worker.transcribe(hours, clipTimestamps=[1700.0, 1900.0])


def test_a_cancelled_long_job_leaves_no_decoder_behind(worker: Session, hours: Path) -> None:
    id_ = worker.send_transcribe(hours, partialResultToken=1)
    worker.wait_for_partial()
    worker.cancel(id_)
    with pytest.raises(RpcError, match="cancelled"):
        worker.result(id_)
    assert worker.transcribe(MIXTURES / "mixture-01.flac", language="en")["text"]
    assert alive(worker.process.pid)
