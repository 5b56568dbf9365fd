"""Framing: whatever way the bytes arrive, the lines and the frames are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.framing import OVERSIZE, LineFramer, Oversize
from worker.session.frames import FRAMES, PARTIAL, RESULT, Frame, FrameReader

LIMIT = 16


def lines_of(chunks: list[bytes], limit: int = LIMIT) -> list[bytes | Oversize]:
    framer = LineFramer(limit)
    lines: list[bytes | Oversize] = []
    for chunk in chunks:
        lines += framer.feed(chunk)
    return lines + framer.close()


def expected(stream: bytes) -> list[bytes | Oversize]:
    """The plain reading of the rules, on the whole stream at once."""
    *lines, last = stream.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if last:
        lines.append(last)
    return [line if len(line) <= LIMIT else OVERSIZE for line in lines]


@st.composite
def chunked(draw: st.DrawFn) -> list[bytes]:
    piece = st.sampled_from([b"\n", b"\r\n", b"a", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"0123456789"])
    stream = b"".join(draw(st.lists(piece, max_size=30)))
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True) if a < b]


@given(chunked())
def test_lines_do_not_depend_on_how_the_bytes_arrive(chunks: list[bytes]) -> None:
    assert lines_of(chunks) == expected(b"".join(chunks))


def test_an_oversize_line_is_told_of_once_and_not_held() -> None:
    framer = LineFramer(LIMIT)
    assert framer.feed(b"x" * 17) == [OVERSIZE]
    for _ in range(1000):
        assert framer.feed(b"x" * 1000) == []
    assert framer._chunks == []
    assert framer.feed(b"\nok\n") == [b"ok"]


def test_a_line_as_long_as_the_limit_is_kept() -> None:
    assert lines_of([b"x" * LIMIT + b"\n"]) == [b"x" * LIMIT]
    assert lines_of([b"x" * (LIMIT // 2)] * 2 + [b"\n"]) == [b"x" * LIMIT]


def test_only_the_byte_0x0a_ends_a_line() -> None:
    line = "\u2028 \u2029 \x85 \x0b \x0c \r".encode()
    assert lines_of([line + b"\n"]) == [line]


def test_a_byte_order_mark_is_dropped_at_the_start_alone() -> None:
    assert lines_of([b"\xef", b"\xbb", b"\xbfa\n\xef\xbb\xbfb\n"]) == [b"a", b"\xef\xbb\xbfb"]
    assert lines_of([b"\xef\xbb"]) == [b"\xef\xbb"]


def read_frames(chunks: list[bytes]) -> list[Frame]:
    reader = FrameReader()
    read = [each for chunk in chunks for each in reader.feed(chunk)]
    return [(kind, call, [b"".join(payload)]) for kind, call, payload in read]


@given(
    st.lists(st.sampled_from([0, 1, 50, 4094, 4095, 4096, 70_000]), max_size=6),
    st.lists(st.integers(0, 80_000), max_size=12),
)
def test_frames_do_not_depend_on_how_the_bytes_arrive(sizes: list[int], cuts: list[int]) -> None:
    stream, expected = b"", []
    for call, size in enumerate(sizes):
        stream += FRAMES.progress(PARTIAL, b"{}")
        stream += b"".join(FRAMES.result(b"%d" % call, b"x" * size))
        expected += [(PARTIAL, 0, [b"{}"]), (RESULT, call, [b"x" * size])]
    places = sorted(min(cut, len(stream)) for cut in cuts)
    chunks = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    assert read_frames(chunks) == expected


@given(st.binary(min_size=12))
def test_other_bytes_are_no_frames(rubbish: bytes) -> None:
    with pytest.raises(ValueError, match="no frame begins"):
        FrameReader().feed(rubbish)
