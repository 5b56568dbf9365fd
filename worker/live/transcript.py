"""What is known of a stream's words: the final segments, and the one that is being said.

A stream may last for days, so final segments are kept as JSON, a tenth of their size as objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import UNSET, UnsetType

from protocol.alignment import AlignedSegment, Word
from protocol.control import Result
from protocol.live import LiveSegment, LiveWord
from protocol.transcription import Segment

_decode = msgspec.json.Decoder(LiveSegment).decode


class _Kept(Result):
    """What a final segment has in common with one of a recording."""

    id: int
    start: float
    end: float
    text: str
    language: str
    words: list[Word]
    speaker: str | UnsetType = UNSET


_decode_kept = msgspec.json.Decoder(_Kept).decode


def final_word(word: Word) -> LiveWord:
    """A word of a recording, as one of a stream."""
    return LiveWord(**msgspec.structs.asdict(word), final=True)


class Transcript:
    """Segments by their ids, which ascend."""

    def __init__(self) -> None:
        self._final: dict[int, bytes] = {}
        self._open: LiveSegment | None = None
        self.next_id = 0
        """No segment has this id or a higher one."""

    def take(self, segments: Iterable[LiveSegment]) -> None:
        """Take in segments as the engine tells them."""
        for segment in segments:
            self.next_id = segment.id + 1
            self._open = None if segment.final else segment
            if segment.final and segment.words:
                self._keep(segment)

    def abandon(self) -> LiveSegment | None:
        """End the segment that is being said with its final words; return it, if there is one."""
        segment = self._open
        if segment is None:
            return None
        words = [word for word in segment.words if word.final]
        segment = msgspec.structs.replace(
            segment,
            words=words,
            text="".join(word.word for word in words).strip(),
            end=words[-1].end if words else segment.end,
            final=True,
        )
        self.take([segment])
        return segment

    def name(self, id_: int, speaker: str) -> LiveSegment:
        """Give a final segment its speaker; return it."""
        segment = _decode(self._final[id_])
        segment.speaker = speaker
        return self._keep(segment)

    def align(self, aligned: AlignedSegment) -> LiveSegment:
        """Give a final segment the times of its words; return it."""
        segment = msgspec.structs.replace(
            _decode(self._final[aligned.id]),
            start=aligned.start,
            end=aligned.end,
            words=[final_word(word) for word in aligned.words],
        )
        return self._keep(segment)

    def segments(self) -> Iterator[Segment]:
        """The final segments, as those of a recording."""
        for raw in self._final.values():
            yield Segment(
                **msgspec.structs.asdict(_decode_kept(raw)),
                avg_logprob=None,
                compression_ratio=None,
                no_speech_prob=None,
                temperature=None,
            )

    def _keep(self, segment: LiveSegment) -> LiveSegment:
        self._final[segment.id] = msgspec.json.encode(segment)
        return segment
