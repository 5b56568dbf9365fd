"""What FFmpeg reads of a rotten file: its bytes, but for the patches."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.containers import Track, beeps, write
from worker.audio import flv, matroska, transport_stream
from worker.audio.extent import extent
from worker.audio.mending import MendedFile, Patches, mended
from worker.audio.ogg import lacks_first_audio

CONTENT = bytes(range(256)) * 4
TALK = Track(beeps([0.5], 2.0))


@given(
    patches=st.lists(st.tuples(st.integers(0, 1000), st.binary(min_size=1, max_size=16))),
    reads=st.lists(st.tuples(st.integers(0, 1024), st.integers(0, 400)), max_size=20),
)
def test_reads_give_the_bytes_with_the_patches(
    tmp_path_factory: pytest.TempPathFactory,
    patches: list[tuple[int, bytes]],
    reads: list[tuple[int, int]],
) -> None:
    path = tmp_path_factory.getbasetemp() / "content"
    path.write_bytes(CONTENT)
    apart: list[tuple[int, bytes]] = []
    for at, content in sorted(patches):
        if not apart or at >= apart[-1][0] + len(apart[-1][1]):
            apart.append((at, content))
    expected = bytearray(CONTENT)
    for at, content in apart:
        expected[at : at + len(content)] = content[: len(CONTENT) - at]
    if not apart:
        return
    with io.FileIO(path) as file:
        read = MendedFile(file, Patches([at for at, _ in apart], [each for _, each in apart]))
        for at, size in reads:
            read.seek(at)
            assert read.read(size) == expected[at : at + size]
            assert read.tell() == min(max(at, at + size), max(at, len(CONTENT)))
        read.seek(0)
        assert read.read() == expected


@settings(max_examples=200)
@given(
    head=st.sampled_from([b"RIFF\xff\0\0\0AVI ", b"\0\0\0\x10ftypisom\0\0\0\0"]),
    parts=st.lists(
        st.sampled_from(
            [b"LIST\xff\0\0\0movi", b"idx1", b"moof", b"mvex", b"traf", b"mfhd", b"trun", b"tfhd"]
        )
        | st.binary(max_size=40)
        | st.integers(0, 300).map(lambda size: size.to_bytes(4, "big"))
        | st.integers(0, 300).map(lambda size: size.to_bytes(4, "little"))
    ),
)
def test_no_rubbish_is_too_much(
    tmp_path_factory: pytest.TempPathFactory, head: bytes, parts: list[bytes]
) -> None:
    path = tmp_path_factory.getbasetemp() / "rubbish"
    path.write_bytes(head + b"".join(parts))
    with io.FileIO(path) as file:
        file.seek(3)
        read = mended(file)
        assert read.tell() == 3
        assert len(read.read()) == path.stat().st_size - 3


@settings(max_examples=200)
@given(
    parts=st.lists(
        st.sampled_from(
            [
                *(b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75", b"\xa3\x82"),
                *(b"\0\0\1\xba", b"\0\0\1\xe0", b"G\0\1\x10" + bytes(184), b"\x08\0\0\4"),
                b"OggS",
            ]
        )
        | st.binary(max_size=40)
    ),
    place=st.integers(0, 400),
    name=st.sampled_from(
        ["matroska,webm", "ogg", "mpegts", "mpeg", "asf", "flv", "avi", "mov,mp4"]
    ),
)
def test_no_structure_is_too_broken(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], place: int, name: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "broken"
    path.write_bytes(b"".join(parts))
    stream = SimpleNamespace(duration=None, codec_context=SimpleNamespace(name="mp3"))
    container = SimpleNamespace(
        format=SimpleNamespace(name=name), duration=1_000_000, streams=[stream]
    )
    with io.FileIO(path) as file:
        assert extent(container, stream, file, 0.0).is_cut in (False, True)
        for structure in (matroska, flv, transport_stream):
            assert structure.is_whole(file, place, path.stat().st_size) in (False, True)
        assert lacks_first_audio(file, place) in (False, True)


@pytest.mark.parametrize("suffix", ["avi", "mp4", "wav", "mkv"])
def test_a_sound_file_stays_as_it_is(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a.{suffix}", TALK)
    with io.FileIO(path) as file:
        read = mended(file)
        assert read.read() == path.read_bytes()
        assert not (read.mended if isinstance(read, MendedFile) else ())


def test_an_index_of_another_file_mends_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.avi", TALK)
    content = bytearray(path.read_bytes())
    index = content.rfind(b"idx1") + 8
    for entry in range(index, len(content) - 15, 16):
        moved = int.from_bytes(content[entry + 8 : entry + 12], "little") + 1
        content[entry + 8 : entry + 12] = moved.to_bytes(4, "little")
    path.write_bytes(content)
    with io.FileIO(path) as file:
        assert mended(file) is file
