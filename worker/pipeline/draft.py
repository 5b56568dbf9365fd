"""The transcript while it is made: segments first, then their words, then speakers.

Last, a segment in which the speaker changes becomes several.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from protocol.alignment import AlignedSegment
from protocol.transcription import PartialTranscript, Segment

_SEGMENTS_PER_PARTIAL: Final = 200


class Draft:
    """Segments by their id. Sends each change as a partial result; from any thread."""

    def __init__(self, send: Callable[[PartialTranscript], None]) -> None:
        self._send = send
        self._segments: dict[int, Segment] = {}
        self._languages: dict[int, str] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._segments)

    def add(self, language: str, segments: Iterable[Segment]) -> None:
        """Add new segments."""
        with self._lock:
            for segment in segments:
                self._segments[segment.id] = segment
                self._languages[segment.id] = language
            self._send_changed(segments)

    def align(self, aligned: Iterable[AlignedSegment]) -> None:
        """Give segments of the draft their words, and the times of these."""
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
            self._send_changed(changed)

    def divide(self, parts: Callable[[Segment], Sequence[Segment]]) -> None:
        """Replace each segment by its parts: the first keeps the id, the others get new ones."""
        with self._lock:
            following = max(self._segments, default=-1) + 1
            for segment in self.segments():
                first, *others = parts(segment)
                self._segments[segment.id] = first
                for part in others:
                    part.id = following
                    self._segments[following] = part
                    self._languages[following] = self._languages[segment.id]
                    following += 1

    def send_all(self) -> None:
        """Send every segment again, now with its speakers."""
        with self._lock:
            self._send_changed(self.segments())

    def segments(self) -> list[Segment]:
        """All segments, in the order of their starts."""
        return sorted(self._segments.values(), key=lambda segment: (segment.start, segment.id))

    def _send_changed(self, segments: Iterable[Segment]) -> None:
        """Send segments; a partial result has one language."""
        by_language: dict[str, list[Segment]] = {}
        for segment in segments:
            by_language.setdefault(self._languages[segment.id], []).append(segment)
        for language, group in by_language.items():
            for start in range(0, len(group), _SEGMENTS_PER_PARTIAL):
                part = group[start : start + _SEGMENTS_PER_PARTIAL]
                self._send(PartialTranscript(language=language, segments=part))
