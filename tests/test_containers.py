"""Every container is read on a player's clock; damage costs only itself, and is told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from protocol.errors import RpcError
from protocol.values import Notice
from tests.containers import KINDS, RATE, Track, beeps, by_ffmpeg, cut, heard, rot, write
from worker.audio import Reading
from worker.audio.packets import Decoder

TIMES = [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5]
NOISE = np.random.default_rng(0).normal(0, 200, 8 * RATE).astype(np.int16)
TALK = beeps(TIMES, 8.0) + NOISE
# Their time stamps count samples, or there are none: a late start cannot be stored.
WITHOUT_LATE_START = {"ogg", "flac", "mp3", "wav", "m4a", "aac", "avi"}
WITHOUT_GAPS = {"flac", "mp3", "wav", "aac", "avi"}
INDEX_FIRST = {"mp4": {"movflags": "faststart"}, "mov": {"movflags": "faststart"}}
INDEX_FIRST["m4a"] = INDEX_FIRST["mp4"]


def read(path: Path, **options: Any) -> tuple[list[float], float, list[Notice]]:
    """When the tones begin, how long it is (seconds), and what is told."""
    reading = Reading(str(path), **options)
    samples = np.concatenate([block[0] for block in reading])
    return heard(samples), len(samples) / 16_000, reading.notices


def kinds_of(notices: list[Notice]) -> list[str]:
    return [notice.kind for notice in notices]


def close(times: list[float], tolerance: float = 0.05) -> Any:
    return pytest.approx(times, abs=tolerance)


@pytest.mark.parametrize("suffix", KINDS)
def test_a_whole_file_needs_no_warning(tmp_path: Path, suffix: str) -> None:
    times, duration, notices = read(write(tmp_path / f"a.{suffix}", Track(TALK), video=8))
    assert times == close(TIMES)
    assert duration == pytest.approx(8, abs=0.1)
    assert notices == []


@pytest.mark.parametrize("suffix", sorted(set(KINDS) - WITHOUT_LATE_START))
def test_a_late_track_begins_late(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a.{suffix}", Track(TALK, late=3.0), video=11)
    times, _, notices = read(path)
    assert times == close([time + 3 for time in TIMES])
    assert kinds_of(notices) == ["time_gaps"]
    assert notices[0].level == "info"


@pytest.mark.parametrize("suffix", sorted(set(KINDS) - WITHOUT_GAPS))
def test_a_gap_in_the_time_stamps_is_silence(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a.{suffix}", Track(TALK, gap=(4.0, 6.0)), video=14)
    times, duration, notices = read(path)
    assert times == close([*TIMES[:4], *(time + 6 for time in TIMES[4:])])
    assert duration == pytest.approx(14, abs=0.1)
    [notice] = notices
    assert notice.spans
    assert [notice.spans[0].start, notice.spans[0].end] == close([4.0, 10.0])


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("track", [Track(TALK), Track(TALK, late=3.0), Track(TALK, gap=(4.0, 2.0))])
def test_times_are_those_of_ffmpeg(tmp_path: Path, suffix: str, track: Track) -> None:
    path = write(tmp_path / f"a.{suffix}", track, video=12)
    times, duration, _ = read(path)
    expected = by_ffmpeg(path)
    assert times == close(heard(expected), 0.02)
    assert duration == pytest.approx(len(expected) / 16_000, abs=0.1)


@pytest.mark.parametrize("suffix", sorted(set(KINDS) - {"nut"}))
def test_a_cut_file_gives_what_it_has(tmp_path: Path, suffix: str) -> None:
    options = INDEX_FIRST.get(suffix, {})
    path = cut(write(tmp_path / f"a.{suffix}", Track(TALK), options=options))
    times, duration, notices = read(path)
    assert len(times) >= 4
    assert times == close(TIMES[: len(times)])
    assert kinds_of(notices) == ["damaged"]
    assert notices[0].spans
    assert notices[0].spans[-1].end >= duration - 0.1


def test_a_cut_fragmented_mp4_gives_what_it_has(tmp_path: Path) -> None:
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    whole = write(tmp_path / "a.mp4", Track(TALK), options=options | {"frag_duration": "1000000"})
    times, _, notices = read(cut(whole))
    assert times == close(TIMES[:5])
    assert kinds_of(notices) == ["damaged"]


@pytest.mark.parametrize("suffix", sorted(set(KINDS) - {"nut", "aac"}))
@pytest.mark.parametrize("share", [0.0005, 0.06])
def test_rotten_bytes_move_nothing(tmp_path: Path, suffix: str, share: float) -> None:
    options = INDEX_FIRST.get(suffix, {})
    whole = write(tmp_path / f"a.{suffix}", Track(TALK), options=options)
    path = rot(whole, 0.45, max(40, round(share * whole.stat().st_size)))
    times, duration, notices = read(path)
    assert duration == pytest.approx(8, abs=0.1)
    for time in (*TIMES[:3], *TIMES[5:]):  # apart from what is rotten
        assert any(abs(time - each) < 0.06 for each in times), times
    for notice in notices:
        for span in notice.spans or []:
            assert 2.5 < span.start <= span.end < 5.6


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ogg", "flac", "mp3", "webm", "flv", "ts"])
def test_lost_audio_is_told(tmp_path: Path, suffix: str) -> None:
    options = INDEX_FIRST.get(suffix, {})
    whole = write(tmp_path / f"a.{suffix}", Track(TALK), options=options)
    _, _, notices = read(rot(whole, 0.45, whole.stat().st_size // 15))
    assert kinds_of(notices) == ["damaged"]


def test_a_cut_mp3_without_a_count_of_frames_is_told(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.mp3", Track(TALK), options={"write_xing": "0"})
    assert read(whole)[2] == []
    assert kinds_of(read(cut(whole))[2]) == ["damaged"]


@pytest.mark.parametrize("suffix", ["mkv", "webm"])
def test_a_cut_recording_of_a_browser_is_told(tmp_path: Path, suffix: str) -> None:
    made = write(tmp_path / f"a.{suffix}", Track(TALK), options={"live": "1"})
    assert read(made)[2] == []
    times, _, notices = read(cut(made))
    assert times == close(TIMES[: len(times)])
    assert kinds_of(notices) == ["damaged"]


@pytest.mark.parametrize("codec", ["adpcm_ima_wav", "adpcm_ms", "flac", "pcm_alaw", "pcm_f32le"])
def test_codecs_in_wav_are_told_only_if_cut(tmp_path: Path, codec: str) -> None:
    path = write(tmp_path / "a.wav", Track(TALK), codec=codec)
    times, _, notices = read(path)
    assert times == close(TIMES)
    assert notices == []
    assert kinds_of(read(cut(path))[2]) == ["damaged"]


@pytest.mark.parametrize(
    ("container", "options"), [("wav", {"rf64": "always"}), ("w64", {}), ("caf", {})]
)
def test_cut_files_of_sound_recorders_are_told(
    tmp_path: Path, container: str, options: dict[str, str]
) -> None:
    path = write(tmp_path / "a.wav", Track(TALK), options=options, container=container)
    assert read(path)[2] == []
    times, _, notices = read(cut(path))
    assert times == close(TIMES[:5])
    assert kinds_of(notices) == ["damaged"]


@pytest.mark.parametrize(
    ("suffix", "container", "options"),
    [
        ("ts", "mpeg", {}),
        ("ts", "mpegts", {"mpegts_m2ts_mode": "1"}),
        ("asf", "asf", {}),
    ],
)
@pytest.mark.parametrize("video", [0, 8])
def test_cut_files_of_cameras_are_told(
    tmp_path: Path, suffix: str, container: str, options: dict[str, str], video: int
) -> None:
    path = tmp_path / f"a.{suffix}"
    write(path, Track(TALK), options=options, container=container, video=video)
    assert read(path)[2] == []
    content = path.read_bytes()
    amid = round(0.6 * len(content)) // 2048 * 2048 + 300  # no packet of theirs ends there
    path.write_bytes(content[:amid])
    times, duration, notices = read(path)
    times = [time for time in times if time < duration - 0.1]  # a cut frame may be noise
    assert times == close(TIMES[: len(times)])
    assert kinds_of(notices) == ["damaged"]


def test_a_cut_asf_of_a_live_recorder_is_told(tmp_path: Path) -> None:
    """It does not know how many packets there will be."""
    path = write(tmp_path / "a.asf", Track(TALK))
    content = bytearray(path.read_bytes())
    data = content.find(bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c"))
    content[data + 16 : data + 24] = (50).to_bytes(8, "little")
    path.write_bytes(content)
    assert read(path)[2] == []
    path.write_bytes(content[:-200])
    assert kinds_of(read(path)[2]) == ["damaged"]


@pytest.mark.parametrize("suffix", ["mkv", "webm", "asf"])
@pytest.mark.parametrize("video", [0, 8])
def test_a_rotten_end_is_told(tmp_path: Path, suffix: str, video: int) -> None:
    whole = write(tmp_path / f"a.{suffix}", Track(TALK), video=video)
    for place in (0.6, 0.8):
        path = rot(whole, place, round((1 - place) * whole.stat().st_size))
        times, duration, notices = read(path)
        assert times == close(TIMES[: len(times)])
        if (suffix, video) != ("asf", 8):
            assert kinds_of(notices) == ["damaged"]
            assert notices[0].spans
            assert notices[0].spans[-1].start < duration + 0.1


@pytest.mark.parametrize("suffix", ["ogg", "flac"])
def test_a_rotten_start_moves_nothing(tmp_path: Path, suffix: str) -> None:
    """FFmpeg takes the first time that it can read for the start."""
    uneven = [0.5, 1.3, 2.6, 3.2, 4.9, 5.4, 7.1]
    whole = write(tmp_path / f"a.{suffix}", Track(beeps(uneven, 8.0) + NOISE))
    times, duration, notices = read(rot(whole, 0.05, 40))
    assert times[-5:] == close(uneven[-5:])
    assert duration == pytest.approx(8, abs=0.1)
    assert kinds_of(notices) == ["damaged"]
    assert notices[0].spans
    assert notices[0].spans[-1].end < 1.5


@pytest.mark.parametrize("suffix", ["mkv", "webm", "ts", "flv", "asf", "avi"])
def test_audio_lost_from_a_video_is_told(tmp_path: Path, suffix: str) -> None:
    whole = write(tmp_path / f"a.{suffix}", Track(TALK), video=8)
    times, duration, notices = read(rot(whole, 0.45, whole.stat().st_size // 8))
    assert duration == pytest.approx(8, abs=0.15)
    for time in (*TIMES[:2], *TIMES[6:]):
        assert any(abs(time - each) < 0.06 for each in times), times
    assert "damaged" in kinds_of(notices)


def test_rotten_fragments_cost_only_themselves(tmp_path: Path) -> None:
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    whole = write(tmp_path / "a.mp4", Track(TALK), options=options | {"frag_duration": "1000000"})
    for count in (3, 5, 60, 300, 20_000):
        place = whole.read_bytes().find(b"moof", whole.stat().st_size // 2)
        times, duration, notices = read(rot(whole, (place + 1) / whole.stat().st_size, count))
        assert duration == pytest.approx(8, abs=0.1)
        for time in (*TIMES[:3], *TIMES[6:]):
            assert any(abs(time - each) < 0.06 for each in times), times
        assert kinds_of(notices) == ["damaged"]


def test_rubbish_between_fragments_is_told(tmp_path: Path) -> None:
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    whole = write(tmp_path / "a.mp4", Track(TALK), options=options | {"frag_duration": "1000000"})
    content = bytearray(whole.read_bytes())
    place = content.find(b"moof", len(content) // 2) - 4
    content[place : place + 8] = b"\xa5" * 8
    whole.write_bytes(content)
    times, duration, [notice] = read(whole)
    lost = [time for time in TIMES if not any(abs(time - each) < 0.05 for each in times)]
    assert len(lost) == 1
    assert len(times) == len(TIMES) - 1
    assert duration == pytest.approx(8, abs=0.1)
    assert notice.kind == "damaged"
    assert notice.spans
    assert notice.spans[0].start < lost[0] < notice.spans[0].end


def test_rubbish_that_seems_another_track_costs_only_itself(tmp_path: Path) -> None:
    """PyAV raises `IndexError` for a packet of a track that was not there in the beginning."""
    path = write(tmp_path / "a.flv", Track(TALK))
    with av.open(str(path)) as container:
        real, calls = container.demux, []

        def demux(*streams: Any) -> Any:
            calls.append(streams)
            if len(calls) == 1:
                for number, packet in enumerate(real(*streams)):
                    if number == 20:
                        raise IndexError
                    yield packet
            else:
                yield from real(*streams)

        stub = SimpleNamespace(demux=demux, format=container.format, streams=container.streams)
        frames = list(Decoder(stub, container.streams.audio[0]))
    assert len(calls) == 2
    assert len(frames) > 200


def test_an_ogg_without_all_of_its_last_page_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ogg", Track(TALK))
    path.write_bytes(path.read_bytes()[:-100])
    assert kinds_of(read(path)[2]) == ["damaged"]


def test_an_mp4_whose_index_is_cut_says_so(tmp_path: Path) -> None:
    with pytest.raises(RpcError, match="index"):
        read(cut(write(tmp_path / "a.mp4", Track(TALK)), 0.99))


def test_long_frames_of_aac_are_no_damage(tmp_path: Path) -> None:
    """FFmpeg's encoder writes frames that are longer than the standard allows."""
    noise = np.random.default_rng(0).normal(0, 9000, (8, RATE)).clip(-30_000, 30_000)
    for row in noise.astype(np.int16):
        path = write(tmp_path / "a.aac", Track(row), bit_rate=400_000)
        _, duration, notices = read(path)
        assert notices == []
        assert duration == pytest.approx(1, abs=0.1)


