"""Addresses that lead to other hosts than those allowed: a picture or link in an answer carries data to whoever owns its host.

An address is taken to where its characters end, and so is a name before its host. One that clients could read in different ways (a name
before the host, backslashes, a host with other letters than ASCII's) leads nowhere that is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from gateway.validators.detectors.matching import Detector, Span, compiled, runs

_ADDRESS: Final = compiled(
    rb"(?i)(?:\b(?:https?|ftp|wss?):[/\\]*|\bwww\.|[(\"'=<][\t ]*[/\\]{2})[^\s<>\"'`{}|^()\[\]/\\]"
    rb"[^\s<>\"'`{}|^()]*"
)
_AUTHORITY: Final = re.compile(rb"[(\"'=<\t ]*(?:[a-z]+:)?[/\\]*[^/?#\\]*", re.IGNORECASE)
_LONGEST_NAME: Final = 256
_NAME_BEFORE: Final = re.compile(rb"[^\s/?#]{0,256}@[^\s<>\"'`{}|^()]*")
_CLOSING: Final = {b'"': b'"', b"'": b"'", b"`": b"`", b"<": b">", b"(": b")", b"[": b"]", b"{": b"}"}
_PLAIN: Final = re.compile(
    rb"(?:(?:https?|wss?|ftp)://|[(\"'=<][\t ]*//)?([a-z0-9.-]{1,100})(?::[0-9]{1,5})?(?:[/?#].*)?", re.IGNORECASE | re.DOTALL
)


def urls(allow: Sequence[str]) -> Detector:
    """`allow`: names of hosts; `*.example.com` is any host below."""
    hosts = tuple(host.lower().encode() for host in allow)

    def spans(text: bytes) -> Iterator[Span]:
        for found in runs(_ADDRESS, text):
            start, end = found.span()
            end = _end_of_name(text, start, end)
            written = text[start:end].rstrip(b".,;:!?*_")
            if not leads_to(written, hosts):
                yield start + (written[:1] in b"(\"'=<"), start + len(written)

    return Detector("urls", 130, spans)


def _end_of_name(text: bytes, start: int, end: int) -> int:
    """Where an address ends that seems to end before its path: behind an `@` that follows, whatever stands before it (`https://a|@b`), for
    clients read over that; unless the quote in which the address stands ends before."""
    if text.find(b"@", end, end + _LONGEST_NAME) < 0:
        return end
    more = _NAME_BEFORE.match(text, end) if _AUTHORITY.fullmatch(text, start, end) else None
    closing = _CLOSING.get(text[start : start + 1]) or _CLOSING.get(text[start - 1 : start] if start else b"")
    return end if more is None or (closing is not None and closing in more[0]) else more.end()


def leads_to(written: bytes, hosts: tuple[bytes, ...]) -> bool:
    """Whether an address has one of these hosts for every reader. `hosts` in lower case."""
    plain = _PLAIN.fullmatch(written)
    host = plain[1].lower().rstrip(b".") if plain else b""
    return any(host == known or (known[:2] == b"*." and host.endswith(known[1:])) for known in hosts)
