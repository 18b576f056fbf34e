"""Addresses in a text: where they lead, and whether they could carry something out.

A picture in an answer is loaded by whoever shows it, without a click; an agent that was talked into it writes what it knows behind the `?`
of an address. So addresses lead to hosts that a rule allows; with `others: plain`, elsewhere as well, when nothing fits into them: of
pictures nothing behind `?` or `#`, of other addresses no more than `max_query` characters, and in neither a run of characters that looks
encoded.

`detect: [urls]` takes foreign hosts out of a stream as it passes; this looks closer (what is carried, schemes that run something) and says
what is wrong, so that a model can repair it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Final, Literal, NamedTuple
from urllib.parse import unquote_to_bytes

from pydantic import Field, field_validator

from gateway.documents import Section
from gateway.validators.bounds import at_most
from gateway.validators.detectors.folding import folded
from gateway.validators.detectors.matching import compiled, runs
from gateway.validators.detectors.secret_names import looks_random
from gateway.validators.detectors.urls import leads_to, targets, urls
from gateway.validators.validator import Check, Seen, Subject, Validator

MAX_TEXT: Final = 1_000_000
LONGEST_PICTURE: Final = 150
"""Bytes of the address of a picture that carries nothing, scheme and host among them."""
_HOST: Final = re.compile(r"(?:\*\.)?[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*", re.IGNORECASE)
_EVERY: Final = urls(())
_PICTURE: Final = compiled(
    rb"(?i)(?:!\[[^\n]{0,300}?\]\(|\burl\(|<[a-z]{1,20}\b[^>]{0,300}?\b(?:srcset|src|data|poster|background)="
    rb"|<(?:link|image|use|base)\b[^>]{0,300}?\bhref=)[\t \"'<]*"
)
"""Where what follows is loaded without a click."""
_REFERENCE: Final = compiled(rb"(?m)^ {0,3}\[[^\]\n]{1,300}\]:[\t ]*<?")
_SCHEME: Final = re.compile(rb"[\x00-\x20]*([a-z][a-z0-9+.-]{0,30}):", re.IGNORECASE)
_HARMLESS: Final = (b"http", b"https", b"ftp", b"ws", b"wss", b"mailto", b"tel")
_RUN: Final = re.compile(rb"[A-Za-z0-9+/=_~-]{20,}")
_WORDS: Final = re.compile(rb"[a-z0-9]{1,19}(?:[-_~=+][a-z0-9]{1,19})+", re.IGNORECASE)
_IDENTIFIER: Final = re.compile(rb"[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}|[0-9a-f]{40}", re.IGNORECASE)


class Urls(Section):
    """Without options: no address at all."""

    allow: tuple[str, ...] = Field((), description="Hosts that addresses may lead to; `*.example.com` is any host below.")
    others: Literal["none", "plain"] = Field(
        "none", description="Addresses of other hosts: `none` may stand there, or those that are `plain` and carry nothing."
    )
    max_query: int = Field(60, ge=0, description="With `others: plain`: characters behind `?` and `#` of an address that is no picture's.")

    @field_validator("allow")
    @classmethod
    def _hosts(cls, allow: tuple[str, ...]) -> tuple[str, ...]:
        for host in allow:
            if not _HOST.fullmatch(host):
                raise ValueError(f"'{host}' is no name of a host; write it without scheme, port and path: example.com, *.example.com")
        return allow


class _Address(NamedTuple):
    start: int
    end: int
    written: bytes
    """As its reader decodes it."""
    picture: bool


def _made(options: Urls) -> Check:
    return partial(_check, options, tuple(host.lower().encode() for host in options.allow))


def _check(options: Urls, hosts: tuple[bytes, ...], subject: Subject) -> list[Seen]:
    text = folded(at_most(subject.text, MAX_TEXT))
    pictures = {one.end() for pattern in (_PICTURE, _REFERENCE) for one in runs(pattern, text)}
    plain = list(_written(text, pictures))
    found = sorted({*plain, *_targets(text, pictures, {one.start for one in plain})})
    wrong = [(one.start, one.end, *said) for one in found for said in _wrong(one, hosts, options)]
    return [Seen(code, said, start=start, end=end) for start, end, code, said in dict.fromkeys(wrong)]


def _written(text: bytes, pictures: set[int]) -> Iterator[_Address]:
    for start, end in _EVERY.spans(text):
        yield _Address(start, end, text[start:end], start in pictures)


def _targets(text: bytes, pictures: set[int], known: set[int]) -> Iterator[_Address]:
    """Targets of links that are no plain addresses: with entities, escapes, unusual schemes."""
    for target in targets(text):
        plain = target.start in known and target.read == text[target.start : target.end]
        if not plain and (target.leads_away or _scheme(target.read) not in (b"", *_HARMLESS)):
            yield _Address(target.start, target.end, target.read, target.start in pictures)


def _scheme(address: bytes) -> bytes:
    found = _SCHEME.match(address)
    return found[1].lower() if found else b""


def _wrong(one: _Address, hosts: tuple[bytes, ...], options: Urls) -> Iterator[tuple[str, str]]:
    scheme = _scheme(one.written)
    if scheme not in (b"", *_HARMLESS):
        yield "other_scheme", "an address has a scheme that could run or hold something; write https"
    elif scheme in (b"mailto", b"tel") or not _leads_away(one.written) or leads_to(one.written, hosts):
        return
    elif options.others == "none":
        yield "foreign_address", "an address leads to a host that is not allowed; leave it out"
    elif _carries(one, options.max_query):
        yield "carries_data", "an address could carry data to its host (a picture's query, a long query, encoded text); leave it out"


def _leads_away(address: bytes) -> bool:
    """To another host than where the text is shown."""
    return bool(_scheme(address)) or address.lstrip(b"\x00\t ")[:2] in (b"//", b"\\\\", b"/\\", b"\\/") or address[:4].lower() == b"www."


def _carries(one: _Address, max_query: int) -> bool:
    place, _, behind = one.written.replace(b"#", b"?", 1).partition(b"?")
    if one.picture and (behind or len(place) > LONGEST_PICTURE):
        return True
    told = unquote_to_bytes(behind)
    runs_of_characters = [run for part in (*place.split(b"/"), told) for run in _RUN.findall(part)]
    return len(told) > max_query or any(_encoded(run, one.picture) for run in runs_of_characters)


def _encoded(run: bytes, picture: bool) -> bool:
    """Words with dashes between them are none, nor, outside of pictures, the usual forms of identifiers."""
    return looks_random(run) and not _WORDS.fullmatch(run) and (picture or not _IDENTIFIER.fullmatch(run))


URLS = Validator("urls", "1", Urls, _made, spans=True, most=MAX_TEXT)
