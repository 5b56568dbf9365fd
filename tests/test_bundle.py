"""The frozen program: whole, on its own, and honest about what is broken in it.

These tests run in `make bundle-test`, where TEST_WORKER starts the program, TEST_BUNDLE is its
folder and FLAVOR what it is meant to hold.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from hooks import sbom
from protocol.environment import Finding, ProbeResult
from protocol.errors import RpcError
from tests.support import MODEL, RECORDINGS, WORKER, Session

__test__ = "TEST_BUNDLE" in os.environ

ROOT = Path(__file__).parent.parent
BUNDLE = Path(os.environ.get("TEST_BUNDLE", "dist"))
FULL = os.environ.get("FLAVOR") == "full"
SPEECH = RECORDINGS / "en-01.flac"
INTERNAL = "_internal"


def run(*args: str, command: list[str] = WORKER, **environment: str) -> Any:
    return subprocess.run(
        [*command, *args], capture_output=True, text=True, env=os.environ | environment
    )


def diagnose(command: list[str] = WORKER, **environment: str) -> tuple[int, ProbeResult]:
    done = run("diagnose", "--json", command=command, **environment)
    assert done.stderr == ""
    return done.returncode, msgspec.json.decode(done.stdout, type=ProbeResult)


@pytest.fixture(scope="module")
def whole() -> tuple[int, ProbeResult]:
    """What the program finds of itself."""
    return diagnose()


# On its own


def test_the_program_cannot_see_its_sources(worker: Session) -> None:
    for place in (".venv/pyvenv.cfg", "worker/__init__.py", "protocol/__init__.py"):
        with pytest.raises(RpcError) as caught:
            worker.transcribe(ROOT / place)
        assert caught.value.kind == "audio_not_found"


def test_the_programs_environment_is_empty(worker: Session) -> None:
    variables = Path(f"/proc/{worker.process.pid}/environ").read_bytes().split(b"\0")
    names = {each.partition(b"=")[0].decode() for each in variables if each}
    left = {name for name in names if not re.match("TEST_|FLAVOR|HF_|PYTEST_|CUDA_", name)}
    readline = {"COLUMNS", "LINES"}  # that pytest imports, sets them
    assert {name for name in left if not name.startswith("_PYI_")} <= {
        *("LC_CTYPE", "LD_LIBRARY_PATH", *readline),
    }


def test_the_bill_of_materials_lists_every_library() -> None:
    text = (BUNDLE / sbom.FILE).read_text("utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    packages = json.loads(text)["components"]
    names = {each["name"] for each in packages}
    assert {"CPython", "av", "ctranslate2", "faster-whisper", "numpy", "onnxruntime"} <= names
    assert ("torch" in names) == FULL
    told = {
        library["name"]: library["hashes"][0]["content"]
        for package in packages
        for library in package.get("components", ())
    }
    contents = BUNDLE / INTERNAL
    found = {
        path.relative_to(contents).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in contents.rglob("*")
        if ".so" in path.suffixes and not path.is_symlink()
    }
    assert {name: told.get(name) for name in found} == found


def test_every_import_is_from_the_bundle(whole: tuple[int, ProbeResult]) -> None:
    _, result = whole
    contents = BUNDLE / INTERNAL
    assert result.platform.frozen
    assert result.platform.bundle_directory == str(contents)
    locations = {
        package.name: package.location
        for environment in result.environments.values()
        for package in environment.packages
        if package.available
    }
    for place in [*result.platform.sys_path, *locations.values()]:
        assert place and Path(place).is_relative_to(contents)


def test_no_build_path_is_in_the_bundle() -> None:
    found = subprocess.run(
        ["grep", "-rlF", "-e", f"{ROOT}/", BUNDLE], capture_output=True, text=True
    )
    assert (found.returncode, found.stdout) == (1, "")


def test_only_system_libraries_of_python_and_c_are_bundled() -> None:
    if_needed = re.compile(
        r"lib(python3|crypto|ssl|ffi|z|bz2|lzma|sqlite3|uuid|expat|mpdec|stdc\+\+|gcc_s)[.\d]"
    )
    top = [file for file in (BUNDLE / INTERNAL).glob("*.so*") if not file.is_symlink()]
    assert [file.name for file in top if not if_needed.match(file.name)] == []


# Whole


def test_diagnose_finds_no_fault(whole: tuple[int, ProbeResult]) -> None:
    code, result = whole
    assert [each for each in result.findings if each.severity != "info"] == []
    assert (code, result.health_metrics.overall_score) == (0, 100)
    assert result.flavour == ("full" if FULL else "lite")
    status = {name: each.status for name, each in result.environments.items()}
    assert set(status.values()) == ({"ready"} if FULL else {"ready", "missing"})
    assert status["worker"] == status["fasterWhisper"] == "ready"


MODULES = (
    "faster_whisper.vad",
    "ctranslate2._ext",
    "jsonrpcserver.main",
    "onnxruntime",
    "av.audio",
)
MODULES_OF_FULL = (
    "torchaudio.backend.sox_io_backend",
    "torch._inductor.test_operators",
    "torchaudio.compliance.kaldi",
    *("whisperx.asr", "whisperx.alignment", "whisperx.diarize", "whisperx.vads.pyannote"),
    *("whisperx.SubtitlesProcessor", "pyannote.audio.models.segmentation.PyanNet"),
    *("pyannote.audio.models.embedding.wespeaker", "pyannote.audio.pipelines.utils.hook"),
    "transformers.models.wav2vec2.processing_wav2vec2",
)


@pytest.mark.parametrize("name", MODULES + (MODULES_OF_FULL if FULL else ()))
def test_modules_that_bundles_often_lose_can_be_imported(name: str) -> None:
    done = run("check", name)
    assert done.returncode == 0, done.stdout


def test_interpreter_options_are_refused_in_one_sentence() -> None:
    done = run("-c", "import whisperx")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "check" in done.stderr and "diagnose" in done.stderr


def test_the_program_starts_from_any_folder(tmp_path: Path) -> None:
    moved = tmp_path / "Prográm Filés 文"
    copy = Copy(moved)
    with Session(copy.command) as session:
        assert session.transcribe(SPEECH)["segments"]


# Its start, and its children


def test_the_front_loads_nothing_of_the_engines(start: Callable[..., Session]) -> None:
    """PyInstaller's runtime hooks import it; that takes half as long as all the rest of a start."""
    session = start()
    session.call("ping")
    maps = Path(f"/proc/{session.process.pid}/maps").read_text()
    loaded = {Path(line.split()[-1]).name.partition(".")[0] for line in maps.splitlines()}
    assert "_struct" in loaded
    assert not loaded & {
        "_posixsubprocess",
        "_bz2",
        "_lzma",
        "_multiprocessing",
        "_multiarray_umath",
    }


