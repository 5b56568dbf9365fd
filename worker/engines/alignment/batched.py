"""The batched aligner: many stretches of audio in a forward pass, then CTC forced alignment.

Alignment by dynamic programming over CTC labels is Kürzinger et al., "CTC-segmentation of large
corpora for German end-to-end speech recognition" (2020), as `torchaudio.functional.forced_align`
does it. A character lasts until the next one begins, and the last of a word until the space after
it does, as in whisperx: CTC labels are peaks, not extents. Characters that the model has no label
for take part as a wildcard, the likeliest label of each frame (also whisperx's), so that their
neighbours stay where they are.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from protocol.errors import RpcError
from worker.audio import SAMPLE_RATE
from worker.engines.alignment.model import HOP, SHORTEST, AlignmentModel
from worker.engines.alignment.text import UNKNOWN, TimedWord
from worker.engines.common import torch_device
from worker.engines.common.savings import memory_saved

if TYPE_CHECKING:
    import torch

    from protocol.values import Notice
    from worker.engines.common.recording import Recording

LONGEST: Final = 30 * SAMPLE_RATE
"""Samples of a forward pass; longer stretches are put together from several."""
_CONTEXT: Final = SAMPLE_RATE
"""Samples beside each of those, whose scores are not used."""
_LENGTHS: Final = sorted(
    {round(2 ** (step / 8) * SAMPLE_RATE) for step in range(-8, 40)} | {LONGEST}
)
"""Lengths that forward passes have, up to `LONGEST`, so that many can share one."""
_LARGEST: Final = 1_000_000_000
"""Frames times labels of one alignment: its memory in bytes."""


class Stretch(NamedTuple):
    """Samples `first` to `stop`, and the words that are said there."""

    first: int
    stop: int
    words: Sequence[TimedWord]
    spaced: bool
    """Whether the language puts spaces between words."""


class _Window(NamedTuple):
    """What is computed for a stretch: from `first` on, so many samples."""

    stretch: int
    first: int
    length: int


def align(
    model: AlignmentModel,
    samples: Recording,
    total: int,
    stretches: Sequence[Stretch],
    batch_size: int,
    check: Callable[[], None],
    note: Callable[[Notice], None],
) -> Iterator[tuple[int, bool]]:
    """Set the times of the words of each stretch, in seconds from the first sample.

    Yields the number of each stretch when it is done, and whether it could be aligned. Forward
    passes have a few fixed lengths, with real audio around what is shorter: nothing is padded, so
    no result depends on what else is in the batch. `check` is called before each of them, `note`
    with a warning when batches had to be made smaller. Raises `RpcError` of kind
    transcript_invalid for more text than can be aligned at once.
    """
    import numpy as np
    import torch

    batches: dict[int, list[_Window]] = defaultdict(list)
    for number, stretch in enumerate(stretches):
        length = stretch.stop - stretch.first
        if length < SHORTEST or not _can_be_aligned(stretch.words):
            yield number, False
        elif length > LONGEST:
            check()
            scores = _long_emissions(model, samples, total, stretch, check)
            yield number, _align(model, scores, stretch, stretch.first, length)
        else:
            window = _window(number, stretch, total)
            batches[window.length].append(window)
    for length, windows in sorted(batches.items()):
        start = 0
        while start < len(windows):
            check()
            batch = windows[start : start + batch_size]
            parts = [samples.read(each.first, each.first + length) for each in batch]
            try:
                emissions = model.emissions(torch.from_numpy(np.stack(parts)))
            except (RuntimeError, MemoryError) as error:
                if len(batch) == 1 or not torch_device.lacks_memory(error, model.device):
                    raise
                batch_size = len(batch) // 2
                note(memory_saved("batchSize", f"batches of {batch_size} were aligned"))
                continue
            start += len(batch)
            for window, scores in zip(batch, emissions, strict=True):
                stretch = stretches[window.stretch]
                yield window.stretch, _align(model, scores, stretch, window.first, length)


def _can_be_aligned(words: Sequence[TimedWord]) -> bool:
    """Whether the model knows any character."""
    return any(label is not None and label != UNKNOWN for word in words for label in word.labels)


def _window(number: int, stretch: Stretch, total: int) -> _Window:
    """The stretch with real audio around it, to one of the fixed lengths if there is enough."""
    wanted = stretch.stop - stretch.first
    length = min(total, next(each for each in _LENGTHS if each >= wanted))
    first = stretch.first - (length - wanted) // 2
    return _Window(number, min(max(0, first), total - length), length)


def _long_emissions(
    model: AlignmentModel,
    samples: Recording,
    total: int,
    stretch: Stretch,
    check: Callable[[], None],
) -> torch.Tensor:
    """Scores (frames, labels) of a stretch of any length, one forward pass after another."""
    import torch

    parts = []
    whole = LONGEST - 2 * _CONTEXT
    for first in range(stretch.first, stretch.stop, whole):
        check()
        stop = min(stretch.stop, first + whole)
        begin, end = max(0, first - _CONTEXT), min(total, stop + _CONTEXT)
        piece = torch.from_numpy(samples.read(begin, end))[None]
        scores = model.emissions(piece)[0]
        skipped = (first - begin) // HOP
        parts.append(scores[skipped : skipped + -(-(stop - first) // HOP)])
    return torch.cat(parts)


def _align(
    model: AlignmentModel,
    scores: torch.Tensor,
    stretch: Stretch,
    first: int,
    length: int,
) -> bool:
    """Align with the scores of `length` samples from `first` on, which contain the stretch."""
    import torch
    import torchaudio.functional

    seconds_a_frame = length / len(scores) / SAMPLE_RATE
    offset = first / SAMPLE_RATE
    begin = round((stretch.first - first) / SAMPLE_RATE / seconds_a_frame)
    end = round((stretch.stop - first) / SAMPLE_RATE / seconds_a_frame)
    scores = scores[begin:end]
    labels, places = _labels(model, stretch, wildcard=scores.shape[1])
    repeats = sum(a == b for a, b in pairwise(labels))
    if len(scores) < len(labels) + repeats:
        return False
    if len(scores) * (2 * len(labels) + 1) > _LARGEST:
        raise RpcError(
            "transcript_invalid",
            f"A text of {len(labels)} letters over {len(scores) * seconds_a_frame:.0f} s is too "
            "much to align at once.",
            remedy="Give it as segments with rough times.",
        )
    labelled = scores.clone()
    labelled[:, model.blank] = -torch.inf
    extended = torch.cat([scores, labelled.max(dim=1, keepdim=True).values], dim=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchaudio 2.8 announces what 2.9 was to remove
        path, path_scores = torchaudio.functional.forced_align(
            extended[None].contiguous(),
            torch.tensor([labels], dtype=torch.int32),
            blank=model.blank,
        )
        spans = torchaudio.functional.merge_tokens(path[0], path_scores[0].exp(), blank=model.blank)

    def time(frame: int) -> float:
        return offset + (begin + frame) * seconds_a_frame

    for number, (span, place) in enumerate(zip(spans, places, strict=True)):
        if place is None:
            continue
        word, char = place
        last = number + 1 == len(spans)
        word.starts[char] = time(span.start)
        word.ends[char] = time(span.end if last else spans[number + 1].start)
        word.scores[char] = float(span.score)
    for word in stretch.words:
        _summarize(word)
    return True


_Place = tuple[TimedWord, int]


def _labels(
    model: AlignmentModel, stretch: Stretch, wildcard: int
) -> tuple[list[int], list[_Place | None]]:
    """The labels to find, and the character that each is of; none for a space between words."""
    labels: list[int] = []
    places: list[_Place | None] = []
    space = model.dictionary.get("|") if stretch.spaced else None
    for word in stretch.words:
        heard = [char for char, label in enumerate(word.labels) if label is not None]
        if heard and labels and space is not None:
            labels.append(space)
            places.append(None)
        for char in heard:
            label = word.labels[char]
            assert label is not None
            labels.append(wildcard if label == UNKNOWN else label)
            places.append((word, char))
    return labels, places


def _summarize(word: TimedWord) -> None:
    """The word's times and score from its characters'; no score where none is a known one."""
    starts = [start for start in word.starts if start is not None]
    ends = [end for end in word.ends if end is not None]
    if not starts:
        return
    word.start, word.end = starts[0], ends[-1]
    known = [
        score
        for score, label in zip(word.scores, word.labels, strict=True)
        if score is not None and label != UNKNOWN
    ]
    if known:
        word.score = sum(known) / len(known)
