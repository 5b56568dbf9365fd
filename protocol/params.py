"""Decodes raw params into typed structs, and explains what is wrong when they do not fit."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar

import msgspec

from protocol.errors import RpcError

T = TypeVar("T", bound=msgspec.Struct)

_WHITE_SPACE = b" \t\r\n"
_Struct = msgspec.inspect.StructType


def decode_params(raw: bytes, type_: type[T]) -> T:
    """Decode params given by name into `type_`, a struct. Absent params and `[]` are like `{}`.

    Raises `RpcError` of kind invalid_params with `path` (as in `$.vadParameters.threshold`) and,
    for an unknown name, `unknown` and `nearest`.
    """
    if raw[:1] == b"[" and raw[1:-1].strip(_WHITE_SPACE):
        raise RpcError(
            "invalid_params",
            "This method takes its params by name: send an object, not an array.",
            path="$",
        )
    try:
        params: T = _decoder(type_).decode(b"{}" if raw[:1] in (b"", b"[") else raw)
        return params
    except msgspec.ValidationError as error:
        raise _explain(str(error), type_) from None
    except (msgspec.DecodeError, RecursionError):
        raise RpcError("invalid_params", "The params are nested too deeply.", path="$") from None


@cache
def _decoder(type_: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)


def _explain(message: str, type_: type) -> RpcError:
    """Convert msgspec's sentence, `WHAT - at `PATH``, to an error."""
    what, _, place = message.partition(" - at `")
    path = place.rstrip("`") or "$"
    prefix = "Object contains unknown field `"
    if what.startswith(prefix):
        return _unknown_name(what[len(prefix) : -1], path, type_)
    prefix = "Object missing required field `"
    if what.startswith(prefix):
        name = what[len(prefix) : -1]
        return RpcError("invalid_params", f"The param {name} is required.", path=f"{path}.{name}")
    if what.startswith("Invalid enum value"):
        found = _type_at(path, type_)
        if isinstance(found, msgspec.inspect.LiteralType):
            what = f"Expected one of {', '.join(map(str, found.values))}"
    where = f" at {path}" if path != "$" else ""
    return RpcError("invalid_params", f"{what.replace('`', '')}{where}.", path=path)


def _unknown_name(unknown: str, path: str, type_: type) -> RpcError:
    """Name the unknown param and the most similar known one."""
    import difflib  # slow to import, and only mistakes need it

    found = _type_at(path, type_)
    names = [f.encode_name for f in found.fields] if isinstance(found, _Struct) else []
    folded = {name.lower().replace("_", ""): name for name in names}
    close = difflib.get_close_matches(unknown.lower().replace("_", ""), folded, n=1)
    nearest = {"nearest": folded[close[0]]} if close else {}
    hint = f" Did you mean {nearest['nearest']}?" if nearest else ""
    return RpcError(
        "invalid_params",
        f"There is no param {unknown}.{hint}",
        path=f"{path}.{unknown}",
        unknown=unknown,
        **nearest,
    )


def _type_at(path: str, type_: type) -> msgspec.inspect.Type | None:
    """What msgspec expects at `path` (`$`, `$.a`, `$.a[1].b`) in `type_`, a struct."""
    info: msgspec.inspect.Type | None = msgspec.inspect.type_info(type_)
    for step in path.replace("[", ".[").split(".")[1:]:
        if step.startswith("["):
            info = info.item_type if isinstance(info, msgspec.inspect.ListType) else None
            continue
        fields = info.fields if isinstance(info, _Struct) else ()
        info = next((f.type for f in fields if f.encode_name == step), None)
        if isinstance(info, msgspec.inspect.UnionType):
            rest = [t for t in info.types if not isinstance(t, msgspec.inspect.NoneType)]
            info = next((t for t in rest if isinstance(t, _Struct)), rest[0])
    return info