@pytest.mark.parametrize("own", ["", "/some/place:/another"])
def test_system_programs_load_their_own_libraries(
    start: Callable[..., Session], tmp_path: Path, own: str
) -> None:
    tool = tmp_path / "nvidia-smi"
    seen = tmp_path / "seen"
    tool.write_text(f"#!/bin/sh\nprintf %s \"$LD_LIBRARY_PATH\" > '{seen}'\nexit 1\n")
    tool.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.defpath}"}
    session = start(env=environment | ({"LD_LIBRARY_PATH": own} if own else {}))
    session.call("environment/devices")
    assert seen.read_text() == own


@pytest.mark.parametrize("given", [{}, {"SSL_CERT_FILE": "/a/file"}, {"SSL_CERT_DIR": "/a/folder"}])
def test_system_certificates_are_found(
    start: Callable[..., Session], given: dict[str, str]
) -> None:
    session = start(env=os.environ | given)
    session.transcribe(SPEECH)
    variables = Path(f"/proc/{session.engine_pid()}/environ").read_text().split("\0")
    engines = dict(each.split("=", 1) for each in variables if each.startswith("SSL_CERT"))
    if given:
        assert engines == given
    else:
        assert Path(engines["SSL_CERT_FILE"]).is_file()


def test_multiprocessing_works() -> None:
    """On macOS tqdm starts this one; answered as a person is, it would be started over and over."""
    ours, theirs = os.pipe()
    command = f"from multiprocessing.resource_tracker import main;main({ours})"
    flags = ("-B", "-S", "-I")  # of a frozen interpreter, which it hands on
    with subprocess.Popen(
        [*WORKER, *flags, "-c", command], pass_fds=[ours], stderr=subprocess.PIPE
    ) as helper:
        os.close(ours)
        os.close(theirs)
        assert helper.communicate() == (None, b"")
    assert helper.returncode == 0


