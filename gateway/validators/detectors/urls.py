"""Addresses that lead to other hosts than those allowed: a picture or link in an answer carries data to whoever owns its host.

An address is taken to where its characters end, and so is a name before its host. One that clients could read in different ways (a name
before the host, backslashes, a host with other letters than ASCII's) leads nowhere that is allowed. Targets of links and pictures are read
as Markdown and HTML read them: with entities and escapes, and without the tabs and line ends that browsers leave out.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

from gateway.validators.detectors.folding import folded
from gateway.validators.detectors.matching import Detector, Span, compiled, runs

_LONGEST: Final = 130
_ADDRESS: Final = compiled(
    rb"(?i)(?:(?:https?|ftp|wss?):[/\\]{2,}|\b(?:https?|ftp|wss?):[/\\]*|(?:\b|_)www\.|[(\"'=<][\t ]*[/\\]{2,})[^\s<>\"'`{}|^()\[\]/\\]"
    rb"[^\s<>\"'`{}|^()]*"
)
_BEFORE: Final = compiled(
    rb"(?i)(?:\]\(|\]:|\burl\(|@import|\b(?:href|src|(imagesrcset|srcset)|poster|background|data|action|formaction|ping|cite|longdesc|codebase"
    rb"|manifest|url)[\x00-\x20]{0,9}=)[\x00-\x20]{0,64}"
)
"""What stands before the target of a link, a picture, an attribute of HTML; the group is there for a list of targets."""
_TARGET: Final = re.compile(
    rb"\"([^\"]{1,130})|'([^']{1,130})|<([^<>\n]{1,130})|([^\x00-\x20\"'<>()](?:[^\s\"'<>()]|[\t\r\n](?=[\t\r\n]{0,9}[/\\])){0,129})"
)
_MAYBE: Final = re.compile(rb"[\x00-\x20]*(?:[/\\]|[a-z][a-z0-9+.-]{0,30}:)|[^&\\\t\r\n]{0,129}[&\\\t\r\n]", re.IGNORECASE)
"""Targets that may lead to another place, or run something: all others are looked at no further."""
_LISTED: Final = re.compile(rb"(?:(?<=[\s,])|\A)(?=([^\s,]\S*))")
_REST: Final = re.compile(rb"[^\s\"'<>()]*")
_ESCAPE: Final = re.compile(rb"\\([!-/:-@\[-`{-~])")
_ENTITY: Final = re.compile(rb"&(?:#[0-9]{1,10}|#[xX][0-9a-fA-F]{1,8}|[A-Za-z]{2,8});?")
_ENCODED: Final = re.compile(_ESCAPE.pattern + b"|" + _ENTITY.pattern)
_SPACE: Final = bytes(range(0x21))
_LEFT_OUT: Final = re.compile(rb"[\t\r\n]")
_AWAY: Final = re.compile(rb"[\x00-\x20]*(?:(?:https?|ftp|wss?):|[/\\]{2})", re.IGNORECASE)
_FEW: Final = 12
"""Characters that say where an address leads: its scheme, and the beginning of a host."""
_AUTHORITY: Final = re.compile(rb"[(\"'=<\t ]*(?:[a-z]+:)?[/\\]*[^/?#\\]*", re.IGNORECASE)
_LONGEST_NAME: Final = 256
_NAME_BEFORE: Final = re.compile(rb"[^\s/?#]{0,256}@[^\s<>\"'`{}|^()]*")
_CLOSING: Final = {b'"': b'"', b"'": b"'", b"`": b"`", b"<": b">", b"(": b")", b"[": b"]", b"{": b"}"}
_PLAIN: Final = re.compile(
    rb"(?:(?:https?|wss?|ftp)://|[(\"'=<]?[\t ]*//)?([a-z0-9.-]{1,100})(?::[0-9]{1,5})?(?:[/?#].*)?", re.IGNORECASE | re.DOTALL
)


def urls(allow: Sequence[str]) -> Detector:
    """`allow`: names of hosts; `*.example.com` is any host below."""
    hosts = tuple(host.lower().encode() for host in allow)

    return Detector("urls", _LONGEST, partial(_spans, hosts))


def _spans(hosts: tuple[bytes, ...], text: bytes) -> Iterator[Span]:
    found = dict[int, int]()
    for one in runs(_ADDRESS, text):
        start, end = one.span()
        end = _end_of_name(text, start, end)
        written = text[start:end].rstrip(b".,;:!?*_")
        if not leads_to(written.lstrip(b"_"), hosts):
            found[start + (written[:1] in b"(\"'=<_")] = start + len(written)
    for target in targets(text):
        if target.leads_away and target.start not in found and not leads_to(target.read, hosts):
            found[target.start] = target.end
    yield from sorted(found.items())


class Target(NamedTuple):
    """What a link leads to: where it stands, and as what its readers take it."""

    start: int
    end: int
    read: bytes
    """Its first characters, decoded, in one of the ways in which they are read."""
    leads_away: bool
    """To another place than where the text is shown."""


def targets(text: bytes) -> Iterator[Target]:
    """Each in each of the ways in which it is read otherwise: by Markdown (entities and escapes), by HTML (entities)."""
    for before in runs(_BEFORE, text):
        found = _TARGET.match(text, before.end())
        if found is None or found.lastindex is None:
            continue
        whole = found.start(found.lastindex), found[found.lastindex]
        for start, written in _listed(*whole) if before[1] else [whole]:
            if not _MAYBE.match(written):
                continue
            end = start + len(written)
            rest = _REST.match(text, end) if len(written) == _LONGEST else None
            for read in _readings(written):
                unclear = rest is not None and len(read) < _FEW
                yield Target(start, rest.end() if rest else end, read, unclear or _AWAY.match(read) is not None)


def _listed(start: int, written: bytes) -> Iterator[tuple[int, bytes]]:
    """The addresses of a `srcset`."""
    for found in _LISTED.finditer(written):
        yield start + found.start(), found[1]


def _readings(written: bytes) -> Sequence[bytes]:
    """A target as HTML takes it, as Markdown does, and where Markdown leaves entities to HTML."""
    if b"&" in written or b"\\" in written:
        markdown = _ENCODED.sub(_character, written)
        of_html, in_turn = _ENTITY.sub(_character, written), _ENTITY.sub(_character, _ESCAPE.sub(rb"\1", written))
        return [_LEFT_OUT.sub(b"", read).strip(_SPACE) for read in dict.fromkeys((markdown, of_html, in_turn))]
    return [_LEFT_OUT.sub(b"", written).strip(_SPACE)]


def _character(found: re.Match[bytes]) -> bytes:
    return found[0][1:] if found[0][:1] == b"\\" else folded(html.unescape(found[0].decode("ascii")))


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
