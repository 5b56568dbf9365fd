"""The diarization engine: who speaks when, and nobody told of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.models import campplus
from protocol.errors import RpcError
from tests.measures import diarization_error
from tests.support import (
    DIARIZATION_MODEL,
    MIXTURES,
    RECORDINGS,
    Engine,
    Session,
    Trap,
    load_truth,
    samples_of,
    write_wav,
)

TRUTH = {name: said for name, said in load_truth(MIXTURES).items() if said["channels"] == 1}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine("diarization") as session:
        session.ask("load", model=str(DIARIZATION_MODEL))
        yield session


def diarize(engine: Session, path: Path, **options: Any) -> dict[str, Any]:
    source = {"path": str(path), **options.pop("source", {})}
    params = {"source": source, "options": options}
    result: dict[str, Any] = engine.result(engine.send("diarize", params), engine._keep)
    return result


@pytest.fixture(
    scope="module",
    params=[pytest.param(3, id="some"), pytest.param(1, id="all", marks=pytest.mark.slow)],
)
def found(engine: Engine, request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    """The results for mixtures; tests/test_pipeline.py has all of them in the whole job."""
    assert len(TRUTH) >= 20
    names = list(TRUTH)[:: request.param]
    return {name: diarize(engine, MIXTURES / name, embeddings=True) for name in names}


def test_diarization_error_rate_is_low(found: dict[str, dict[str, Any]]) -> None:
    total = wrong = 0.0
    for name, result in found.items():
        error, length = diarization_error(TRUTH[name]["turns"], result["turns"])
        wrong += error
        total += length
    assert wrong / total < 0.15


def test_the_number_of_speakers_is_mostly_right(found: dict[str, dict[str, Any]]) -> None:
    off = [
        len(result["speakers"]) - len({turn["speaker"] for turn in TRUTH[name]["turns"]})
        for name, result in found.items()
    ]
    assert all(abs(each) <= 1 for each in off)
    assert off.count(0) >= len(off) / 2


def test_speakers_are_numbered_in_the_order_of_their_first_turn(
    found: dict[str, dict[str, Any]],
) -> None:
    for result in found.values():
        order = list(dict.fromkeys(turn["speaker"] for turn in result["turns"]))
        assert result["speakers"] == order
        assert order == [f"SPEAKER_{number:02}" for number in range(len(order))]
        starts = [turn["start"] for turn in result["turns"]]
        assert starts == sorted(starts)


def test_turns_end_with_the_recording(found: dict[str, dict[str, Any]]) -> None:
    for result in found.values():
        turns = result["turns"] + result["exclusiveTurns"]
        assert all(0 <= turn["start"] < turn["end"] <= result["duration"] for turn in turns)


def test_exclusive_turns_never_overlap(found: dict[str, dict[str, Any]]) -> None:
    for result in found.values():
        turns = result["exclusiveTurns"]
        assert turns
        assert all(a["end"] <= b["start"] + 1e-3 for a, b in pairwise(turns))
        assert {turn["speaker"] for turn in turns} <= set(result["speakers"])


def test_an_embedding_for_each_speaker_tells_them_apart(
    found: dict[str, dict[str, Any]], engine: Engine
) -> None:
    for result in found.values():
        assert set(result["embeddings"]) <= set(result["speakers"])
        unit = [np.array(v) / np.linalg.norm(v) for v in result["embeddings"].values()]
        for i, a in enumerate(unit):
            assert all(float(a @ b) < 0.95 for b in unit[:i])
    assert "embeddings" not in diarize(engine, MIXTURES / "mixture-01.flac")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_requested_number_of_speakers_is_found(engine: Engine, count: int) -> None:
    result = diarize(engine, MIXTURES / "mixture-09.flac", numSpeakers=count)
    assert len(result["speakers"]) == count
    assert result["warnings"] == []


def test_the_requested_bounds_of_speakers_hold(engine: Engine) -> None:
    most = diarize(engine, MIXTURES / "mixture-09.flac", maxSpeakers=1)
    least = diarize(engine, MIXTURES / "mixture-10.flac", minSpeakers=3)
    assert (len(most["speakers"]), len(least["speakers"])) == (1, 3)


def test_fewer_speakers_than_requested_is_a_warning(engine: Engine) -> None:
    result = diarize(engine, MIXTURES / "mixture-01.flac", numSpeakers=100)
    assert [warning["kind"] for warning in result["warnings"]] == ["fewer_speakers"]
    assert len(result["speakers"]) < 100


def test_an_impossible_number_of_speakers_is_a_typed_error(engine: Engine) -> None:
    path = MIXTURES / "mixture-01.flac"
    with pytest.raises(RpcError) as caught:
        diarize(engine, path, numSpeakers=1000)
    assert caught.value.kind == "speakers_unsatisfiable"
    assert diarize(engine, path)["turns"]


def test_progress_never_goes_back(engine: Engine) -> None:
    engine.notifications.clear()
    diarize(engine, MIXTURES / "mixture-24.flac", batchSize=2)
    done = [note["params"]["value"]["percentage"] for note in engine.notifications]
    assert len(done) > 3
    assert done == sorted(done)


@pytest.mark.parametrize("seconds", [0.001, 0.3, 1.0])
def test_audio_shorter_than_one_window(engine: Engine, tmp_path: Path, seconds: float) -> None:
    samples = samples_of("en-01.flac")[8000 : 8000 + int(16000 * seconds)]
    result = diarize(engine, write_wav(tmp_path / "short.wav", samples))
    assert all(0 <= turn["start"] <= turn["end"] <= 3 for turn in result["turns"])
    assert len(result["speakers"]) <= 1


def test_silence_has_no_turns(engine: Engine, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "silence.wav", np.zeros(80_000, np.int16))
    result = diarize(engine, path, numSpeakers=2, embeddings=True)
    assert (result["turns"], result["speakers"], result["embeddings"]) == ([], [], {})
    assert [warning["kind"] for warning in result["warnings"]] == ["fewer_speakers"]


def test_times_are_those_of_the_recording(engine: Engine) -> None:
    path = MIXTURES / "mixture-10.flac"
    whole = diarize(engine, path)
    cut = whole["turns"][1]["start"] - 0.2
    part = diarize(engine, path, source={"start": cut})
    assert part["turns"][0]["start"] == pytest.approx(whole["turns"][1]["start"], abs=0.1)


def test_a_job_is_cancelled_between_batches(engine: Engine, long_file: Path) -> None:
    id_ = engine.send("diarize", {"source": {"path": str(long_file)}, "options": {}})
    engine.wait_for(lambda m: m.get("params", {}).get("value", {}).get("percentage", 0) > 1)
    engine.cancel(id_)
    with pytest.raises(RpcError) as caught:
        engine.result(id_, engine._keep)
    assert caught.value.kind == "cancelled"
    assert diarize(engine, RECORDINGS / "en-01.flac")["speakers"] == ["SPEAKER_00"]


@pytest.mark.slow  # tests/test_privacy.py watches the whole job
def test_diarization_makes_no_network_requests(tmp_path: Path) -> None:
    """pyannote.audio would tell its makers of each use.

    urllib3 binds a socket to ::1 when it is imported, to see whether there is IPv6; no socket is
    connected, and no name looked up.
    """
    script = (
        "import sys\n"
        "def audit(event, args):\n"
        "    if event.startswith('socket.') and event not in ('socket.__new__', 'socket.bind'):\n"
        f"        open({str(tmp_path / 'used')!r}, 'a').write(f'{{event}} {{args}}\\n')\n"
        "sys.addaudithook(audit)"
    )
    environment = {**os.environ, "PYANNOTE_METRICS_ENABLED": "1"}
    with Engine("diarization", script, env=environment) as hooked:
        hooked.call("load", {"model": str(DIARIZATION_MODEL)})
        assert diarize(hooked, MIXTURES / "mixture-01.flac")["turns"]
    assert not (tmp_path / "used").exists(), (tmp_path / "used").read_text()


# Models


@pytest.fixture(scope="module")
def loader() -> Iterator[Engine]:
    """An engine whose loads fail: it may be asked again and again."""
    with Engine("diarization") as session:
        yield session


def refusal(engine: Engine, **params: Any) -> RpcError:
    with pytest.raises(RpcError) as caught:
        engine.ask("load", **params)
    return caught.value


def test_a_version_3_pipeline_needs_its_part_models(loader: Engine, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "pipeline:\n"
        "  name: pyannote.audio.pipelines.SpeakerDiarization\n"
        "  params:\n"
        "    segmentation: pyannote/segmentation-3.0\n"
        "    embedding: pyannote/embedding\n"
    )
    error = refusal(loader, model=str(tmp_path))
    assert error.kind == "model_not_cached"
    assert error.data["model"] in ("pyannote/embedding", "pyannote/segmentation-3.0")


@pytest.mark.parametrize(
    ("params", "kind"),
    [
        ({}, "model_not_cached"),
        ({"model": "no/such"}, "model_not_cached"),
        ({"model": "nonsense"}, "model_not_found"),
        ({"model": str(DIARIZATION_MODEL), "device": "mps"}, "device_unavailable"),
    ],
)
def test_a_missing_model_is_a_typed_error(
    loader: Engine, params: dict[str, Any], kind: str
) -> None:
    assert refusal(loader, **params).kind == kind


@pytest.mark.parametrize("file", ["config.yaml", "segmentation/pytorch_model.bin", "plda/plda.npz"])
def test_a_missing_model_file_is_named(loader: Engine, tmp_path: Path, file: str) -> None:
    copy = shutil.copytree(DIARIZATION_MODEL, tmp_path / "pipeline")
    (copy / file).unlink()
    error = refusal(loader, model=str(copy))
    assert (error.kind, error.data["missing"]) == ("model_invalid", [file])


def test_damaged_model_files_are_errors(loader: Engine, tmp_path: Path) -> None:
    for file in ("config.yaml", "embedding/pytorch_model.bin"):
        copy = shutil.copytree(DIARIZATION_MODEL, tmp_path / file)
        (copy / file).write_bytes(b"\x00rubbish: [")
        assert refusal(loader, model=str(copy)).kind == "model_invalid"


def test_weights_of_a_pipeline_run_no_code(loader: Engine, tmp_path: Path) -> None:
    import torch

    copy = shutil.copytree(DIARIZATION_MODEL, tmp_path / "pipeline")
    checkpoint = copy / "embedding" / "pytorch_model.bin"
    torch.save({"state_dict": {}, "trap": Trap(tmp_path / "sprung")}, checkpoint)
    error = refusal(loader, model=str(copy))
    assert (error.kind, error.data["path"]) == ("model_needs_pickle", str(copy))
    assert not (tmp_path / "sprung").exists()
    assert refusal(loader, model=str(copy), allowPickle=True).kind == "model_invalid"
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("ours", "theirs", "named"),
    [
        ("pyannote.audio.pipelines.SpeakerDiarization", "mine.Pipeline", "mine.Pipeline"),
        ("AgglomerativeClustering", "OracleClustering", "OracleClustering"),
        (
            "params:\n  cl",
            "preprocessors:\n  audio:\n    name: mine.Denoise\nparams:\n  cl",
            "audio",
        ),
    ],
)
def test_a_pipeline_with_classes_of_ones_own_is_refused(
    loader: Engine, tmp_path: Path, ours: str, theirs: str, named: str
) -> None:
    copy = shutil.copytree(DIARIZATION_MODEL, tmp_path / "pipeline")
    config = (copy / "config.yaml").read_text("utf-8")
    (copy / "config.yaml").write_text(config.replace(ours, theirs), "utf-8")
    error = refusal(loader, model=str(copy))
    assert error.kind == "model_invalid"
    assert f" names {named}, which" in str(error)
    assert "SpeakerDiarization" in error.data["remedy"]


# An embedding in an ONNX file, and no PLDA


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedding as ONNX: how much each band of the features goes up and down."""
    import torch

    class Voice(torch.nn.Module):
        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return features.std(1)

    file = tmp_path_factory.mktemp("elsewhere") / "voice.onnx"
    campplus.export(Voice(), file)
    return file


