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

import msgspec
from msgspec import Struct

from gateway.exchange import Request, Tool
from gateway.prompt.masking import sections
from gateway.recent import LARGEST, Recent

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
    exact = exact_hash(system, tools)
    return Fingerprint(hash=exact, template=_template(exact, system, tools), system=system, tools=tools.decode())


def _declared(tools: Sequence[Tool]) -> bytes:
    """A JSON array of them, canonical."""
    raw = [tool.raw for tool in tools]
    return b"[" + b",".join([known or canonical(each) for each, known in zip(raw, _CANONICAL.several(raw), strict=True)]) + b"]"


def _template(exact: str, system: str, tools: bytes) -> str:
    key = exact.encode()
    found = _TEMPLATES.get(key)
    if found is None:
        pieces = tuple(sections(system))
        found = _known_template(pieces, tools) if len(system) + len(tools) <= LARGEST else template_hash(pieces, tools)
        _TEMPLATES.keep(key, found)
    return found


_TEMPLATES: Recent[str] = Recent(1024 * 1024)
"""By exact hash: most requests of an agent say what the last one said."""


def template_hash(pieces: Sequence[str], tools: bytes) -> str:
    """Of a masked text in pieces: it does not matter which."""
    return exact_hash("".join(pieces), tools)


_known_template = lru_cache(maxsize=256)(template_hash)


def exact_hash(system: str, tools: bytes) -> str:
    """Of the system prompt's text and the canonical declarations."""
    text = system.encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(len(text).to_bytes(8, "big") + text)
    digest.update(tools)
    return digest.hexdigest()


def canonical(declaration: bytes) -> bytes:
    found = _CANONICAL.get(declaration)
    if found is None:
        found = msgspec.json.encode(msgspec.json.decode(declaration), order="deterministic")
        _CANONICAL.keep(declaration, found)
    return found


_CANONICAL: Recent[bytes] = Recent(8 * 1024 * 1024)
