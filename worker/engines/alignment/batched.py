"""The batched aligner: many passages in one forward pass, then CTC forced alignment of each.

Dynamic programming over CTC labels is from Kürzinger et al., "CTC-segmentation of large corpora for
German end-to-end speech recognition" (2020), in `torchaudio.functional.forced_align`. As in
whisperx, a character lasts until the next one begins, and the last of a word until the space after
it begins: CTC labels are peaks, not extents. Also as in whisperx, characters without a label align
as a wildcard, the likeliest label of each frame, so that their neighbours stay in place.
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
from worker.engines.alignment.text import UNKNOWN, WordAlignment
from worker.engines.common import torch_device
from worker.engines.common.notices import memory_saved

if TYPE_CHECKING:
    import torch

    from protocol.values import Notice
    from worker.engines.common.recording import Recording

LONGEST: Final = 30 * SAMPLE_RATE
"""Samples of a forward pass at most; a longer passage takes several."""
_CONTEXT: Final = SAMPLE_RATE
"""Samples on each side of those forward passes whose scores are dropped."""
_LENGTHS: Final = sorted(
    {round(2 ** (step / 8) * SAMPLE_RATE) for step in range(-8, 40)} | {LONGEST}
)
"""The few lengths of forward passes, up to `LONGEST`, so that many passages can share one."""
_LARGEST: Final = 1_000_000_000
"""Limit of frames times labels, which is the memory of one alignment in bytes."""


class Passage(NamedTuple):
    """Samples `first` to `stop`, and the words said there."""

    first: int
    stop: int
    words: Sequence[WordAlignment]
    spaced: bool
    """Whether the language puts spaces between words."""


class _Window(NamedTuple):
    """The samples of a forward pass for one passage."""

    passage: int
    first: int
    length: int


def align(
    model: AlignmentModel,
    samples: Recording,
    total: int,
    passages: Sequence[Passage],
    batch_size: int,
    check: Callable[[], None],
    note: Callable[[Notice], None],
) -> Iterator[tuple[int, bool]]:
    """Set the times of the words of each passage, in seconds from the first sample.

    Yields the index of each passage when it is done, and whether it could be aligned. Forward
    passes have a few fixed lengths; a shorter passage is extended with the audio around it instead
    of padding, so that no result depends on the rest of the batch. Calls `check` before each pass,
    and `note` with a warning for each batch size it lowers. Raises `RpcError` of kind
    transcript_invalid for more text than it can align at once.
    """
    import numpy as np
    import torch

    batches: dict[int, list[_Window]] = defaultdict(list)
    for index, passage in enumerate(passages):
        length = passage.stop - passage.first
        if length < SHORTEST or not _can_be_aligned(passage.words):
            yield index, False
        elif length > LONGEST:
            check()
            scores = _long_emissions(model, samples, total, passage, check)
            yield index, _align(model, scores, passage, passage.first, length)
        else:
            window = _window(index, passage, total)
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
                note(memory_saved("batchSize", f"aligned in batches of {batch_size}"))
                continue
            start += len(batch)
            for window, scores in zip(batch, emissions, strict=True):
                passage = passages[window.passage]
                yield window.passage, _align(model, scores, passage, window.first, length)


def _can_be_aligned(words: Sequence[WordAlignment]) -> bool:
    """Whether the model has a label for any character."""
    return any(label is not None and label != UNKNOWN for word in words for label in word.labels)


def _window(index: int, passage: Passage, total: int) -> _Window:
    """Extend the passage to the next fixed length, or to the whole recording."""
    wanted = passage.stop - passage.first
    length = min(total, next(each for each in _LENGTHS if each >= wanted))
    first = passage.first - (length - wanted) // 2
    return _Window(index, min(max(0, first), total - length), length)


def _long_emissions(
    model: AlignmentModel,
    samples: Recording,
    total: int,
    passage: Passage,
    check: Callable[[], None],
) -> torch.Tensor:
    """Scores (frames, labels) of a passage of any length, one forward pass after another."""
    import torch

    parts = []
    step = LONGEST - 2 * _CONTEXT
    for first in range(passage.first, passage.stop, step):
        check()
        stop = min(passage.stop, first + step)
        begin, end = max(0, first - _CONTEXT), min(total, stop + _CONTEXT)
        scores = model.emissions(torch.from_numpy(samples.read(begin, end))[None])[0]
        skipped = (first - begin) // HOP
        parts.append(scores[skipped : skipped + -(-(stop - first) // HOP)])
    return torch.cat(parts)


def _align(
    model: AlignmentModel,
    scores: torch.Tensor,
    passage: Passage,
    first: int,
    length: int,
) -> bool:
    """Align by the scores of `length` samples from `first` on, which contain the passage."""
    import torch
    import torchaudio.functional

    frame_seconds = length / len(scores) / SAMPLE_RATE
    offset = first / SAMPLE_RATE
    begin = round((passage.first - first) / SAMPLE_RATE / frame_seconds)
    end = round((passage.stop - first) / SAMPLE_RATE / frame_seconds)
    scores = scores[begin:end]
    labels, places = _labels(model, passage, wildcard=scores.shape[1])
    repeats = sum(a == b for a, b in pairwise(labels))
    if len(scores) < len(labels) + repeats:
        return False
    if len(scores) * (2 * len(labels) + 1) > _LARGEST:
        raise RpcError(
            "transcript_invalid",
            f"{len(labels)} letters over {len(scores) * frame_seconds:.0f} s are too much text to "
            "align at once.",
        )
    labelled = scores.clone()
    labelled[:, model.blank] = -torch.inf
    extended = torch.cat([scores, labelled.max(dim=1, keepdim=True).values], dim=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchaudio 2.8 warns of removals planned for 2.9
        path, path_scores = torchaudio.functional.forced_align(
            extended[None].contiguous(),
            torch.tensor([labels], dtype=torch.int32),
            blank=model.blank,
        )
        spans = torchaudio.functional.merge_tokens(path[0], path_scores[0].exp(), blank=model.blank)

    def time(frame: int) -> float:
        return offset + (begin + frame) * frame_seconds

    for number, (span, place) in enumerate(zip(spans, places, strict=True)):
        if place is None:
            continue
        word, char = place
        last = number + 1 == len(spans)
        word.starts[char] = time(span.start)
        word.ends[char] = time(span.end if last else spans[number + 1].start)
        word.scores[char] = float(span.score)
    for word in passage.words:
        _summarize(word)
    return True


_Place = tuple[WordAlignment, int]
"""A word, and the index of one of its characters."""


def _labels(
    model: AlignmentModel, passage: Passage, wildcard: int
) -> tuple[list[int], list[_Place | None]]:
    """The sequence of labels to align, and each one's character; None for a space."""
    labels: list[int] = []
    places: list[_Place | None] = []
    space = model.dictionary.get("|") if passage.spaced else None
    for word in passage.words:
        spoken = [char for char, label in enumerate(word.labels) if label is not None]
        if spoken and labels and space is not None:
            labels.append(space)
            places.append(None)
        for char in spoken:
            label = word.labels[char]
            assert label is not None
            labels.append(wildcard if label == UNKNOWN else label)
            places.append((word, char))
    return labels, places


def _summarize(word: WordAlignment) -> None:
    """Set the word's times and score from its characters'; no score if none has a label."""
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
