"""Generates `openrpc.json`, the contract for programs, and `METHODS.md`, the contract for people.

Both come from the method table, the error table and the typed structs, whose docstrings describe
their attributes. They are checked in, as are the tables in two READMEs.
`python -m protocol.openrpc` rewrites all of them; with `--check` it exits with 1 if any is stale.
Structs are imported only to generate, so that `discover` stays light.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import msgspec

from protocol import PROTOCOL_VERSION
from protocol.errors import KINDS
from protocol.methods import COMMON_ERRORS, NOTIFICATIONS, REQUESTS, Method

Json = dict[str, Any]

_DOCUMENT: Final = Path(__file__).with_name("openrpc.json")
_REFERENCE: Final = _DOCUMENT.with_name("METHODS.md")
_EXAMPLES: Final = _DOCUMENT.with_name("examples.json")
_TABLES: Final = {
    _DOCUMENT.parent.with_name("README.md"): ("methods",),
    _DOCUMENT.with_name("README.md"): ("notifications", "errors"),
}
"""The tables that each README contains. An installed package lacks the repository's README."""

_SERVER_NOTIFICATIONS: Final = {
    "$/progress": "Report a request's progress or partial result to the client that sent a token.",
    "$/logMessage": "Send a log message to a client that requested its level in initialize.",
}


def discover() -> bytes:
    """The result of `rpc.discover`: the checked-in document, on one line."""
    return msgspec.json.format(_DOCUMENT.read_bytes(), indent=-1)


def generate() -> Json:
    """Build the OpenRPC document."""
    examples = msgspec.json.decode(_EXAMPLES.read_bytes())
    schemas = _schemas(_contract())
    return {
        "openrpc": "1.3.2",
        "info": {
            "title": "transcription-worker",
            "description": "JSON-RPC 2.0 in UTF-8 on the worker's stdin and stdout, one message "
            "per line. Times are in seconds, sizes in bytes.",
            "version": PROTOCOL_VERSION,
            "license": {"name": "MIT"},
        },
        "methods": [
            _method(method, schemas, examples[method.name]) for method in REQUESTS.values()
        ],
        "components": {
            "schemas": schemas,
            "errors": {
                kind.name: {
                    "code": kind.code,
                    "message": kind.summary,
                    "data": {
                        "kind": kind.name,
                        **({"remedy": kind.remedy} if kind.remedy else {}),
                    },
                }
                for kind in KINDS.values()
            },
        },
        "x-commonErrors": _error_refs(COMMON_ERRORS),
        "x-notifications": _notifications(schemas, examples),
    }


def reference(document: Json) -> str:
    """The document as Markdown: tables of the methods, the errors and each type's members."""
    schemas, errors = document["components"]["schemas"], document["components"]["errors"]
    # Params appear with their methods, not among the types.
    of_params = {each["x-params"]["$ref"] for each in document["methods"]}
    methods = [
        (
            f"[`{each['name']}`](#{_anchor(each['name'])})",
            each["summary"],
            _type(each["result"]["schema"]),
        )
        for each in document["methods"]
    ]
    rows = [
        (f"`{kind}`", str(each["code"]), each["message"], each["data"].get("remedy", ""))
        for kind, each in errors.items()
    ]
    lines = [
        "# Methods, errors and types",
        "",
        "Generated from the contract by `python -m protocol.openrpc`, as is",
        "[openrpc.json](openrpc.json), which also contains an example of each method.",
        "",
        *_table(("method", "", "result"), methods),
        "",
        "## Errors",
        "",
        f"Any request may be answered with {_kinds(document['x-commonErrors'])}.",
        "",
        *_table(("`data.kind`", "code", "", "`data.remedy`"), rows),
        "",
        "## Methods",
        "",
    ]
    for method in document["methods"]:
        about = f"{method['summary']} Result: {_type(method['result']['schema'])}."
        lines += [f"### {method['name']}", "", about, "", *_members(method["params"])]
        lines += [f"Errors: {_kinds(method['errors'])}.", ""]
    lines += ["## Notifications", ""]
    for notice in document["x-notifications"]:
        sender = notice["direction"].partition("To")[0]
        about = f"{notice['summary']} Sent by the {sender}."
        lines += [f"### {notice['name']}", "", about, "", *_members(notice["params"])]
    lines += ["## Types", ""]
    for name, schema in schemas.items():
        if _ref(name)["$ref"] not in of_params:
            about = schema.get("description", "")
            lines += [f"### {name}", "", about, "", *_members(_descriptors(schema))]
    return "\n".join(lines)


