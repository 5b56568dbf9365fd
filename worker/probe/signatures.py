"""Recognizes failures by their text, and says what each really means and what to do about it.

`_SIGNATURES` maps patterns to functions that build an explanation for one place: the same failure
needs other remedies in a frozen program, or on another system.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple


class Place(NamedTuple):
    """Where a package failed: everything that remedies depend on."""

    package: str
    version: str | None = None
    frozen: bool = bool(getattr(sys, "frozen", False))
    platform: str = sys.platform

    def choose(self, *, linux: str, darwin: str, win32: str) -> str:
        """The text for this platform."""
        return {"darwin": darwin, "win32": win32}.get(self.platform, linux)


class Explanation(NamedTuple):
    """What a failure means: `message` completes "PACKAGE cannot be imported: …"."""

    id: str
    message: str
    remedy: str


Explain = Callable[[re.Match[str], Place], Explanation]


def explain(text: str, place: Place) -> Explanation | None:
    """Explain a failure by its text: an exception with its causes, or stderr."""
    for pattern, make in _SIGNATURES:
        if match := pattern.search(text):
            return make(match, place)
    return None


def install_again(place: Place) -> str:
    """The remedy for a damaged package."""
    if place.frozen:
        return (
            "Reinstall the application; if that does not help, report this to its developers: "
            f"their build lacks a part of {place.package}."
        )
    version = f"=={place.version}" if place.version else ""
    return (
        f"Reinstall the package: pip install --force-reinstall --no-deps "
        f"'{place.package}{version}'."
    )


def asset_missing(path: str, place: Place) -> Explanation:
    """The package does not find one of its data files."""
    return Explanation("asset_missing", f"its file {path} is missing", install_again(place))


def _backend_left_out(match: re.Match[str], place: Place) -> Explanation:
    module = f"torchaudio.backend.{match[1]}"
    remedy = "Reinstall torchaudio, and do not delete its modules."
    if place.frozen:
        remedy = (
            "Report this to the application's developers: their build must not exclude "
            f"{module}, which torchaudio imports although it is deprecated."
        )
    return Explanation(
        "module_left_out",
        f"the module {module} is missing, which Python reports as a circular import",
        remedy,
    )


def _module_left_out(match: re.Match[str], place: Place) -> Explanation:
    missing = match[1]
    remedy = f"Install its package: pip install {missing.partition('.')[0]}."
    if "." in missing:
        remedy = install_again(Place(missing.partition(".")[0]))
    if place.frozen:
        remedy = (
            "Reinstall the application; if that does not help, report this to its developers: "
            f"their build must not exclude the module {missing}."
        )
    return Explanation("module_left_out", f"the module {missing} is missing", remedy)


def _torchcodec(match: re.Match[str], place: Place) -> Explanation:
    how = place.choose(
        linux="your distribution's package ffmpeg",
        darwin="brew install ffmpeg",
        win32="a shared build of FFmpeg, with its DLLs on the PATH",
    )
    remedy = f"Install FFmpeg's shared libraries: {how}."
    if place.package == "torchcodec":
        remedy = (
            "You need not do anything, and no ffmpeg is needed: torchcodec lets pyannote.audio "
            "open files, but the worker passes it samples decoded by PyAV, whose wheels contain "
            f"their own FFmpeg. If other programs need torchcodec: {how}."
        )
    return Explanation(
        "torchcodec_not_loadable",
        "torchcodec finds no FFmpeg libraries of version 4 to 7, or is built for another torch",
        remedy,
    )


def _no_such_file(match: re.Match[str], place: Place) -> Explanation:
    return asset_missing(match[1], place)


def _cuda_library(match: re.Match[str], place: Place) -> Explanation:
    library = match[1]
    wheel = "nvidia-cudnn-cu12" if "cudnn" in library.lower() else "nvidia-cublas-cu12"
    if place.platform == "darwin":
        remedy = 'There is no CUDA on macOS: use device "cpu" or "mps".'
    elif place.frozen:
        remedy = (
            'Use device "cpu", or install NVIDIA\'s CUDA 12 and cuDNN 9 where the system finds '
            "their libraries; if the application should contain them, report this."
        )
    else:
        variable = place.choose(linux="LD_LIBRARY_PATH", darwin="", win32="PATH")
        remedy = (
            f'Use device "cpu", or install CUDA 12 and cuDNN 9: pip install {wheel}, and add the '
            f"folder of the library to {variable}."
        )
    return Explanation("cuda_library_missing", f"the CUDA library {library} is missing", remedy)


def _wrong_architecture(match: re.Match[str], place: Place) -> Explanation:
    return Explanation(
        "wrong_architecture",
        "one of its libraries is damaged, or built for another processor or system",
        place.choose(
            linux="Install the build for this processor (see uname -m). ",
            darwin="Install the build for this processor: arm64 for Apple silicon, x86_64 for "
            "Intel; Python and its packages must match. ",
            win32="Install the build for this processor: 64-bit Windows needs 64-bit Python and "
            "packages. ",
        )
        + install_again(place),
    )


def _dll_load_failed(match: re.Match[str], place: Place) -> Explanation:
    return Explanation(
        "dll_load_failed",
        "a DLL that it needs is missing or does not start",
        "Install Microsoft's Visual C++ redistributable 2015-2022 (x64) from "
        "https://aka.ms/vs/17/release/vc_redist.x64.exe and start again. If that does not help: "
        + install_again(place),
    )


def _system_too_old(match: re.Match[str], place: Place) -> Explanation:
    remedy = "Use a newer distribution."
    if place.frozen:
        remedy += " A build of the application made on an older system works, too."
    return Explanation(
        "system_too_old", f"it needs {match[1]}, which is newer than this system's", remedy
    )


# The hash in the name of a library that is bundled in a wheel.
_BUNDLED: Final = re.compile(r"-[0-9a-f]{8}\.")
_PROVIDERS: Final = {
    "libsndfile": ("libsndfile1", "libsndfile"),
    "libgomp": ("libgomp1", "libomp"),
    "libomp": ("libomp5", "libomp"),
    "libstdc++": ("libstdc++6", "gcc"),
}


def _not_opened(match: re.Match[str], place: Place) -> Explanation:
    """glibc says the same of an existing file that is built for another processor."""
    exists = Path(match[1]).is_file()
    return (_wrong_architecture if exists else _system_library)(match, place)


def _system_library(match: re.Match[str], place: Place) -> Explanation:
    library = match[1].rpartition("/")[2]
    stem = re.split(r"\.|-\d", library, maxsplit=1)[0]
    if stem in _PROVIDERS:
        debian, brew = _PROVIDERS[stem]
        remedy = place.choose(
            linux=f"Install it: apt install {debian}, or your distribution's package.",
            darwin=f"Install it: brew install {brew}.",
            win32=f"Install the program that provides {library}.",
        )
    else:  # most packages contain their libraries
        remedy = install_again(place)
        if not _BUNDLED.search(library):
            remedy += f" Or install the system package that provides {library}."
    return Explanation("library_missing", f"the library {library} is missing", remedy)


def _abi(match: re.Match[str], place: Place) -> Explanation:
    return Explanation(
        "versions_do_not_match",
        "it was built for another version of numpy",
        f"{install_again(place)} Or upgrade numpy: pip install --upgrade 'numpy>=2'.",
    )


def _symbol(match: re.Match[str], place: Place) -> Explanation:
    remedy = install_again(place)
    if not place.frozen:
        remedy = (
            "Install matching versions: torchaudio and torchcodec each need the torch that they "
            "were built for. pip install 'transcription-worker[full]' does that."
        )
    return Explanation(
        "versions_do_not_match", "it was built for another version of a library", remedy
    )


def _executable_stack(match: re.Match[str], place: Place) -> Explanation:
    return Explanation(
        "executable_stack",
        "one of its libraries needs an executable stack, which this system refuses",
        f"Install a newer version: pip install --upgrade {place.package}."
        if not place.frozen
        else "Install a newer version of the application.",
    )


def _static_tls(match: re.Match[str], place: Place) -> Explanation:
    return Explanation(
        "library_order",
        "one of its libraries finds no space left for its thread-local data",
        "Load that library first: set LD_PRELOAD to the path in the detail.",
    )


def _memory(match: re.Match[str], place: Place) -> Explanation:
    return Explanation(
        "out_of_memory",
        "memory ran out",
        "Close other programs, or give the machine or container more memory, and start again.",
    )


def _metadata(match: re.Match[str], place: Place) -> Explanation:
    name = match[1].strip("'\"")
    remedy = f"Reinstall it: pip install --force-reinstall --no-deps {name}."
    if place.frozen:
        remedy = (
            "Report this to the application's developers: their build must contain the metadata "
            f"(dist-info) of {name}."
        )
    return Explanation("metadata_missing", f"the metadata of {name} is missing", remedy)


def _no_source(match: re.Match[str], place: Place) -> Explanation:
    return Explanation(
        "source_missing",
        f"torch compiles {match[1]} from its Python source, which is missing",
        "Report this to the application's developers: their build must also contain the source "
        "files of that package."
        if place.frozen
        else install_again(place),
    )


def _disk_full(match: re.Match[str], place: Place) -> Explanation:
    return Explanation(
        "disk_full",
        "a disk is full",
        "Free some space, or set "
        + place.choose(linux="TMPDIR", darwin="TMPDIR", win32="TEMP")
        + " to a folder with more space.",
    )


def _driver(match: re.Match[str], place: Place) -> Explanation:
    return Explanation(
        "driver_too_old",
        "the graphics driver is too old for the CUDA version that it was built for",
        'Update NVIDIA\'s driver, or use device "cpu".',
    )


def _no_kernel(match: re.Match[str], place: Place) -> Explanation:
    return Explanation(
        "device_not_supported",
        "it is not built for this GPU model",
        'Use device "cpu", or a build of PyTorch for this GPU: '
        "https://pytorch.org/get-started/locally.",
    )


def _forbidden(match: re.Match[str], place: Place) -> Explanation:
    return Explanation(
        "not_permitted",
        "the system does not let it read or load a file",
        place.choose(
            linux="Check the permissions of the package's folder, and that its file system is not "
            "mounted noexec.",
            darwin="Lift the quarantine of the application: xattr -dr com.apple.quarantine "
            "PATH_OF_THE_APPLICATION; or install it from a signed package.",
            win32="Security software may be blocking files of the application: make an exception "
            "for its folder, or reinstall it.",
        ),
    )


_CUDA: Final = (
    r"cudnn|cublas|cudart|cufft|curand|cusparse|cusolver|cupti|nccl|nvrtc|nvjitlink|nvtoolsext"
)
# The first match wins: more specific patterns come first.
_SIGNATURES: Final[tuple[tuple[re.Pattern[str], Explain], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE), explanation)
    for pattern, explanation in (
        (
            r"cannot import name '(\w+)' from partially initialized module 'torchaudio\.backend'",
            _backend_left_out,
        ),
        (r"could not load libtorchcodec", _torchcodec),
        (r"NO_SUCHFILE.*? from (.+?) failed", _no_such_file),
        (r"No package metadata was found for (\S+)", _metadata),
        (
            r"invalid ELF header|wrong ELF class|file too short|Exec format error"
            r"|not a valid Win32 application|WinError 193|incompatible architecture"
            r"|not a mach-o file|wrong architecture|cannot open shared object file: Is a directory",
            _wrong_architecture,
        ),
        (rf"((?:lib)?(?:{_CUDA})[\w-]*(?:\.so[\d.]*|\.dll|\.dylib))", _cuda_library),
        (r"DLL load failed|WinError (?:126|127|1114)", _dll_load_failed),
        (r"version `((?:GLIBC|GLIBCXX|CXXABI)_[\d.]+)' not found", _system_too_old),
        (r"cannot enable executable stack", _executable_stack),
        (
            r"compiled using NumPy 1|numpy\.core\.multiarray failed to import"
            r"|numpy\.dtype size changed",
            _abi,
        ),
        (
            r"undefined symbol|Symbol not found|procedure (?:entry point )?could not be (?:found|"
            r"located)|operator torchvision::\w+ does not exist",
            _symbol,
        ),
        (r"(\S+\.so[\d.]*): cannot open shared object file", _not_opened),
        (r"(libsndfile)(?:\S* not found| library not found)", _system_library),
        (r"Library not loaded: (\S+)", _system_library),
        (r"Can't get source for <\w+ ([\w.]+)", _no_source),
        (r"driver version is insufficient|driver on your system is too old", _driver),
        (r"no kernel image is available", _no_kernel),
        (r"No space left on device|WinError 112", _disk_full),
        (r"static TLS block", _static_tls),
        (
            r"cannot allocate memory|MemoryError|std::bad_alloc|DefaultCPUAllocator"
            r"|CUDA out of memory|WinError 1455|ended by SIGKILL",
            _memory,
        ),
        (
            r"library load disallowed by system policy|code signature|Permission denied"
            r"|Access is denied|WinError 5\b|failed to map segment from shared object",
            _forbidden,
        ),
        (r"No module named '([\w.]+)'", _module_left_out),
    )
)
