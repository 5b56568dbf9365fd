"""An utterance that goes on: the audio of it that is still decoded, and what was heard in that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from worker.engines.recognition.live.agreement import Agreement
from worker.engines.recognition.whisper.segments import text_of

if TYPE_CHECKING:
    from worker.engines.recognition.whisper.word_times import TimedWord


_PROMPT: Final = 400
"""Characters of it that may count."""


class Utterance:
    """`first` is the position of its audio, `prompt` the text before that, `spoken` as below."""

    def __init__(self, first: int, prompt: str, spoken: int) -> None:
        self.first = first
        self.prompt = prompt
        self.spoken = spoken
        """Samples of speech since the last decoding."""
        self.heard_until = first
        """Where that ended."""
        self.words: Sequence[TimedWord] = ()
        """What it found, with times of the stream."""
        self.agreement = Agreement()
        self.without_words: set[float] = set()
        """Where stretches of speech begin in which nothing was found, in seconds of the stream."""

    def continue_after(self, words: Sequence[TimedWord], first: int) -> None:
        """Drop the audio before a position, where these words end."""
        self.prompt = (self.prompt + text_of(words))[-_PROMPT:]
        self.first = max(self.first, first)
