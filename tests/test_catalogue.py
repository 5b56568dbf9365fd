"""The models that have names are those that the libraries know."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import pytest

from protocol.control import Params
from protocol.errors import RpcError
from protocol.models import Task
from protocol.transcription import Engine, TranscribeParams
from worker.engines import contract
from worker.models import catalogue
from worker.models.families import FAMILIES, RECOGNISERS, TASKS


def entries(task: str) -> dict[str, catalogue.Entry]:
    return {entry.name: entry for entry in catalogue.ENTRIES if entry.task == task}


def test_recognition_models_are_those_of_faster_whisper() -> None:
    from faster_whisper.utils import _MODELS

    ours = {name: entry.repository for name, entry in entries("recognition").items()}
    assert ours == _MODELS


def test_languages_are_those_of_whisper() -> None:
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    assert set(catalogue.WHISPER_LANGUAGES) == set(_LANGUAGE_CODES)


def test_alignment_models_by_language_are_those_of_whisperx() -> None:
    from whisperx.alignment import DEFAULT_ALIGN_MODELS_HF, DEFAULT_ALIGN_MODELS_TORCH

    theirs = {**DEFAULT_ALIGN_MODELS_HF, **DEFAULT_ALIGN_MODELS_TORCH}
    assert {language: catalogue.aligner(language) for language in theirs} == theirs
    with pytest.raises(RpcError) as caught:
        catalogue.aligner("xx")
    assert caught.value.data["known"] == sorted(theirs)


def test_torchaudios_bundles_lie_where_it_looks_for_them() -> None:
    import torchaudio

    bundles = torchaudio.pipelines.Wav2Vec2ASRBundle
    known = {
        name: bundle._path
        for name in torchaudio.pipelines.__all__
        # MMS_FA aligns romanised text: whisperx gives it none.
        if isinstance(bundle := getattr(torchaudio.pipelines, name), bundles) and name != "MMS_FA"
    }
    assert {name: catalogue.torchaudio_file(name) for name in known} == known
    assert set(known) <= set(entries("alignment"))


def test_names_are_unique_and_every_model_has_a_size() -> None:
    names = [entry.name for entry in catalogue.ENTRIES]
    assert len(names) == len(set(names))
    assert all(entry.size > 1_000_000 for entry in catalogue.ENTRIES)


@pytest.mark.parametrize(
    ("task", "name", "hint"),
    [
        ("recognition", "smal", "Did you mean small?"),
        ("recognition", "./nowhere", "model directory .* does not exist"),
        ("recognition", "a/b/c", "model directory .* does not exist"),
        ("alignment", "nonsense", "model directory .* does not exist"),
        ("recognition", "../escape", "model directory .* does not exist"),
    ],
)
def test_a_name_that_nobody_knows_is_refused(task: str, name: str, hint: str) -> None:
    with pytest.raises(RpcError, match=hint) as caught:
        catalogue.repository(task, name)  # type: ignore[arg-type]
    assert caught.value.kind == "model_not_found"


def test_a_name_of_another_task_is_no_name() -> None:
    with pytest.raises(RpcError):
        catalogue.repository("alignment", "small")
    assert catalogue.repository("alignment", "owner/name") == "owner/name"


# Families


def test_clients_can_choose_just_the_recognisers_and_tasks_of_the_table() -> None:
    assert tuple(RECOGNISERS) == get_args(Engine)
    assert RECOGNISERS[0] == TranscribeParams(audio="x").engine
    assert tuple(TASKS) == get_args(Task)


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_engine_and_the_params_of_a_family_exist(kind: str) -> None:
    module, _, name = FAMILIES[kind].engine.partition(":")
    spec = find_spec(module)
    assert spec
    assert spec.origin
    source = Path(spec.origin).read_text("utf-8")
    assert f"\nclass {name}" in source
    for params_type in re.findall(r"\n    def [a-z]\w*\(self, job: Job, params: (.+?)\)", source):
        assert issubclass(getattr(contract, params_type), Params)
