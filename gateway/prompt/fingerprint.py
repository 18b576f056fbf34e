"""The version of a found prompt: a hash over system prompt and tool declarations, the same for the same meaning.

Tool declarations are compared as JSON values, so that key order and white space make no new version; the order of tools and the text of the
system prompt do.

Agents send the same tools and most of the same text with every turn, so what was worked out is kept, each within a bound of bytes: the
canonical form of a declaration, the template of an exact hash, and the template of masked pieces, for a text that only says another time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Struct

from gateway.prompt.masking import sections
from gateway.recent import LARGEST, Recent
from gateway.request import Request, Tool
from gateway.strict_json import Json

SYSTEM_ROLES = frozenset({"system", "developer"})


class Fingerprint(Struct, frozen=True):
    hash: str
    """SHA-256, 64 hex digits."""
    template: str
    """The same without what changes from request to request."""
    system: str
    """The system prompt's text, messages joined by blank lines."""
    tools: str
    """JSON array of the tool declarations, canonical."""


def fingerprint(request: Request) -> Fingerprint:
    """The prompt version of a request: every system or developer message, and every tool, in order."""
    system = "\n\n".join([m.text for m in request.messages if m.role in SYSTEM_ROLES])
    tools = _declared(request.tools)
    exact = _hash(system, tools.digest)
    return Fingerprint(hash=exact, template=_template(exact, system, tools), system=system, tools=tools.text)


class _Declared(Struct, frozen=True):
    """A JSON array of tools, canonical."""

    text: str
    digest: bytes


def _declared(tools: Sequence[Tool]) -> _Declared:
    raw = [tool.raw for tool in tools]
    each = tuple([known or canonical(one) for one, known in zip(raw, _CANONICAL.several(raw), strict=True)])
    return _known_array(each) if sum(map(len, each)) <= LARGEST else _array(each)


def _array(tools: Sequence[bytes]) -> _Declared:
    data = b"[" + b",".join(tools) + b"]"
    return _Declared(data.decode(), hashlib.sha256(data).digest())


_known_array = lru_cache(maxsize=128)(_array)
"""What was made canonical before is mostly the same object, so that a tuple of them is a quick key."""


def _template(exact: str, system: str, tools: _Declared) -> str:
    key = exact.encode()
    found = _TEMPLATES.get(key)
    if found is None:
        pieces = tuple(sections(system))
        found = _known_template(pieces, tools.digest) if len(system) <= LARGEST else _template_hash(pieces, tools.digest)
        _TEMPLATES.keep(key, found)
    return found


_TEMPLATES: Recent[str] = Recent(1024 * 1024)
"""By exact hash: most requests of an agent say what the last one said."""


def _template_hash(pieces: Sequence[str], tools: bytes) -> str:
    """Of a masked text in pieces: it does not matter which."""
    return _hash("".join(pieces), tools)


_known_template = lru_cache(maxsize=256)(_template_hash)


def exact_hash(system: str, tools: bytes) -> str:
    """Of the system prompt's text and the canonical declarations (`Fingerprint.system` and `.tools`)."""
    return _hash(system, hashlib.sha256(tools).digest())


def _hash(system: str, tools: bytes) -> str:
    """Of the text and, behind it, the digest of the declarations: they are long, and hardly ever change."""
    return hashlib.sha256(system.encode("utf-8", "surrogatepass") + tools).hexdigest()


def canonical(declaration: bytes) -> bytes:
    """The same for the same meaning, without what the provider shows to an MCP server: that is another for each user, and every hour."""
    found = _CANONICAL.get(declaration)
    if found is None:
        found = msgspec.json.encode(_without_credentials(msgspec.json.decode(declaration)), order="deterministic")
        _CANONICAL.keep(declaration, found)
    return found


_CANONICAL: Recent[bytes] = Recent(8 * 1024 * 1024)


def _without_credentials(declaration: Json) -> Json:
    """That there are some stays. Functions have none: what they declare is for the model."""
    match declaration:
        case {"type": "mcp" | "url"}:
            return {name: _hidden(value) if name in _CREDENTIALS else value for name, value in declaration.items()}
        case {"mcpServers": list(servers)}:
            return {**declaration, "mcpServers": [_connected(server) for server in servers]}
    return declaration


def _connected(server: Json) -> Json:
    """Gemini's form: a name, and a way to reach it with headers."""
    if not isinstance(server, dict):
        return server
    ways = {name: way for name, way in server.items() if isinstance(way, dict)}
    return {**server, **{name: {k: _hidden(v) if k == "headers" else v for k, v in way.items()} for name, way in ways.items()}}


def _hidden(value: Json) -> Json:
    return dict.fromkeys(value, _HIDDEN) if isinstance(value, dict) else _HIDDEN


_CREDENTIALS: Final = frozenset({"authorization", "authorization_token", "headers"})
_HIDDEN: Final = "[credential]"
