"""whisper_streaming's policy, re-stated on the same model, voice detection and word times.

After ufal/whisper_streaming (Macháček et al. 2023, arXiv 2307.14743; whisper_online.py, with
`--vac`): every second, all audio of the buffer is decoded in Whisper's context of 30 s, prompted by
the last 200 characters before the buffer. Words after the last final one are compared as they are
written; those on which two hypotheses agree are final. Beyond 15 s, the buffer is cut at the last
final sentence, or word. Half a second without speech ends the utterance: what is not final by then
becomes final without being decoded again. Decoding is greedy, as ours is; theirs has beams of 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from worker.audio import SAMPLE_RATE
from worker.engines.common.speech import WINDOW, Detector
from worker.engines.recognition.live.events import Event, LiveSegment, LiveWord, Speech
from worker.engines.recognition.live.listener import WhisperListener
from worker.engines.recognition.live.voice import Voice, VoiceOptions
from worker.engines.recognition.whisper.word_times import TimedWord

if TYPE_CHECKING:
    from worker.audio import Samples

_INTERVAL: Final = 1.0  # seconds
_LONGEST: Final = 15.0  # seconds
_PROMPT: Final = 200  # characters
_END_SILENCE: Final = 0.5  # seconds
_CONTEXT: Final = 3000  # frames
_MARGIN: Final = SAMPLE_RATE // 5


class WhisperStreaming:
    """Recognises one stream."""

    def __init__(self, model: Any, language: str) -> None:
        self._listener = WhisperListener(model, _CONTEXT)
        self._language = language
        self._voice = Voice(Detector(), VoiceOptions(end_silence=_END_SILENCE))
        self._samples: Samples = np.zeros(0, np.float32)
        self._position = 0
        self._first: int | None = None
        """Where the buffer begins, while somebody speaks."""
        self._heard = 0
        self._ended = False
        self._id = 0
        self._prompt = ""
        self._kept: list[TimedWord] = []
        self._open: list[TimedWord] = []
        self._final: list[TimedWord] = []

    @property
    def backlog(self) -> float:
        """Seconds of audio that were fed and not dealt with."""
        return (len(self._samples) - self._position) / SAMPLE_RATE

    def feed(self, samples: Samples) -> None:
        """Take in samples."""
        self._samples = np.concatenate([self._samples, samples])

    def finish(self) -> None:
        """No more come."""
        self._ended = True

    def step(self, lag: float = 0.0) -> list[Event] | None:
        """Decode once, if it is time to."""
        while self._position + WINDOW <= len(self._samples):
            voice, start = self._voice, self._position
            voice.hear(self._samples[start : start + WINDOW], start)
            self._position += WINDOW
            if self._first is None:
                if voice.speaking and voice.start is not None:
                    self._first = self._heard = max(0, voice.start - _MARGIN)
            elif voice.has_ended(self._position):
                return self._end()
        if self._first is not None and self._position - self._heard >= _INTERVAL * SAMPLE_RATE:
            return self._decode(self._first)
        if self._ended and self._first is not None:
            return self._end()
        return None

    def _decode(self, first: int) -> list[Event]:
        self._heard = self._position
        start = first / SAMPLE_RATE
        words = [
            word._replace(start=word.start + start, end=word.end + start)
            for word in self._listener.decode(
                self._samples[first : self._position], self._language, self._prompt[-_PROMPT:], ()
            )
        ]
        fresh = self._after_final(words)
        count = 0
        for word, other in zip(fresh, self._open, strict=False):
            if word.word != other.word:
                break
            count += 1
        self._final += fresh[:count]
        self._kept += fresh[:count]
        self._open = fresh[count:]
        if self._position - first > _LONGEST * SAMPLE_RATE and self._kept:
            self._cut()
        return [self._segment(False)]

    def _after_final(self, words: list[TimedWord]) -> list[TimedWord]:
        """The words after the last final one, without up to five that repeat the last ones."""
        if not self._final:
            return words
        last = self._final[-1].end
        words = [word for word in words if word.start > last - 0.1]
        if words and abs(words[0].start - last) < 1:
            for size in range(1, min(5, len(words), len(self._final)) + 1):
                if [w.word for w in self._final[-size:]] == [w.word for w in words[:size]]:
                    return words[size:]
        return words

    def _cut(self) -> None:
        ends = [k for k, word in enumerate(self._kept, 1) if word.word[-1:] in ".?!"]
        count = ends[-1] if ends else len(self._kept)
        self._prompt += "".join(word.word for word in self._kept[:count])
        self._first = round(self._kept[count - 1].end * SAMPLE_RATE)
        del self._kept[:count]

    def _end(self) -> list[Event]:
        at = self._position if self._voice.silent_from is None else self._voice.silent_from
        self._final += self._open
        self._open = []
        told: list[Event] = [Speech("ended", at / SAMPLE_RATE), self._segment(True)]
        self._id += 1
        self._first = None
        self._prompt, self._kept, self._final = "", [], []
        self._voice.forget()
        return told

    def _segment(self, final: bool) -> LiveSegment:
        words = tuple(
            LiveWord(word.word, word.start, word.end, word.probability, is_final)
            for some, is_final in ((self._final, True), (self._open, False))
            for word in some
        )
        start, end = (words[0].start, words[-1].end) if words else (0.0, 0.0)
        return LiveSegment(self._id, words, start, end, self._language, final)
