"""The fenced blocks of the documents, and a place to run those of the shell and Python.

A block of `text` after such a block is its output; `…` in it stands for anything.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from tests.hub import serving
from tests.support import (
    ALIGNMENT_MODEL,
    DIARIZATION_MODEL,
    MIXTURES,
    MODEL,
    RECORDINGS,
    WORKER,
    samples_of,
    write_wav,
)

ROOT: Final = Path(__file__).parent.parent
_ROOMS: Final = ("benchmarks", "examples", "hooks", "protocol", "tests", "worker")
_BUILT: Final = {"node_modules", "dist", "dist-test", "__pycache__"}
RECORDED: Final = {
    "speech.wav": RECORDINGS / "en-02.flac",
    "lecture.wav": RECORDINGS / "demo.flac",
    "meeting.wav": MIXTURES / "mixture-15.flac",
    "recordings/monday.wav": RECORDINGS / "en-01.flac",
    "recordings/tuesday.wav": RECORDINGS / "en-03.flac",
}
"""The recordings that the documents name."""
MODELS: Final = {
    "Systran/faster-whisper-small": MODEL,
    "pyannote/speaker-diarization-community-1": DIARIZATION_MODEL,
}
"""The models that the documents name, by their hub ids."""

_FENCE: Final = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Snippet(msgspec.Struct, frozen=True):
    """A fenced block; `output` is the `text` that follows a program."""

    document: str
    line: int
    language: str
    text: str
    output: str | None = None

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def documents() -> list[str]:
    """The Markdown files that people write, relative to the repository."""
    found = [path.name for path in ROOT.glob("*.md")]
    for room in _ROOMS:
        for folder, folders, _ in os.walk(ROOT / room):
            folders[:] = [name for name in folders if name not in _BUILT]
            if (path := Path(folder, "README.md")).is_file():
                found.append(path.relative_to(ROOT).as_posix())
    return sorted(found)


def snippets(document: str) -> list[Snippet]:
    """The blocks of a document, programs with their outputs."""
    text = (ROOT / document).read_text("utf-8")
    found: list[Snippet] = []
    end = 0
    for match in _FENCE.finditer(text):
        language, body = match.groups()
        follows = found and not text[end : match.start()].strip()
        end = match.end()
        if language == "text" and follows and found[-1].language in ("sh", "python"):
            found[-1] = msgspec.structs.replace(found[-1], output=body)
        else:
            found.append(Snippet(document, text.count("\n", 0, match.start()) + 1, language, body))
    return found


def unfenced(document: str) -> list[str]:
    """The lines that Markdown takes for code, or for a fence, and `snippets` does not."""
    prose = _FENCE.sub("", (ROOT / document).read_text("utf-8"))
    return [line for line in prose.splitlines() if re.match(r" {4}|\t|\s*(```|~~~)", line)]


class Workplace:
    """A machine as the documents assume it: the worker on the PATH, a hub, some recordings."""

    def __init__(self, hub_url: str, home: Path, recordings: Mapping[str, Path]) -> None:
        self._home = home
        self._program(home / "bin" / "transcription-worker", WORKER)
        self.env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("MAKE")},
            "PATH": os.pathsep.join([str(home / "bin"), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
            "HF_ENDPOINT": hub_url,
            "HF_HOME": str(home / "models"),
        }
        folder = home / "folder"
        (folder / "recordings").mkdir(parents=True)
        for name, source in recordings.items():
            write_wav(folder / name, samples_of(str(source)))
        (folder / "WAV2VEC2_ASR_BASE_960H").symlink_to(ALIGNMENT_MODEL)
        (folder / "tests").symlink_to(ROOT / "tests")
        self._program(folder / ".venv" / "bin" / "python", [sys.executable])

    def _program(self, path: Path, command: list[str]) -> None:
        path.parent.mkdir(parents=True)
        path.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        path.chmod(0o755)

    def settle(self, name: str) -> tuple[Path, dict[str, str]]:
        """A new folder with the recordings, and an environment with models of its own.

        It also stands for a checkout, as far as the documents' blocks need one.
        """
        folder = shutil.copytree(self._home / "folder", self._home / name, symlinks=True)
        models = self._home / f"models of {name}"
        shutil.copytree(self.env["HF_HOME"], models, symlinks=True)
        return folder, {**self.env, "HF_HOME": str(models)}

    def run(self, snippet: Snippet) -> str:
        """Run a block of the shell or of Python as it stands; return what it prints.

        It must exit with 0 and write nothing to stderr.
        """
        folder, env = self.settle(re.sub(r"\W+", "-", str(snippet)))
        program = {"sh": ["bash", "-c"], "python": [sys.executable, "-c"]}[snippet.language]
        done = subprocess.run(
            [*program, snippet.text],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
        )
        assert (done.returncode, done.stderr) == (0, ""), f"{done.stdout}\n{done.stderr}"
        return done.stdout


@contextmanager
def workplace(
    home: Path, models: Mapping[str, Path] = MODELS, recordings: Mapping[str, Path] = RECORDED
) -> Iterator[Workplace]:
    """A workplace below `home`, with a hub on loopback that has the models."""
    assert shutil.which("jq"), "the recipes need jq: apt-get install jq"
    with serving() as hub:
        for name, model in models.items():
            hub.add(name, model, licence="mit")
        place = Workplace(hub.url, home, recordings)
        command = ["transcription-worker", "models", "download", *models]
        subprocess.run(command, env=place.env, check=True, capture_output=True)
        yield place


def check_output(snippet: Snippet, printed: str) -> None:
    """Fail where a program did not print what its document shows."""
    if snippet.output is not None:
        pattern = ".*?".join(map(re.escape, snippet.output.split("…")))
        shown = f"{snippet} prints\n{printed}"
        assert re.fullmatch(pattern, printed, re.DOTALL), shown
