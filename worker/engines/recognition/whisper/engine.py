"""Our own recogniser: Whisper that neither loses what is said nor writes what is not.

Whisper is trained on 30 s of whatever there is, and believes that somebody always speaks. The
packages decode the whole recording window by window, or glue speech together; they lose sentences,
invent text in silence, and write one language in the words of another. This engine asks Whisper
only what it is good at:

1. Speech detection decides what is decoded (Silero VAD, on samples of even loudness).
2. Windows are contiguous and cut at pauses (`windows`).
3. Each has the language of its own speech (`languages`).
4. Windows are decoded in batches, the first alone so that its words come soon; each window with
   thresholds and a bound on its cost (`decoding`).
5. Words get times (`word_times`). Words outside of speech and loops are dropped (`segments`).
6. Speech without text is decoded again by itself, in its own language; what stays empty is told
   (`coverage`).
7. Segments are sentences between pauses; each has a confidence (`confidence`).

The same request gives the same bytes: nothing depends on time, on other requests or on chance.
Segments are final once they are sent: a window's second decoding comes before its segments go out,
and so ids and times ascend.

Sources: the thresholds and temperatures are Whisper's (Radford et al. 2022, arXiv 2212.04356, 4.5);
cutting at what a VAD finds is WhisperX's idea (Bain et al. 2023, arXiv 2303.00747), without its
removal of silence; what each step gains was measured in benchmarks/real.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import chain, groupby, pairwise
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from protocol.alignment import Word
from protocol.transcription import Segment, VadParameters
from protocol.values import Notice, TimeSpan, option_ignored
from worker.audio import SAMPLE_RATE
from worker.engines.common.recording import InMemory
from worker.engines.common.speech import WINDOW, speech_probabilities, speech_spans
from worker.engines.recognition import model as whisper_model
from worker.engines.recognition.base import Recognition, Recognizer, Transcription
from worker.engines.recognition.options import without_effect
from worker.engines.recognition.pieces import clips
from worker.engines.recognition.whisper.confidence import confidence_of
from worker.engines.recognition.whisper.coverage import are_there, without_text
from worker.engines.recognition.whisper.decoding import Decoded, Decoder
from worker.engines.recognition.whisper.languages import Languages
from worker.engines.recognition.whisper.segments import (
    keep_spoken,
    sentences,
    text_of,
    without_loops,
)
from worker.engines.recognition.whisper.windows import (
    PAUSE,
    Stretch,
    Window,
    cut_long,
    groups,
    parts,
    seconds_of,
    windows_of,
    within,
)
from worker.engines.recognition.whisper.word_times import TimedWord, in_order, silent_spans

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from protocol.transcription import TranscribeParams
    from worker.audio import Samples
    from worker.engines.common.recording import Piece
    from worker.engines.contract import LoadParams

_SPEECH: Final = VadParameters(
    threshold=0.5, min_speech_duration=0.1, min_silence_duration=0.3, speech_pad=0.1
)
"""What `vadParameters` do not say."""

_LOUDNESS: Final = 0.12
"""Root mean square to which the loudest half second is brought before speech is detected."""
_MOST_GAIN: Final = 100.0  # more would amplify a dither

_LONGEST: Final = 29.0  # seconds of a window: Whisper hears 30 s, which includes the margins
_FIRST: Final = 12.0  # seconds of the first of all, so that its words come soon
_AHEAD: Final = 30.0  # seconds of speech to hear before the language of the first is decided
_SAMPLED: Final = 8
"""Windows to listen to where the whole recording is to have one language."""
_SHORTEST: Final = 2.0  # seconds of half a window that failed
_OWN_LANGUAGE: Final = 0.5
"""Probability of the language in which speech without text is decoded again."""


class WhisperEngine(Recognizer):
    """The methods of the engine's process."""

    default_batch_size = 8
    finds_speech = True

    def _load(self, params: LoadParams) -> tuple[Any, list[Notice]]:
        from worker.engines.recognition.whisper.model import load_encoding_singly

        return whisper_model.load(params, load_encoding_singly)

    def _continue_prompt(
        self, request: TranscribeParams, before: Sequence[tuple[str, float | None]]
    ) -> None:
        request.prefix = None
        if request.batch_size == 1:
            request.initial_prompt = None

    def _recognise(
        self, work: Transcription, request: TranscribeParams, piece: Piece
    ) -> Recognition:
        found = Recognition(
            language=work.transcript.language,
            language_probability=1.0 if request.language else 0.0,
            duration_after_vad=0.0,
            segments=(),
        )
        found.segments = _PieceRecogniser(work, request, piece, found).segments()
        return found

    def _ignored_options(
        self, request: TranscribeParams, given: Collection[str], language: str | None
    ) -> Iterator[Notice]:
        reasons = without_effect(request) | {
            "hallucinationSilenceThreshold": "text where nobody speaks is always dropped",
            "languageDetectionThreshold": "each part of the speech is asked for its language",
            "languageDetectionSegments": "each part of the speech is asked for its language",
        }
        if request.without_timestamps is not False:
            reasons["maxInitialTimestamp"] = "the decoder writes no timestamps"
        if request.vad_filter is False:
            reasons["vadParameters"] = "vadFilter is off"
        if request.batch_size != 1:
            reasons["conditionOnPreviousText"] = "a batch's windows are independent: see batchSize"
            reasons["promptResetOnTemperature"] = "windows of a batch are independent"
        if request.prefix is not None:
            reasons["hotwords"] = "prefix takes its place"
        if language is not None:
            reasons["multilingual"] = "the language is known"
        for name in sorted(set(given).intersection(reasons)):
            yield option_ignored(name, reasons[name])


