"""Second phase: the decoder learns to write the words that the frozen encoder hears.

The encoder's outputs no longer change, so they are computed once per scene, in the loader's
process, and each scene is used several times: with and without timestamps, with and without a text
before it. Cross-attention is guided: the first layers to the frames of the token just
read, the last layer to those of the token to write.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from tests.training import training
from tests.training.scenes import (
    FRAMES_PER_SECOND,
    Phrase,
    SceneOptions,
    Word,
    compose,
    frame_of,
    log_mel,
)
from tests.training.speech import WordBank
from tests.training.tokenizer import Vocabulary
from tests.training.whisper_model import POSITIONS, encode, new_model

GERMAN_SHARE = 0.2
TIMESTAMPS_SHARE = 0.55
TRANSLATED_SHARE = {"en": 0.03, "de": 0.25}
DIGITS = 10
"""Number of words that both languages share; they come first. Only these are translated."""

GUIDED_HEADS = 2
"""Number of guided heads in each decoder layer."""

EARLY_WEIGHT = 0.2
LATE_WEIGHT = 0.8
"""Weights of the guidance of the first layers and of the last one. Finding the next word is
the slowest to learn, so the last layer weighs more."""

IGNORED = -100
"""The target of given tokens, which need no prediction."""

FIRST_TIMESTAMP_LIMIT = 50
"""Recognition requires the first timestamp within the first second, even if speech starts later."""

LONGEST_PROMPT = 223
"""Maximum tokens of earlier text that recognition prompts with."""

CACHED_SCENES = 1600
FIRST_SCENES = 192
NEW_SCENES_EVERY_STEP = 2
POOLED_BATCHES = 6
USUAL_LENGTH = 64
"""Tokens per lesson; a batch contains at most its size times this."""

Spans = list[tuple[int, int, float]]
"""Frames to attend to: from, to, and their share of the attention."""


@dataclass(frozen=True)
class HeardScene:
    """A scene as the encoder outputs it."""

    hidden: torch.Tensor
    language: str
    phrases: list[Phrase]


@dataclass
class Lesson:
    """One sequence for the decoder: given tokens, wanted tokens, frames to attend to."""

    given: list[int]
    wanted: list[int]
    spans: list[Spans]


class HeardScenes(IterableDataset[tuple[torch.Tensor, str, list[Phrase]]]):
    """Endless scenes of 30 s, encoded."""

    def __init__(self, banks: dict[str, WordBank], encoder: WhisperEncoder, seed: int) -> None:
        self.banks = banks
        self.encoder = encoder
        self.seed = seed

    def __iter__(self) -> Iterator[tuple[torch.Tensor, str, list[Phrase]]]:
        torch.set_num_threads(1)
        rng = np.random.default_rng(self.seed)
        options = SceneOptions(cut_odds=0.25, empty_odds=0.05, pauses=(0.4, 0.8, 1.5, 3.0, 6.0))
        first = torch.zeros(1, dtype=torch.long)
        while True:
            language = "de" if rng.random() < GERMAN_SHARE else "en"
            shuffled = rng.random() < 0.3
            scene = compose(
                rng,
                self.banks[language],
                replace(options, words="shuffled") if shuffled else options,
            )
            mel = log_mel(rng, scene)
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
                hidden = encode(self.encoder, mel[None], first)[0].to(torch.bfloat16)
            yield hidden.clone(), language, scene.phrases


def spans_of_words(words: list[Word]) -> list[Spans]:
    """Where to attend to write each word.

    Every silent frame belongs to the word before it, and those before the first word to the first:
    the search for word times fails over frames that no word attends to.
    """
    result: list[Spans] = []
    for place, word in enumerate(words):
        begin = min(POSITIONS - 1, int(word.start * FRAMES_PER_SECOND))
        end = max(begin + 1, frame_of(word.end, POSITIONS))
        following = words[place + 1].start if place + 1 < len(words) else word.end + 0.1
        gap = max(end, min(POSITIONS, int(following * FRAMES_PER_SECOND)))
        near = min(gap, end + 10)
        spans = [(begin, end, 0.8), (end, near, 0.12), (near, gap, 0.06)]
        if place == 0:
            spans.append((0, begin, 0.06))
        result.append(spans)
    return result


def spans_of_time(seconds: float) -> Spans:
    """Where to attend to write a timestamp."""
    begin = min(POSITIONS - 1, int(max(0.0, seconds - 0.04) * FRAMES_PER_SECOND))
    return [(begin, max(begin + 1, frame_of(seconds + 0.04, POSITIONS)), 1.0)]


def earlier_text(
    rng: np.random.Generator,
    vocabulary: Vocabulary,
    words: tuple[int, ...],
    limit: int,
    times: bool,
) -> list[int]:
    """Random text before the window, as recognition prompts with it."""
    tokens: list[int] = []
    time = 0.0
    while len(tokens) < limit:
        count = int(rng.integers(1, 7))
        said = [words[int(i)] for i in rng.integers(len(words), size=count)]
        if times:
            begin = time + rng.uniform(0, 2)
            time = begin + 0.5 * count
            if time > 29:
                begin, time = 0.0, 0.5 * count
            first = vocabulary.first_timestamp
            said = [first + frame_of(begin, 1500), *said, first + frame_of(time, 1500)]
        tokens += said
    return tokens[-limit:]


def make_lesson(
    rng: np.random.Generator, vocabulary: Vocabulary, scene: HeardScene, prompt: int
) -> Lesson:
    """The tokens to write for a scene, after ``prompt`` tokens of earlier text."""
    language = scene.language
    timed = rng.random() < TIMESTAMPS_SHARE
    translated = rng.random() < TRANSLATED_SHARE[language]
    words = vocabulary.words[language]
    if language == "de" and translated:
        words = vocabulary.words["en"][:DIGITS]
    before = earlier_text(rng, vocabulary, words, prompt, timed) if prompt else []
    opening = [vocabulary.previous, *before] if before else []
    silent = len(opening)
    opening += [
        vocabulary.start,
        vocabulary.languages[language],
        vocabulary.translate if translated else vocabulary.transcribe,
    ]
    if not timed:
        opening.append(vocabulary.no_timestamps)

    def timestamp(seconds: float) -> int:
        return vocabulary.first_timestamp + frame_of(seconds, POSITIONS)

    body: list[tuple[int, Spans]] = []
    if scene.phrases:
        said = [word for phrase in scene.phrases for word in phrase.words]
        looks = iter(spans_of_words(said))
        for phrase in scene.phrases:
            if timed:
                body.append((timestamp(phrase.start), spans_of_time(phrase.start)))
            body += [(words[word.index], next(looks)) for word in phrase.words]
            if timed and not phrase.cut:
                body.append((timestamp(phrase.end), spans_of_time(phrase.end)))
        last = min(POSITIONS - 1, frame_of(said[-1].end if said else 0.0, POSITIONS))
        near = min(POSITIONS, last + FRAMES_PER_SECOND)
        body.append((vocabulary.end, [(last, near, 0.7), (near, POSITIONS, 0.3)]))
    else:
        if timed:
            body.append((vocabulary.first_timestamp, []))
        body.append((vocabulary.end, []))
    heard = vocabulary.languages[language] if scene.phrases else vocabulary.no_speech
    unasked = len(opening) - silent - 2
    lesson = Lesson(
        given=opening + [token for token, _ in body[:-1]],
        wanted=[IGNORED] * silent + [heard] + [IGNORED] * unasked + [token for token, _ in body],
        spans=[[] for _ in opening[:-1]] + [spans for _, spans in body],
    )
    late = (
        timed and scene.phrases and body[0][0] > vocabulary.first_timestamp + FIRST_TIMESTAMP_LIMIT
    )
    if late and len(body) > 1 and rng.random() < 0.5:
        shown = FIRST_TIMESTAMP_LIMIT if rng.random() < 0.5 else int(rng.integers(0, 50))
        lesson.given[len(opening)] = vocabulary.first_timestamp + shown
    return lesson


def prompt_length(rng: np.random.Generator) -> int:
    """How many tokens of earlier text to prompt a lesson with: mostly none."""
    kind = rng.random()
    if kind < 0.82:
        return 0
    return int(rng.integers(1, 40) if kind < 0.98 else rng.integers(40, LONGEST_PROMPT + 1))


def batches(
    rng: np.random.Generator,
    vocabulary: Vocabulary,
    cache: Sequence[HeardScene],
    size: int,
) -> list[list[tuple[HeardScene, Lesson]]]:
    """Batches of lessons of similar length, so that they need little padding.

    Batches of long lessons are smaller: each holds about the tokens of ``size`` usual lessons.
    """
    drawn = [cache[int(i)] for i in rng.integers(len(cache), size=POOLED_BATCHES * size)]
    pool = [(scene, make_lesson(rng, vocabulary, scene, prompt_length(rng))) for scene in drawn]
    pool.sort(key=lambda pair: len(pair[1].given))
    made: list[list[tuple[HeardScene, Lesson]]] = []
    for pair in pool:
        full = not made or len(made[-1]) == size
        if full or (len(made[-1]) + 1) * len(pair[1].given) > size * USUAL_LENGTH:
            made.append([])
        made[-1].append(pair)
    return [made[int(i)] for i in rng.permutation(len(made))]


def collate(
    lessons: Sequence[Lesson], padding: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Given tokens, wanted tokens and wanted attention of one batch."""
    longest = max(len(lesson.given) for lesson in lessons)
    given = np.full((len(lessons), longest), padding, np.int64)
    wanted = np.full((len(lessons), longest), IGNORED, np.int64)
    looks: NDArray[np.float32] = np.zeros((len(lessons), longest, POSITIONS), np.float32)
    for row, lesson in enumerate(lessons):
        given[row, : len(lesson.given)] = lesson.given
        wanted[row, : len(lesson.wanted)] = lesson.wanted
        for place, spans in enumerate(lesson.spans):
            look = looks[row, place]
            for begin, end, share in spans:
                if end > begin:
                    look[begin:end] += share / (end - begin)
            if spans:
                look /= look.sum()
    return torch.from_numpy(given), torch.from_numpy(wanted), torch.from_numpy(looks)


