"""Describes the program's surroundings: platform, variables, caches, temporary files and the hub.

Each `describe_…` function returns the facts of one subject, and the findings about it.
"""

from __future__ import annotations

import locale
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from protocol.environment import (
    CachedRepository,
    CacheInfo,
    Finding,
    HubInfo,
    PlatformInfo,
    Storage,
)
from worker.models import catalogue
from worker.probe.redaction import Redactor
from worker.probe.signatures import Place

_LITTLE_DISK: Final = 1_000_000_000
_NO_DISK: Final = 100_000_000
"""Bytes. Models take up to 3 GB; an hour of decoded audio takes 0.23 GB of temporary files."""
_WRITTEN: Final = 64 * 1024
"""Bytes written to test whether a folder is writable."""

# Variables that change how this program or one of its libraries behaves.
_VARIABLES: Final = re.compile(
    r"(?:HF|HUGGING_?FACE|TRANSFORMERS|TOKENIZERS|TORCH|PYTORCH|TORCHAUDIO|PYANNOTE|OTEL|NLTK"
    r"|CUDA|CUDNN|NVIDIA|CUBLAS|HIP|ROCM|ROCR|HSA|OMP|KMP|GOMP|MKL|OPENBLAS|VECLIB|NUMEXPR"
    r"|CT2|ORT|AV|FFMPEG|LD|DYLD|PYTHON|PYINSTALLER|_PYI|TRANSCRIPTION_WORKER|SSL_CERT|XDG_CACHE"
    r"|LC|CONDA|VIRTUAL_ENV)(?:_.*)?$"
    r"|PYTHON\w+$|.*_PROXY$|(?:REQUESTS|CURL)_CA_BUNDLE$|DO_NOT_TRACK$|NO_COLOR$|MALLOC_\w+$"
    r"|(?:TMPDIR|TEMP|TMP|LANG|LANGUAGE|HOME|USERPROFILE)$",
    re.IGNORECASE,
)


def describe_platform() -> PlatformInfo:
    """Describe the program, its Python and the system."""
    libc = " ".join(platform.libc_ver()).strip()
    return PlatformInfo(
        frozen=_frozen(),
        bundle_directory=getattr(sys, "_MEIPASS", None),
        executable=sys.executable,
        sys_path=list(sys.path),
        python=platform.python_version(),
        system=platform.system(),
        release=platform.release(),
        architecture=platform.machine(),
        bits=64 if sys.maxsize > 2**32 else 32,
        libc=libc or None,
        encoding=locale.getpreferredencoding(do_setlocale=False),
        filesystem_encoding=sys.getfilesystemencoding(),
        locale=locale.setlocale(locale.LC_CTYPE),
        path_entries=len([entry for entry in os.get_exec_path() if entry]),
    )


def variables(environment: Mapping[str, str], redactor: Redactor) -> dict[str, str]:
    """The relevant environment variables, redacted, by name."""
    return {
        name: redactor.variable(name, value)
        for name, value in sorted(environment.items())
        if _VARIABLES.match(name)
    }


def describe_temporary(environment: Mapping[str, str]) -> tuple[Storage, list[Finding]]:
    """Describe the folder for temporary files."""
    names = ("TMPDIR", "TEMP", "TMP")
    wanted = next((environment[name] for name in names if environment.get(name)), None)
    try:
        directory = Path(tempfile.gettempdir())
    except FileNotFoundError:  # none of its candidates is writable
        directory = Path(wanted or os.curdir)
    error = _write_error(directory)
    free = _free(directory)
    variable = Place("").choose(linux="TMPDIR", darwin="TMPDIR", win32="TEMP")
    found = []
    if error:
        found.append(
            Finding(
                id="temporary_not_writable",
                severity="error",
                message=f"The worker cannot write temporary files in {directory}: {error}.",
                remedy=f"Set {variable} to a writable folder with enough space.",
            )
        )
    elif wanted and not _same(Path(wanted), directory):
        found.append(
            Finding(
                id="temporary_elsewhere",
                severity="warning",
                message=f"Temporary files go to {directory}, because the worker cannot write them "
                f"in {wanted}: {_write_error(Path(wanted)) or 'it does not exist'}.",
                remedy=f"Set {variable} to an existing, writable folder with enough space.",
            )
        )
    elif free is not None and free < _LITTLE_DISK:
        found.append(
            Finding(
                id="disk_low",
                severity="error" if free < _NO_DISK else "warning",
                message=f"Only {_size(free)} are free for temporary files in {directory}; an hour "
                "of audio takes 0.23 GB.",
                remedy=f"Free some space, or set {variable} to a folder on another disk.",
            )
        )
    return Storage(directory=str(directory), writable=not error, free_disk=free), found


