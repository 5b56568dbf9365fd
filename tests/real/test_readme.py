"""What README.md shows of real models and speech is what these print."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from tests.snippets import Snippet, check_output, snippets, workplace

BLOCKS = [each for each in snippets("README.md") if "call.wav" in each.text]
TIME = re.compile(r"(\d+):(\d\d):(\d\d\.\d+)")


def spans(text: str) -> dict[str, list[float]]:
    """The times of each line, in seconds, by its last words."""
    return {
        line.rpartition("…")[2].rpartition("] ")[2]: [
            int(hours) * 3600 + int(minutes) * 60 + float(seconds)
            for hours, minutes, seconds in TIME.findall(line)
        ]
        for line in text.splitlines()
        if TIME.search(line)
    }


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_block_prints_the_output_below_it(
    block: Snippet, models: Path, telephone: Path, tmp_path: Path
) -> None:
    assert block.output is not None
    repositories = {
        "Systran/faster-whisper-base": models / "base",
        "pyannote/speaker-diarization-community-1": models / "diarization",
    }
    with workplace(tmp_path, repositories, {"call.wav": telephone}) as place:
        printed = place.run(block)
    # Processors differ in some hundredths of a second.
    untimed = msgspec.structs.replace(block, output=TIME.sub("TIME", block.output))
    check_output(untimed, TIME.sub("TIME", printed))
    given = spans(printed)
    for words, times in spans(block.output).items():
        (found,) = [span for said, span in given.items() if said.endswith(words)]
        assert found == pytest.approx(times, abs=0.3), words
