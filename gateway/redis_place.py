"""Where a Redis or Valkey server is, as one line of the settings: `redis://[user@]host[:port][/db][?prefix=name]`, `rediss://` for TLS.

Strict, because what a library would quietly leave out (a password in clear text, a misspelt parameter) must not be left out here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

PORT = 6379
PREFIX = "th"
FORM = "redis://host:6379/0?prefix=th (rediss:// for TLS)"


class Place(NamedTuple):
    host: str
    port: int
    db: int
    prefix: str
    """What the names of all keys begin with, so that several installations may share a server."""
    tls: bool
    user: str | None

    def __str__(self) -> str:
        scheme = "rediss" if self.tls else "redis"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}/{self.db}"


@lru_cache(64)
def parse(text: str) -> Place:
    """Raises ValueError saying what is expected."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _wrong(text) from error
    if parts.scheme not in ("redis", "rediss") or not host or port == 0 or parts.fragment:
        raise _wrong(text)
    if parts.password is not None:
        raise ValueError("must not hold a password; name the variable or file that does: {url: redis://…, password: {env: NAME}}")
    user = unquote(parts.username) if parts.username else None
    return Place(host, port or PORT, _db(text, parts.path), _prefix(text, parts.query), parts.scheme == "rediss", user)


def _db(text: str, path: str) -> int:
    found = re.fullmatch(r"/?|/([0-9]{1,4})", path)
    if found is None:
        raise _wrong(text)
    return int(found[1] or 0)


def _prefix(text: str, query: str) -> str:
    try:
        given = parse_qsl(query, strict_parsing=True, keep_blank_values=True) if query else []
    except ValueError as error:
        raise _wrong(text) from error
    if not given:
        return PREFIX
    if len(given) > 1 or given[0][0] != "prefix" or not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", given[0][1]):
        raise ValueError(f"'{query}' is no prefix; write ?prefix= and up to 64 letters, digits and _ . -")
    return given[0][1]


def _wrong(text: str) -> ValueError:
    """Without what was written where that may hold a password."""
    said = f"'{text}'" if text.isalnum() else "this"
    return ValueError(f"{said} is no state store; write sqlite, or {FORM}")