# Broken


class Copy:
    """A copy of the bundle, to be broken; made of links, so that it costs nothing."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(BUNDLE, folder, symlinks=True, copy_function=_link)
        self.contents = folder / INTERNAL
        self.command = [str(folder / "transcription-worker")]

    def find(self, pattern: str) -> list[Path]:
        """Files of it; there is at least one."""
        found = [file for file in self.contents.glob(pattern) if not file.is_symlink()]
        assert found, pattern
        return found

    def remove(self, pattern: str) -> None:
        """Remove files or folders."""
        for file in self.find(pattern):
            shutil.rmtree(file) if file.is_dir() else file.unlink()

    def change(self, pattern: str, change: Callable[[bytes], bytes]) -> None:
        """Put other files in the place of these."""
        for file in self.find(pattern):
            changed = change(file.read_bytes())
            file.unlink()  # it is a link to the original
            file.write_bytes(changed)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk
        shutil.copy2(source, target)


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    yield Copy(tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy")


class Fault(NamedTuple):
    """What is removed, and how the probe must name it."""

    pattern: str
    package: str
    id: str
    says: str


FAULTS = (
    Fault("ctranslate2.libs/libctranslate2*", "ctranslate2", "library_missing", "libctranslate2"),
    Fault("ctranslate2/_ext*", "ctranslate2", "module_left_out", "ctranslate2._ext"),
    Fault("av.libs/libavcodec*", "av", "library_missing", "libavcodec"),
    Fault("numpy.libs/libscipy_openblas*", "numpy", "library_missing", "openblas"),
    Fault("faster_whisper/assets/*.onnx", "faster-whisper", "asset_missing", "silero_vad"),
    Fault("jsonrpcserver/*.json", "jsonrpcserver", "asset_missing", "request-schema.json"),
    Fault("certifi/cacert.pem", "certifi", "asset_missing", "cacert.pem"),
    Fault("ctranslate2-*.dist-info", "ctranslate2", "metadata_missing", "ctranslate2"),
    Fault("hf_xet/*.so", "hf-xet", "module_left_out", "hf_xet"),
)
FAULTS_OF_FULL = (
    Fault("torchaudio/lib/libtorchaudio.so", "torchaudio", "library_missing", "libtorchaudio"),
    Fault("whisperx/assets/mel_filters.npz", "whisperx", "asset_missing", "mel_filters.npz"),
    Fault("whisperx/assets/pytorch_model.bin", "whisperx", "asset_missing", "pytorch_model.bin"),
    Fault("pyannote/audio/telemetry/config.yaml", "pyannote.audio", "asset_missing", "config.yaml"),
    Fault("lightning/version.info", "pyannote.audio", "dependency_failed", "version.info"),
    Fault("pyannote_metrics-*.dist-info", "pyannote.audio", "metadata_missing", "pyannote-metrics"),
)


@pytest.mark.parametrize(
    "fault",
    FAULTS_OF_FULL if FULL else FAULTS,
    ids=lambda fault: f"{fault.package}:{fault.pattern}",
)
def test_the_probe_names_a_lost_file(copy: Copy, fault: Fault) -> None:
    copy.remove(fault.pattern)
    code, result = diagnose(copy.command)
    assert code == 1
    finding = of(result, fault.package)
    assert (finding.id, finding.severity != "info") == (fault.id, True)
    assert fault.says in finding.message + finding.remedy
    assert "pip" not in finding.remedy  # there is none in a bundle


class TestLite:
    """What breaks both alike; lite is quicker to examine."""

    __test__ = __test__ and not FULL

    def test_the_probe_names_a_library_for_another_processor(self, copy: Copy) -> None:
        machine = slice(18, 20)  # e_machine of an ELF header

        def to_arm(library: bytes) -> bytes:
            changed = bytearray(library)
            assert changed[:4] == b"\x7fELF" and changed[machine] != b"\xb7\x00"
            changed[machine] = b"\xb7\x00"
            return bytes(changed)

        copy.change("ctranslate2/_ext*.so", to_arm)
        _, result = diagnose(copy.command)
        assert of(result, "ctranslate2").id == "wrong_architecture"

    def test_the_probe_names_libraries_that_are_damaged(self, copy: Copy) -> None:
        copy.change("tokenizers/*.so", lambda library: library[:40])
        copy.change("av/*.so", lambda library: library.replace(b"\x7fELF", b"MZ\0\0", 1))
        _, result = diagnose(copy.command)
        assert of(result, "tokenizers").id == of(result, "av").id == "wrong_architecture"

    def test_a_bundle_without_a_library_serves_what_it_can(self, copy: Copy) -> None:
        copy.remove("ctranslate2.libs/libctranslate2*")
        with Session(copy.command) as session:
            assert session.call("ping") == {}
            engines = session.call("initialize")["capabilities"]["engines"]
            assert engines["faster-whisper"] == {"available": False, "missing": ["ctranslate2"]}
            with pytest.raises(RpcError) as caught:
                session.transcribe(SPEECH)
            assert caught.value.kind == "engine_unavailable"
            assert "libctranslate2" in str(caught.value)
            transcript = {"segments": [{"id": 0, "start": 0.0, "end": 1.0, "text": "left"}]}
            exported = session.call("export", {"transcript": transcript, "formats": ["srt"]})
            assert "left" in exported["contents"]["srt"]
            with pytest.raises(RpcError) as caught:  # decoding needs none of it
                session.call("transcribe", {"audio": "nowhere.wav", "model": str(MODEL)})
            assert caught.value.kind == "audio_not_found"


def of(result: ProbeResult, package: str) -> Finding:
    """The finding about a package."""
    (finding,) = (each for each in result.findings if each.package == package)
    return finding


# Only of full


class TestFull:
    __test__ = __test__ and FULL

    def test_ctranslate2_finds_the_cublas_that_torch_brings(self) -> None:
        """It opens it by name, and where the bundle keeps it nobody looks."""
        contents = BUNDLE / INTERNAL
        if not (contents / "nvidia").is_dir():  # torch for processors alone
            assert not list(contents.glob("libcublas*"))
            return
        script = "import ctypes; ctypes.CDLL('libcublas.so.12')"
        place = {"LD_LIBRARY_PATH": str(contents)}  # as it is for the program
        python = ["python3", "-c", script]
        done = subprocess.run(python, capture_output=True, env=os.environ | place)
        assert (done.returncode, done.stderr) == (0, b"")

    def test_sources_that_torch_compiles_are_files(self) -> None:
        for name in ("asteroid_filterbanks/enc_dec", "torchaudio/functional/functional"):
            assert (BUNDLE / INTERNAL / f"{name}.py").is_file()

    def test_no_library_names_one_that_was_left_out(self) -> None:
        names = ("libcusolverMg", "libnvrtc.alt", "libnvblas", "libcufftw", "libcheckpoint.so")
        patterns = [argument for name in names for argument in ("-e", name)]
        found = subprocess.run(
            ["grep", "-rlF", "--include=*.so*", *patterns, BUNDLE], capture_output=True, text=True
        )
        assert (found.returncode, found.stdout) == (1, "")
