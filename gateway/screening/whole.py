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
from gateway.dialects.texts import Slot, Texts
from gateway.screening.screens import AnswerScreen, Unchangeable
from gateway.strict_json import Json
from gateway.textwindow import Hit

H = TypeVar("H", bound=Hit)
_decode = msgspec.json.Decoder().decode


class Cleaned(Struct, frozen=True):
    body: bytes
    text: str
    """What it says."""


class Looked(Struct, Generic[H], frozen=True):
    """One text of an answer with what was found in it."""

    slot: Slot
    hits: Sequence[H]
    stopping: tuple[H, ...]

    @property
    def text(self) -> str:
        text: str = self.slot.holder[self.slot.key]
        return text


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
    said = "".join(looked.text for looked in found if looked.slot.said)
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
    signed = Unchangeable(screen)
    for slot in texts.whole(tree) if isinstance(tree, dict) else ():
        text = slot.holder[slot.key]
        hits = [hit for hit in screen.find(text) if hit.start < hit.end] if text else []
        judge = signed if slot.signed else screen
        yield Looked(slot, hits, tuple(hit for hit in hits if judge.stops(hit)))


def _fill(looked: Looked[H], screen: AnswerScreen[H]) -> bool:
    """Puts the words that leave in their place; whether they are others than came."""
    text = screen.redacted(looked.text, looked.hits)
    if text == looked.text:
        return False
    looked.slot.holder[looked.slot.key] = text
    return True
