"""An answer in one piece: every text in it looked at before anything of it is judged, then cleaned or put aside.

`looked_at` comes before the calls are judged, because an answer that may not be given takes its calls with it; `cleaned` comes last, over
the very bytes that would be sent. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from gateway import strict_json
from gateway.dialects.texts import Slot, Texts, runs
from gateway.screening.screens import AnswerScreen, Pieced, Unchangeable
from gateway.strict_json import Json
from gateway.textwindow import Hit, Window

H = TypeVar("H", bound=Hit)
_decode = msgspec.json.Decoder().decode


class Cleaned(Struct, frozen=True):
    body: bytes
    text: str
    """What it says."""


class Looked(Struct, Generic[H], frozen=True):
    """One text of an answer with what was found in it."""

    pieces: Sequence[Slot]
    hits: Sequence[H]
    stopping: tuple[H, ...]

    @property
    def text(self) -> str:
        return "".join(_texts(self.pieces))


def looked_at(body: bytes, texts: Texts, screen: AnswerScreen[H], note: Callable[[H, str], None]) -> tuple[H, ...]:
    """The first hits because of which this answer may not be given; `note` is told of each hit and of the words it is about."""
    stopping: tuple[H, ...] = ()
    for looked in _looked(_tree(body), texts, screen):
        for hit in looked.hits:
            note(hit, looked.text[hit.start : hit.end])
        stopping = stopping or looked.stopping
    return stopping


def cleaned(
    body: bytes, texts: Texts, screen: AnswerScreen[H], explain: Callable[[Sequence[H]], str], denied: Sequence[H] = ()
) -> Cleaned:
    """The answer as it may be sent: itself, to the byte, where there is nothing to replace. `denied`: it may not be given."""
    tree = _tree(body)
    if not isinstance(tree, dict):
        return Cleaned(body, "")
    found = list(_looked(tree, texts, screen))
    denied = denied or next((looked.stopping for looked in found if looked.stopping), ())
    if denied:
        text = explain(denied)
        return Cleaned(strict_json.encode(texts.withheld_whole(tree, text)), text)
    changed = [looked for looked in found if _fill(looked, screen)]
    said = "".join(looked.text for looked in found if looked.pieces[0].said)
    if not changed:
        return Cleaned(body, said)
    texts.changed_whole(tree)
    return Cleaned(strict_json.encode(tree), said)


def _tree(body: bytes) -> Any:
    """None where it is no JSON: then nothing of it is passed on."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _looked(tree: Json, texts: Texts, screen: AnswerScreen[H]) -> Iterator[Looked[H]]:
    for pieces in runs(texts.whole(tree)) if isinstance(tree, dict) else ():
        texts_of_it = _texts(pieces)
        one = _screen_of(pieces, screen)
        hits = Pieced(one, texts_of_it).find("".join(texts_of_it))
        judge = Unchangeable(one) if pieces[0].signed else one
        yield Looked(pieces, hits, tuple(hit for hit in hits if judge.stops(hit)))


def _screen_of(pieces: Sequence[Slot], screen: AnswerScreen[H]) -> AnswerScreen[H]:
    return screen.beside if pieces[0].beside else screen


def _texts(pieces: Sequence[Slot]) -> list[str]:
    return [slot.holder[slot.key] or "" for slot in pieces]


def _fill(looked: Looked[H], screen: AnswerScreen[H]) -> bool:
    """Puts the words that leave in their place; whether they are others than came."""
    if not any(screen.replaces(hit) for hit in looked.hits):
        return False
    texts = _texts(looked.pieces)
    window = Window(Pieced(_screen_of(looked.pieces, screen), texts), whole=True)
    for text in texts:
        window.feed(text)
    window.finish()
    at = 0
    for slot, text in zip(looked.pieces, texts, strict=True):
        slot.holder[slot.key] = window.said(at, text)
        at += len(text)
    return window.changed
