"""Turns the inputs of a batch (files, folders, globs, manifest lines) into tasks.

Outputs mirror the input tree: each recording's files have the same path below the output folder as
the recording has below the deepest folder that contains all inputs. No two tasks write the same
files, nor those of another recording of an earlier batch: a recording whose name is taken keeps its
suffix in it, or gets a number. A name that the user gave twice is refused.
"""

from __future__ import annotations

import glob
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson

from protocol.errors import RpcError
from worker.system.paths import from_wire, name_to_wire, printable
from worker.system.stdin import NAME, STDIN

MANIFEST: Final = "-"
"""The input that means a manifest on stdin."""
MEDIA_SUFFIXES: Final = frozenset({
    *(".3g2", ".3gp", ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".asf", ".au"),
    *(".avi", ".caf", ".dts", ".dv", ".eac3", ".flac", ".flv", ".gsm", ".m2ts", ".m4a", ".m4b"),
    *(".m4v", ".mka", ".mkv", ".mov", ".mp2", ".mp3", ".mp4", ".mpeg", ".mpg", ".mpga", ".mts"),
    *(".mxf", ".oga", ".ogg", ".ogv", ".opus", ".ra", ".rm", ".spx", ".ts", ".tta", ".vob"),
    *(".voc", ".w64", ".wav", ".webm", ".wma", ".wmv", ".wv"),
})  # fmt: skip
"""Suffixes to take from folders and globs; a file named by the user may have any suffix."""


class Task(msgspec.Struct, kw_only=True):
    """A recording to transcribe, or the reason why it cannot be transcribed."""

    input: str
    """As the user named it, in printable UTF-8."""
    path: Path
    folder: Path
    """Folder for its files."""
    name: Any
    """Name of its files, without suffix; the worker checks it."""
    named: bool = False
    """The user gave that name."""
    params: dict[str, Any]
    """Its own params of `transcribe`."""
    not_media: bool = False
    """Its suffix is not that of audio or video."""
    refusal: RpcError | None = None


class _Found(msgspec.Struct, kw_only=True):
    """A recording whose output folder is not yet determined."""

    input: str
    path: Path
    named: bool
    """The user named this file, rather than a folder or glob that contains it."""
    anchor: Path | None = None
    """The folder that its input covers; outputs mirror the tree below all of these."""
    params: dict[str, Any] | None = None
    refusal: RpcError | None = None


def collect(
    inputs: Sequence[str],
    manifest: Iterable[bytes],
    output_dir: Path,
    owner: Callable[[Task], str | None] = lambda task: None,
    read_stdin: Callable[[], Path] | None = None,
) -> list[Task]:
    """Return one task per recording, in the order of the inputs; `-` reads `manifest`.

    `owner` is as in `make_names_unique`. `read_stdin` stores the recording on stdin in a file;
    without it, stdin holds none.
    """
    found: list[_Found] = []
    for each in inputs:
        found += _manifest(manifest, read_stdin) if each == MANIFEST else _expand(each, output_dir)
    found = list(_without_repeats(found))
    root = _common([each.anchor for each in found if each.anchor])
    tasks = [_task(each, root, output_dir) for each in found]
    make_names_unique(tasks, owner)
    return tasks


def _absolute(path: str) -> Path:
    return Path(os.path.normpath(Path(path).absolute()))


def _expand(text: str, output_dir: Path) -> Iterator[_Found]:
    path = _absolute(text)
    if path.is_dir():
        yield from _walk(text, path, output_dir)
    elif path.exists():
        yield _Found(input=text, path=path, named=True, anchor=path.parent)
    elif glob.has_magic(text):
        matches = sorted(glob.glob(text, recursive=True))  # noqa: PTH207
        anchor = _fixed_part(text)
        if not matches:
            message = f"No file matches {printable(text)}."
            refusal = RpcError("audio_not_found", message, remedy="Check the pattern.")
            yield _Found(input=text, path=path, named=True, refusal=refusal)
        for match in matches:
            path = _absolute(match)
            if path.is_dir():
                yield from _walk(match, anchor, output_dir)
            else:
                yield _Found(input=match, path=path, named=False, anchor=anchor)
    else:  # the worker reports what is wrong
        yield _Found(input=text, path=path, named=True)


def _fixed_part(pattern: str) -> Path:
    """The folder that contains all matches of a pattern."""
    parts = Path(pattern).parts
    count = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return _absolute(str(Path(*parts[:count])))


