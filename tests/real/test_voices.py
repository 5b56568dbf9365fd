"""Known voices with the real pipeline: on a telephone call, and on meetings."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.real.speech import Line, call_lines
from tests.support import Session


def enroll(session: Session, models: Path, audio: Path, parts: list[Line], file: Path) -> str:
    """Enroll who speaks in these parts of a recording; return the path of the voice."""
    session.call(
        "speakers/enroll",
        {
            "name": parts[0].speaker,
            "model": str(models / "diarization"),
            "output": str(file),
            "recordings": [
                {"audio": str(audio), "start": part.start, "end": part.end} for part in parts
            ],
        },
    )
    return str(file)


def test_a_caller_who_was_enrolled_is_named_in_the_rest_of_the_call(
    models: Path, telephone: Path, worker: Session, tmp_path: Path
) -> None:
    lines = call_lines()
    # Where each of them speaks for more than three seconds, the rest of the call aside.
    parts = [Line("Diane", 10.78, 14.184, ""), Line("Sheila", 14.444, 17.769, "")]
    for part in parts:
        name = part.speaker
        voice = enroll(worker, models, telephone, [part], tmp_path / name)
        result = worker.call(
            "diarize",
            {
                "audio": str(telephone),
                "start": 17.9,
                "model": str(models / "diarization"),
                "voices": [voice],
            },
        )
        seconds: Counter[bool] = Counter()
        for turn in result["exclusiveTurns"]:
            for line in lines:
                overlap = min(turn["end"], line.end) - max(turn["start"], line.start)
                if overlap > 0:
                    right = (turn["speaker"] == name) == (line.speaker == name)
                    seconds[right] += overlap  # type: ignore[assignment]
        assert seconds[True] > 8 * seconds[False]


@pytest.fixture
def meetings(recordings: Path) -> Path:
    """Excerpts of meetings, with who speaks when."""
    folder = recordings / "meetings"
    if not folder.is_dir():
        pytest.skip("the recordings have no meetings")
    return folder


def truth_of(meeting: Path) -> list[Line]:
    rows = [line.split() for line in meeting.with_suffix(".rttm").read_text("utf-8").splitlines()]
    return [Line(row[7], float(row[3]), float(row[3]) + float(row[4]), "") for row in rows]


def alone(meeting: Path, speaker: str) -> list[Line]:
    """Where somebody speaks alone, for long enough."""
    lines = truth_of(meeting)
    parts = [line for line in lines if line.speaker == speaker]
    for other in lines:
        if other.speaker != speaker:
            parts = [
                part._replace(start=start, end=end)
                for part in parts
                for start, end in (
                    (part.start, min(part.end, other.start)),
                    (max(part.start, other.end), part.end),
                )
            ]
    return [part for part in parts if part.end - part.start > 1.5]


def test_voices_are_recognised_in_other_excerpts_and_nobody_else_is(
    models: Path, meetings: Path, worker: Session, tmp_path: Path
) -> None:
    enrolled = {"dev00": "MEE009", "trn05": "FEE078"}
    voices = [
        enroll(worker, models, audio, alone(audio, name), tmp_path / name)
        for audio, name in ((meetings / f"{each}.flac", name) for each, name in enrolled.items())
    ]
    named = {}
    for audio in sorted(meetings.glob("*.flac")):
        if audio.stem not in enrolled:
            params: dict[str, Any] = {"model": str(models / "diarization"), "voices": voices}
            result = worker.call("diarize", {"audio": str(audio), **params})
            named[audio.stem] = {each["name"] for each in result["voices"]}
    present = {
        each: {line.speaker for line in truth_of(meetings / f"{each}.flac")} & {*enrolled.values()}
        for each in named
    }
    assert named == present
    assert any(present.values())
