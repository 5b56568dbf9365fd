"""The transcript while it is made: segments first, then their words' times, then speakers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

from protocol.alignment import AlignedSegment
from protocol.transcription import PartialTranscript, Segment

_SEGMENTS_A_PART = 200


class Draft:
    """Segments by their id. Whatever changes is sent as a partial result; from any thread."""

    def __init__(self, send: Callable[[PartialTranscript], None]) -> None:
        self._send = send
        self._segments: dict[int, Segment] = {}
        self._languages: dict[int, str] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._segments)

    def add(self, language: str, segments: Iterable[Segment]) -> None:
        """Take what was recognised."""
        with self._lock:
            for segment in segments:
                self._segments[segment.id] = segment
                self._languages[segment.id] = language
            self._tell(segments)

    def align(self, aligned: Iterable[AlignedSegment]) -> None:
        """Take the words of segments that are there, and their times."""
        with self._lock:
            changed = []
            for each in aligned:
                segment = self._segments[each.id]
                if not each.words:
                    continue
                segment.start, segment.end, segment.words = each.start, each.end, each.words
                for word in each.words:
                    word.speaker = segment.speaker
                changed.append(segment)
            self._tell(changed)

    def tell_all(self) -> None:
        """Send every segment again: their speakers are known."""
        with self._lock:
            self._tell(self.segments())

    def segments(self) -> list[Segment]:
        """All of them, in the order of their starts."""
        return sorted(self._segments.values(), key=lambda segment: (segment.start, segment.id))

    def _tell(self, segments: Iterable[Segment]) -> None:
        """Send segments, those of one language together."""
        by_language: dict[str, list[Segment]] = {}
        for segment in segments:
            by_language.setdefault(self._languages[segment.id], []).append(segment)
        for language, group in by_language.items():
            for start in range(0, len(group), _SEGMENTS_A_PART):
                part = group[start : start + _SEGMENTS_A_PART]
                self._send(PartialTranscript(language=language, segments=part))


def order_of_appearance(segments: Sequence[Segment]) -> list[str]:
    """The speakers, in the order of their first words."""
    found: dict[str, None] = {}
    for segment in segments:
        for speaker in [*(word.speaker for word in segment.words or ()), segment.speaker]:
            if isinstance(speaker, str):
                found[speaker] = None
    return list(found)