def _walk(folder: str, anchor: Path, output_dir: Path) -> Iterator[_Found]:
    """Yield the files below a folder, except hidden ones and outputs."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if name[0] != "." and _absolute(str(Path(place, name))) != output_dir
        )
        for name in sorted(files):
            if name[0] != ".":
                text = str(Path(place, name))
                yield _Found(input=text, path=_absolute(text), named=False, anchor=anchor)


def _manifest(lines: Iterable[bytes], read_stdin: Callable[[], Path] | None) -> Iterator[_Found]:
    spooled = False
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found = _entry(line)
                if found.input == STDIN:
                    if read_stdin is None:
                        raise ValueError(
                            "its audio is -, but stdin holds the manifest; give that by --manifest"
                        )
                    if spooled:
                        raise ValueError("its audio is -, which an earlier line has read already")
                    spooled = True
                    found = _spooled(found, read_stdin)
                yield found
            except ValueError as error:
                message = f"Line {number} of the manifest is invalid: {error}."
                remedy = 'Write each line as {"audio": PATH, …}, with any params of transcribe.'
                refusal = RpcError("invalid_params", message, remedy=remedy)
                yield _Found(input=f"line {number}", path=Path(), named=True, refusal=refusal)


def _entry(line: bytes) -> _Found:
    params = orjson.loads(line)
    if not isinstance(params, dict):
        raise ValueError("it is not an object")
    audio = params.pop("audio", None)
    if not isinstance(audio, str) or not audio:
        raise ValueError("it has no audio path")
    if not isinstance(params.get("outputDir", ""), str):
        raise ValueError("its outputDir is not a path")
    path = _absolute(from_wire(audio))
    placed = "outputDir" in params or "name" in params
    anchor = None if placed else path.parent
    return _Found(input=audio, path=path, named=True, anchor=anchor, params=params)


def _spooled(found: _Found, read_stdin: Callable[[], Path]) -> _Found:
    """The recording on stdin, or why it cannot be transcribed."""
    found.anchor, found.path = None, Path(NAME)
    try:
        found.path = read_stdin()
    except RpcError as error:
        found.refusal = error
    return found


def _without_repeats(found: Iterable[_Found]) -> Iterator[_Found]:
    """Yield each file once. Manifest lines are never merged: each has its own params."""
    kept: dict[Path, _Found] = {}
    for each in found:
        if each.params is None and each.refusal is None:
            first = kept.setdefault(each.path, each)
            first.named |= each.named
            if first is not each:
                continue
        yield each


def _common(folders: Sequence[Path]) -> Path | None:
    try:
        return Path(os.path.commonpath(folders))
    except ValueError:  # no folders, or several drives
        return None


def _task(found: _Found, root: Path | None, output_dir: Path) -> Task:
    own = dict(found.params or {})
    own.pop("progressToken", None)
    own.pop("partialResultToken", None)
    # With its own name or outputDir, a line does not mirror the tree: its author avoids collisions.
    below = Path()
    if found.anchor:
        below = _below(found.path.parent, root)
    folder = Path(os.path.normpath(output_dir / from_wire(own.pop("outputDir", str(below)))))
    name = own.pop("name", None)
    return Task(
        input=printable(found.input),
        path=found.path,
        folder=folder,
        named=bool(name),
        name=name or plain_name(found.path),
        params=own,
        not_media=not found.named and found.path.suffix.lower() not in MEDIA_SUFFIXES,
        refusal=found.refusal,
    )


def _below(folder: Path, root: Path | None) -> Path:
    if root is not None:
        return folder.relative_to(root)
    drive = folder.drive.strip(":\\/").replace("\\", "_")
    return Path(drive, *folder.parts[1:])


def plain_name(path: Path) -> str:
    """The name of a recording's files, unless another recording has it."""
    return _name(path.stem)


def _name(name: str) -> str:
    """A file's name as the protocol accepts it: in UTF-8, without a backslash."""
    return name_to_wire(name).replace("\\", "_")


def make_names_unique(
    tasks: Sequence[Task], owner: Callable[[Task], str | None] = lambda task: None
) -> None:
    """Rename tasks whose files would be the same; refuse those whose names the user gave.

    `owner` returns the file name of the recording to which an earlier batch gave a task's files.
    """
    tasks = [each for each in tasks if not each.not_media and each.refusal is None]
    taken: dict[str, Task] = {}
    for task in tasks:
        if task.named and (other := taken.setdefault(place(task), task)) is not task:
            task.refusal = RpcError(
                "invalid_params",
                f"Its files would replace those of {other.input}: {task.name}.",
                remedy="Set another name for it in a manifest.",
            )
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        if not task.named:
            groups.setdefault(place(task), []).append(task)
    crowded: list[Task] = []
    for key, group in groups.items():
        owned = [each for each in group if owner(each) == file_name(each)]
        free = len(group) == 1 and owner(group[0]) is None
        if key not in taken and (owned or free):
            taken[key] = owned[0] if owned else group[0]
        crowded += [each for each in group if taken.get(key) is not each]
    for task in crowded:
        full = _name(task.path.name)
        for number in count(1):
            task.name = full if number == 1 else f"{full}-{number}"
            if owner(task) in (None, file_name(task)) and place(task) not in taken:
                break
        taken[place(task)] = task


def file_name(task: Task) -> str:
    """The name of the recording's file, in UTF-8."""
    return name_to_wire(task.path.name)


def place(task: Task) -> str:
    """A key for a task's files; equal for names that some file system treats as the same."""
    return folded(task.folder / str(task.name))


def folded(path: Path) -> str:
    """A path as file systems compare it that do not tell case or Unicode forms apart."""
    return unicodedata.normalize("NFC", str(path)).casefold()
