"""The environment probe: it finds what is wrong, says what to do, and is not brought down by it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pytest

from protocol.environment import (
    DevicesParams,
    EnvironmentInfo,
    Finding,
    PackageInfo,
    ProbeParams,
    ProbeResult,
)
from protocol.errors import RpcError, cancelled
from tests.hub import serving
from tests.support import PATIENCE, TOKEN, WORKER, wait_until, wait_until_gone
from worker.probe import devices, packages, probe, signatures, surroundings
from worker.probe.children import Children
from worker.probe.findings import lite, of_packages
from worker.probe.outcomes import Failure, Outcome, ask_hub, examine
from worker.probe.redaction import Redactor
from worker.probe.signatures import Place

ROOT = Path(__file__).parent.parent
TIMEOUT = 300.0
"""Nothing but a hang takes so long, however busy the machine is."""
HANGING = 2.0
"""A time limit that is over as soon as a package hangs."""

HIDE = """
import importlib.abc, importlib.metadata, os, sys

HIDDEN = os.environ["TEST_HIDDEN"].split(",")
RECORDED = os.environ.get("TEST_RECORDED") == "1"


class Hide(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def version(name, known=importlib.metadata.version):
    if name in HIDDEN and not RECORDED:
        raise importlib.metadata.PackageNotFoundError(name)
    return known(name)


sys.meta_path.insert(0, Hide())
importlib.metadata.version = version
"""

TORCH = (
    *("torch", "torchaudio", "torchcodec", "whisperx", "pyannote.audio", "transformers"),
    *("scipy", "sklearn"),
)
"""Modules that an installation without torch has not got."""


class Faults:
    """A folder of packages that stand in front of the real ones, in every child of the probe."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        folder.mkdir()
        self._patch = patch
        patch.setenv("PYTHONPATH", str(folder))

    def package(self, name: str, code: str) -> Path:
        """A package with this code."""
        folder = self.folder / name
        folder.mkdir()
        (folder / "__init__.py").write_text(code, "utf-8")
        return folder

    def copy(self, name: str, *without: str) -> Path:
        """The real package, less some files."""
        spec = find_spec(name)
        assert spec and spec.submodule_search_locations
        source = next(iter(spec.submodule_search_locations))
        target = self.folder / name.replace(".", "/")
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", *without))
        return target

    def hang(self, name: str) -> Path:
        """A package that hangs, in `wait`; return the file that it makes when it does."""
        mark = self.folder / f"{name} hangs"
        self.package(
            name,
            "import threading\n"
            f"def wait():\n    open({str(mark)!r}, 'a').write('x')\n    threading.Event().wait()\n"
            "wait()",
        )
        wait = subprocess.Popen.wait

        def told() -> bool:
            return mark.exists() and mark.read_text() != ""

        def wait_until_it_hangs(process: Any, timeout: float | None = None) -> int:
            if timeout == HANGING:
                wait_until(lambda: told() or process.poll() is not None)
                timeout = TIMEOUT if process.poll() is not None else 0.0
            return wait(process, timeout)

        self._patch.setattr(subprocess.Popen, "wait", wait_until_it_hangs)
        return mark

    def hide(self, *names: str, recorded: bool = False) -> None:
        """Modules that are not there; neither is their metadata, unless it is `recorded`."""
        (self.folder / "sitecustomize.py").write_text(HIDE, "utf-8")
        self._patch.setenv("TEST_HIDDEN", ",".join(names))
        self._patch.setenv("TEST_RECORDED", str(int(recorded)))


@pytest.fixture(autouse=True, scope="module")
def _on_the_cpu() -> None:
    """The probe looks for this machine's devices."""


@pytest.fixture
def faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Faults:
    return Faults(tmp_path / "faults", monkeypatch)


def examined(*names: str, use: bool = True) -> tuple[dict[str, Outcome], dict[str, Finding]]:
    """Outcomes and findings, by package, of packages that are all required."""
    with Children({}, TIMEOUT, lambda: None) as children:
        outcomes = {name: examine(children, packages.find(name), use=use) for name in names}
    found = of_packages(outcomes, lambda _: True, TIMEOUT)
    return outcomes, {finding.package or "": finding for finding in found}


def diagnose(*args: str, **environment: str) -> tuple[int, ProbeResult, bytes]:
    """Exit code, result and all output of `diagnose --json`."""
    done = subprocess.run(
        [*WORKER, "diagnose", "--json", *args], capture_output=True, env=os.environ | environment
    )
    result = msgspec.json.decode(done.stdout, type=ProbeResult)
    assert msgspec.to_builtins(result) == json.loads(done.stdout)
    return done.returncode, result, done.stdout + done.stderr


def ids(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.id: finding for finding in findings}


# The whole, on this machine


@pytest.fixture(scope="module")
def whole() -> Iterator[tuple[int, ProbeResult, list[str]]]:
    """All that there is here: exit code, result, and what the hub was asked."""
    with serving() as hub:
        code, result, _ = diagnose(HF_ENDPOINT=hub.url)
        yield code, result, [request.path for request in hub.requests]


def test_a_working_machine_scores_100(
    whole: tuple[int, ProbeResult, list[str]],
) -> None:
    code, result, _ = whole
    assert [each for each in result.findings if each.severity != "info"] == []
    assert (code, result.health_metrics.overall_score) == (0, 100)
    assert {name: each.status for name, each in result.environments.items()} == dict.fromkeys(
        ("worker", "fasterWhisper", "whisperx", "alignment", "pyannote"), "ready"
    )


def test_required_packages_have_version_place_and_import_time(
    whole: tuple[int, ProbeResult, list[str]],
) -> None:
    _, result, _ = whole
    required = [
        package
        for environment in result.environments.values()
        for package in environment.packages
        if package.required
    ]
    assert {"whisperx", "torch", "av", "orjson"} <= {package.name for package in required}
    for package in required:
        assert (package.available, package.state, package.error) == (True, "ok", None)
        assert package.version and package.location and package.import_seconds is not None
        assert Path(package.location).is_dir()


def test_torchcodec_without_ffmpeg_is_explained(faults: Faults) -> None:
    faults.package("torchcodec", "raise RuntimeError('Could not load libtorchcodec.')")
    (finding,) = probe.check(["torchcodec"], TIMEOUT).findings
    assert finding.id == "torchcodec_not_loadable"
    assert "no ffmpeg is needed" in finding.remedy


def test_the_worker_needs_no_ffmpeg(
    whole: tuple[int, ProbeResult, list[str]],
) -> None:
    finding = ids(whole[1].findings).get("torchcodec_not_loadable")
    assert finding is None or (finding.severity, finding.package) == ("info", "torchcodec")


def test_torchcodec_with_ffmpeg_is_no_finding(faults: Faults) -> None:
    faults.package("torchcodec", "")
    assert probe.check(["torchcodec"], TIMEOUT).findings == []


def test_the_hub_is_not_asked_by_default(
    whole: tuple[int, ProbeResult, list[str]],
) -> None:
    _, result, asked = whole
    assert asked == []
    assert result.hub.reachable is None


def test_facts_about_the_machine_are_true(
    whole: tuple[int, ProbeResult, list[str]],
) -> None:
    _, result, _ = whole
    flags = Path("/proc/cpuinfo").read_text().upper().split()
    assert ("AVX2" in result.devices.cpu.features) == ("AVX2" in flags)
    assert result.devices.cpu.usable_threads == len(os.sched_getaffinity(0))
    assert "int8" in result.devices.cpu.compute_types
    assert result.devices.memory.total
    assert result.platform.frozen is False
    assert result.platform.executable == sys.executable
    assert result.platform.python == sysconfig.get_config_var("py_version")
    assert result.temporary.writable and result.cache.writable


# Faults of packages

CRASHES = {
    "orjson": ("import os\nos.abort()", "SIGABRT"),
    "tokenizers": ("import ctypes\nctypes.string_at(0)", "SIGSEGV"),
    "certifi": ("import os\nos._exit(3)", "exited with code 3"),
}
RAISES = {
    "av": "raise RuntimeError('the cause of it')",
    "pysubs2": "raise SystemExit(0)",
    "psutil": "import no_such_thing",
    "numpy": "raise ImportError('libquite-unknown.so.7: cannot open shared object file')",
}
NOISE = """
import os, sys
print('{"failed": {"causes": ["noise"]}}')
os.write(1, b'{"imported": 1}\\n')
sys.stdout.write("rubbish")
os.system("echo more rubbish")
"""


@pytest.fixture
def checked(faults: Faults) -> dict[str, tuple[PackageInfo, Finding | None]]:
    """Every fault of an import at once."""
    for name, (code, _) in CRASHES.items():
        faults.package(name, code)
    for name, code in RAISES.items():
        faults.package(name, code)
    faults.package("tqdm", NOISE)
    names = [*CRASHES, *RAISES, "tqdm", "jsonrpcserver", "no-such-package"]
    result = probe.check(names, TIMEOUT)
    about = {finding.package: finding for finding in result.findings}
    return {package.name: (package, about.get(package.name)) for package in result.packages}


def test_a_bad_import_is_a_finding_and_harms_no_other(
    checked: dict[str, tuple[PackageInfo, Finding | None]],
) -> None:
    for name, (_, cause) in CRASHES.items():
        package, finding = checked[name]
        assert (package.state, package.available) == ("crashed", False)
        assert finding and finding.id == "import_crashed"
        assert cause in finding.message and finding.remedy
    assert "Current thread" in (checked["tokenizers"][1] or finding).detail  # type: ignore[operator]
    for name in RAISES:
        package, finding = checked[name]
        assert (package.state, package.available) == ("import_failed", False)
        assert finding and finding.detail and finding.remedy
    assert "the cause of it" in str(checked["av"][1])
    assert "SystemExit" in str(checked["pysubs2"][1])
    assert "pip install no_such_thing" in str(checked["psutil"][1])
    assert "libquite-unknown.so.7" in str(checked["numpy"][1])
    assert checked["jsonrpcserver"][0].available


def test_output_of_packages_does_not_reach_the_probe(
    checked: dict[str, tuple[PackageInfo, Finding | None]],
) -> None:
    package, finding = checked["tqdm"]
    assert package.available and finding is None


def test_a_missing_package_is_absent(
    checked: dict[str, tuple[PackageInfo, Finding | None]],
) -> None:
    package, finding = checked["no-such-package"]
    assert package.state == "absent"
    assert finding and finding.id == "package_missing"
    assert "pip install no-such-package" in finding.remedy


def test_a_hanging_import_is_given_up_with_its_stack(faults: Faults) -> None:
    faults.hang("av")
    result = probe.check(["av"], HANGING)
    assert result.packages[0].state == "timed_out"
    (finding,) = result.findings
    assert finding.id == "import_timed_out"
    assert "took longer than 2 s" in finding.message
    assert "in wait" in (finding.detail or "")


def test_dependents_of_a_hanging_package_are_not_tried(
    faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = faults.hang("torch")
    monkeypatch.setattr("worker.probe.children.available_threads", lambda: 1)
    result = probe.check(["torch", "torchaudio", "whisperx"], HANGING)
    assert mark.read_text() == "x"  # it was tried once
    assert [each.state for each in result.packages] == ["timed_out"] * 3
    assert [each.id for each in result.findings] == ["import_timed_out", *["dependency_failed"] * 2]


@pytest.mark.parametrize(
    ("breakage", "text"), [("garbage", "invalid ELF header"), ("class", "wrong ELF class")]
)
def test_a_library_of_another_architecture_is_named(
    faults: Faults, breakage: str, text: str
) -> None:
    folder = faults.copy("msgspec")
    (library,) = folder.glob("_core*.so")
    data = bytearray(library.read_bytes())
    data[:8] = b"\x7fELF\x01\x01\x01\x00" if breakage == "class" else b"garbage!"
    library.write_bytes(data)
    _, found = examined("msgspec", use=False)
    assert found["msgspec"].id == "wrong_architecture"
    assert text in (found["msgspec"].detail or "")
    assert "uname -m" in found["msgspec"].remedy


def test_a_missing_native_module_is_noticed_despite_the_import(
    faults: Faults,
) -> None:
    # ctranslate2 takes it for an installation that only converts models.
    faults.copy("ctranslate2", "_ext*")
    outcomes, found = examined("ctranslate2", use=False)
    assert outcomes["ctranslate2"].failure
    assert found["ctranslate2"].id == "module_left_out"
    assert "ctranslate2._ext" in found["ctranslate2"].message


def test_a_missing_library_is_named(faults: Faults) -> None:
    faults.copy("ctranslate2")  # beside which its libraries are not found
    _, found = examined("ctranslate2", use=False)
    assert found["ctranslate2"].id == "library_missing"
    assert "libctranslate2" in found["ctranslate2"].message


def test_missing_assets_are_named_with_their_path(faults: Faults) -> None:
    silero = faults.copy("faster_whisper", "*.onnx") / "assets" / "silero_vad*.onnx"
    schema = faults.copy("jsonrpcserver", "*.json") / "request-schema.json"
    certificates = faults.copy("certifi", "*.pem") / "cacert.pem"
    _, found = examined("faster-whisper", "jsonrpcserver", "certifi")
    for name, path in (
        ("faster-whisper", silero),
        ("jsonrpcserver", schema),
        ("certifi", certificates),
    ):
        assert found[name].id == "asset_missing"
        assert str(path) in found[name].message
        assert "Reinstall the package" in found[name].remedy


def test_a_missing_module_is_found_among_the_causes(faults: Faults) -> None:
    # As pyannote.audio reads its telemetry's settings, and as transformers hides why it fails.
    folder = faults.package("pyannote_like", "open(__path__[0] + '/config.yaml')")
    faults.package(
        "transformers_like",
        "import importlib.metadata\n"
        "try:\n"
        "    importlib.metadata.version('torchcodec-that-is-not-there')\n"
        "except ImportError as error:\n"
        "    raise ModuleNotFoundError('Could not import module Wav2Vec2ForCTC') from error\n",
    )
    _, found = examined("pyannote_like", "transformers_like")
    assert found["pyannote_like"].id == "asset_missing"
    assert str(folder / "config.yaml") in found["pyannote_like"].message
    assert found["transformers_like"].id == "metadata_missing"
    assert "metadata of torchcodec-that-is-not-there" in found["transformers_like"].message


def test_a_damaged_asset_fails_on_use(faults: Faults) -> None:
    (faults.copy("faster_whisper") / "assets" / "silero_vad_v6.onnx").write_bytes(b"\x08")
    outcomes, found = examined("faster-whisper", "onnxruntime")
    assert found["faster-whisper"].id == found["onnxruntime"].id == "use_failed"
    assert outcomes["faster-whisper"].seconds is not None  # it could be imported


def test_torchaudio_without_a_backend_module_is_explained(faults: Faults) -> None:
    faults.hide("torchaudio.backend.sox_io_backend")
    result = probe.check(["torchaudio"], TIMEOUT)
    (finding,) = result.findings
    assert "partially initialized module 'torchaudio.backend'" in (finding.detail or "")
    assert finding.id == "module_left_out"
    assert "torchaudio.backend.sox_io_backend is missing" in finding.message


def test_pyannote_without_a_torch_module_names_it(faults: Faults) -> None:
    faults.hide("torch._inductor.test_operators")
    _, found = examined("pyannote.audio", use=False)
    assert found["pyannote.audio"].id == "module_left_out"
    assert "torch._inductor.test_operators is missing" in found["pyannote.audio"].message


def test_dependencies_are_examined_to_explain_a_failure(
    faults: Faults,
) -> None:
    faults.package("tokenizers", "import os\nos.abort()")
    (finding,) = probe.check(["faster-whisper"], TIMEOUT).findings
    assert (finding.id, finding.package) == ("dependency_failed", "faster-whisper")
    assert "Importing tokenizers crashed" in finding.message and "SIGABRT" in finding.message


def test_a_shared_cause_comes_first(faults: Faults) -> None:
    faults.hide("torch", recorded=True)
    result = probe.check([], TIMEOUT)
    assert [(each.id, each.package) for each in result.findings] == [
        ("package_damaged", "torch"),
        ("dependency_failed", "whisperx"),
        ("dependency_failed", "pyannote.audio"),
        ("dependency_failed", "torchaudio"),
    ]
    assert len({each.remedy for each in result.findings}) == 1


# Flavours


def test_an_installation_without_torch_is_complete(faults: Faults) -> None:
    faults.hide(*TORCH)
    code, result, _ = diagnose()
    assert (code, result.flavour, result.health_metrics.overall_score) == (0, "lite", 100)
    statuses = {name: each.status for name, each in result.environments.items()}
    assert statuses == {
        "worker": "ready",
        "fasterWhisper": "ready",
        "whisperx": "missing",
        "alignment": "missing",
        "pyannote": "missing",
    }
    assert "transcription-worker[full]" in ids(result.findings)["lite"].remedy


def test_one_full_package_makes_the_flavour_full(faults: Faults) -> None:
    faults.hide(*(name for name in TORCH if name != "whisperx"))
    result = probe.check([], TIMEOUT)
    assert result.flavour == "full"
    missing = {each.package for each in result.findings if each.id == "package_missing"}
    assert missing == {"torch", "pyannote.audio", "torchaudio"}


def test_torch_alone_does_not_make_the_flavour_full(faults: Faults) -> None:
    faults.hide(*TORCH)
    faults.package("torch", "")
    (faults.folder / "sitecustomize.py").write_text(HIDE.replace('split(",")', 'split(",")[1:]'))
    result = probe.check([], TIMEOUT)
    assert (result.flavour, result.findings) == ("lite", [])
    assert [each.available for each in result.packages if each.name == "torch"] == [True]


# Places and secrets


def test_the_report_names_bad_directories_and_no_secrets(faults: Faults, tmp_path: Path) -> None:
    faults.hide(*TORCH)
    shouts = "import os, sys\nprint(dict(os.environ), file=sys.stderr)\nos.abort()"
    faults.package("tqdm", shouts)
    faults.package("pysubs2", "import os\nraise RuntimeError(os.environ['https_proxy'])")
    # Where a message is cut, a secret must not be left in part.
    faults.package("psutil", "import os\nraise RuntimeError('x' * 260 + os.environ['HTTP_PROXY'])")
    file = tmp_path / "file"
    file.write_text("")
    secrets = {
        "HF_TOKEN": TOKEN,
        "HUGGING_FACE_HUB_TOKEN": "unusual-form-of-a-token",
        "HTTP_PROXY": "http://somebody:p%40ss-word@proxy.test:3128",
        "https_proxy": "http://somebody:other/pass@word@proxy.test:3128",
        "HF_ENDPOINT": "https://user:mirror-password@hub.test/",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20abcdef",
        "AWS_SECRET_ACCESS_KEY": "of-no-concern-here",
    }
    place = {"HF_HOME": str(file / "below"), "OMP_NUM_THREADS": "1"}
    code, result, output = diagnose(**secrets, **place)
    assert code == 1
    found = ids(result.findings)
    assert found["cache_not_writable"].severity == "error"
    assert f"{file} is not a folder" in found["cache_not_writable"].message
    assert "HF_HOME" in found["cache_not_writable"].remedy
    assert (result.cache.source, result.cache.writable) == ("HF_HOME", False)
    assert result.environments["worker"].status == "failed"
    assert result.health_metrics.overall_score == 0

    for hidden in (
        *(TOKEN, "unusual-form-of-a-token", "p%40ss-word", "p@ss-word", "other/pass", "pass@word"),
        *("mirror-password", "abcdef", "of-no-concern-here", TOKEN[:6], "p%40"),
    ):
        assert hidden.encode() not in output, hidden
    (shouted,) = (each.detail or "" for each in result.findings if each.package == "tqdm")
    assert "'OMP_NUM_THREADS': '1'" in shouted and "<redacted>@proxy.test" in shouted
    assert "'HF_TOKEN': ''" in shouted  # nor does a package's process hold the token
    shown = result.environment_variables
    assert shown["HF_TOKEN"] == "<redacted>"
    assert shown["HTTP_PROXY"] == shown["https_proxy"] == "http://<redacted>@proxy.test:3128"
    assert shown["OMP_NUM_THREADS"] == "1"
    assert "AWS_SECRET_ACCESS_KEY" not in shown
    assert result.hub.token_source == "environment"


def test_the_token_of_the_hubs_login_is_redacted(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("stored-by-a-login\n")
    environment = {"HF_HOME": str(tmp_path)}
    redactor = Redactor(environment, surroundings.token_files(environment))
    assert redactor.text("the token is stored-by-a-login.") == "the token is <redacted>."
    assert surroundings.describe_hub(environment, None)[0].token_source == "login"


def test_a_full_disk_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    _, (cache,) = surroundings.describe_cache({"HF_HOME": str(tmp_path / "not" / "there")})
    assert "No space left on device" in cache.message
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    _, (temporary,) = surroundings.describe_temporary({})
    assert temporary.id == "temporary_not_writable"
    assert "No space left on device" in temporary.message


def test_a_nearly_full_disk_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=50_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    info, (cache,) = surroundings.describe_cache({"HF_HOME": str(tmp_path)})
    assert (cache.id, cache.severity, info.free_disk) == ("disk_low", "error", 50_000_000)
    assert "50 MB" in cache.message


def test_a_replaced_temporary_directory_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "file").write_text("")
    _, (finding,) = surroundings.describe_temporary({"TMPDIR": str(tmp_path / "file")})
    assert finding.id == "temporary_elsewhere"
    assert "file is not a folder" in finding.message


def test_cached_models_are_listed_with_their_sizes(tmp_path: Path) -> None:
    folder = tmp_path / "hub" / "models--owner--name"
    (folder / "blobs").mkdir(parents=True)
    (folder / "blobs" / "abc").write_bytes(b"0" * 1000)
    (folder / "blobs" / "def.incomplete").write_bytes(b"0" * 10)
    (folder / "snapshots" / "commit").mkdir(parents=True)
    (folder / "snapshots" / "commit" / "model.bin").symlink_to(folder / "blobs" / "abc")
    weights = tmp_path / "torch" / "hub" / "checkpoints"
    weights.mkdir(parents=True)
    (weights / "wav2vec2_fairseq_base_ls960_asr_ls960.pth").write_bytes(b"0" * 500)
    info, found = surroundings.describe_cache(
        {"HF_HOME": str(tmp_path), "TORCH_HOME": str(tmp_path / "torch")}
    )
    assert [(each.repository, each.size, each.incomplete) for each in info.models] == [
        ("owner/name", 1000, 10),
        ("torchaudio/WAV2VEC2_ASR_BASE_960H", 500, 0),
    ]
    assert info.models[0].revisions == ["commit"]
    assert (info.size, found) == (1510, [])


# The hub, when it is asked


def asked(endpoint: str, **environment: str) -> tuple[Any, dict[str, Finding]]:
    place = {"HF_ENDPOINT": endpoint, **environment}
    with Children(place, TIMEOUT, lambda: None) as children:
        answer = ask_hub(children)
    hub, found = surroundings.describe_hub({**os.environ, **place}, answer)
    return hub, ids(found)


def test_online_checks_the_hub_and_the_token() -> None:
    with serving() as hub:
        hub.accounts = {TOKEN: "somebody"}
        reached, found = asked(hub.url, HF_TOKEN="")
        assert (reached.reachable, reached.token_valid) == (True, None)
        assert list(found) == ["token_missing"]
        reached, found = asked(hub.url, HF_TOKEN=TOKEN)
        assert (reached.token_valid, reached.user, found) == (True, "somebody", {})
        reached, found = asked(hub.url, HF_TOKEN=TOKEN + "x")
        assert (reached.token_valid, list(found)) == (False, ["token_invalid"])


def test_an_unreachable_hub_is_an_error_with_its_cause() -> None:
    reached, found = asked("http://127.0.0.1:9")
    assert reached.reachable is False
    assert "ConnectionError" in (found["hub_unreachable"].detail or "")
    assert "HTTPS_PROXY" in found["hub_unreachable"].remedy


def test_offline_differs_from_unreachable() -> None:
    _, found = asked("http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert list(found) == ["hub_offline"]


# Devices


def fake_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    folder.mkdir()
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def test_devices_without_an_accelerator_need_no_torch(
    faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(devices, "hints", set)
    monkeypatch.setattr(devices, "ask_smi", lambda children: devices.Smi([]))
    faults.package("torch", "raise RuntimeError('it was imported')")
    result = probe.devices(DevicesParams())
    assert result.cpu.model and result.memory.total
    assert (result.accelerators, result.findings) == ([], [])


def test_an_unusable_device_is_listed_and_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_smi(tmp_path / "bin", monkeypatch, "echo 'NVIDIA T4, 15360, 15000, 550.1, 7.5'")
    result = probe.devices(DevicesParams(timeout=TIMEOUT))
    (device,) = result.accelerators
    assert (device.kind, device.name, device.memory_total) == ("cuda", "NVIDIA T4", 15360 << 20)
    assert (device.driver, device.compute_capability, device.usable_by) == ("550.1", "7.5", [])
    assert [(each.package, each.severity) for each in result.findings] == [
        ("ctranslate2", "warning"),
        ("torch", "warning"),
    ]


def test_a_failing_driver_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faults: Faults
) -> None:
    faults.package("torch", "")
    text = "Failed to initialize NVML: Driver/library version mismatch"
    fake_smi(tmp_path / "bin", monkeypatch, f"echo '{text}'; exit 18")
    result = probe.devices(DevicesParams(timeout=TIMEOUT))
    finding = ids(result.findings)["driver_failed"]
    assert text in finding.message
    assert "Restart" in finding.remedy


# Its own life


def test_a_cancelled_probe_ends_its_processes(faults: Faults, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    faults.package(
        "torch",
        f"import os, threading\nos.write(os.open({str(mark)!r}, os.O_CREAT | os.O_WRONLY),"
        "str(os.getpid()).encode())\nthreading.Event().wait()",
    )

    def raise_if_cancelled() -> None:
        if mark.exists() and mark.read_text():
            raise cancelled("client")

    caught: list[RpcError] = []

    def run() -> None:
        try:
            probe.probe(ProbeParams(timeout=TIMEOUT), raise_if_cancelled)
        except RpcError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE)
    assert [error.kind for error in caught] == ["cancelled"]
    wait_until_gone([int(mark.read_text())])


def test_a_killed_probe_leaves_no_process(faults: Faults, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    faults.package(
        "av",
        f"import os, threading\nopen({str(pipe)!r}, 'w').write(str(os.getpid()))\n"
        "threading.Event().wait()",
    )
    process = subprocess.Popen(
        [*WORKER, "check", "av"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    child = int(pipe.read_text())
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until_gone([child])


def test_progress_is_reported_per_package(faults: Faults) -> None:
    told: list[tuple[int, int]] = []
    probe.check(["orjson", "tqdm"], TIMEOUT, lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]


# Remedies

KNOWN = [
    (
        "ImportError: cannot import name 'sox_io_backend' from partially initialized module "
        "'torchaudio.backend' (most likely due to a circular import)",
        "module_left_out",
    ),
    ("ModuleNotFoundError: No module named 'torch._inductor.test_operators'", "module_left_out"),
    ("RuntimeError: Could not load libtorchcodec. Likely causes:", "torchcodec_not_loadable"),
    (
        "NoSuchFile: [ONNXRuntimeError] : 3 : NO_SUCHFILE : Load model from "
        "/x/faster_whisper/assets/silero_vad_v6.onnx failed:Load model failed. File doesn't exist",
        "asset_missing",
    ),
    ("Could not load library libcudnn_ops_infer.so.8.", "cuda_library_missing"),
    ("Library cublas64_12.dll is not found or cannot be loaded", "cuda_library_missing"),
    ("OSError: [WinError 193] %1 is not a valid Win32 application", "wrong_architecture"),
    ("ImportError: dlopen(x.so): mach-o file, but is an incompatible architecture (have 'x86_64', "
     "need 'arm64')", "wrong_architecture"),
    ("ImportError: /x/y.so: wrong ELF class: ELFCLASS32", "wrong_architecture"),
    ("ImportError: /x/y.so: invalid ELF header", "wrong_architecture"),
    ("ImportError: DLL load failed while importing _ext: The specified module could not be found.",
     "dll_load_failed"),
    ("OSError: [WinError 126] The specified module could not be found. Error loading \"c10.dll\"",
     "dll_load_failed"),
    ("ImportError: /lib/libc.so.6: version `GLIBC_2.38' not found (required by x)",
     "system_too_old"),
    ("OSError: libsndfile.so.1: cannot open shared object file: No such file", "library_missing"),
    ("OSError: sndfile library not found: libsndfile library not found", "library_missing"),
    ("ImportError: x.so: undefined symbol: _ZN3c104cuda9SetDeviceEi", "versions_do_not_match"),
    ("ImportError: libctranslate2.so: cannot enable executable stack as shared object requires",
     "executable_stack"),
    ("ImportError: libgomp.so: cannot allocate memory in static TLS block", "library_order"),
    ("importlib.metadata.PackageNotFoundError: No package metadata was found for torchcodec",
     "metadata_missing"),
    ("OSError: Can't get source for <function multishape_conv1d at 0x7f>", "source_missing"),
    ("OSError: [Errno 28] No space left on device", "disk_full"),
    ("RuntimeError: CUDA driver version is insufficient for CUDA runtime version",
     "driver_too_old"),
    ("RuntimeError: CUDA error: no kernel image is available for execution on the device",
     "device_not_supported"),
    ("std::bad_alloc", "out_of_memory"),
    ("PermissionError: [WinError 5] Access is denied: 'x.pyd'", "not_permitted"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "id_"), KNOWN, ids=[f"{id_}-{text[:20]}" for text, id_ in KNOWN])
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_known_failures_have_a_remedy_everywhere(
    text: str, id_: str, frozen: bool, platform: str
) -> None:
    place = Place("thing", "1.0", frozen=frozen, platform=platform)
    explanation = signatures.explain(text, place)
    assert explanation and explanation.id == id_
    assert explanation.message and len(explanation.remedy) > 10
    # Nobody can install into a bundle.
    assert not (frozen and "pip install" in explanation.remedy)


def test_remedies_differ_by_system() -> None:
    def remedy(text: str, platform: str) -> str:
        explanation = signatures.explain(text, Place("thing", platform=platform))
        assert explanation
        return explanation.remedy

    assert "Visual C++" in remedy("DLL load failed while importing _ext", "win32")
    assert "apt install libsndfile1" in remedy("libsndfile library not found", "linux")
    assert "brew install libsndfile" in remedy("libsndfile library not found", "darwin")
    assert "no CUDA on macOS" in remedy("libcublas.so.12 not found", "darwin")
    assert "nvidia-cublas-cu12" in remedy("libcublas.so.12 not found", "linux")
    assert "nvidia-cudnn-cu12" in remedy("libcudnn.so.9 not found", "linux")
    assert "quarantine" in remedy("library load disallowed by system policy", "darwin")


def test_unknown_failures_are_not_explained() -> None:
    for text in ("ValueError: 7", "RuntimeError: something else", ""):
        assert signatures.explain(text, Place("thing")) is None


# The score


def environment(status: str, *names: str) -> EnvironmentInfo:
    infos = [
        PackageInfo(
            name=name, available=True, state="ok", required=True, version="1", location=None,
            import_seconds=None, error=None,
        )
        for name in names
    ]  # fmt: skip
    return EnvironmentInfo(status=status, packages=infos, errors=[])  # type: ignore[arg-type]


def finding(severity: str, package: str | None = None) -> Finding:
    return Finding(id="x", severity=severity, message="x", remedy="x", package=package)  # type: ignore[arg-type]


def test_the_score_follows_its_docstring() -> None:
    worker, missing = environment("ready", "a"), environment("missing", "c")
    score = probe.score
    assert score({"worker": worker, "x": missing}, []) == 100
    assert score({"worker": worker, "x": environment("degraded")}, []) == 75
    assert score({"worker": worker, "x": environment("failed")}, []) == 50
    assert score({"worker": environment("failed"), "x": worker}, []) == 0
    alone = {"worker": worker}
    assert score(alone, [finding("error"), finding("warning"), finding("info")]) == 85
    assert score(alone, [finding("error", "a")]) == 100  # told by the status already
    assert score(alone, [finding("error")] * 20) == 0


# Its place in the code


def test_the_probe_imports_nothing_heavy() -> None:
    def loaded(module: str) -> set[str]:
        script = (
            "import sys\nbefore = set(sys.modules)\n"
            f"import {module}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
        return set(done.stdout.decode().split())

    heavy = {"numpy", "torch", "psutil", "orjson", "huggingface_hub", "jsonrpcserver", "av"}
    assert not loaded("worker.probe.probe") & heavy
    assert not loaded("worker.probe.child") & (heavy | {"msgspec"})


def test_every_package_of_an_environment_is_examined() -> None:
    known = {package.name for package in packages.PACKAGES}
    for names in (*packages.BASE.values(), *packages.FULL.values(), packages.CRITICAL):
        assert set(names) <= known
    for package in packages.PACKAGES:
        assert packages.find(package.modules[0]) is packages.find(package.name) is package
        assert all(packages.is_known(packages.find(name)) for name in package.needs)


def test_intel_macs_are_not_told_to_install_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("sys.platform", "darwin")
    failure = Failure("import", "absent", "", "", None)
    missing = {"whisperx": Outcome(packages.find("whisperx"), failure=failure)}
    (absent,) = of_packages(missing, lambda _: True, TIMEOUT)
    for finding in (lite(), absent):
        assert finding.remedy and "Intel Macs" in finding.remedy
        assert "pip install" not in finding.remedy
