"""The input of a stream: bytes of any size, rates, times, and what must not be lost."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.errors import RpcError
from protocol.live import SampleFormat
from worker.audio import SAMPLE_RATE
from worker.engines.recognition.live.intake import Hole
from worker.engines.recognition.live.intake import Intake as EngineIntake
from worker.engines.recognition.live.samples import SampleReader
from worker.live.clock import Gap, StreamClock
from worker.live.intake import SAMPLE_BYTES
from worker.live.intake import Intake as FrontIntake

Floats = npt.NDArray[np.float32]


class Intake:
    """Both halves of a stream's input: the front places chunks, the engine makes samples."""

    def __init__(self, format_: SampleFormat, rate: int) -> None:
        self._front = FrontIntake(format_, rate)
        self._engine = EngineIntake(format_, rate)
        self.clock = self._front.clock

    def append(self, data: bytes, at: float | None = None) -> list[Floats | Hole]:
        chunk = self._front.append(data, at)
        return self._engine.append(chunk.data, chunk.missing)

    def finish(self) -> Floats:
        return self._engine.finish()


def tone(rate: int, seconds: float) -> Floats:
    return np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate).astype(np.float32) / 2


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    """The data cut into pieces of these sizes, in turns."""
    found = []
    place = turn = 0
    while place < len(data):
        size = sizes[turn % len(sizes)]
        found.append(data[place : place + size])
        place += size
        turn += 1
    return found


def heard(intake: Intake, chunks: list[bytes]) -> Floats:
    parts = [part for chunk in chunks for part in intake.append(chunk)]
    assert not any(isinstance(part, Hole) for part in parts)
    return np.concatenate(
        [part for part in parts if not isinstance(part, Hole)] + [intake.finish()]
    )