def guidance(attention: torch.Tensor, looks: torch.Tensor) -> torch.Tensor:
    """How far the guided heads' attention is from the wanted one (cross-entropy)."""
    guided = looks.sum(-1) > 0
    heads = attention[:, :GUIDED_HEADS].float().transpose(0, 1)[:, guided]
    return -(looks[guided] * torch.log(heads + 1e-5)).sum(-1).mean()


def train_decoder(
    path: Path,
    encoder_path: Path,
    banks: dict[str, WordBank],
    vocabulary: Vocabulary,
    schedule: training.Schedule,
) -> None:
    """Train until the schedule ends, resuming from ``path`` if it holds an unfinished training."""
    device = training.device()
    torch.manual_seed(schedule.seed)
    model = new_model(vocabulary)
    trained = training.load(encoder_path)
    if trained is None:
        raise FileNotFoundError(encoder_path)
    model.model.encoder.load_state_dict(trained["encoder"])
    step = 0
    state = training.load(path)
    if state:
        model.load_state_dict(state["model"])
        step = state["step"]
    encoder = model.model.encoder.requires_grad_(False)
    encoder.share_memory()
    loader = iter(
        DataLoader(
            HeardScenes(banks, encoder, schedule.seed + 1 + step),
            batch_size=None,
            num_workers=1,
            prefetch_factor=16,
        )
    )
    cache = deque((HeardScene(*next(loader)) for _ in range(FIRST_SCENES)), CACHED_SCENES)
    decoder = model.model.decoder.to(device)
    project = model.proj_out.to(device)
    parameters = [*decoder.parameters(), *project.parameters()]
    optimizer = training.new_optimizer(parameters, schedule)
    if state:
        optimizer.load_state_dict(state["optimizer"])
    rng = np.random.default_rng(schedule.seed + step)
    figures = training.Figures()
    waiting: list[list[tuple[HeardScene, Lesson]]] = []

    def save() -> None:
        training.save(path, model=model.state_dict(), optimizer=optimizer.state_dict(), step=step)

    while step < schedule.steps:
        if not waiting:
            waiting = batches(rng, vocabulary, cache, schedule.batch)
        cache.extend(HeardScene(*next(loader)) for _ in range(NEW_SCENES_EVERY_STEP))
        scenes, lessons = zip(*waiting.pop(), strict=True)
        given, wanted, looks = (part.to(device) for part in collate(lessons, vocabulary.end))
        hidden = torch.stack([scene.hidden for scene in scenes]).to(device)
        asked = wanted >= 0
        with torch.autocast(device.type, torch.bfloat16):
            output = decoder(
                input_ids=given,
                encoder_hidden_states=hidden.float(),
                output_attentions=True,
                use_cache=False,
            )
            scores = project(output.last_hidden_state[asked])
        scores = scores.float()
        answers = wanted[asked]
        error = functional.cross_entropy(scores, answers)
        read = torch.zeros_like(looks)
        read[:, 1:] = looks[:, :-1]
        early = [guidance(attention, read) for attention in output.cross_attentions[:-1]]
        late = guidance(output.cross_attentions[-1], looks)
        loss = error + LATE_WEIGHT * late + EARLY_WEIGHT * torch.stack(early).sum()
        training.update(optimizer, parameters, loss, schedule.rate(step))
        step += 1
        with torch.no_grad():
            guesses = scores.argmax(-1)
            right = guesses == answers
            is_word = answers < vocabulary.end
            is_time = answers >= vocabulary.first_timestamp
            untimed = (given == vocabulary.no_timestamps).any(1)[:, None].expand_as(wanted)[asked]
            near = (guesses - answers).abs() <= 2
            figures.add(
                error=error.item(),
                look=late.item(),
                words=right[is_word & ~untimed].float().mean().item(),
                words_untimed=right[is_word & untimed].float().mean().item(),
                times=near[is_time].float().mean().item(),
                end=right[answers == vocabulary.end].float().mean().item(),
            )
        if step % schedule.report_every == 0:
            training.log.info("decoder step %d of %d: %s", step, schedule.steps, figures)
        if step % schedule.save_every == 0:
            save()
    save()
