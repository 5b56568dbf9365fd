"""The fenced blocks of Markdown files, and a place where those of the shell and Python are run.

A block of `text` after one of those is what it prints; `…` in it stands for anything.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
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
RECORDED: Final = {
    "speech.wav": RECORDINGS / "en-02.flac",
    "lecture.wav": RECORDINGS / "demo.flac",
    "meeting.wav": MIXTURES / "mixture-15.flac",
    "recordings/monday.wav": RECORDINGS / "en-01.flac",
    "recordings/tuesday.wav": RECORDINGS / "en-03.flac",
}
"""What the documents' recordings are."""

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


def snippets(document: str) -> list[Snippet]:
    """The blocks of a Markdown file of the repository, outputs with their programs."""
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
    """A machine as the documents suppose it: the worker on the PATH, a hub, some recordings."""

    def __init__(self, hub_url: str, home: Path) -> None:
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
        for name, source in RECORDED.items():
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

        It must end well, and write nothing on stderr.
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
def workplace(home: Path) -> Iterator[Workplace]:
    """A workplace below `home`, with a hub on loopback that has the models."""
    assert shutil.which("jq"), "the recipes need jq: apt-get install jq"
    with serving() as hub:
        hub.add("Systran/faster-whisper-small", MODEL, licence="mit")
        hub.add("pyannote/speaker-diarization-community-1", DIARIZATION_MODEL)
        place = Workplace(hub.url, home)
        models = ["small", "pyannote/speaker-diarization-community-1"]
        command = ["transcription-worker", "models", "download", *models]
        subprocess.run(command, env=place.env, check=True, capture_output=True)
        yield place


def check_output(snippet: Snippet, printed: str) -> None:
    """Fail where a program has not printed what its document says."""
    if snippet.output is not None:
        pattern = ".*?".join(map(re.escape, snippet.output.split("…")))
        shown = f"{snippet} prints\n{printed}"
        assert re.fullmatch(pattern, printed, re.DOTALL), shown