def pipeline_with(voice: Path, directory: Path, name: str) -> Path:
    """A pipeline that names its embedding so; the file lies in its directory, too."""
    shutil.copytree(DIARIZATION_MODEL / "segmentation", directory / "segmentation")
    (directory / "embedding").mkdir()
    shutil.copy(voice, directory / "embedding" / "voice.onnx")
    config = (DIARIZATION_MODEL / "config.yaml").read_text("utf-8")
    config = config.replace("    plda: $model/plda\n", "").replace("$model/embedding", name)
    (directory / "config.yaml").write_text(config, "utf-8")
    return directory


LOADING = """
import json, sys
from worker.engines.diarization import model as diarization_model
from worker.engines.contract import LoadDiarizationParams

for directory in sys.argv[1:]:
    params = LoadDiarizationParams(model=directory)
    pipeline = diarization_model.load(params)
    from pyannote.audio.pipelines import speaker_diarization
    shared = len(diarization_model.batch_threads(pipeline))
    restored = speaker_diarization.get_plda.__module__.startswith("pyannote.")
    sources = diarization_model.sources(params)
    print(json.dumps([str(pipeline._embedding.embedding), shared, restored, sources]))
"""


def test_an_onnx_embedding_is_found_by_any_path(voice: Path, tmp_path: Path) -> None:
    inside = ["embedding/voice.onnx", "$model/embedding", "$model/embedding/voice.onnx"]
    names = [*inside, str(voice)]
    directories = [
        str(pipeline_with(voice, tmp_path / str(number), name)) for number, name in enumerate(names)
    ]
    done = subprocess.run(
        [sys.executable, "-c", LOADING, *directories], stdout=subprocess.PIPE, check=True
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found[:3] == [
        [f"{each}/embedding/voice.onnx", 2, True, [each]] for each in directories[:3]
    ]
    # What lies outside of the directory tells one pipeline from another as well.
    assert found[3] == [str(voice), 2, True, [directories[3], str(voice)]]


def test_a_pipeline_with_an_onnx_embedding_diarizes(voice: Path, tmp_path: Path) -> None:
    directory = pipeline_with(voice, tmp_path / "pipeline", "embedding/voice.onnx")
    with Engine("diarization") as session:
        session.ask("load", model=str(directory))
        path = MIXTURES / "mixture-09.flac"
        results = [diarize(session, path, threads=n, numSpeakers=2) for n in (1, 2)]
        vectors = diarize(session, path, embeddings=True, numSpeakers=2)["embeddings"]
    assert results[0]["turns"] == results[1]["turns"]
    assert results[0]["speakers"] == ["SPEAKER_00", "SPEAKER_01"]
    assert [len(vector) for vector in vectors.values()] == [80, 80]


@pytest.mark.parametrize("content", [None, b"", b"rubbish"])
def test_a_missing_or_damaged_onnx_embedding_is_an_error(
    loader: Engine, voice: Path, tmp_path: Path, content: bytes | None
) -> None:
    directory = pipeline_with(voice, tmp_path / "pipeline", "embedding/voice.onnx")
    file = directory / "embedding" / "voice.onnx"
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    error = refusal(loader, model=str(directory))
    assert error.kind == "model_invalid"
    assert error.data.get("missing", ["embedding/voice.onnx"]) == ["embedding/voice.onnx"]
    assert ("missing" in error.data) == (content is None)


@pytest.mark.slow
def test_vbx_clustering_needs_a_plda(loader: Engine, voice: Path, tmp_path: Path) -> None:
    directory = pipeline_with(voice, tmp_path / "pipeline", "embedding/voice.onnx")
    config = directory / "config.yaml"
    text = config.read_text("utf-8")
    config.write_text(text.replace("AgglomerativeClustering", "VBxClustering"), "utf-8")
    assert refusal(loader, model=str(directory)).kind == "model_invalid"
