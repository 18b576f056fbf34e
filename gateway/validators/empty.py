"""An answer that says nothing: no character that can be seen, and no call beside it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import partial
from typing import Final

from pydantic import Field

from gateway.documents import Section
from gateway.validators.validator import NOTHING_SEEN, Check, Seen, Subject, Validator

_BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and signs that show nothing."""


class Empty(Section):
    """Without options: nothing that can be seen."""

    words: tuple[str, ...] = Field((), description="Texts that are as good as none, whatever their letters' case: `N/A`, `null`.")


def _made(options: Empty) -> Check:
    return partial(_check, frozenset(one.casefold() for one in options.words))


def _check(words: frozenset[str], subject: Subject) -> Sequence[Seen]:
    if subject.calls:
        return NOTHING_SEEN
    if not any(map(_shows, subject.text)):
        return [Seen("empty", "the answer has no character that can be seen")]
    if subject.text.strip().casefold() in words:
        return [Seen("empty", "the answer is a word that says nothing")]
    return NOTHING_SEEN


def _shows(character: str) -> bool:
    """Neither space nor control, nor a mark without a letter to stand on."""
    return unicodedata.category(character)[0] not in "ZCM" and character not in _BLANK


EMPTY = Validator("empty", "1", Empty, _made, hooks=frozenset({"output", "tool_result"}))
