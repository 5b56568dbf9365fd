"""Formats the measurements as Markdown tables."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.common import median, median_ratio, number, table
from benchmarks.real.contenders import REFERENCE, Run
from benchmarks.real.material import Material
from benchmarks.real.score import GROUPS, Total, right_words, score, total, word_errors

_AT_THE_END: Final = 0.95  # share of the whole time
_CONFIDENCES: Final = (0.0, 0.6, 0.8, 0.9, 0.95)

Results = Mapping[str, Mapping[str, Run]]
"""Runs by contender, then by recording."""


def score_table(titles: Mapping[str, str], results: Results, material: Material) -> str:
    header = (
        "",
        "gaps of 30 s",
        "gaps of 2–20 s",
        "languages: WER, lost",
        "degraded: WER",
        "no speech: words a min",
        "short files: WER en / other",
        "wrong language",
        "time s",
    )

    def row(name: str) -> list[str]:
        runs = results[name]
        scores = {
            truth.id: score(truth, dataclasses.asdict(runs[truth.id])) for truth in material.truths
        }
        groups = {
            group: total(scores[id_] for id_ in ids if id_ in scores)
            for group, ids in GROUPS.items()
        }
        languages = groups["langs"]
        wrong = [
            recording.id
            for recording in material.short
            if (runs[recording.id].language or "none") not in recording.language
        ]
        return [
            titles[name],
            _gaps_cell(groups["gaps"]),
            _gaps_cell(groups["long-gaps"]),
            f"{_percent(languages.wer)}, {languages.lost:.0f} s",
            _percent(groups["degraded"].wer),
            f"{groups['nonspeech'].invented:.1f}",
            " / ".join(_percent(_short_wer(runs, material, english)) for english in (True, False)),
            f"{len(wrong)} of {len(material.short)}",
            number(sum(run.wall for run in runs.values())),
        ]

    legend = (
        "Gaps: WER % / words invented per minute of silence / captions across more than 2 s of "
        "silence (seconds of it) / error of utterances' starts, p95 s."
    )
    return f"{table(header, map(row, results))}\n\n{legend}"


def _gaps_cell(found: Total) -> str:
    start = "–" if found.start_p95 is None else f"{found.start_p95:.2f}"
    captions = f"{found.captions} ({found.caption_seconds:.0f} s)"
    return f"{_percent(found.wer)} / {found.invented:.1f} / {captions} / {start}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _short_wer(runs: Mapping[str, Run], material: Material, english: bool) -> float | None:
    """Word error rate of the short recordings, English or not, in percent."""
    counts = [
        word_errors(recording.text, _text(runs[recording.id]), recording.text_language)
        for recording in material.short
        if (recording.text_language == "en") is english
    ]
    reference = sum(count for _, count in counts)
    return 100 * sum(errors for errors, _ in counts) / reference if reference else None


def precisions(results: Results, material: Material) -> str:
    """How much int8 changes the transcripts."""
    if not {"worker", "worker-float32"} <= set(results):
        return "int8 against float32: not measured (needs worker and worker-float32)."
    languages = {truth.id: truth.language for truth in material.truths if truth.utterances}
    short = {recording.id: recording.text_language for recording in material.short}

    def differ(among: Mapping[str, str]) -> str:
        counts = [
            word_errors(
                _text(results["worker-float32"][id_]), _text(results["worker"][id_]), language
            )
            for id_, language in among.items()
        ]
        differing, words = (sum(column) for column in zip(*counts, strict=True))
        return f"{differing} of {words} words differ"

    return (
        f"int8 against float32: {differ(short)} on the short recordings, "
        f"{differ(languages)} on the composed ones with speech."
    )


def reliability_table(results: Results, material: Material) -> str:
    """How many of the words that a confidence is told for are right."""
    runs = results.get("worker", {})
    counts: dict[float, list[float]] = defaultdict(lambda: [0, 0, 0.0])
    for recording in material.short:
        segments = runs[recording.id].segments if recording.id in runs else []
        for right, segment in right_words(recording.text, segments, recording.text_language):
            told = segment["confidence"]
            floor = max(each for each in _CONFIDENCES if each <= told)
            total = counts[floor]
            total[0] += len(right)
            total[1] += sum(right)
            total[2] += told * len(right)
    rows = [
        (
            f"≥ {floor:.2f}",
            str(words),
            f"{100 * told / words:.0f} %",
            f"{100 * right / words:.0f} %",
        )
        for floor, (words, right, told) in sorted(counts.items())
        if words
    ]
    return table(("confidence of the segment", "words", "told", "right"), rows)


def _text(run: Run) -> str:
    return " ".join(segment["text"] for segment in run.segments)


def speed_table(
    titles: Mapping[str, str], rounds: Mapping[str, Mapping[str, Sequence[Run]]]
) -> str:
    files = list(rounds[REFERENCE])
    first_of = files[0]

    def ratio(name: str, file: str, cost: str) -> str:
        costs, floors = (
            [getattr(run, cost) for run in rounds[each][file]] for each in (name, REFERENCE)
        )
        return f"{median_ratio(costs, floors):.2f}"

    def row(name: str) -> list[str]:
        runs = rounds[name]
        wall = median(run.wall for run in runs[first_of])
        firsts = [run.first for run in runs[first_of] if run.first is not None]
        shown = median(firsts) if firsts else wall
        peaks = [max(run.resident for run in round_) for round_ in zip(*runs.values(), strict=True)]
        return [
            titles[name],
            *(f"{ratio(name, file, 'wall')} / {ratio(name, file, 'cpu')}" for file in files),
            f"{number(shown)}{' (the end)' if shown > _AT_THE_END * wall else ''}",
            f"{median(peaks):.0f}",
        ]

    header = ("wall / CPU time", *files, "first segment s", "resident MB")
    floors = ", ".join(
        f"{number(median(run.wall for run in rounds[REFERENCE][file]))} s for the {file}"
        for file in files
    )
    legend = (
        f"Times relative to faster-whisper's in int8, which took {floors}; first segment of "
        f"the {first_of}; peak memory of all processes."
    )
    return f"{table(header, map(row, rounds))}\n\n{legend}"