def describe_cache(environment: Mapping[str, str]) -> tuple[CacheInfo, list[Finding]]:
    """Describe the hub's cache."""
    directory, source = _cache_directory(environment)
    models = [*_repositories(directory), *_torchaudio_models(environment)]
    error = _write_error(directory)
    free = _free(directory)
    found = []
    if error:
        found.append(
            Finding(
                id="cache_not_writable",
                severity="warning" if models else "error",
                message=f"The worker cannot store models in the cache {directory}: {error}.",
                remedy="Set HF_HOME to a writable folder, or make this one writable. The worker "
                "can still use the models in it.",
            )
        )
    elif free is not None and free < _LITTLE_DISK:
        found.append(
            Finding(
                id="disk_low",
                severity="error" if free < _NO_DISK and not models else "warning",
                message=f"Only {_size(free)} are free for models in {directory}; the model small "
                "takes 0.5 GB, large-v3 3.1 GB.",
                remedy="Free some space, delete models (transcription-worker models remove), or "
                "set HF_HOME to a folder on another disk.",
            )
        )
    info = CacheInfo(
        directory=str(directory),
        source=source,
        exists=directory.is_dir(),
        writable=not error,
        free_disk=free,
        size=sum(model.size + model.incomplete for model in models),
        models=models,
    )
    return info, found


def describe_hub(
    environment: Mapping[str, str], answer: Mapping[str, Any] | None
) -> tuple[HubInfo, list[Finding]]:
    """Describe the hub; `answer` holds the facts of `worker.probe.hub`, if it was asked."""
    offline = environment.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    info = HubInfo(
        endpoint=environment.get("HF_ENDPOINT") or "https://huggingface.co",
        offline=offline,
        token_source=_token_source(environment),
    )
    if answer is None:
        return info, []
    info.reachable = bool(answer["reachable"])
    info.seconds = answer.get("seconds")
    info.token_valid = answer.get("tokenValid")
    info.user = answer.get("user")
    return info, list(_of_hub(info, answer.get("error")))


def token_files(environment: Mapping[str, str]) -> list[Path]:
    """The files in which the hub's own login keeps its token."""
    home = _hub_home(environment)
    return [Path(environment.get("HF_TOKEN_PATH") or home / "token")]


def bundle_findings(platform_info: PlatformInfo) -> Iterator[Finding]:
    """Find modules that a frozen program would load from outside its folder."""
    bundle = platform_info.bundle_directory
    if not platform_info.frozen or bundle is None:
        return
    outside = [entry for entry in sys.path if not Path(entry).is_relative_to(bundle)]
    if not Path(bundle).is_dir() or outside:
        yield Finding(
            id="bundle_moved",
            severity="error",
            message="The program looks for its modules outside its own folder.",
            remedy="Reinstall the whole application: the executable needs its folder. Unset "
            "PYTHONPATH and PYTHONHOME.",
            detail="\n".join([f"bundle: {bundle}", *outside]),
        )


def _frozen() -> bool:
    return bool(getattr(sys, "frozen", False))