@given(st.binary(max_size=300), st.lists(st.integers(1, 9), min_size=1, max_size=5))
@pytest.mark.parametrize("format_", ["pcm16", "float32"])
def test_the_sizes_of_chunks_change_no_sample(
    format_: SampleFormat, data: bytes, sizes: list[int]
) -> None:
    front = FrontIntake(format_, SAMPLE_RATE)
    chunks = [front.append(piece) for piece in pieces(data, sizes)]
    size = SAMPLE_BYTES[format_]
    assert all(len(chunk.data) % size == 0 and not chunk.missing for chunk in chunks)
    assert b"".join(chunk.data for chunk in chunks) == data[: len(data) // size * size]
    samples = SampleReader(format_).read(data[: len(data) // size * size])
    assert np.all(np.abs(samples) <= 1)


def test_integers_are_little_endian_and_full_scale() -> None:
    samples = SampleReader("pcm16").read(b"\x00\x80\xff\x7f\x01\x00")
    assert samples.tolist() == [-1.0, 32767 / 32768, 1 / 32768]


def test_floats_that_are_no_samples_are_repaired_and_counted() -> None:
    reader = SampleReader("float32")
    given_ = np.array([0.5, math.nan, math.inf, -math.inf, 3.0, -1.0], "<f4")
    assert reader.read(given_.tobytes()).tolist() == [0.5, 0.0, 1.0, -1.0, 1.0, -1.0]
    assert reader.repaired == 4


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000])
def test_every_rate_becomes_16_khz_without_loss(rate: int) -> None:
    data = tone(rate, 1.3).tobytes()
    whole = heard(Intake("float32", rate), [data])
    assert abs(len(whole) - 1.3 * SAMPLE_RATE) <= 2
    middle = slice(1000, -1000)
    assert np.abs(whole - tone(SAMPLE_RATE, 1.3)[: len(whole)])[middle].max() < 0.01
    for size in (rate // 1000 * 4, 4 * 333, 40_001):
        cut = heard(Intake("float32", rate), pieces(data, [size]))
        assert np.array_equal(cut, whole)


def test_stereo_sent_as_one_channel_is_suspected() -> None:
    noise = np.random.default_rng(5).normal(0, 3000, SAMPLE_RATE * 2).astype("<i2")
    for samples, suspected in ((noise, False), (np.repeat(noise, 2), True)):
        intake = EngineIntake("pcm16", SAMPLE_RATE)
        intake.append(samples.tobytes())
        assert [notice.kind for notice in intake.notices()] == ["stereo_suspected"] * suspected


def test_a_hole_becomes_silence_and_is_told() -> None:
    intake = Intake("pcm16", SAMPLE_RATE)
    chunk = b"\x01\x00" * 1600
    intake.append(chunk, 0.0)
    [samples] = intake.append(chunk, 0.6)
    assert isinstance(samples, np.ndarray)
    assert (len(samples), np.count_nonzero(samples)) == (9600, 1600)
    assert intake.clock.gaps == [Gap(0.1, 0.6)]
    assert intake.clock.now == pytest.approx(0.7)


def test_a_long_hole_moves_the_clock_alone() -> None:
    for rate in (16_000, 44_100):
        intake = Intake("pcm16", rate)
        count = sum(len(part) for part in intake.append(b"\x01\x00" * rate, 0.0))  # type: ignore[arg-type]
        before, hole, after = intake.append(b"\x01\x00" * rate, 1801.0)
        assert isinstance(hole, Hole)
        assert not isinstance(before, Hole) and not isinstance(after, Hole)
        count += len(before) + hole.samples
        assert abs(count - 1801 * SAMPLE_RATE) <= 1
        assert abs(count + len(after) + len(intake.finish()) - 1802 * SAMPLE_RATE) <= 2
        assert intake.clock.gaps == [Gap(1.0, 1801.0)]


def test_what_came_before_is_discarded() -> None:
    intake = Intake("pcm16", SAMPLE_RATE)
    intake.append(b"\x01\x00" * 1600, 0.0)
    [samples] = intake.append(b"\x02\x00" * 1600, 0.05)
    assert isinstance(samples, np.ndarray)
    assert len(samples) == 800
    [samples] = intake.append(b"\x03\x00" * 1600, 0.05)
    assert len(samples) == 0
    assert intake.clock.discarded == 800 + 1600


def test_a_jittering_clock_moves_nothing() -> None:
    clock = StreamClock(48_000)
    for number, jitter in enumerate((0.0, 0.01, -0.01, 0.019, -0.019)):
        assert clock.place(4800, max(0.0, number * 0.1 + jitter)) == (0, 0)
    assert clock.gaps == []


def test_half_a_sample_before_a_hole_is_dropped() -> None:
    intake = Intake("pcm16", SAMPLE_RATE)
    intake.append(b"\x01\x00\x01", 0.0)
    [samples] = intake.append(b"\x00\x40" * 10, 1.0)
    assert isinstance(samples, np.ndarray)
    assert samples[-10:].tolist() == [0.5] * 10


@pytest.mark.parametrize("at", [-0.1, math.nan, math.inf, 10.0 + 3601, 1e300])
def test_times_that_cannot_be_are_refused(at: float) -> None:
    intake = Intake("pcm16", 8_000)
    intake.append(b"\x00\x00" * 80_000, 0.0)
    with pytest.raises(RpcError) as refused:
        intake.append(b"\x00\x00", at)
    assert (refused.value.kind, refused.value.data["path"]) == ("invalid_params", "$.at")
    assert intake.clock.now == 10.0


def test_a_jump_back_is_refused() -> None:
    clock = StreamClock(8_000)
    clock.place(8_000 * 100, None)
    with pytest.raises(RpcError):
        clock.place(800, 60.0)
    assert clock.place(800, 71.0).known == 800


@given(
    st.sampled_from([8_000, 16_000, 44_100]),
    st.lists(st.tuples(st.integers(0, 5000), st.none() | st.floats(-0.5, 5.0)), max_size=20),
)
@example(8_000, [(17, None)])
def test_all_samples_are_accounted_for(rate: int, chunks: list[tuple[int, float | None]]) -> None:
    intake = Intake("pcm16", rate)
    given_ = 0
    for count, ahead in chunks:
        at = None if ahead is None else max(0.0, intake.clock.now + ahead)
        for part in intake.append(b"\x01\x00" * count, at):
            given_ += part.samples if isinstance(part, Hole) else len(part)
    given_ += len(intake.finish())
    clock = intake.clock
    assert clock.received == sum(count for count, _ in chunks)
    assert sum(gap.end - gap.start for gap in clock.gaps) * rate == pytest.approx(clock.missing)
    assert clock.now * rate == pytest.approx(clock.received - clock.discarded + clock.missing)
    # The resampler's filter is 2 ms long.
    assert abs(given_ - clock.now * SAMPLE_RATE) <= 32
