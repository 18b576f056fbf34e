"""Secrets: keys in the forms that providers give them (`secret_forms`), private keys in PEM, and values that a text calls a password,
token or key (`secret_names`).

What documentation shows in place of a key (AKIAIOSFODNN7EXAMPLE, `ghp_xxxx…`) is none. Keys of this gateway and of its upstreams are known
by value and are another wall's (`trace.redact`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from gateway.validators.detectors.matching import Detector, Span, compiled, each, runs
from gateway.validators.detectors.secret_forms import FORMS, MARKED
from gateway.validators.detectors.secret_names import LOOKED_AT, NAME, SHORTEST, SIGN, VALUE, named


def _beginning(form: bytes) -> bytes:
    """A form up to the first characters that are counted, and four of these: what tells that it could begin."""
    head, characters, *_ = _COUNTED.split(form, maxsplit=1)
    if head.count(b"(?:") == head.count(b")"):
        return head + characters + b"{4}"
    return head[: head.rindex(b"(?:")]


_COUNTED: Final = re.compile(rb"(\[[^\]]+\])\{(?:[5-9]|[1-9][0-9]+)[,}]")
_BEGINNING: Final = rb"(?:\b|%%[0-9A-Fa-f]{2})(?:%b)" % b"|".join(sorted({_beginning(form) for form in FORMS.values()}))
"""Also behind a sign that an address writes as %3D."""
_BEGINNINGS: Final = compiled(_BEGINNING)
_FORMS: Final = compiled(b"|".join(b"(?:%b)" % form for form in FORMS.values()))
_MARK: Final = b"|".join(mark for mark, _, _ in MARKED.values())
_MARKS: Final = compiled(_MARK)
_AROUND: Final = tuple((compiled(mark), before, compiled(form)) for mark, before, form in MARKED.values())
_PRIVATE_KEY: Final = compiled(
    rb"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
    rb"(?:\s+|\\+[nrt]|[A-Za-z0-9+/=]{16,}|(?:Proc-Type|DEK-Info|Version|Comment): [^\r\n\\]{0,100})*"
    rb"(?:(?:[A-Za-z0-9+/=]{1,15}(?:\s+|\\+[nrt])*)?"
    rb"(?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----|-{0,5}(?:E(?:N(?:D[A-Z0-9 ]{0,50})?)?)?-{0,5}\z))?"
)
_SHOWN: Final = frozenset({b"AKIAIOSFODNN7EXAMPLE", b"AKIAI44QH8DHBEXAMPLE", b"ASIAIOSFODNN7EXAMPLE", b"AKIA1234567890123456"})
"""Keys that documentation shows and nobody has."""
_FEWEST: Final = 6
"""Different characters at the beginning of a key; what has fewer (`ghp_xxxxxxxx`) stands in for one."""


def _spans(text: bytes) -> Iterator[Span]:
    if len(text) < SHORTEST:
        return
    found = [*_formed(text), *_marked(text)]
    if b"PRIVATE KEY" in text:
        found += (one.span() for one in runs(_PRIVATE_KEY, text))
    found += named(text)
    yield from sorted(set(found))


def _formed(text: bytes) -> Iterator[Span]:
    """Where a form begins is looked for first: to look for whole forms anywhere takes RE2 a hundred times as long, because it goes
    through all of them backwards from where one ends."""
    at = 0
    while (begun := _BEGINNINGS.search(text, at)) is not None:
        start = begun.start() + 3 * (begun[0][:1] == b"%")
        whole = _FORMS.match(text, start)
        if whole and _given_out(whole[0]):
            yield whole.span()
        at = whole.end() if whole else begun.start() + 1


def _given_out(key: bytes) -> bool:
    return key not in _SHOWN and len(set(key[:LOOKED_AT])) >= _FEWEST


def _marked(text: bytes) -> Iterator[Span]:
    for mark in each(_MARKS, text):
        before, form = _around(mark[0])
        start = mark.start() - before
        whole = form.match(text[start : start + _LONGEST_MARKED]) if start >= 0 else None
        if whole and _given_out(whole[0]):
            yield start, start + whole.end()


@lru_cache(maxsize=4096)
def _around(found: bytes) -> tuple[int, Any]:
    """How far before a mark its key begins, and its form."""
    return next((before, form) for mark, before, form in _AROUND if mark.fullmatch(found))


_LONGEST_MARKED: Final = 96

_HINT: Final = b"|".join((_BEGINNING, b"PRIVATE KEY", _MARK, SIGN, NAME + VALUE + b"{%d}" % SHORTEST))

SECRET: Final = Detector("secret", 300, _spans, _HINT)
