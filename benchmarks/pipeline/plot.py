"""Plots cost over the length of a recording, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def plot(path: Path, runs: Sequence[dict[str, Any]]) -> None:
    """Draw wall time (linear in length, if all is well) and memory (flat) over the length."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "length"
    from matplotlib import pyplot

    minutes = [run["minutes"] for run in runs]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    left.loglog(minutes, [run["wall"] for run in runs], marker="o")
    left.set_ylabel("wall time, s")
    for kind in ("faster-whisper", "alignment", "diarization", "audio", "front"):
        right.plot(minutes, [run["peaks"].get(kind, 0.0) for run in runs], marker="o", label=kind)
    right.set_xscale("log")
    right.set_ylim(bottom=0)
    right.set_ylabel("private memory at most, MB")
    right.legend(fontsize="small")
    for axes in (left, right):
        axes.set_xlabel("length of the recording, min")
        axes.set_xticks(minutes, [str(each) for each in minutes])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.savefig(path, metadata={"Date": None})
