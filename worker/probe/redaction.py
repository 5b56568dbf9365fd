"""Removes secrets from everything that the probe reports: users send its reports to others.

A secret is the value of a variable with a telling name, a login in a URL, a token in a query, or
anything that looks like a hub token. Known secrets are removed wherever they occur.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import unquote

import msgspec

T = TypeVar("T")

_MARK: Final = "<redacted>"
_SECRET_NAME: Final = re.compile(
    r"(?:^|_)(?:API_?KEY|AUTH|AUTHORIZATION|COOKIE|CREDENTIALS?|HEADERS|KEY|PASS|PASSWD|PASSWORD"
    r"|SECRET|TOKENS?)(?:_|$)",
    re.IGNORECASE,
)
_NO_SECRET: Final = re.compile(r"_(?:PATH|FILE|SOCK|DIR|SOURCE)$", re.IGNORECASE)
_PROXY_NAME: Final = re.compile(r"_PROXY$", re.IGNORECASE)
_USER: Final = re.compile(r"(?<=://)[^/\s\"'<>]*@")
_QUERY: Final = re.compile(
    r"([?&](?:access_token|api_?key|auth|key|password|secret|sig|signature|token)=)[^&\s\"']+",
    re.IGNORECASE,
)
_HUB_TOKEN: Final = re.compile(r"\b(?:hf|api_org)_[A-Za-z0-9]{8,}")
_SHORTEST: Final = 4
"""Shorter secrets are redacted in their own variable, but not searched for elsewhere."""
_TOKEN_LENGTH: Final = 12
"""A user name in a URL of at least this length counts as a token."""
_OUR_WORDS: Final = frozenset(
    {"id", "severity", "status", "state", "kind", "flavour", "usableBy", "tokenSource"}
)
"""Fields whose values the contract defines."""


class Redactor:
    """Removes the secrets of an environment from texts."""

    def __init__(self, environment: Mapping[str, str], files: Iterable[Path] = ()) -> None:
        secrets: set[str] = set()
        for name, value in environment.items():
            if _is_secret(name):
                secrets.add(value)
            user = value.rpartition("@")[0] if _PROXY_NAME.search(name) else ""
            for found in (*_USER.findall(value), user):
                secrets |= _parts(found)
        for file in files:
            try:
                secrets.add(file.read_text("utf-8").strip())
            except (OSError, ValueError):
                continue
        # Longer secrets first: a shorter one may be a part of them.
        self._secrets = sorted(
            (secret for secret in secrets if len(secret) >= _SHORTEST), key=len, reverse=True
        )

    def variable(self, name: str, value: str) -> str:
        """The redacted value of an environment variable."""
        if _is_secret(name):
            return _MARK if value else ""
        if _PROXY_NAME.search(name) and "@" in value:
            scheme, found, _ = value.partition("://")
            return f"{scheme if found else ''}{found}{_MARK}@{value.rpartition('@')[2]}"
        return self.text(value)

    def text(self, text: str) -> str:
        """A text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, _MARK)
        text = _USER.sub(f"{_MARK}@", text)
        text = _QUERY.sub(rf"\1{_MARK}", text)
        return _HUB_TOKEN.sub(_MARK, text)

    def struct(self, value: T) -> T:
        """A struct without secrets in any of its texts."""
        plain = self.plain(msgspec.to_builtins(value))
        cleaned: T = msgspec.convert(plain, type=type(value))
        return cleaned

    def plain(self, value: Any) -> Any:
        """A JSON value without secrets in any of its texts."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.plain(each) for each in value]
        if isinstance(value, dict):
            return {
                key: each if key in _OUR_WORDS else self.plain(each) for key, each in value.items()
            }
        return value


def _is_secret(name: str) -> bool:
    return bool(_SECRET_NAME.search(name)) and not _NO_SECRET.search(name)


def _parts(user: str) -> set[str]:
    """`user:password` and its password, each as written and percent-decoded."""
    whole = user.removesuffix("@").rpartition("://")[2]
    name, _, password = whole.partition(":")
    parts = [whole, password] if password else [name] if len(name) >= _TOKEN_LENGTH else []
    return {each for part in parts for each in (part, unquote(part))}
