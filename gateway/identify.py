"""Who asks: the key that was presented, and the session the request belongs to.

Pure: headers and secrets come in as arguments. A key proves agent, team and user; a session is a label the client may choose, and
`Caller.session_source` says who chose it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from urllib.parse import parse_qsl

from gateway.errors import GatewayError
from gateway.exchange import Caller, TraceParent
from gateway.people import bound
from gateway.request import Request

KEY_PATTERN = re.compile(r"th_([0-9A-Za-z]{8})_([0-9A-Za-z]{43})")
"""A virtual key: `th_<key id>_<secret>`; the secret is 256 random bits in base 62."""

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

SESSION_HEADERS = ("x-session-id", "x-claude-code-session-id", "session-id", "thread-id", "x-session-affinity")
"""Headers that name a session, best first (who sends which: openai/anthropic SDK users, Claude Code, Codex, opencode)."""

KEYS_IN_QUERIES = frozenset({"gcp.gemini"})
"""Providers whose own clients put the key into the URL (`?key=`); anywhere else one in a URL is a mistake that ends up in logs."""

_TRACEPARENT = re.compile(
    r"(?:00(?!.{54})|(?!00|ff)[0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
"""A version beyond 00 may go on after what 00 has."""
_TRACESTATE = re.compile(r"([a-z0-9][a-z0-9_*/@-]{0,255})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]")
_MOST_STATE = 2048
"""Characters of `tracestate` that are handed on; the specification wants at least 512."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def base62(number: int, width: int) -> str:
    """`number` in base 62, left-padded with zeros to `width` characters."""
    digits: list[str] = []
    while number:
        number, rest = divmod(number, 62)
        digits.append(ALPHABET[rest])
    return "".join(reversed(digits)).rjust(width, "0")


def key_hash(pepper: bytes, secret: str) -> bytes:
    """What is stored of a key. 256 random bits need no slow hash; the pepper keeps a stolen table useless."""
    return hmac.digest(pepper, secret.encode(), hashlib.sha256)


def split_key(token: str) -> tuple[str, str] | None:
    """(key id, secret) of a well-formed virtual key, else None."""
    match = KEY_PATTERN.fullmatch(token)
    return (match[1], match[2]) if match else None


def split_token(kind: str, token: str) -> tuple[str, str] | None:
    """The same of a token that begins otherwise."""
    begins = f"{kind}_"
    return split_key("th_" + token.removeprefix(begins)) if token.startswith(begins) else None


def presented_key(headers: Sequence[tuple[str, str]], query: str, provider: str) -> str | None:
    """The one key the client presents, wherever its SDK puts it (`Authorization: Bearer`, `x-api-key`, `x-goog-api-key`, `?key=`).

    Raises GatewayError when a header comes twice or two different keys are presented: which of them counts must not be a matter of
    reading order; and for a key in a URL where clients of this provider put none.
    """
    in_query = [value for name, value in parse_qsl(query) if name == "key"] if query else []
    if in_query and provider not in KEYS_IN_QUERIES:
        raise GatewayError(
            "bad_request", "key_in_query", "Send the API key in a header, not in the URL, where logs on the way keep it."
        )
    names = [name for name, _ in headers if name in _KEY_HEADERS]
    if len(names) == len(set(names)) and len(in_query) < 2:
        found = {token for token in (*_tokens(headers), *in_query) if token}
        if len(found) < 2:
            return found.pop() if found else None
    raise GatewayError(
        "bad_request", "ambiguous_key", "This request carries more than one API key. Send exactly one, once."
    )


_KEY_HEADERS = ("authorization", "x-api-key", "x-goog-api-key")


def _tokens(headers: Sequence[tuple[str, str]]) -> list[str]:
    tokens = []
    for name, value in headers:
        if name == "authorization":
            scheme, _, token = value.strip().partition(" ")
            if scheme.lower() != "bearer":
                raise GatewayError(
                    "authentication",
                    "invalid_key",
                    "Authorization must be 'Bearer <key>' with a key made by 'tollhouse keys create'.",
                )
            tokens.append(token.strip())
        elif name in _KEY_HEADERS:
            tokens.append(value.strip())
    return tokens


def label(value: str | None, limit: int = 200) -> str:
    """A client-chosen label made safe to store and show: no control or direction characters, at most `limit` characters."""
    if not value:
        return ""
    return (value if value.isascii() and value.isprintable() else _CONTROL.sub("", value))[:limit]


def trace_parent(headers: Sequence[tuple[str, str]]) -> TraceParent | None:
    """The trace and span that a request belongs to (W3C Trace Context); None unless `traceparent` stands there once, in the one form it
    has. A `tracestate` that is not in its form is left out, as if it were not there."""
    found = [value for name, value in headers if name == "traceparent"]
    match = _TRACEPARENT.fullmatch(found[0].strip(" \t")) if len(found) == 1 else None
    if match is None:
        return None
    return TraceParent(match[1], match[2], int(match[3], 16), _trace_state(headers))


def _trace_state(headers: Sequence[tuple[str, str]]) -> str:
    told = ",".join(value for name, value in headers if name == "tracestate")
    if not told or len(told) > _MOST_STATE:
        return ""
    members = [member for each in told.split(",") if (member := each.strip(" \t"))]
    keys = {match[1] for each in members if (match := _TRACESTATE.fullmatch(each))}
    return ",".join(members) if len(keys) == len(members) <= 32 else ""


def session(headers: Mapping[str, str], request: Request | None, key_id: str | None) -> tuple[str, str]:
    """(session id, where it came from). Without a hint it is derived from key, system prompt and first user message: agents resend the
    whole conversation each turn, so these stay the same for its length."""
    for name in SESSION_HEADERS:
        if named := label(headers.get(name)):
            return named, name
    if request is None:
        return "", ""
    if hint := label(request.session_hint):
        return hint, "metadata"
    return _derived(request, key_id), "derived"


def _derived(request: Request, key_id: str | None) -> str:
    digest = hashlib.sha256((key_id or "").encode())
    for message in request.messages:
        digest.update(b"\0" + message.role.encode() + b"\0" + message.text.encode("utf-8", "surrogatepass"))
        if message.role == "user":
            break
    return "ses_" + digest.hexdigest()[:24]


def owner(caller: Caller) -> str:
    """To whom what a provider keeps belongs: agent, team, user and organisation as the key proves them, so that a new key of the same agent
    fits."""
    return _owner(caller.agent, caller.team, caller.user, caller.org)


@lru_cache(maxsize=4096)
def _owner(agent: str, team: str | None, user: str | None, org: str | None) -> str:
    return json.dumps([agent, team, user, *([org] if org else [])])


def tenant(caller: Caller) -> str:
    """Whose content it is: the team's, or the agent's where the key names no team; of the organisation that the key names, as in
    `team:acme/payments`. Nobody else's is written under the same key."""
    kind, name = ("team", caller.team) if caller.team else ("agent", caller.agent)
    org = caller.org and caller.org.replace("%", "%25").replace("/", "%2F")  # a token's may hold anything
    return f"{kind}:{bound.name_of(org, name)}"
