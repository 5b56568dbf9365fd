"""`align` in several languages: each segment by the model of its own, in the request's order."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.errors import RpcError
from tests.support import (
    ALIGNMENT_MODEL,
    RECORDINGS,
    WORKER,
    Session,
    load_truth,
    samples_of,
    write_wav,
)

DUTCH, PORTUGUESE = (
    f"jonatasgrosman/wav2vec2-large-xlsr-53-{name}" for name in ("dutch", "portuguese")
)
TRUTH = load_truth(RECORDINGS)
PAUSE = 1.0
DUTCH_WORD = {"text": "one", "language": "nl"}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A worker in whose cache the default models of two languages are the small test model.

    It has room for one of them at a time.
    """
    home = tmp_path_factory.mktemp("hub")
    for repository in (DUTCH, PORTUGUESE):
        folder = home / "hub" / f"models--{repository.replace('/', '--')}"
        shutil.copytree(ALIGNMENT_MODEL, folder / "snapshots" / "0123")
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text("0123")
    command = [*WORKER, "serve", "--max-models", "1"]
    with Session(command, env={**os.environ, "HF_HOME": str(home)}) as session:
        yield session


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A recording of three others, and what is said in it."""
    parts, segments, offset = [], [], 0.0
    for name in ("en-01.flac", "de-01.flac", "en-02.flac"):
        said = TRUTH[name]["segments"]
        samples = samples_of(name)
        segments.append(
            {
                "text": " ".join(each["text"] for each in said),
                "start": offset + said[0]["start"],
                "end": offset + said[-1]["end"],
                "language": "pt" if name.startswith("de") else "nl",
            }
        )
        parts += [samples, np.zeros(int(PAUSE * 16000), np.int16)]
        offset += len(samples) / 16000 + PAUSE
    path = write_wav(tmp_path_factory.mktemp("talk") / "talk.wav", np.concatenate(parts))
    return path, segments


Talk = tuple[Path, list[dict[str, Any]]]


def align(session: Session, path: Path, **params: Any) -> dict[str, Any]:
    result: dict[str, Any] = session.call("align", {"audio": str(path), **params})
    return result


@pytest.mark.slow
def test_each_segment_has_the_words_of_its_own_language(session: Session, talk: Talk) -> None:
    path, segments = talk
    result = align(session, path, segments=segments)
    alone = [
        align(session, path, segments=[{**each, "language": None}], language=each["language"])
        for each in segments
    ]
    assert [each["words"] for each in result["segments"]] == [
        each["segments"][0]["words"] for each in alone
    ]
    assert [each["language"] for each in result["segments"]] == ["nl", "pt", "nl"]
    assert [each["id"] for each in result["segments"]] == [0, 1, 2]
    assert (result["language"], result["model"]) == ("nl", DUTCH)
    assert result["models"] == {"nl": DUTCH, "pt": PORTUGUESE}
    assert {"load", "decode", "alignment"} <= set(result["timings"]["stages"])


def test_a_segments_language_overrides_that_of_the_params(session: Session, talk: Talk) -> None:
    path, segments = talk
    segments = [
        {**each, "language": "PT" if each["language"] == "pt" else None} for each in segments
    ]
    result = align(session, path, segments=segments, language="nl")
    assert [each["language"] for each in result["segments"]] == ["nl", "pt", "nl"]
    one = align(
        session, path, segments=[{**each, "language": "pt"} for each in segments], language="nl"
    )
    assert (one["language"], one["model"], "models" in one) == ("pt", PORTUGUESE, False)


@pytest.mark.slow
def test_a_segment_without_times_lies_between_those_of_another_language(
    session: Session, talk: Talk
) -> None:
    path, segments = talk
    timed = align(session, path, segments=segments)["segments"][1]
    untimed = {**segments[1], "start": None, "end": None}
    empty = {"text": " ", "language": "it"}
    result = align(session, path, segments=[segments[0], empty, untimed, segments[2]])
    found = result["segments"][2]
    assert result["segments"][1]["words"] == []
    for word, known in zip(found["words"], timed["words"], strict=True):
        assert word["start"] == pytest.approx(known["start"], abs=0.1)


@pytest.mark.slow
def test_progress_and_partial_results_cover_all_languages(session: Session, talk: Talk) -> None:
    path, segments = talk
    session.notifications.clear()
    params = {"audio": str(path), "segments": segments, "progressToken": "p"}
    id_ = session.send("align", {**params, "partialResultToken": "s"})
    session.result(id_, session._keep)
    notes = [each["params"] for each in session.notifications]
    parts = [each["value"]["segments"] for each in notes if each["token"] == "s"]
    assert sorted(each["id"] for part in parts for each in part) == [0, 1, 2]
    reached = [each["value"].get("percentage") for each in notes if each["token"] == "p"]
    shares = [share for share in reached if share is not None]
    assert shares == sorted(shares)
    assert shares[-1] == 100


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"text": "one"}, "$.language"),
        ({"segments": []}, "$.language"),
        ({"segments": [DUTCH_WORD, {"text": "two"}]}, "$.segments[1].language"),
        ({"segments": [{"text": "one", "language": "n"}]}, "$.segments[0].language"),
        ({"language": "pt", "segments": [DUTCH_WORD, {"text": "two"}]}, "$.segments[1]"),
    ],
)
def test_a_transcript_whose_languages_are_unclear_is_refused(
    session: Session, talk: Talk, params: dict[str, Any], path: str
) -> None:
    with pytest.raises(RpcError) as caught:
        align(session, talk[0], **params)
    assert (caught.value.kind, caught.value.data["path"]) == ("invalid_params", path)


def test_a_language_without_a_model_fails_before_any_work(session: Session, talk: Talk) -> None:
    path, segments = talk
    segments = [*segments, {"text": "x", "start": 0, "end": 1, "language": "tlh"}]
    with pytest.raises(RpcError) as caught:
        align(session, path, segments=segments)
    assert (caught.value.kind, caught.value.data["language"]) == ("language_unsupported", "tlh")


def test_one_named_model_aligns_all_languages(session: Session, talk: Talk) -> None:
    path, segments = talk
    result = align(session, path, segments=segments, model=str(ALIGNMENT_MODEL))
    assert set(result["models"].values()) == {str(ALIGNMENT_MODEL)}
