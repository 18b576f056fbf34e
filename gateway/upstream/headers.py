"""Which headers and query parameters cross the gateway, in both directions. Pure, and a closed list: what is not named here stays
behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import parse_qsl, urlencode

RESPONSE_HEADERS = (
    "x-request-id",
    "request-id",
    "retry-after",
    "x-should-retry",
    "anthropic-*",
    "openai-*",
    "x-ratelimit-*",
)
"""The provider's headers a client gets; a trailing * is a prefix."""

ACCOUNTS = frozenset({"openai-organization", "openai-project"})
"""Request headers that name an account at the dialect's own provider: nobody else's business, who may speak that dialect too."""

FOR_ONE_REQUEST = frozenset({"idempotency-key"})
"""Request headers by which a provider takes two requests for one, and answers as it did before: only what the client itself asks has them,
where it is asked first."""

FORWARDED_PARAMETERS = frozenset({
    "beta", "api-version", "limit", "after_id", "before_id",
    "alt", "pageSize", "pageToken", "stream", "include", "include[]", "include_obfuscation",
})  # fmt: skip
"""Query parameters a provider gets. Keys travel in queries too, so nothing else does."""


def all_but_keys(query: str) -> str:
    """A whole query but for what carries a key, with its question mark."""
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != "key"]
    return "?" + urlencode(kept) if kept else ""


def parameters(query: str) -> str:
    """The part of a query that goes to the provider, with its question mark."""
    if not query:
        return ""
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name in FORWARDED_PARAMETERS]
    return "?" + urlencode(kept) if kept else ""


def matching(headers: Mapping[str, str], patterns: Iterable[str]) -> dict[str, str]:
    """Those headers whose names are in `patterns` (lower case; a trailing * is a prefix)."""
    exact, prefixes = _sorted_out(tuple(patterns))
    return {n: v for n, v in headers.items() if n in exact or (prefixes and n.startswith(prefixes))}


@lru_cache(maxsize=64)
def _sorted_out(patterns: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    """(names, prefixes)"""
    return frozenset(p for p in patterns if not p.endswith("*")), tuple(p[:-1] for p in patterns if p.endswith("*"))
