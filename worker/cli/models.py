"""`transcription-worker models`: lists, downloads and removes models, through its own worker."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from protocol.errors import RpcError
from worker.cli.bar import Bar, amount
from worker.cli.telling import of_error, of_warning, tell
from worker.client import Client, WorkerEndedError
from worker.models.families import TASKS

_LANGUAGES_SHOWN: Final = 3


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands of `models`."""
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    shown = commands.add_parser("list", help="list the known and cached models")
    shown.add_argument("--task", choices=TASKS)
    shown.add_argument("--cached", action="store_true", help="list only cached models")
    download = commands.add_parser("download", help="download models, or repair damaged ones")
    remove = commands.add_parser("remove", help="delete models from the cache")
    for each in (download, remove):
        each.add_argument("models", nargs="+", metavar="MODEL", help="a known name or a hub id")
        each.add_argument("--task", choices=TASKS, help="task of an unknown hub id (recognition)")
        each.add_argument("--revision", help="branch, tag or commit")
    for each in (shown, download, remove):
        each.add_argument("--json", action="store_true", help="print JSON, one result per line")


def main(options: argparse.Namespace) -> int:
    """Run `options.action`; return 0 if it succeeded, 1 otherwise."""
    actions: dict[str, Callable[[Client, argparse.Namespace], int]] = {
        "list": _list,
        "download": _download,
        "remove": _remove,
    }
    with Client() as client:
        try:
            return actions[options.action](client, options)
        except WorkerEndedError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        except KeyboardInterrupt:
            sys.stderr.write("\ninterrupted\n")
            return 130


def _list(client: Client, options: argparse.Namespace) -> int:
    params = {"cachedOnly": options.cached}
    if options.task:
        params["task"] = options.task
    try:
        result = client.call("models/list", params)
    except RpcError as error:
        return _complain("models", error)
    if options.json:
        _print_json(result)
        return 0
    rows: list[tuple[str, ...]] = [
        ("MODEL", "TASK", "LANGUAGES", "DISK", "MEMORY", "LICENCE", "CACHED")
    ]
    rows += [_row(model) for model in result["models"]]
    for line in _table(rows):
        print(line)
    print(f"\ncache: {result['cacheDirectory']} ({amount(result['freeDisk'])} free)")
    return 0


def _row(model: dict[str, Any]) -> tuple[str, ...]:
    languages = model["languages"]
    spoken = " ".join(languages)
    if len(languages) > _LANGUAGES_SHOWN:
        spoken = f"{len(languages)} languages"
    sizes = [
        "?" if model[name] is None else amount(model[name])
        for name in ("sizeOnDisk", "sizeInMemory")
    ]
    licence = (model["licence"] or "?") + (", gated" if model["gated"] else "")
    cached = "yes" if model["cached"] else "no"
    if model["incomplete"]:
        cached += f", {amount(model['incomplete'])} incomplete"
    return (model["name"], model["task"] or "?", spoken or "any", *sizes, licence, cached)


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _download(client: Client, options: argparse.Namespace) -> int:
    def fetch(name: str, params: dict[str, Any]) -> str:
        with Bar(name) as bar:

            def show(method: str, notification: dict[str, Any]) -> None:
                if method == "$/progress":
                    bar.update(notification["value"])

            id_ = client.send("models/download", {**params, "progressToken": name})
            try:
                result = client.result(id_, show)
            except KeyboardInterrupt:
                client.cancel(id_)
                raise
        if options.json:
            _print_json(result)
        for warning in result["warnings"]:
            tell(f"{name}: {of_warning(warning)}")
        fetched = f"{amount(result['downloaded'])} downloaded of {amount(result['bytes'])}"
        mended = f", repaired: {', '.join(result['mended'])}" if result["mended"] else ""
        return f"{result['path']} ({fetched}{mended})"

    return _for_each(options, fetch)


def _remove(client: Client, options: argparse.Namespace) -> int:
    def remove(name: str, params: dict[str, Any]) -> str:
        result = client.call("models/remove", params)
        if options.json:
            _print_json(result)
        return f"{amount(result['freed'])} freed"

    return _for_each(options, remove)


def _for_each(options: argparse.Namespace, do: Callable[[str, dict[str, Any]], str]) -> int:
    """Call `do` for each named model; a failure does not stop the others."""
    from worker.models import catalogue

    failures = 0
    for name in options.models:
        entry = catalogue.find(name)
        task = options.task or (entry.task if entry else "recognition")
        params = {"task": task, "model": name}
        if options.revision:
            params["revision"] = options.revision
        try:
            told = do(name, params)
        except RpcError as error:
            failures += _complain(name, error)
            continue
        if not options.json:
            print(f"{name}: {told}", flush=True)
    return 1 if failures else 0


def _complain(name: str, error: RpcError) -> int:
    tell(f"{name}: {of_error(error)}")
    return 1


def _print_json(result: Any) -> None:
    sys.stdout.buffer.write(orjson.dumps(result) + b"\n")
    sys.stdout.buffer.flush()
