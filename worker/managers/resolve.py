"""Resolves the model options of a request to a `Model`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from protocol.alignment import AlignmentOptions
from protocol.diarization import DEFAULT_DIARIZATION_MODEL, DiarizationOptions
from protocol.errors import RpcError
from protocol.transcription import ModelParams
from worker.engines.contract import (
    FetchParams,
    LoadAlignmentParams,
    LoadDiarizationParams,
    LoadParams,
)
from worker.managers.model import Model
from worker.models import catalogue
from worker.models.families import RECOGNISERS
from worker.system.paths import from_wire, is_utf8

if TYPE_CHECKING:
    from protocol.models import LoadModelParams, ModelChoice, Task


def recognition_model(params: ModelParams, engine: str, download: bool) -> Model:
    """The recognition model that a request names."""
    load = LoadParams(
        model=absolute(params.model),
        revision=params.revision,
        device=params.device,
        device_index=params.device_index,
        compute_type=params.compute_type,
        threads=params.threads,
    )
    source = _source("recognition", load.model, load.revision)
    return _model(engine, params.model, load, source, download, load.compute_type)


def live_model(params: ModelParams, number: int) -> Model:
    """The model for a stream; streams that are open at the same time differ in `number`, from 0."""
    model = recognition_model(params, "live", params.download)
    return model._replace(key=model.key + b"#%d" % number) if number else model


def alignment_model(options: AlignmentOptions, language: str, download: bool) -> Model:
    """The model that aligns `language`; `download` applies if the options leave it open."""
    load = LoadAlignmentParams(
        model=absolute(options.model or catalogue.aligner(language)),
        revision=options.revision,
        device=options.device,
        device_index=options.device_index,
        allow_pickle=options.allow_pickle,
    )
    assert load.model
    source = _source("alignment", load.model, load.revision)
    name = options.model or load.model
    return _model("alignment", name, load, source, _either(options.download, download))


def diarization_model(options: DiarizationOptions, download: bool) -> Model:
    """The diarization pipeline; `download` applies if the options leave it open."""
    load = LoadDiarizationParams(
        model=absolute(options.model),
        revision=options.revision,
        device=options.device,
        device_index=options.device_index,
        allow_pickle=options.allow_pickle,
    )
    source = _source("diarization", load.model, load.revision)
    return _model("diarization", options.model, load, source, _either(options.download, download))


def model_to_load(params: LoadModelParams) -> Model:
    """The model that `models/load` names. Raises `RpcError` for an option of another task."""
    where = {
        "revision": params.revision,
        "device": params.device,
        "device_index": params.device_index,
    }
    if params.task == "recognition":
        _refuse(params, "language", "allow_pickle")
        if params.device == "mps":
            raise RpcError("invalid_params", "Recognition does not run on MPS.", path="$.device")
        wanted = ModelParams(
            model=params.model or ModelParams().model,
            compute_type=params.compute_type or "auto",
            threads=params.threads,
            **where,  # type: ignore[arg-type]
        )
        return recognition_model(wanted, params.engine or RECOGNISERS[0], params.download)
    _refuse(params, "engine", "compute_type", "threads")
    where["allow_pickle"] = params.allow_pickle
    if params.task == "alignment":
        options = AlignmentOptions(model=params.model, **where)  # type: ignore[arg-type]
        return alignment_model(options, _language(params), params.download)
    _refuse(params, "language")
    name = params.model or DEFAULT_DIARIZATION_MODEL
    speakers = DiarizationOptions(model=name, **where)  # type: ignore[arg-type]
    return diarization_model(speakers, params.download)


def hub_model(choice: ModelChoice) -> FetchParams:
    """Where on the hub a model comes from. Raises `RpcError` for a directory or unknown name."""
    name = choice.model
    if name is None and choice.task == "recognition":
        name = ModelParams().model
    elif name is None and choice.task == "alignment":
        name = catalogue.aligner(_language(choice))
    name = name or DEFAULT_DIARIZATION_MODEL
    source = _source(choice.task, name, choice.revision)
    if source is None:
        raise RpcError(
            "invalid_params",
            f"{name} is a directory: the worker neither downloads nor removes directories.",
            path="$.model",
        )
    return source


def catalogued_model(entry: catalogue.Entry) -> Model:
    """A model of the catalogue, with default options."""
    if entry.task == "recognition":
        return recognition_model(ModelParams(model=entry.name), RECOGNISERS[0], False)
    if entry.task == "alignment":
        options = AlignmentOptions(model=entry.name)
        return alignment_model(options, entry.languages[0], download=False)
    return diarization_model(DiarizationOptions(model=entry.name), download=False)


def goes_by(model: Model, task: Task | None, name: str | None) -> bool:
    """Whether a model is for `task` and has this name, hub id or directory; None matches any."""
    if name is not None:
        repository = model.source.repository if model.source else None
        if name not in (model.name, repository) and absolute(name) != absolute(model.name):
            return False
    return task in (None, model.task)


def absolute(name: str) -> str:
    """The absolute path if `name` is a directory; else `name` unchanged.

    Raises `RpcError` for a path that is not UTF-8: the engines' libraries accept no other.
    """
    path = Path(from_wire(name))
    if not path.is_dir():
        return name
    if not is_utf8(str(path)):
        raise RpcError(
            "model_invalid",
            f"The path of the model is not UTF-8: {name}.",
            remedy="Rename the directory.",
            path=name,
        )
    return str(path.absolute())


def weights(model: Model) -> int | None:
    """Bytes of a model's weights on disk; None where the catalogue does not know them."""
    load = msgspec.json.decode(model.params or b"{}")
    name = load.get("model")
    if name is None:
        return 0
    if model.source is None:
        files = Path(from_wire(name)).glob("**/*")
        return sum(file.stat().st_size for file in files if file.is_file())
    entry = catalogue.find(name)
    return entry.size if entry else None


def _source(task: Task, name: str, revision: str | None) -> FetchParams | None:
    if Path(from_wire(name)).is_dir():
        return None
    repository = catalogue.repository(task, name)
    return FetchParams(task=task, name=name, repository=repository, revision=revision)


def _language(choice: ModelChoice) -> str:
    if choice.language is None:
        if choice.model is None:
            raise RpcError(
                "invalid_params",
                "Name an alignment model, or a language to get its default model.",
                path="$.language",
            )
        entry = catalogue.find(choice.model)
        return entry.languages[0] if entry else "en"
    return choice.language.lower()


def _refuse(params: LoadModelParams, *names: str) -> None:
    for name in names:
        if getattr(params, name):
            wire = next(
                field.encode_name
                for field in msgspec.structs.fields(type(params))
                if field.name == name
            )
            raise RpcError(
                "invalid_params",
                f"{wire} is not an option of a model for {params.task}.",
                path=f"$.{wire}",
            )


def _either(given: bool | None, otherwise: bool) -> bool:
    return otherwise if given is None else given


def _model(
    kind: str,
    name: str,
    load: Any,
    source: FetchParams | None,
    download: bool,
    compute_type: str = "",
) -> Model:
    params = msgspec.json.encode(load)
    return Model(
        kind,
        name,
        kind.encode() + params,
        params,
        source,
        download,
        load.device,
        load.device_index,
        compute_type,
    )