def embed(path: Path, document: Json) -> str:
    """The text of a README with its generated tables replaced.

    Each stands between markers: `<!-- methods -->` and `<!-- /methods -->`, and so on.
    """
    text = path.read_text("utf-8")
    reference = Path(os.path.relpath(_REFERENCE, path.parent)).as_posix()
    links = {
        part: [
            (f"[`{each['name']}`]({reference}#{_anchor(each['name'])})", each["summary"])
            for each in document[part]
        ]
        for part in ("methods", "x-notifications")
    }
    errors = [
        (f"`{kind}`", each["message"], each["data"].get("remedy", ""))
        for kind, each in document["components"]["errors"].items()
    ]
    tables = {
        "methods": _table(("method", ""), links["methods"]),
        "notifications": _table(("notification", ""), links["x-notifications"]),
        "errors": _table(("`data.kind`", "meaning", "what to do: `data.remedy`"), errors),
    }
    for name in _TABLES[path]:
        marks = re.compile(f"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)
        before, *rest = marks.split(text)
        if len(rest) != 1:
            raise ValueError(f"{len(rest)} places for the table of {name} instead of one")
        text = "\n".join([before, *tables[name], "", rest[0]])
    return text


def _members(descriptors: list[Json]) -> list[str]:
    """A table of params, or of the members of an object."""
    rows = [
        (
            f"`{each['name']}`" + (" (required)" if each["required"] else ""),
            _type(each["schema"]),
            f"`{_json(each['schema']['default'])}`" if "default" in each["schema"] else "",
            each.get("description", ""),
        )
        for each in descriptors
    ]
    return [*_table(("name", "type", "default", ""), rows), ""] if rows else []


def _type(schema: Json) -> str:
    """A short notation for a schema."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{_anchor(name)})"
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{_json(each)}`" for each in schema["enum"])
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    if isinstance(of := schema.get("additionalProperties"), dict) and of:
        return f"object of {_type(of)}"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤"}
    limits = [f"{sign} {schema[name]}" for name, sign in signs.items() if name in schema]
    type_ = schema.get("type", "any")
    return " ".join([*([type_] if isinstance(type_, str) else [" or ".join(type_)]), *limits])


def _anchor(heading: str) -> str:
    """GitHub's anchor for a heading."""
    return "".join(each for each in heading.lower() if each.isalnum())


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def main() -> int:
    """Write or check the files; return the exit code."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m protocol.openrpc", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if stale")
    check = parser.parse_args().check
    document = generate()
    text = msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"
    wanted = {_DOCUMENT: text.encode(), _REFERENCE: reference(document).encode()}
    wanted |= {path: embed(path, document).encode() for path in _TABLES if path.is_file()}
    if check:
        return int(any(not path.is_file() or path.read_bytes() != wanted[path] for path in wanted))
    for path, content in wanted.items():
        path.write_bytes(content)
    return 0


def _method(method: Method, schemas: Json, example: Json) -> Json:
    params = method.params_type.__name__
    result = _result(method)
    return {
        "name": method.name,
        "summary": method.summary,
        "paramStructure": "by-name",
        "params": _descriptors(schemas[params]),
        "result": result,
        "errors": _error_refs(method.errors),
        "examples": [
            {
                "name": method.name,
                **({"description": example["note"]} if "note" in example else {}),
                "params": _example_params(example["params"]),
                "result": {"name": result["name"], "value": example["result"]},
            }
        ],
        "x-params": _ref(params),
    }


def _result(method: Method) -> Json:
    type_ = method.result_type
    if type_ is None:
        return {"name": "null", "schema": {"type": "null"}}
    if issubclass(type_, msgspec.Struct):
        return {"name": type_.__name__, "schema": _ref(type_.__name__)}
    return {"name": "object", "schema": msgspec.json.schema(type_)}


def _notifications(schemas: Json, examples: Json) -> list[Json]:
    from protocol.values import Token

    values = ("ProgressBegin", "ProgressReport", "ProgressEnd")
    parts = ("PartialTranscript", "PartialAlignment", "PartialLive")
    progress = {
        "required": ["token", "value"],
        "properties": {
            "token": {
                **msgspec.json.schema(Token),
                "description": "The request's `progressToken` or `partialResultToken`.",
            },
            "value": {"anyOf": [_ref(name) for name in (*values, *parts)]},
        },
    }
    from_client = [
        (method.name, method.summary, "clientToServer", schemas[method.params_type.__name__])
        for method in NOTIFICATIONS.values()
    ]
    params = {"$/progress": progress, "$/logMessage": schemas["LogMessageParams"]}
    from_server = [
        (name, summary, "serverToClient", params[name])
        for name, summary in _SERVER_NOTIFICATIONS.items()
    ]
    return [
        {
            "name": name,
            "summary": summary,
            "direction": direction,
            "paramStructure": "by-name",
            "params": _descriptors(schema),
            "examples": [{"name": name, "params": _example_params(examples[name]["params"])}],
        }
        for name, summary, direction, schema in from_client + from_server
    ]


def _descriptors(schema: Json) -> list[Json]:
    """The params of a method, required ones first."""
    found = []
    for name, each in schema["properties"].items():
        about = {key: value for key, value in each.items() if key == "description"}
        rest = {key: value for key, value in each.items() if key != "description"}
        found.append(
            {"name": name, **about, "required": name in schema["required"], "schema": rest}
        )
    return sorted(found, key=lambda param: not param["required"])


def _example_params(params: Json) -> list[Json]:
    return [{"name": name, "value": value} for name, value in params.items()]


def _error_refs(kinds: Iterable[str]) -> list[Json]:
    return [{"$ref": f"#/components/errors/{KINDS[kind].name}"} for kind in kinds]


def _kinds(references: list[Json]) -> str:
    return ", ".join(f"`{each['$ref'].rpartition('/')[2]}`" for each in references)


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _contract() -> list[type[msgspec.Struct]]:
    """The structs that are messages or values of their own, not only parts of others."""
    from protocol.alignment import PartialAlignment
    from protocol.control import LogMessageParams
    from protocol.errors import CancelledData
    from protocol.live import PartialLive
    from protocol.progress import ProgressBegin, ProgressEnd, ProgressReport
    from protocol.transcription import PartialTranscript

    types: list[type[msgspec.Struct]]
    types = [PartialAlignment, PartialLive, PartialTranscript]
    types += [ProgressBegin, ProgressEnd, ProgressReport]
    named = [
        each
        for method in (*REQUESTS.values(), *NOTIFICATIONS.values())
        for each in (method.params_type, method.result_type)
        if each is not None and issubclass(each, msgspec.Struct)
    ]
    return list(dict.fromkeys([*named, *types, LogMessageParams, CancelledData]))


def _schemas(types: list[type[msgspec.Struct]]) -> Json:
    """A schema, with descriptions, for each struct that `types` consist of, by name.

    Structs of the same name in several modules are prefixed with their module's name.
    """
    _, generated = msgspec.json.schema_components(types, ref_template="{name}")
    structs = _structs(types)
    docs = _Docs(structs.values())
    return {
        name: _relink(_describe(schema, name, structs[key], docs))
        for key, schema in generated.items()
        for name in [_component_name(key)]
    }


def _component_name(name: str) -> str:
    """`Segment` for `Segment`; `TranscriptSegment` for `protocol.transcript.Segment`."""
    *_, module, own = ["", *name.split(".")]
    return f"{module.capitalize()}{own}"


def _relink(schema: Any) -> Any:
    """The schema with full references to the components."""
    if isinstance(schema, list):
        return [_relink(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(name := schema.get("$ref"), str):
        return {**schema, **_ref(_component_name(name))}
    return {key: _relink(value) for key, value in schema.items()}


def _describe(schema: Json, name: str, struct: type[msgspec.Struct], docs: _Docs) -> Json:
    """Add what msgspec does not know: descriptions, factory defaults, members always written."""
    from protocol.control import Result

    written = issubclass(struct, Result) and not struct.__struct_config__.omit_defaults
    required = list(schema["required"])
    for field in msgspec.structs.fields(struct):
        member = schema["properties"][field.encode_name]
        if field.default_factory is not msgspec.NODEFAULT:
            member["default"] = msgspec.to_builtins(field.default_factory())
        if written and field.default is not msgspec.UNSET:
            member.pop("default", None)
            required += [field.encode_name] if field.encode_name not in required else []
        if text := docs.of(struct, field.name):
            schema["properties"][field.encode_name] = {"description": text, **member}
    about = {"description": _unwrap(schema["description"])} if "description" in schema else {}
    return {**schema, "title": name, **about, "required": required}


def _structs(types: Iterable[type[msgspec.Struct]]) -> dict[str, type[msgspec.Struct]]:
    """Every struct that `types` consist of, by the name that msgspec gives its schema."""
    found: dict[type[msgspec.Struct], None] = {}

    def walk(info: Any) -> None:
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls in found:
                return
            found[info.cls] = None
        for part in ("fields", "types"):
            for each in getattr(info, part, ()):
                walk(each)
        for part in ("type", "item_type", "key_type", "value_type"):
            if hasattr(info, part):
                walk(getattr(info, part))

    for type_ in types:
        walk(msgspec.inspect.type_info(type_))
    names = [struct.__name__ for struct in found]
    return {
        name if names.count(name) == 1 else f"{struct.__module__}.{name}": struct
        for name, struct in zip(names, found, strict=True)
    }


class _Docs:
    """Attribute docstrings, parsed from the source of the structs."""

    def __init__(self, structs: Iterable[type[msgspec.Struct]]) -> None:
        modules = sorted({base.__module__ for struct in structs for base in struct.__mro__})
        trees = {
            name: ast.parse(inspect.getsource(import_module(name)))
            for name in modules
            if name.startswith("protocol.")
        }
        self._aliases = {
            name: doc for tree in trees.values() for name, _, doc in _assignments(tree.body) if doc
        }
        self._attributes = {
            (module, statement.name, name): doc or self._of_alias(annotation)
            for module, tree in trees.items()
            for statement in tree.body
            if isinstance(statement, ast.ClassDef)
            for name, annotation, doc in _assignments(statement.body)
        }

    def of(self, struct: type[msgspec.Struct], attribute: str) -> str:
        """The docstring of an attribute, or else of the alias that is its type."""
        keys = [(base.__module__, base.__name__, attribute) for base in struct.__mro__]
        return next((self._attributes[key] for key in keys if key in self._attributes), "")

    def _of_alias(self, annotation: ast.AST | None) -> str:
        names = [each.id for each in ast.walk(annotation or ast.Pass()) if type(each) is ast.Name]
        return next((self._aliases[name] for name in names if name in self._aliases), "")


def _assignments(body: list[ast.stmt]) -> Iterator[tuple[str, ast.AST | None, str]]:
    """Name, annotation and docstring of the assignments in a module or class."""
    for statement, below in zip(body, [*body[1:], None], strict=True):
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        annotation = statement.annotation if isinstance(statement, ast.AnnAssign) else None
        target = statement.target if isinstance(statement, ast.AnnAssign) else target
        if isinstance(target, ast.Name):
            constant = below.value if isinstance(below, ast.Expr) else None
            doc = constant.value if isinstance(constant, ast.Constant) else ""
            yield target.id, annotation, _unwrap(str(doc))


def _unwrap(doc: str) -> str:
    """A docstring with one line per paragraph."""
    paragraphs = inspect.cleandoc(doc).split("\n\n")
    return "\n\n".join(" ".join(each.split()) for each in paragraphs)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    cells = [[text.replace("|", "\\|").replace("\n\n", " ") for text in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *cells)]


if __name__ == "__main__":
    raise SystemExit(main())
