"""Live recognition: what it promises whatever the decoder hears, and whenever audio comes.

The decoder here reads a made-up code: a word is 0.3 s of a constant sample, whose value is its
number. A word that is cut is heard wrong, as it is by real ones.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.audio import SAMPLE_RATE
from worker.engines.recognition.live.events import Event, Language, LiveSegment, LiveWord, Speech
from worker.engines.recognition.live.recogniser import LiveOptions, LiveRecogniser
from worker.engines.recognition.live.voice import VoiceOptions
from worker.engines.recognition.whisper.word_times import TimedWord

Samples = npt.NDArray[np.float32]

WORD = round(0.3 * SAMPLE_RATE)
GAP = round(0.05 * SAMPLE_RATE)
UNIT = 1 / 128
LEAST = 8 * UNIT


def word(number: int) -> Samples:
    return np.concatenate(
        [np.full(WORD, LEAST + number * UNIT, np.float32), np.zeros(GAP, np.float32)]
    )


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def stream(said: Iterable[int | float]) -> Samples:
    """Words by number, and seconds of silence as floats."""
    parts = [word(each) if isinstance(each, int) else silence(each) for each in said]
    return np.concatenate([silence(0.5), *parts, silence(0.3)])


class Hears:
    """A detector that hears what is loud."""

    def hear(self, samples: Samples) -> Samples:
        return np.array([float(np.abs(samples).max() >= LEAST)], np.float32)


@dataclass
class Reads:
    """A decoder that reads the code; what it is asked is kept."""

    wrong: float = 0.0
    """The share of words that it hears wrong, otherwise each time."""
    heard: dict[str, float] = field(default_factory=lambda: {"en": 0.99, "de": 0.01})
    asked: list[tuple[float, str, str]] = field(default_factory=list)

    def languages(self, samples: Samples) -> dict[str, float]:
        return self.heard

    def decode(
        self, samples: Samples, language: str, prompt: str, silences: Sequence[Any]
    ) -> list[TimedWord]:
        self.asked.append((len(samples) / SAMPLE_RATE, language, prompt))
        chance = np.random.default_rng(len(samples) + int(1e6 * float(np.abs(samples).sum())))
        edges = np.flatnonzero(np.diff(samples, prepend=0, append=0))
        words = []
        for start, stop in pairwise(edges.tolist()):
            value = float(samples[start])
            if value < LEAST:
                continue
            number = round((value - LEAST) / UNIT)
            text = f" w{number}"
            if stop - start < WORD - 700 or chance.random() < self.wrong:
                text = f" {chance.choice(['what', 'well', 'so'])}"
            words.append(TimedWord(text, start / SAMPLE_RATE, stop / SAMPLE_RATE, 0.9))
        return words


def drain(recogniser: LiveRecogniser, lag: float = 0.0) -> list[Event]:
    found: list[Event] = []
    while (events := recogniser.step(lag)) is not None:
        found += events
    return found


def listen(
    samples: Samples,
    listener: Reads | None = None,
    chunks: Sequence[int] = (1600,),
    lags: Sequence[float] = (0.0,),
    **options: Any,
) -> list[Event]:
    """All events of a stream that comes in chunks of these sizes, in turns."""
    recogniser = LiveRecogniser(listener or Reads(), Hears(), LiveOptions(**options))
    events: list[Event] = []
    place = turn = 0
    while place < len(samples):
        size = chunks[turn % len(chunks)]
        recogniser.feed(samples[place : place + size])
        events += drain(recogniser, lags[turn % len(lags)])
        place += size
        turn += 1
    recogniser.finish()
    events += drain(recogniser)
    return events


def check(events: Iterable[Event]) -> list[LiveWord]:
    """Hold events to all promises; return the final words."""
    latest: dict[int, LiveSegment] = {}
    speaking = False
    for event in events:
        if isinstance(event, Speech):
            assert speaking == (event.change == "ended")
            speaking = not speaking
        if not isinstance(event, LiveSegment):
            continue
        before = latest.get(event.id)
        if before is None:
            assert event.id == max(latest, default=event.id - 1) + 1
            assert all(segment.final for segment in latest.values())
        else:
            assert not before.final
            kept = tuple(word for word in before.words if word.final)
            assert event.words[: len(kept)] == kept
        finals = [word.final for word in event.words]
        assert finals == sorted(finals, reverse=True)
        assert not event.final or all(finals)
        assert event.start <= event.end
        latest[event.id] = event
    assert not speaking
    assert all(segment.final for segment in latest.values())
    words = [word for segment in latest.values() for word in segment.words]
    assert all(word.start < word.end for word in words)
    assert all(a.end <= b.start for a, b in pairwise(words))
    return words


def numbers(words: Iterable[LiveWord]) -> list[int]:
    return [int(each.word.strip().removeprefix("w")) for each in words]


SAID = st.lists(
    st.integers(0, 99) | st.sampled_from([0.2, 0.5, 0.7, 1.0, 1.5, 2.5]), min_size=1, max_size=30
)


@settings(max_examples=30)
@given(SAID)
def test_each_word_is_written_once_and_in_order(said: list[int | float]) -> None:
    words = check(listen(stream(said)))
    assert numbers(words) == [each for each in said if isinstance(each, int)]


@settings(max_examples=15)
@given(SAID, st.sampled_from([(16,), (160_000,), (1, 511, 513, 5000), (799,)]))
def test_chunks_change_nothing(said: list[int | float], chunks: tuple[int, ...]) -> None:
    samples = stream(said)
    listeners = Reads(wrong=0.3), Reads(wrong=0.3)
    if chunks == (16,):
        samples = samples[: 6 * SAMPLE_RATE]
    assert listen(samples, listeners[0]) == listen(samples, listeners[1], chunks)
    assert listeners[0].asked == listeners[1].asked


@settings(max_examples=40)
@given(
    SAID,
    st.floats(0, 0.6),
    st.lists(st.integers(1, 40_000), min_size=1, max_size=5),
    st.lists(st.floats(0, 5), min_size=1, max_size=5),
    st.booleans(),
    st.sampled_from([2.0, 12.0]),
)
def test_no_promise_depends_on_what_is_heard_or_on_the_lag(
    said: list[int | float],
    wrong: float,
    chunks: list[int],
    lags: list[float],
    interim: bool,
    longest: float,
) -> None:
    check(listen(stream(said), Reads(wrong), chunks, lags, interim=interim, longest=longest))


@settings(max_examples=20)
@given(SAID, st.lists(st.floats(0, 5), min_size=1, max_size=5))
def test_a_driver_that_is_behind_loses_no_word(said: list[int | float], lags: list[float]) -> None:
    words = check(listen(stream(said), lags=lags))
    assert numbers(words) == [each for each in said if isinstance(each, int)]


@settings(max_examples=20)
@given(st.lists(st.integers(0, 99), min_size=8, max_size=30), st.data())
def test_a_lost_recogniser_is_replaced_without_loss(said: list[int], data: st.DataObject) -> None:
    samples = stream(said)
    first = LiveRecogniser(Reads(), Hears())
    stop = data.draw(st.integers(0, len(samples)))
    first.feed(samples[:stop])
    before = [e for e in drain(first) if isinstance(e, LiveSegment)]
    told = {segment.id: segment for segment in before}
    final = [word for segment in told.values() for word in segment.words if word.final]
    offset = final[-1].end if final else 0.0
    second = LiveRecogniser(
        Reads(),
        Hears(),
        first_id=max(told, default=-1) + 1,
        offset=offset,
        prompt="".join(word.word for word in final),
    )
    second.feed(samples[round(offset * SAMPLE_RATE) :])
    second.finish()
    after = drain(second)
    words = final + check(after)
    # Half a word before the audio is no word.
    assert [n for n in numbers(w for w in words if w.word.startswith(" w")) if n >= 0] == said
    assert all(a.end <= b.start for a, b in pairwise(words))
    assert all(e.id > max(told, default=-1) for e in after if isinstance(e, LiveSegment))


def test_silence_gives_no_event_and_asks_nobody() -> None:
    listener = Reads()
    assert listen(silence(60), listener, (16_000,)) == []
    assert listener.asked == []


def test_a_click_is_no_speech() -> None:
    click = np.full(1000, 0.9, np.float32)
    assert listen(np.concatenate([silence(1), click, silence(2)])) == []


def test_words_are_final_soon_and_the_last_ones_at_the_end_of_the_utterance() -> None:
    recogniser = LiveRecogniser(Reads(), Hears())
    samples = stream([*range(10), 2.0])
    when: dict[str, float] = {}
    for place in range(0, len(samples), 512):
        recogniser.feed(samples[place : place + 512])
        for event in drain(recogniser):
            if isinstance(event, LiveSegment):
                for each in event.words:
                    if each.final:
                        when.setdefault(each.word, place / SAMPLE_RATE - each.end)
    assert len(when) == 10
    assert max(when.values()) < 1.3


def test_times_and_speech_are_those_of_the_stream() -> None:
    said = [silence(1.0), word(1), word(2), silence(2.0)]
    events = listen(np.concatenate(said))
    started, ended = [event for event in events if isinstance(event, Speech)]
    assert started.at == pytest.approx(1.0, abs=0.05)
    assert ended.at == pytest.approx(1.65, abs=0.05)
    words = check(events)
    assert [each.start for each in words] == pytest.approx([1.0, 1.35], abs=0.01)


def test_a_commit_ends_the_utterance_at_once() -> None:
    recogniser = LiveRecogniser(Reads(), Hears())
    recogniser.feed(stream([1, 2, 3])[: -round(0.3 * SAMPLE_RATE)])
    events = drain(recogniser)
    assert recogniser.is_amid_speech
    recogniser.commit()
    events += drain(recogniser)
    assert not recogniser.is_amid_speech
    recogniser.feed(stream([4, 5]))
    recogniser.finish()
    words = check(events + drain(recogniser))
    assert numbers(words) == [1, 2, 3, 4, 5]
    assert recogniser.backlog < 0.032


def test_a_commit_without_speech_does_nothing() -> None:
    recogniser = LiveRecogniser(Reads(), Hears())
    recogniser.commit()
    recogniser.feed(silence(1))
    recogniser.commit()
    assert drain(recogniser) == []


def test_what_never_came_ends_the_utterance_and_moves_the_times() -> None:
    recogniser = LiveRecogniser(Reads(), Hears())
    recogniser.feed(np.concatenate([word(1), word(2)]))
    recogniser.skip(600 * SAMPLE_RATE)
    recogniser.feed(np.concatenate([silence(0.5), word(3), silence(1)]))
    recogniser.finish()
    events = drain(recogniser)
    words = check(events)
    assert numbers(words) == [1, 2, 3]
    assert words[2].start == pytest.approx(601.2, abs=0.05)
    assert recogniser.heard == pytest.approx(602.5, abs=0.05)


def test_without_interims_an_utterance_is_decoded_once() -> None:
    listener = Reads()
    events = listen(stream([*range(10), 1.0, 5, 1.0]), listener, interim=False)
    assert len(listener.asked) == 2
    assert all(event.final for event in events if isinstance(event, LiveSegment))
    assert numbers(check(events)) == [*range(10), 5]


@pytest.mark.parametrize("interim", [True, False])
def test_audio_that_is_decoded_and_segments_have_a_longest_length(interim: bool) -> None:
    listener = Reads()
    said = [number % 90 for number in range(200)]
    samples = stream(each for number in said for each in (number, 0.1))
    events = listen(samples, listener, interim=interim, longest=6.0)
    assert max(seconds for seconds, _, _ in listener.asked) <= 6.1
    final = [e for e in events if isinstance(e, LiveSegment) and e.final]
    assert max(each.end - each.start for each in final) < 6.5
    assert numbers(check(events)) == said


def test_a_step_costs_the_same_however_long_somebody_speaks() -> None:
    listener = Reads()
    listen(stream([number % 90 for number in range(300)]), listener)
    assert max(seconds for seconds, _, _ in listener.asked) < 7.0
    assert max(len(prompt) for _, _, prompt in listener.asked) <= 400


def test_the_prompt_is_of_the_same_utterance() -> None:
    listener = Reads()
    listen(stream([*range(30), 3.0, 50, 51, 1.0]), listener)
    prompts = [prompt for _, _, prompt in listener.asked]
    assert any(" w1 w2" in prompt for prompt in prompts)
    assert prompts[-1] == ""
    given_ = LiveRecogniser(listener, Hears(), prompt="what was said")
    given_.feed(stream([1, 2, 3.0, 4, 3.0]))
    drain(given_)
    assert [p for _, _, p in listener.asked[len(prompts) :]] == ["what was said"] * 2 + [""]


def test_no_word_is_final_before_the_language_is_clear() -> None:
    listener = Reads(heard={"en": 0.4, "de": 0.5, "fr": 0.1})
    events = listen(stream([*range(6), 1.0, *range(8), 1.0]), listener)
    assert not any(isinstance(event, Language) for event in events)
    for event in events:
        if isinstance(event, LiveSegment) and not event.final:
            assert not any(word.final for word in event.words)
    assert {event.language for event in events if isinstance(event, LiveSegment)} == {"de"}


def test_the_language_is_told_once_it_is_clear_and_stays() -> None:
    listener = Reads(heard={"en": 0.02, "de": 0.97, "fr": 0.01})
    events = listen(stream([*range(9), 1.0, *range(8), 1.0]), listener)
    [told] = [event for event in events if isinstance(event, Language)]
    assert (told.language, told.probability) == ("de", 0.97)
    assert {language for _, language, _ in listener.asked} == {"de"}
    given_ = Reads()
    events = listen(stream([1, 2, 1.0]), given_, language="fr")
    assert {language for _, language, _ in given_.asked} == {"fr"}
    assert not any(isinstance(event, Language) for event in events)


def test_an_interim_that_was_nothing_comes_as_final_without_text() -> None:
    class Forgets(Reads):
        def decode(self, *asked: Any) -> list[TimedWord]:
            found = super().decode(*asked)
            return found if len(self.asked) == 1 else []

    events = listen(stream([1, 2, 3, 1.0]), Forgets())
    [*_, last] = [event for event in events if isinstance(event, LiveSegment)]
    assert (last.id, last.text, last.words, last.final) == (0, "", (), True)
    assert check(events) == []


def test_memory_stays_bounded() -> None:
    recogniser = LiveRecogniser(Reads(), Hears(), LiveOptions(voice=VoiceOptions()))
    minute = np.concatenate([stream([*range(30)]), silence(49)])[: 60 * SAMPLE_RATE]

    def minutes(count: int) -> int:
        for _ in range(count):
            for place in range(0, len(minute), 16_000):
                recogniser.feed(minute[place : place + 16_000])
                drain(recogniser)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        minutes(2)
        before = minutes(1)
        assert minutes(10) - before < 100_000
    finally:
        tracemalloc.stop()