def test_audio_that_begins_after_ffmpegs_first_look_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ts", Track(TALK, late=25.0), video=33)
    times, _, notices = read(path)
    assert times == close([time + 25 for time in TIMES])
    assert kinds_of(notices) == ["time_gaps"]


@pytest.mark.parametrize("count", [9, 10, 18, 32])
@pytest.mark.parametrize("suffix", ["wav", "mkv"])
def test_recorders_with_many_channels(tmp_path: Path, count: int, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    write(path, Track(np.stack([TALK] * count)), codec="pcm_s16le")
    times, _, notices = read(path)
    assert times == close(TIMES)
    assert notices == []
    assert read(path, channel=count - 1)[0] == close(TIMES)
    assert {block.shape[0] for block in Reading(str(path), channel="all")} == {count}


def test_damage_can_be_refused(tmp_path: Path) -> None:
    for path in (
        rot(write(tmp_path / "a.flac", Track(TALK)), 0.5, 9000),
        cut(write(tmp_path / "b.wav", Track(TALK))),
    ):
        with pytest.raises(RpcError) as caught:
            read(path, on_damage="fail")
        assert caught.value.kind == "audio_invalid"
        assert "WAV" not in caught.value.data["remedy"]


def test_damage_outside_of_the_clip_is_not_told(tmp_path: Path) -> None:
    path = rot(write(tmp_path / "a.ogg", Track(TALK)), 0.5, 4000)
    assert read(path, start=0.0, end=2.0)[2] == []
    assert read(path, start=6.5, end=7.9)[2] == []


def test_damage_outside_of_the_clip_is_not_refused(tmp_path: Path) -> None:
    path = rot(write(tmp_path / "a.ogg", Track(TALK)), 0.5, 4000)
    assert read(path, start=6.5, end=7.9, on_damage="fail")[2] == []
    with pytest.raises(RpcError):
        read(path, start=2.0, end=7.9, on_damage="fail")


def test_a_clip_within_a_gap_says_why_it_is_silent(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", Track(TALK, gap=(4.0, 6.0)))
    _, duration, notices = read(path, start=5.0, end=9.0)
    assert duration == 4.0
    assert kinds_of(notices) == ["time_gaps"]


def test_a_clip_may_reach_into_the_missing_end(tmp_path: Path) -> None:
    path = cut(write(tmp_path / "a.flac", Track(TALK)))
    times, duration, notices = read(path, start=1.0, end=7.0)
    assert duration < 5
    assert times == close([time - 1 for time in TIMES[1:5]][: len(times)])
    assert kinds_of(notices) == ["damaged"]
    with pytest.raises(RpcError, match="beyond the end"):
        read(path, start=1.0, end=9.0)


def test_an_mp4_without_its_index_says_so(tmp_path: Path) -> None:
    with pytest.raises(RpcError, match="index"):
        read(cut(write(tmp_path / "a.mp4", Track(TALK))))


def test_tags_and_zeros_after_an_mp3_are_no_damage(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp3", Track(TALK))
    content = path.read_bytes()
    for tail in (b"TAG" + bytes(125), bytes(5000)):
        path.write_bytes(content + tail)
        assert read(path)[2] == []


@pytest.mark.parametrize("suffix", ["ogg", "ts"])
def test_joined_recordings_follow_each_other(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a.{suffix}", Track(TALK))
    path.write_bytes(2 * path.read_bytes())
    times, _, notices = read(path)
    assert times == close([*TIMES, *(time + 8 for time in TIMES)], 0.1)
    assert notices == []


def test_a_broken_time_stamp_makes_no_day_of_silence(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", Track(TALK, gap=(4.0, 86_400.0)))
    times, _, notices = read(path)
    assert times == close(TIMES)
    assert kinds_of(notices) == ["time_stamps_broken"]


def test_long_holes_come_in_blocks(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", Track(TALK, gap=(4.0, 900.0)))
    blocks = [block.shape[1] for block in Reading(str(path))]
    assert sum(blocks) / 16_000 == pytest.approx(908, abs=0.1)
    assert max(blocks) <= 120 * 16_000


SILENCE = np.zeros((2, 2 * RATE), np.int16)
ENGLISH = Track(beeps([0.5], 2.0), language="eng", title="Comments")
GERMAN = Track(beeps([1.0], 2.0), language="ger")


@pytest.mark.parametrize(
    ("tracks", "chosen"),
    [
        ([Track(SILENCE), ENGLISH._replace(default=True)], 1),
        ([ENGLISH, Track(SILENCE)], 1),  # more channels
        ([ENGLISH, GERMAN], 0),
    ],
)
def test_the_track_is_ffmpegs_choice(tmp_path: Path, tracks: list[Track], chosen: int) -> None:
    path = write(tmp_path / "a.mkv", *tracks)
    [notice] = read(path)[2]
    assert notice.kind == "several_tracks"
    assert f"This is track {chosen}" in notice.message
    assert notice.tracks
    assert [(track.index, track.channels) for track in notice.tracks] == [
        (i, 1 if track.samples.ndim == 1 else 2) for i, track in enumerate(tracks)
    ]


@pytest.mark.parametrize(
    ("wanted", "time"), [(0, 0.5), (1, 1.0), ("en", 0.5), ("de", 1.0), ("deu", 1.0), ("en-GB", 0.5)]
)
def test_a_track_can_be_chosen(tmp_path: Path, wanted: int | str, time: float) -> None:
    times, _, notices = read(write(tmp_path / "a.mkv", ENGLISH, GERMAN), track=wanted)
    assert times == close([time])
    assert notices == []


def test_a_region_decides_between_tracks_of_one_language(tmp_path: Path) -> None:
    tracks = [ENGLISH._replace(language="pt-PT"), GERMAN._replace(language="pt-BR")]
    path = write(tmp_path / "a.mkv", *tracks)
    assert [read(path, track=tag)[0] for tag in ("pt-BR", "pt-pt", "pt")] == [
        close([1.0]),
        close([0.5]),
        close([0.5]),
    ]


@pytest.mark.parametrize("wanted", [2, "fr"])
def test_a_track_that_does_not_exist(tmp_path: Path, wanted: int | str) -> None:
    with pytest.raises(RpcError, match=r"0 \(eng, Comments, 1 channel\)") as caught:
        read(write(tmp_path / "a.mkv", ENGLISH, GERMAN), track=wanted)
    assert caught.value.kind == "audio_no_track"
    assert len(caught.value.data["tracks"]) == 2


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "webm"])
def test_channels_that_cancel_are_heard(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a.{suffix}", Track(np.stack([TALK, -TALK])))
    times, _, notices = read(path)
    assert times == close(TIMES)
    assert kinds_of(notices) == ["channels_cancelled"]
    assert read(path, channel=1)[2] == []


def test_a_part_in_which_channels_cancel_is_heard(tmp_path: Path) -> None:
    long = np.tile(TALK, 6)
    other = np.concatenate([long[: 24 * RATE], -long[24 * RATE :]])
    path = write(tmp_path / "a.wav", Track(np.stack([long, other])))
    times, _, notices = read(path)
    assert len(times) == len(TIMES) * 6
    assert kinds_of(notices) == ["channels_cancelled"]


@pytest.mark.parametrize(
    "channels",
    [(TALK, TALK), (TALK, 0 * TALK), (TALK, NOISE), (TALK, -(TALK // 2)), (NOISE, -NOISE // 3)],
)
def test_other_channels_are_mixed(tmp_path: Path, channels: tuple[Any, Any]) -> None:
    path = write(tmp_path / "a.wav", Track(np.stack(channels)))
    assert read(path)[2] == []
