"""The version of a found prompt: a hash over system prompt and tool declarations, the same for the same meaning.

Tool declarations are compared as JSON values, so that key order and white space make no new version; the order of tools and the text of the
system prompt do. The canonical form of a declaration is cached: agents send the same tools with every turn.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import msgspec
from msgspec import Struct

from gateway.exchange import Request
from gateway.prompt.masking import masked
from gateway.recent import Recent

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
    system = "\n\n".join(m.text for m in request.messages if m.role in SYSTEM_ROLES)
    tools = b"[" + b",".join(canonical(tool.raw) for tool in request.tools) + b"]"
    exact = exact_hash(system, tools)
    return Fingerprint(hash=exact, template=_template(exact, system, tools), system=system, tools=tools.decode())


def _template(exact: str, system: str, tools: bytes) -> str:
    key = exact.encode()
    found = _TEMPLATES.get(key)
    if found is None:
        found = exact_hash(masked(system), tools)
        _TEMPLATES.keep(key, found)
    return found


_TEMPLATES: Recent[str] = Recent(1024 * 1024)
"""By exact hash: most requests of an agent say what the last one said."""


def exact_hash(system: str, tools: bytes) -> str:
    """Of the system prompt's text and the canonical declarations."""
    text = system.encode("utf-8", "surrogatepass")
    return hashlib.sha256(len(text).to_bytes(8, "big") + text + tools).hexdigest()


@lru_cache(maxsize=4096)
def canonical(declaration: bytes) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(declaration), order="deterministic")
