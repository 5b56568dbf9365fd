"""CUDA's libraries: found where they come as Python packages, and done without where they lack."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import ctranslate2
import pytest

from protocol.errors import RpcError
from tests.support import MODEL, RECORDINGS, Session
from worker.engines.contract import LoadParams
from worker.engines.recognition import model as whisper_model
from worker.engines.recognition.whisperx import WhisperxEngine
from worker.system import cuda

SCRIPT = """
import ctypes
from worker.system import cuda
try:
    ctypes.CDLL("libcublas.so.12")
except OSError:
    print("not found")
cuda.preload()
assert cuda.missing() == []
ctypes.CDLL("libcublas.so.12")
print("found")
"""


def test_preloaded_cuda_libraries_are_found_by_name() -> None:
    environment = {"PATH": "", "HOME": "/"}  # no LD_LIBRARY_PATH
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split("\n")[-2] == "found"


def test_auto_falls_back_to_the_cpu_without_cuda_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctranslate2, "get_cuda_device_count", lambda: 1)
    monkeypatch.setattr(cuda, "_BY_NAME", ("libcublas.so.0",))
    model, warnings = whisper_model.load(LoadParams(model=str(MODEL)))
    assert model.model.device == "cpu"
    assert [each.kind for each in warnings] == ["device_fallback"]
    assert "libcublas.so.0" in warnings[0].message
    with pytest.raises(RpcError, match=r"libcublas\.so\.0") as caught:
        whisper_model.load(LoadParams(model=str(MODEL), device="cuda"))
    assert caught.value.kind == "device_unavailable"
    assert "diagnose" in caught.value.data["remedy"]


@pytest.mark.filterwarnings("ignore")  # of what whisperx imports
@pytest.mark.parametrize(("asked", "taken"), [("auto", "int8_float32"), ("default", "float32")])
def test_whisperx_falls_back_to_a_compute_type_of_the_cpu(
    monkeypatch: pytest.MonkeyPatch, asked: Any, taken: str
) -> None:
    monkeypatch.setattr(ctranslate2, "get_cuda_device_count", lambda: 1)
    monkeypatch.setattr(cuda, "_BY_NAME", ("libcublas.so.0",))
    model, warnings = WhisperxEngine()._load(LoadParams(model=str(MODEL), compute_type=asked))
    assert (model.model.device, model.model.compute_type) == ("cpu", taken)
    assert [each.kind for each in warnings] == ["device_fallback"]


@pytest.mark.parametrize(
    "engine", ["faster-whisper", pytest.param("whisperx", marks=pytest.mark.slow)]
)
def test_a_device_index_is_ignored_on_the_cpu(engine: str) -> None:
    with Session() as session:
        result = session.transcribe(RECORDINGS / "en-01.flac", engine=engine, deviceIndex=99)
    assert result["device"] == "cpu"