def _of_hub(info: HubInfo, error: str | None) -> Iterator[Finding]:
    if info.offline:
        yield Finding(
            id="hub_offline",
            severity="warning",
            message="HF_HUB_OFFLINE is set: the worker cannot download models.",
            remedy="Unset HF_HUB_OFFLINE to download models.",
        )
    elif not info.reachable:
        yield Finding(
            id="hub_unreachable",
            severity="error",
            message=f"The worker cannot reach the hub {info.endpoint}.",
            remedy="Check the network, HF_ENDPOINT, the proxy settings (HTTPS_PROXY) and the "
            "certificate of a proxy that inspects TLS (REQUESTS_CA_BUNDLE). Cached models work.",
            detail=error,
        )
    elif info.token_valid is False:
        yield Finding(
            id="token_invalid",
            severity="error",
            message="The hub rejected the token.",
            remedy="Create a new token on the hub's settings page and set HF_TOKEN to it, or log "
            "in again.",
        )
    elif info.token_source is None:
        yield Finding(
            id="token_missing",
            severity="info",
            message="The worker has no token for the hub: it cannot download gated models, such as "
            "pyannote's.",
            remedy="Accept a gated model's terms on its page, then set HF_TOKEN to a token of that "
            "account, or pass it as hfToken in initialize.",
        )
    elif info.token_valid is None:
        yield Finding(
            id="token_not_checked",
            severity="warning",
            message="The hub did not say whether it accepts the token.",
            remedy="Try again later.",
            detail=error,
        )


def _token_source(
    environment: Mapping[str, str],
) -> Literal["initialize", "environment", "login"] | None:
    if environment.get("HF_TOKEN") or environment.get("HUGGING_FACE_HUB_TOKEN"):
        # The front sets this variable if the token comes from the client.
        given = environment.get("TRANSCRIPTION_WORKER_TOKEN_SOURCE")
        return "initialize" if given else "environment"
    return "login" if any(file.is_file() for file in token_files(environment)) else None


def _hub_home(environment: Mapping[str, str]) -> Path:
    """The cache folder by huggingface_hub's rules, without importing it."""
    if home := environment.get("HF_HOME"):
        return Path(home).expanduser()
    cache = environment.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache, "huggingface").expanduser()


def _cache_directory(environment: Mapping[str, str]) -> tuple[Path, str]:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if value := environment.get(name):
            return Path(value).expanduser(), name
    names = ("HF_HOME", "XDG_CACHE_HOME")
    source = next((name for name in names if environment.get(name)), "default")
    return _hub_home(environment) / "hub", source


def _repositories(directory: Path) -> Iterator[CachedRepository]:
    for folder in sorted(directory.glob("models--*")):
        blobs = list(folder.glob("blobs/*"))
        copies = (  # the hub copies files if the system has no symbolic links
            file for file in folder.glob("snapshots/**/*") if not file.is_symlink()
        )
        size = sum(_size_of(file) for file in blobs if file.suffix != ".incomplete")
        yield CachedRepository(
            repository=folder.name.removeprefix("models--").replace("--", "/", 1),
            size=size + sum(map(_size_of, copies)),
            incomplete=sum(_size_of(file) for file in blobs if file.suffix == ".incomplete"),
            revisions=sorted(path.name for path in folder.glob("snapshots/*")),
        )


def _torchaudio_models(environment: Mapping[str, str]) -> Iterator[CachedRepository]:
    home = environment.get("TORCH_HOME")
    home = home or f"{environment.get('XDG_CACHE_HOME') or '~/.cache'}/torch"
    folder = Path(home, "hub", "checkpoints").expanduser()
    for entry in catalogue.ENTRIES:
        name = catalogue.torchaudio_file(entry.name)
        if name and (size := _size_of(folder / name)):
            yield CachedRepository(
                repository=entry.repository, size=size, incomplete=0, revisions=[]
            )


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _size_of(file: Path) -> int:
    try:
        return file.stat().st_size if file.is_file() else 0
    except OSError:
        return 0


def _existing(directory: Path) -> Path:
    """The directory, or its nearest ancestor that exists."""
    at = directory.absolute()
    while not os.path.lexists(at) and at != at.parent:
        at = at.parent
    return at


def _write_error(directory: Path) -> str | None:
    """Why the directory is not writable; None if it is, or will be once it is created."""
    place = _existing(directory)
    if not place.is_dir():
        return f"{place} is not a folder"
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(_WRITTEN))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or str(error)
    return None


def _free(directory: Path) -> int | None:
    try:
        return shutil.disk_usage(_existing(directory)).free
    except OSError:
        return None


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"
