"""The alignment engine: when each word is said, and nothing of the text lost."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.alignment import SegmentText
from protocol.errors import RpcError
from tests.support import (
    ALIGNMENT_MODEL,
    RECORDINGS,
    Engine,
    Session,
    Trap,
    load_truth,
    samples_of,
    write_wav,
)
from worker.engines.alignment.placement import group_segments
from worker.engines.alignment.text import fill_times, split

TRUTH = {name: said for name, said in load_truth().items() if name != "demo.flac"}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine("alignment") as session:
        session.ask("load", model=str(ALIGNMENT_MODEL))
        yield session


def align(
    engine: Engine,
    path: Path | str,
    segments: list[dict[str, Any]],
    *,
    source: dict[str, Any] | None = None,
    language: str = "en",
    **options: Any,
) -> dict[str, Any]:
    result: dict[str, Any] = engine.ask(
        "align",
        source={"path": str(path), **(source or {})},
        segments=segments,
        language=language,
        options=options,
    )
    for given_, found in zip(segments, result["segments"], strict=True):
        assert found["text"] == given_["text"].strip()
        assert "".join(word["word"] for word in found["words"]) == found["text"]
    return result


def true_segments(name: str) -> list[dict[str, Any]]:
    return [{key: s[key] for key in ("start", "end", "text")} for s in TRUTH[name]["segments"]]


def boundary_errors(result: dict[str, Any], name: str) -> list[float]:
    said = [word for segment in TRUTH[name]["segments"] for word in segment["words"]]
    found = [word for segment in result["segments"] for word in segment["words"]]
    return [
        abs(word[edge] - aligned[edge])
        for word, aligned in zip(said, found, strict=True)
        for edge in ("start", "end")
    ]


@pytest.fixture(scope="module")
def errors(engine: Engine) -> dict[str, list[float]]:
    """Boundary errors in seconds over all recordings, by aligner."""
    return {
        aligner: [
            error
            for name, said in TRUTH.items()
            for error in boundary_errors(
                align(
                    engine,
                    RECORDINGS / name,
                    true_segments(name),
                    language=said["language"],
                    aligner=aligner,
                ),
                name,
            )
        ]
        for aligner in ("batched", "whisperx")
    }


def test_word_boundaries_are_accurate_to_a_frame(
    errors: dict[str, list[float]],
) -> None:
    assert statistics.mean(errors["batched"]) < 0.02
    assert sorted(errors["batched"])[int(0.95 * len(errors["batched"]))] < 0.04


def test_batched_aligner_is_as_accurate_as_whisperx(errors: dict[str, list[float]]) -> None:
    assert statistics.mean(errors["batched"]) <= statistics.mean(errors["whisperx"])


WHISPERX = """
import json, sys
from nltk.tokenize.punkt import PunktSentenceTokenizer
from whisperx import alignment
from worker.audio import decode
alignment.nltk_load = lambda _: PunktSentenceTokenizer()
ask = json.load(sys.stdin)
model, metadata = alignment.load_align_model("en", "cpu", model_name=ask["model"])
result = alignment.align(ask["segments"], model, metadata, decode(ask["audio"]), "cpu")
json.dump(result["word_segments"], sys.stdout)
"""


def test_whisperx_aligner_equals_the_package(engine: Engine) -> None:
    name = "en-12.flac"
    segments = true_segments(name)
    segments[0]["text"] += " 42"
    ask = {
        "model": str(ALIGNMENT_MODEL),
        "audio": str(RECORDINGS / name),
        "segments": segments,
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WHISPERX],
        input=json.dumps(ask),
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = json.loads(done.stdout.splitlines()[-1])
    result = align(engine, RECORDINGS / name, segments, aligner="whisperx")
    ours = [word for segment in result["segments"] for word in segment["words"]]
    assert [
        (word["word"].strip(), word["start"], word["end"], word["probability"]) for word in ours
    ] == [(word["word"], word["start"], word["end"], word.get("score")) for word in theirs]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_batching_changes_nothing(engine: Engine, batch_size: int) -> None:
    name = "en-20.flac"
    ours, other = (
        align(engine, RECORDINGS / name, true_segments(name), batchSize=size)
        for size in (16, batch_size)
    )
    for segment, same in zip(ours["segments"], other["segments"], strict=True):
        for word, twin in zip(segment["words"], same["words"], strict=True):
            assert twin["start"] == pytest.approx(word["start"], abs=0.021)
            assert twin["end"] == pytest.approx(word["end"], abs=0.021)


def test_segments_arrive_as_partial_results_with_progress(engine: Engine) -> None:
    engine.notifications.clear()
    result = align(engine, RECORDINGS / "en-20.flac", true_segments("en-20.flac"), batchSize=1)
    values = [note["params"]["value"] for note in engine.notifications]
    parts = [segment for value in values for segment in value.get("segments", ())]
    assert sorted(parts, key=lambda each: each["id"]) == result["segments"]
    done = [value["percentage"] for value in values if value.get("stage") == "alignment"]
    assert done == sorted(done)
    assert done[-1] == 100


def test_progress_counts_audio_and_skips_empty_segments(engine: Engine) -> None:
    engine.notifications.clear()
    segments = true_segments("en-20.flac")
    align(engine, RECORDINGS / "en-20.flac", [*segments, {"text": ""}])
    last = engine.notifications[-1]["params"]["value"]
    seconds = sum(each["end"] - each["start"] for each in segments)
    assert last["percentage"] == 100
    assert last["audioDone"] == last["audioTotal"] == pytest.approx(seconds, abs=0.001)


@pytest.mark.parametrize("aligner", ["batched", "whisperx"])
def test_a_job_is_cancelled_between_batches(engine: Engine, long_file: Path, aligner: str) -> None:
    said = load_truth()["demo.flac"]
    segments = [
        {
            "text": segment["text"],
            "start": segment["start"] + said["duration"] * turn,
            "end": segment["end"] + said["duration"] * turn,
        }
        for turn in range(10)
        for segment in said["segments"]
    ]
    id_ = engine.send(
        "align",
        {
            "source": {"path": str(long_file)},
            "segments": segments,
            "language": "en",
            "options": {"aligner": aligner, "batchSize": 1},
        },
    )
    engine.wait_for(lambda m: m.get("params", {}).get("value", {}).get("stage") == "alignment")
    engine.cancel(id_)
    with pytest.raises(RpcError) as caught:
        engine.result(id_, engine._keep)
    assert caught.value.kind == "cancelled"
    name = "en-01.flac"
    assert align(engine, RECORDINGS / name, true_segments(name))["segments"]


@pytest.mark.parametrize("space", ["\n", "\u00a0", "  ", "\u3000"])
@pytest.mark.parametrize("aligner", ["batched", "whisperx"])
def test_any_unicode_space_separates_words(engine: Engine, aligner: str, space: str) -> None:
    name = "en-06.flac"
    plain = true_segments(name)[:1]
    odd = [{**plain[0], "text": plain[0]["text"].replace(" ", space, 1)}]
    ours, other = (
        align(engine, RECORDINGS / name, each, aligner=aligner)["segments"][0]["words"]
        for each in (plain, odd)
    )
    assert not any(word.get("interpolated") for word in other)
    assert [word["start"] for word in other] == pytest.approx(
        [word["start"] for word in ours], abs=0.03
    )


def test_a_word_split_by_whisperx_leaves_other_times_intact(engine: Engine) -> None:
    name = "en-06.flac"
    segments = true_segments(name)[:1]
    segments[0]["text"] = segments[0]["text"].replace(" ", '!"', 1)  # a sentence ends within
    words = align(engine, RECORDINGS / name, segments, aligner="whisperx")["segments"][0]["words"]
    assert [bool(word.get("interpolated")) for word in words] == [True] + [False] * (len(words) - 1)


def test_whisperx_aligner_splits_languages_by_its_own_rules(engine: Engine) -> None:
    name = "en-06.flac"
    segments = true_segments(name)[:1]
    words = {
        aligner: align(engine, RECORDINGS / name, segments, language="th", aligner=aligner)
        for aligner in ("batched", "whisperx")
    }
    letters, spaced = (words[each]["segments"][0]["words"] for each in ("batched", "whisperx"))
    assert len(letters) == len(segments[0]["text"].replace(" ", ""))
    assert len(spaced) == len(segments[0]["text"].split())
    assert not any(word.get("interpolated") for word in letters + spaced)


@pytest.mark.parametrize("aligner", ["batched", "whisperx"])
def test_an_unalignable_word_is_placed_and_marked(engine: Engine, aligner: str) -> None:
    name = "en-06.flac"
    segments = true_segments(name)
    words = segments[0]["text"].split(" ")
    segments[0]["text"] = " ".join([words[0], "…", "17", *words[1:]])
    found = align(engine, RECORDINGS / name, segments, aligner=aligner)["segments"][0]["words"]
    marked = [word["word"] for word in found if word.get("interpolated")]
    if aligner == "batched":
        assert marked == [" …", " 17"]
        assert all(word["probability"] is None for word in found if word.get("interpolated"))
    starts = [word["start"] for word in found]
    assert starts == sorted(starts)
    # Whoever is beside them stays where they are.
    truth = {word["word"]: word for word in TRUTH[name]["segments"][0]["words"]}
    assert found[0]["start"] == pytest.approx(truth[words[0]]["start"], abs=0.05)
    assert found[-1]["start"] == pytest.approx(truth[words[-1]]["start"], abs=0.05)


def test_character_times_on_request(engine: Engine) -> None:
    name = "en-04.flac"
    result = align(engine, RECORDINGS / name, true_segments(name), characters=True)
    for segment in result["segments"]:
        for word in segment["words"]:
            chars = word["characters"]
            assert "".join(each["char"] for each in chars) == word["word"].strip()
            assert chars[0]["start"] == word["start"]
            assert chars[-1]["end"] == word["end"]
            assert all(each["start"] <= each["end"] for each in chars)


def test_accents_and_capitals_align_as_their_base_letter(engine: Engine) -> None:
    name = "en-04.flac"
    plain = true_segments(name)
    fancy = [{**each, "text": each["text"].upper().replace("E", "É")} for each in plain]
    ours, other = (align(engine, RECORDINGS / name, each) for each in (plain, fancy))
    for segment, same in zip(ours["segments"], other["segments"], strict=True):
        assert [w["start"] for w in segment["words"]] == [w["start"] for w in same["words"]]


def test_text_without_times_is_aligned_over_the_whole_audio(engine: Engine) -> None:
    name = "en-20.flac"
    result = align(engine, RECORDINGS / name, [{"text": TRUTH[name]["text"]}])
    said = [word for segment in TRUTH[name]["segments"] for word in segment["words"]]
    found = result["segments"][0]["words"]
    late = [abs(a["start"] - b["start"]) for a, b in zip(said, found, strict=True)]
    assert statistics.median(late) < 0.02


def test_a_long_text_without_times_is_aligned(engine: Engine) -> None:
    name = "demo.flac"
    said = load_truth()[name]
    result = align(engine, RECORDINGS / name, [{"text": said["text"]}])
    words = [word for segment in said["segments"] for word in segment["words"]]
    found = result["segments"][0]["words"]
    late = [abs(a["start"] - b["start"]) for a, b in zip(words, found, strict=True)]
    assert statistics.median(late) < 0.03


def test_segments_without_times_go_between_their_neighbours(engine: Engine) -> None:
    name = "en-19.flac"
    segments = true_segments(name)
    assert len(segments) > 3
    for segment in segments[1:-1]:
        del segment["start"], segment["end"]
    assert (
        statistics.median(boundary_errors(align(engine, RECORDINGS / name, segments), name)) < 0.02
    )


def test_times_of_a_clip_are_those_of_the_recording(engine: Engine) -> None:
    name = "en-15.flac"
    segments = true_segments(name)
    start = segments[1]["start"] - 0.3
    whole = align(engine, RECORDINGS / name, segments[1:])
    part = align(engine, RECORDINGS / name, segments[1:], source={"start": start})
    for segment, same in zip(whole["segments"], part["segments"], strict=True):
        assert same["start"] == pytest.approx(segment["start"], abs=0.03)


# Bad transcripts


def kinds(result: dict[str, Any]) -> list[str]:
    return [warning["kind"] for warning in result["warnings"]]


def test_overlapping_segments_are_each_aligned(engine: Engine) -> None:
    name = "en-08.flac"
    segments = true_segments(name)
    for segment in segments:
        segment["start"] = max(0, segment["start"] - 0.4)
        segment["end"] += 0.4
    result = align(engine, RECORDINGS / name, segments)
    assert kinds(result) == []
    assert statistics.median(boundary_errors(result, name)) < 0.02


@pytest.mark.parametrize("aligner", ["batched", "whisperx"])
def test_impossible_times_are_repaired_with_a_warning(engine: Engine, aligner: str) -> None:
    name = "en-13.flac"
    segments = true_segments(name)
    first, second = segments[0], segments[1]
    first["start"], first["end"] = first["end"], first["start"]
    second["start"], second["end"] = 1000, 1001
    result = align(engine, RECORDINGS / name, segments, aligner=aligner)
    assert kinds(result) == ["times_mended"]
    assert "0, 1" in result["warnings"][0]["message"]
    duration = TRUTH[name]["duration"]
    assert all(0 <= s["start"] <= s["end"] <= duration + 0.1 for s in result["segments"])


@pytest.mark.parametrize("segments", [[], [{"text": ""}], [{"text": "  ", "start": 1, "end": 2}]])
def test_nothing_to_align_is_a_warning(engine: Engine, segments: list[dict[str, Any]]) -> None:
    result = align(engine, RECORDINGS / "en-01.flac", segments)
    assert kinds(result) == ["transcript_empty"]
    assert all(segment["words"] == [] for segment in result["segments"])


@pytest.mark.parametrize("milliseconds", [1, 10, 30])
def test_audio_shorter_than_the_words_gives_estimated_times(
    engine: Engine, tmp_path: Path, milliseconds: int
) -> None:
    path = write_wav(tmp_path / "short.wav", samples_of("en-01.flac")[: 16 * milliseconds])
    result = align(engine, path, [{"text": "one two three"}])
    assert kinds(result) == ["not_aligned"]
    words = result["segments"][0]["words"]
    assert all(word["interpolated"] for word in words)
    assert words[-1]["end"] <= milliseconds / 1000 + 0.001


def test_text_in_an_unknown_script_is_kept(engine: Engine) -> None:
    result = align(engine, RECORDINGS / "en-02.flac", [{"text": "שלום עולם ٣"}])
    assert kinds(result) == ["not_aligned"]
    assert [word["word"] for word in result["segments"][0]["words"]] == ["שלום", " עולם", " ٣"]


def test_too_much_text_at_once_is_a_typed_error(engine: Engine, long_file: Path) -> None:
    with pytest.raises(RpcError) as caught:
        align(engine, long_file, [{"text": "one two " * 4000}])
    assert caught.value.kind == "transcript_invalid"
    assert "segments" in caught.value.data["remedy"]


# Models


@pytest.fixture(scope="module")
def loader() -> Iterator[Engine]:
    """An engine whose loads fail: it may be asked again and again."""
    with Engine("alignment") as session:
        yield session


def refusal(engine: Engine, **params: Any) -> RpcError:
    with pytest.raises(RpcError) as caught:
        engine.ask("load", **params)
    return caught.value


def test_a_language_without_model_names_the_supported_ones() -> None:
    with Session() as session, pytest.raises(RpcError) as caught:
        audio = str(RECORDINGS / "en-01.flac")
        session.call("align", {"audio": audio, "text": "yes", "language": "xx"})
    error = caught.value
    assert error.kind == "language_unsupported"
    assert {"en", "de", "ja"} <= set(error.data["known"])
    assert "align" in error.data["remedy"]


@pytest.mark.parametrize("file", ["config.json", "vocab.json", "model.safetensors"])
def test_a_missing_model_file_is_named(loader: Engine, tmp_path: Path, file: str) -> None:
    copy = shutil.copytree(ALIGNMENT_MODEL, tmp_path / "model")
    (copy / file).unlink()
    error = refusal(loader, model=str(copy))
    assert (error.kind, error.data["missing"]) == ("model_invalid", [file])


def test_a_damaged_model_file_is_an_error(loader: Engine, tmp_path: Path) -> None:
    copy = shutil.copytree(ALIGNMENT_MODEL, tmp_path / "model")
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert refusal(loader, model=str(copy)).kind == "model_invalid"


@pytest.mark.parametrize(
    ("params", "kind"),
    [
        ({"model": "WAV2VEC2_ASR_BASE_960H"}, "model_not_cached"),
        ({"model": "some/where"}, "model_not_cached"),
        ({"model": "./nowhere"}, "model_not_found"),
        (
            {"model": str(ALIGNMENT_MODEL), "device": "cuda", "deviceIndex": 99},
            "device_unavailable",
        ),
    ],
)
def test_a_missing_model_is_a_typed_error(
    loader: Engine, params: dict[str, Any], kind: str
) -> None:
    error = refusal(loader, **params)
    assert error.kind == kind


def test_weights_of_a_bundle_run_no_code(tmp_path: Path) -> None:
    weights = tmp_path / "hub" / "checkpoints" / "wav2vec2_fairseq_base_ls960_asr_ls960.pth"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(pickle.dumps(Trap(tmp_path / "sprung"), protocol=2))
    with Engine("alignment", env={**os.environ, "TORCH_HOME": str(tmp_path)}) as trapped:
        error = refusal(trapped, model="WAV2VEC2_ASR_BASE_960H")
        assert (error.kind, error.data["path"]) == ("model_needs_pickle", str(weights))
        assert "allowPickle" in error.data["remedy"]
        assert not (tmp_path / "sprung").exists()
        refusal(trapped, model="WAV2VEC2_ASR_BASE_960H", allowPickle=True)
        assert (tmp_path / "sprung").exists()


def test_pickled_weights_of_a_directory_run_no_code(loader: Engine, tmp_path: Path) -> None:
    copy = shutil.copytree(ALIGNMENT_MODEL, tmp_path / "model")
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(tmp_path / "sprung"), protocol=2))
    assert refusal(loader, model=str(copy)).kind == "model_needs_pickle"
    assert not (tmp_path / "sprung").exists()


def test_pickled_tensors_need_no_permission(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    copy = shutil.copytree(ALIGNMENT_MODEL, tmp_path / "model")
    weights = copy / "model.safetensors"
    torch.save(load_file(weights), copy / "pytorch_model.bin")
    weights.unlink()
    with Engine("alignment") as session:
        assert session.ask("load", model=str(copy))["device"] == "cpu"


@pytest.mark.slow  # tests/test_privacy.py watches the whole job
def test_alignment_makes_no_network_requests(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "def audit(event, args):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo'):\n"
        f"        open({str(tmp_path / 'used')!r}, 'a').write(f'{{event}} {{args}}')\n"
        "sys.addaudithook(audit)"
    )
    with Engine("alignment", script) as hooked:
        hooked.call("load", {"model": str(ALIGNMENT_MODEL)})
        name = "en-01.flac"
        for aligner in ("batched", "whisperx"):
            result = hooked.call(
                "align",
                {
                    "source": {"path": str(RECORDINGS / name)},
                    "segments": true_segments(name),
                    "language": "en",
                    "options": {"aligner": aligner},
                },
            )
            assert result["segments"]
    assert not (tmp_path / "used").exists()


# The rooms by themselves


DICTIONARY = {char: code for code, char in enumerate("-|abcdefghijklmnopqrstuvwxyzäöü'")}


@given(st.text(max_size=60), st.booleans())
def test_words_join_to_any_text(text: str, spaced: bool) -> None:
    words = split(text, spaced, DICTIONARY)
    assert "".join(word.text for word in words) == text.strip()
    assert all(len(word.labels) == len(word.text) for word in words)


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.sampled_from(["nearest", "linear"]))
def test_every_word_gets_times_in_order(known: list[bool], way: str) -> None:
    words = split(" ".join("a" for _ in known), True, DICTIONARY)
    for number, word in enumerate(words):
        if known[number]:
            word.start, word.end = number * 0.5, number * 0.5 + 0.4
    fill_times(words, 0, 10, way)
    times = [time for word in words for time in (word.start, word.end)]
    assert None not in times
    assert times == sorted(times)  # type: ignore[type-var]


seconds = st.one_of(st.none(), st.floats(-5, 25, allow_nan=False))


@given(st.lists(st.tuples(seconds, seconds, st.sampled_from(["a", "", "b c"])), max_size=12))
def test_every_segment_with_text_is_placed_in_the_audio(
    given_: list[tuple[float | None, float | None, str]],
) -> None:
    segments = [SegmentText(text=text, start=start, end=end) for start, end, text in given_]
    units, _ = group_segments(segments, 2.0, 20.0)
    placed = sorted(index for unit in units for index in unit.indices)
    assert placed == [i for i, segment in enumerate(segments) if segment.text]
    assert all(2.0 <= unit.start <= unit.end <= 20.0 for unit in units)
