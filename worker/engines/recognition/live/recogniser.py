"""Recognises a stream: samples in, speech and segments with final and interim words out.

Nobody wants to wait for the end of a sentence, and nobody wants words that change all the time:

1. Speech detection decides what is decoded (`voice`): silence costs next to nothing, and gives no
   words. An utterance ends where nobody has spoken for `end_silence`.
2. While somebody speaks, the audio of the utterance is decoded every `interval`, with a short
   encoder context (`listener`). Words on which two hypotheses agree are final (`agreement`).
3. Audio before final words is dropped early, save for a few seconds of context; its text becomes
   the prompt, so that a step costs the same however long somebody speaks.
4. In a pause of 0.3 s the audio is decoded once more and not again, and all words are final: no
   more will be heard of them.
5. Speech for which a decoding has no words is decoded by itself (`coverage`).
6. Sentences are segments, and have ascending ids (`draft`).

Nothing here depends on a clock: where steps lie is counted in samples, so that the same audio gives
the same segments in whatever chunks it comes. Only `lag` says that the driver is behind: then steps
are further apart, up to none but the last of each utterance.

Sources: LocalAgreement-2 (Liu et al. 2020, arXiv 2005.11185) in whisper_streaming (Macháček et al.
2023, arXiv 2307.14743); Silero VAD, in faster-whisper's package. What differs from
whisper_streaming was measured in benchmarks/live.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from worker.audio import SAMPLE_RATE
from worker.engines.common.speech import WINDOW
from worker.engines.recognition.live.agreement import Agreement
from worker.engines.recognition.live.audio import LiveAudio
from worker.engines.recognition.live.coverage import without_words
from worker.engines.recognition.live.draft import Draft
from worker.engines.recognition.live.events import Event, Language, Speech
from worker.engines.recognition.live.language import StreamLanguage
from worker.engines.recognition.live.utterance import Utterance
from worker.engines.recognition.live.voice import Voice, VoiceOptions
from worker.engines.recognition.whisper.word_times import silent_spans

if TYPE_CHECKING:
    from worker.audio import Samples
    from worker.engines.recognition.live.listener import Listener
    from worker.engines.recognition.live.voice import Detector
    from worker.engines.recognition.whisper.word_times import Silence, TimedWord

_MARGIN: Final = 3200
"""Samples of audio before speech: the detector notices it late."""
_PAUSE: Final = 9 * WINDOW
"""Samples of silence after which the audio is decoded for the last time, unless speech goes on."""
_HEARD: Final = 1600
"""Samples of silence that a decoding needs to have heard, to be the last one."""
_NEAR: Final = 2 * SAMPLE_RATE
"""Samples after an utterance within which its end is context for the next one."""
_HOLD: Final = 0.1
"""Seconds at the end of the audio whose words may be cut."""
_LONG: Final = 6 * SAMPLE_RATE
"""Samples of audio beyond which what is final is dropped, but for"""
_KEPT: Final = 4.0  # seconds of context
_CUT: Final = 0.3
"""Share of a too long utterance, at its end, in whose quietest place it is cut."""


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """What the client chooses. Times are in seconds."""

    language: str | None = None
    """None to detect it."""
    interim: bool = True
    """Whether to decode before an utterance is over."""
    interval: float = 0.5
    """Between two steps."""
    longest: float = 12.0
    """Of a segment, and of audio that is decoded at once."""
    voice: VoiceOptions = field(default_factory=VoiceOptions)


class LiveRecogniser:
    """`feed` it samples and call `step` until that returns None.

    To continue a stream whose recogniser was lost: `offset` is where its last final word ends, in
    seconds, and `prompt` the final text of the utterance that was going on; feed it the audio from
    there. `first_id` is the id of the first segment.
    """

    def __init__(
        self,
        listener: Listener,
        detector: Detector,
        options: LiveOptions | None = None,
        *,
        first_id: int = 0,
        offset: float = 0.0,
        prompt: str = "",
    ) -> None:
        self._listener = listener
        self._options = options = options or LiveOptions()
        self._voice = Voice(detector, options.voice)
        self._language = StreamLanguage(options.language)
        self._offset = offset
        self._prompt = prompt
        self._draft = Draft(first_id, options.longest, offset)
        self._audio = LiveAudio()
        self._position = 0
        """Up to here speech was detected."""
        self._floor = 0
        """Before this everything is done with."""
        self._probabilities: deque[float] = deque()
        """Of speech, in the last windows before the position."""
        self._utterance: Utterance | None = None
        self._before: Utterance | None = None
        """The one before, if it is context for the next."""
        self._ends: deque[tuple[int, int]] = deque()
        """Positions at which an utterance has to end, and how many samples are missing there."""

    @property
    def heard(self) -> float:
        """The seconds of the stream that are dealt with, but for an utterance that goes on."""
        return self._time(self._position)

    @property
    def backlog(self) -> float:
        """Seconds of audio that were fed, and not yet dealt with."""
        return (self._audio.end - self._position) / SAMPLE_RATE

    @property
    def settled(self) -> float:
        """The seconds before which no audio is needed: it is in final words, or nobody spoke."""
        kept = max(self._audio.first, self._floor)
        return max(self._time(kept), self._draft.end)

    @property
    def language(self) -> StreamLanguage:
        """In which language the stream is, as far as that is known."""
        return self._language

    @property
    def is_amid_speech(self) -> bool:
        """Whether an utterance goes on."""
        return self._utterance is not None

    def feed(self, samples: Samples) -> None:
        """Add samples: mono, float32 in [-1, 1], at 16 kHz."""
        self._audio.append(samples)

    def skip(self, samples: int) -> None:
        """Leave out samples that never came; this ends the utterance."""
        self._ends.append((self._audio.end, samples))

    def commit(self) -> None:
        """End the utterance where the audio ends that was fed so far."""
        self._ends.append((self._audio.end, 0))

    def finish(self) -> None:
        """End the stream there; nothing is fed after that."""
        self._ends.append((self._audio.end, 0))

    def step(self, lag: float = 0.0) -> list[Event] | None:
        """Deal with the audio up to the next decoding; None if there is nothing to do.

        `lag` is how many seconds the driver is behind the newest audio.
        """
        stop = self._ends[0][0] if self._ends else self._audio.end
        while self._position + WINDOW <= stop:
            told = self._hear_window(lag)
            if told:
                return told
        if not self._ends:
            return None
        stop, missing = self._ends[0]
        told = self._end(stop)
        self._ends.popleft()
        self._floor = stop
        if missing:
            self._offset += missing / SAMPLE_RATE
            self._before = None
        return told

    def _hear_window(self, lag: float) -> list[Event]:
        """Detect speech in the next window, and do what is due then."""
        voice, start = self._voice, self._position
        self._probabilities.append(voice.hear(self._audio.read(start, start + WINDOW), start))
        self._position += WINDOW
        utterance = self._utterance
        if utterance is None:
            return self._wait()
        if voice.silent_from is None:
            utterance.spoken += WINDOW
        if voice.has_ended(self._position):
            return self._end(self._position)
        if self._position - utterance.first >= self._options.longest * SAMPLE_RATE:
            return self._cut(utterance)
        if not self._options.interim:
            return []
        if utterance.spoken >= max(self._options.interval, lag) * SAMPLE_RATE:
            return self._decode(utterance, self._position)
        until = self._until(self._position)
        paused = voice.silent_from is not None and until == voice.silent_from + _PAUSE
        if paused and not self._is_heard(utterance) and lag < self._options.interval:
            return self._decode(utterance, until)
        return []

    def _wait(self) -> list[Event]:
        """Forget what was heard, or begin an utterance."""
        start = self._position if self._voice.start is None else self._voice.start
        first = max(self._floor, start - _MARGIN)
        before = self._before
        if before and start - before.heard_until > _NEAR:
            before = self._before = None
        if not self._voice.speaking:
            self._forget(before.first if before else first)
            return []
        if before:
            first = before.first
        self._utterance = utterance = Utterance(first, self._prompt, self._position - start)
        if before:
            utterance.agreement.kept = before.agreement.kept
        self._before = None
        self._prompt = ""
        return [Speech("started", self._time(max(start, self._floor)))]

    def _decode(self, utterance: Utterance, until: int) -> list[Event]:
        """Decode the utterance up to a position; tell what is known now."""
        told = self._listen(utterance, until)
        silent = self._voice.silent_from is not None
        hold = 0.0 if silent else _HOLD
        before = self._time(until) - hold if self._language.is_clear else 0.0
        final = utterance.agreement.hear(utterance.words, before)
        if self._is_heard(utterance) and self._language.is_clear:
            final += utterance.agreement.accept()
        told += self._draft.show(final, utterance.agreement.open, self._language.language)
        if until - utterance.first > min(_LONG, self._options.longest * SAMPLE_RATE / 2):
            self._trim(utterance)
        return told

    def _trim(self, utterance: Utterance) -> None:
        """Drop the audio of final words but for the last seconds of what was heard."""
        kept = min(_KEPT, self._options.longest / 3)
        trimmed = utterance.agreement.trim(self._time(utterance.heard_until) - kept)
        if trimmed:
            utterance.continue_after(trimmed, self._place(trimmed[-1].end))
            self._forget(utterance.first)

    def _end(self, stop: int) -> list[Event]:
        """End the utterance, if there is one, at a position or where silence began before it."""
        utterance, voice = self._utterance, self._voice
        told: list[Event] = []
        if utterance is not None:
            at = stop if voice.silent_from is None else voice.silent_from
            told.append(Speech("ended", self._time(at)))
            if not self._is_heard(utterance):
                told += self._listen(utterance, self._until(stop))
                utterance.agreement.hear(utterance.words, 0.0)
            told += self._close(utterance)
            self._language.conclude()
            self._trim(utterance)
            self._before = utterance if utterance.agreement.kept else None
        self._utterance = None
        voice.forget()
        self._floor = max(self._floor, min(stop, self._until(stop)))
        return told

    def _cut(self, utterance: Utterance) -> list[Event]:
        """Decode, and end a segment, in the quietest place of a utterance that is too long."""
        count = int(_CUT * (self._position - utterance.first) / WINDOW)
        last = list(self._probabilities)[-count:]
        stop = self._position - WINDOW * (count - min(range(count), key=last.__getitem__))
        told = self._listen(utterance, stop)
        utterance.agreement.hear(utterance.words, 0.0)
        told += self._close(utterance)
        utterance.continue_after(utterance.agreement.kept, stop)
        utterance.agreement = Agreement()
        self._forget(stop)
        return told

    def _close(self, utterance: Utterance) -> list[Event]:
        """Make all words final, and end the segment."""
        return list(self._draft.close(utterance.agreement.accept(), self._language.language))

    def _listen(self, utterance: Utterance, until: int) -> list[Event]:
        """Ask the listener about the audio of an utterance up to a position."""
        samples = self._audio.read(utterance.first, until)
        told = self._hear_language(utterance, samples)
        words = self._listener.decode(
            samples, self._language.language, utterance.prompt, self._silences(utterance, until)
        )
        words = self._with_unheard(utterance, samples, words)
        utterance.words = _later(words, self._time(utterance.first))
        utterance.spoken = 0
        utterance.heard_until = until
        return told

    def _with_unheard(
        self, utterance: Utterance, samples: Samples, words: Sequence[TimedWord]
    ) -> Sequence[TimedWord]:
        """The words, and those of a stretch of speech that has none, if it has some by itself."""
        probabilities = self._heard(utterance.first, utterance.first + len(samples))
        found = without_words(probabilities, words, self._options.voice.threshold)
        if found is None or not words:
            return words
        start, end = found
        place = round(self._time(utterance.first) + start, 1)
        if place in utterance.without_words:
            return words
        first = max(0, round(start * SAMPLE_RATE) - _MARGIN)
        stretch = samples[first : round(end * SAMPLE_RATE) + _MARGIN]
        more = self._listener.decode(stretch, self._language.language, "", [])
        if not more:
            utterance.without_words.add(place)
        more = [each for each in _later(more, first / SAMPLE_RATE) if start <= each.end <= end + 1]
        return sorted([*words, *more], key=lambda word: word.start)

    def _hear_language(self, utterance: Utterance, samples: Samples) -> list[Event]:
        """Ask in which language the utterance is, until that is clear."""
        if self._language.is_clear:
            return []
        before = self._language.language
        seconds = max(0.0, (len(samples) - _MARGIN) / SAMPLE_RATE)
        became_clear = self._language.hear(self._listener.languages(samples), seconds)
        if self._language.language != before:
            utterance.agreement.doubt()
        known = Language(self._language.language, self._language.probability)
        return [known] if became_clear else []

    def _silences(self, utterance: Utterance, until: int) -> list[Silence]:
        """Where nobody speaks in the audio to be decoded, in seconds from its start."""
        import numpy as np

        heard = np.array(self._probabilities, np.float32)
        first = self._position - WINDOW * len(heard)
        start, stop = (max(0, at - first) / SAMPLE_RATE for at in (utterance.first, until))
        return silent_spans(heard, start, stop)

    def _heard(self, first: int, stop: int) -> Samples:
        """The probabilities of speech in the windows between two positions."""
        import numpy as np

        begin = self._position - WINDOW * len(self._probabilities)
        heard = np.array(self._probabilities, np.float32)
        return heard[max(0, (first - begin) // WINDOW) : max(0, (stop - begin) // WINDOW)]

    def _is_heard(self, utterance: Utterance) -> bool:
        """Whether the last decoding heard the pause that goes on."""
        silent_from = self._voice.silent_from
        return silent_from is not None and utterance.heard_until >= silent_from + _HEARD

    def _until(self, stop: int) -> int:
        """Where to end the audio to decode: at a position, or shortly after the last speech."""
        silent_from = self._voice.silent_from
        return stop if silent_from is None else min(stop, silent_from + _PAUSE)

    def _forget(self, before: int) -> None:
        self._audio.forget(before)
        while (len(self._probabilities) - 1) * WINDOW > self._position - before:
            self._probabilities.popleft()

    def _time(self, position: int) -> float:
        return round(self._offset + position / SAMPLE_RATE, 3)

    def _place(self, time: float) -> int:
        return round((time - self._offset) * SAMPLE_RATE)


def _later(words: Sequence[TimedWord], seconds: float) -> list[TimedWord]:
    """The words that much later."""
    return [word._replace(start=word.start + seconds, end=word.end + seconds) for word in words]