class _PieceRecogniser:
    """Recognises one piece of a recording. Times are seconds from its start, unless noted."""

    def __init__(
        self, work: Transcription, request: TranscribeParams, piece: Piece, found: Recognition
    ) -> None:
        self._work = work
        self._request = request
        self._piece = piece
        self._found = found
        self._findings = work.findings
        self._decoder = Decoder(work.model, request, piece.samples)
        self._longest = min(_LONGEST, float(request.chunk_length or _LONGEST))
        self._first = not work.transcript.segments
        """Whether nothing of the recording has been decoded yet."""
        self._before: Decoded | None = None
        """The last window, where its text is the prompt of the next."""
        self._probabilities: npt.NDArray[np.float32]
        self._speech: list[Stretch]
        self._language: str | None

    def segments(self) -> Iterator[Segment]:
        """The segments, in the order of their times."""
        self._work.report(self._piece, 0.0)
        self._speech = self._detect_speech()
        self._found.duration_after_vad = seconds_of(self._speech)
        windows = windows_of(self._speech, self._longest, _FIRST if self._first else None)
        self._language = self._language_of(windows)
        size = self._request.batch_size or WhisperEngine.default_batch_size
        for batch in self._batches(windows, size):
            yield from self._segments(self._recognise(batch))
            self._work.report(self._piece, min(1.0, batch[-1].end / self._piece.duration))
        found, evidence = self._found, self._findings.evidence
        found.language = self._findings.language or found.language
        if evidence:
            found.language_probability = evidence.probability(found.language)
        self._work.report(self._piece, 1.0)

    def _detect_speech(self) -> list[Stretch]:
        """Where somebody speaks, within the clips if there are any."""
        samples, duration = self._piece.samples, self._piece.duration
        with self._work.clock.stage("speechDetection"):
            self._probabilities = speech_probabilities(
                _EvenlyLoud(samples), lambda _: self._work.yield_to_others()
            )
            spans = speech_spans(
                self._probabilities, len(samples), _completed(self._request.vad_parameters)
            )
        speech = [Stretch(span.start / SAMPLE_RATE, span.end / SAMPLE_RATE) for span in spans]
        start = self._request.start
        self._findings.hear(
            start, start + duration, [(start + each.start, start + each.end) for each in speech]
        )
        if self._request.vad_filter is False:
            speech = _everything(speech, duration)
        if self._request.clip_timestamps:
            speech = within(
                speech, [(a - start, b - start) for a, b in clips(self._request, duration)]
            )
        return cut_long(speech, self._longest, self._probabilities, WINDOW / SAMPLE_RATE)

    def _batches(self, windows: list[Window], size: int) -> Iterator[list[Window]]:
        """The windows with their languages, a batch at a time; the first of all alone."""
        languages = Languages(self._findings.evidence, self._ask)
        place = 0
        while place < len(windows):
            count = 1 if self._first else size
            batch = windows[place : place + count]
            if self._language is None:
                languages.listen(batch)
                if not languages.are_clear(batch):
                    languages.listen(_first_seconds(windows[place:], _AHEAD))
                known = languages.tell_apart(batch, self._longest)
            else:
                known = [Window(window.speech, self._language) for window in batch]
            place += count
            for first in range(0, len(known), size):
                yield known[first : first + size]
            self._first = False

    def _language_of(self, windows: Sequence[Window]) -> str | None:
        """The language of all windows; None if each has its own."""
        evidence = self._findings.evidence
        known = self._work.transcript.requested_language
        if known is None and self._request.multilingual is False:
            if not evidence and windows:
                step = max(1, len(windows) // _SAMPLED)
                Languages(evidence, self._ask).listen(windows[::step])
            known = evidence.main if evidence else None
        return known

    def _ask(self, speech: tuple[Stretch, ...], window: Window) -> dict[str, float]:
        self._work.yield_to_others()
        return self._decoder.languages(speech, window)

    def _recognise(self, batch: Sequence[Window]) -> list[Decoded]:
        """Decode a batch, and again what got no text."""
        heard = self._decode(batch, self._request.prefix if self._first else None)
        self._before = heard[-1]
        again = {each.window: self._again(each) for each in heard}
        redone = {each.window: each for each in self._decode(list(chain(*again.values())))}
        found: list[Decoded] = []
        for each in heard:
            tried = [redone[window] for window in again[each.window]]
            passed = [other for other in tried if other.words and not other.fails(self._request)]
            if passed and each.fails(self._request):
                kept, known = passed, []
            else:
                known = [other for other in passed if are_there(other.words, each.words)]
                kept = [each, *(other for other in passed if other not in known)]
            self._note(each.window, kept, [stretch for k in known for stretch in k.window.speech])
            found += kept
        return found

    def _again(self, heard: Decoded) -> list[Window]:
        """What of a window to decode again: its halves if it failed, or what got no text."""
        speech = heard.window.speech
        if heard.fails(self._request):
            seconds = speech[-1].end - speech[0].start
            missing = parts(speech, max(_SHORTEST, seconds / 2))
        else:
            missing = without_text(speech, heard.words)
        windows = [Window(part, self._own_language(part, heard.window)) for part in missing]
        return [window for window in windows if window != heard.window]

    def _own_language(self, speech: tuple[Stretch, ...], window: Window) -> str | None:
        """The language of a part of a window: its own, if that is free and clear."""
        if self._language is not None:
            return self._language
        heard = self._ask(speech, Window(speech))
        likeliest = max(heard, key=lambda language: heard[language])
        return likeliest if heard[likeliest] > _OWN_LANGUAGE else window.language

    def _decode(self, windows: Sequence[Window], prefix: str | None = None) -> list[Decoded]:
        """Decode windows, doubtful ones twice; keep of their words those that are said."""
        found = self._decode_once(windows, prefix)
        doubtful = [each.window for each in found if self._decoder.is_doubtful(each)]
        wider = {each.window: each for each in self._decode_once(doubtful, prefix, wide=True)}
        return [self._said(self._likelier(each, wider.get(each.window))) for each in found]

    def _decode_once(
        self, windows: Sequence[Window], prefix: str | None, wide: bool = False
    ) -> list[Decoded]:
        found: list[Decoded] = []
        for batch in self._decoder.together(windows, wide):
            self._work.yield_to_others()
            silences = [silent_spans(self._probabilities, each.start, each.end) for each in batch]
            found += self._decoder.decode(batch, silences, self._prompt(batch[0]), prefix, wide)
        return found

    def _likelier(self, decoded: Decoded, other: Decoded | None) -> Decoded:
        """The more probable of two outcomes, unless it loops."""
        if other is None or other.attempt.repeats(self._request):
            return decoded
        if decoded.attempt.repeats(self._request):
            return other
        return max(decoded, other, key=lambda each: each.attempt.avg_logprob)

    def _said(self, decoded: Decoded) -> Decoded:
        """A window with those of its words that are said."""
        if decoded.attempt.is_silence(self._request):
            return decoded._replace(words=[])
        words, unspoken = decoded.words, list[TimedWord]()
        # The words of a translation are not in the audio.
        if self._request.vad_filter is not False and self._request.task == "transcribe":
            words, unspoken = keep_spoken(words, self._speech)
        # After that, because a loop in too little speech shows by its pace.
        words, loops = without_loops(words, decoded.attempt.repeats(self._request))
        return decoded._replace(words=words, loops=loops, unspoken=unspoken)

    def _note(self, window: Window, decoded: Sequence[Decoded], covered: Sequence[Stretch]) -> None:
        """Count the speech of a window, what of it has no text, and which text was dropped.

        `covered` has text, although the times of its words do not say so.
        """
        assert window.language
        self._findings.languages[window.language] += window.seconds
        words = [word for each in decoded for word in each.words]
        speech = [stretch for stretch in window.speech if stretch not in covered]
        for missing in without_text(speech, words):
            self._findings.silent.append(self._span(missing[0].start, missing[-1].end))
        for each in decoded:
            self._findings.repeated += self._spans(each.loops)
            self._findings.unspoken += self._spans(each.unspoken)

    def _segments(self, decoded: Sequence[Decoded]) -> Iterator[Segment]:
        """The segments of windows, in the order of their times."""
        words = sorted(
            ((word, each) for each in decoded for word in each.words),
            key=lambda pair: pair[0].start,
        )
        placed = in_order([(word.start, word.end) for word, _ in words], self._piece.duration)
        words = [
            (word._replace(start=start, end=end), each)
            for (word, each), (start, end) in zip(words, placed, strict=True)
        ]
        for _, group in groupby(words, key=lambda pair: id(pair[1])):
            own, (source, *_) = zip(*group, strict=True)
            for sentence in sentences(own):
                yield self._segment(sentence, source)

    def _segment(self, words: Sequence[TimedWord], source: Decoded) -> Segment:
        attempt = source.attempt
        segment = Segment(
            id=0,
            start=words[0].start,
            end=words[-1].end,
            text=text_of(words),
            avg_logprob=attempt.avg_logprob,
            compression_ratio=attempt.compression_ratio,
            no_speech_prob=attempt.no_speech_prob,
            temperature=attempt.temperature,
            language=source.window.language or UNSET,
            confidence=round(confidence_of(words), 3),
        )
        if self._request.word_timestamps:
            segment.words = [
                Word(start=each.start, end=each.end, word=each.word, probability=each.probability)
                for each in words
            ]
        return segment

    def _spans(self, words: Sequence[TimedWord]) -> list[TimeSpan]:
        """Words that follow each other, as spans with their text."""
        return [
            self._span(group[0].start, group[-1].end, text_of(group).strip())
            for group in groups(words, PAUSE)
        ]

    def _span(self, start: float, end: float, text: str | None = None) -> TimeSpan:
        offset = self._request.start
        span = TimeSpan(start=round(start + offset, 3), end=round(end + offset, 3))
        if text is not None:
            span.text = text
        return span

    def _prompt(self, window: Window) -> list[int]:
        """The tokens of what was said before a window, or of the request's prompt."""
        before, initial = self._before, self._request.initial_prompt
        assert window.language
        if self._request.batch_size == 1 and self._request.condition_on_previous_text and before:
            pause = window.speech[0].start - before.window.speech[-1].end
            usable = before.attempt.temperature <= self._request.prompt_reset_on_temperature
            if usable and 0 <= pause <= PAUSE and window.language == before.window.language:
                return self._decoder.text_tokens(window.language, text_of(before.words))
            return []
        if isinstance(initial, str):
            return self._decoder.text_tokens(window.language, initial)
        return list(initial or ())


class _EvenlyLoud(InMemory):
    """A recording at the loudness that speech detection is used to."""

    def __init__(self, samples: Samples) -> None:
        import numpy as np

        super().__init__(samples)
        half = SAMPLE_RATE // 2
        power = max(
            (
                float(np.mean(np.square(samples[i : i + half])))
                for i in range(0, len(samples), half)
            ),
            default=0.0,
        )
        self._gain = np.float32(min(_MOST_GAIN, _LOUDNESS / power**0.5) if power else 1.0)

    def read(self, first: int, stop: int) -> Samples:
        import numpy as np

        loud: Samples = np.clip(super().read(first, stop) * self._gain, -1, 1)
        return loud


def _first_seconds(windows: Sequence[Window], seconds: float) -> Iterator[Window]:
    """The first windows, until they have that many seconds of speech."""
    heard = 0.0
    for window in windows:
        if heard >= seconds:
            return
        yield window
        heard += window.seconds


def _completed(parameters: VadParameters | None) -> VadParameters:
    """The client's parameters, with this engine's defaults for the others."""
    given = parameters or VadParameters()
    return VadParameters(
        **{
            name: getattr(_SPEECH, name) if getattr(given, name) is None else getattr(given, name)
            for name in VadParameters.__struct_fields__
        }
    )


def _everything(speech: Sequence[Stretch], duration: float) -> list[Stretch]:
    """All of a piece as speech, with cuts in the middle of its pauses."""
    cuts = [(a.end + b.start) / 2 for a, b in pairwise(speech)]
    return [Stretch(a, b) for a, b in pairwise([0.0, *cuts, duration])]
