"""An answer that was cut off: the provider says so, or a fence or a JSON value that it begins with does not end.

A sentence without a full stop is no sign: models leave it out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Final

from pydantic import Field

from gateway.documents import Section
from gateway.validators.fences import fenced
from gateway.validators.validator import Check, Seen, Subject, Validator

CUT: Final = frozenset({"length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded", "incomplete"})
"""How providers say that they stopped before the model did."""
_STRING: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)


class Truncated(Section):
    """Without options: by what the provider says and by form."""

    form: bool = Field(True, description="Look at the text as well: an open fence, JSON that does not end.")


def _made(options: Truncated) -> Check:
    return partial(_check, options.form)


def _check(form: bool, subject: Subject) -> Iterator[Seen]:
    if subject.finish.lower() in CUT:
        yield Seen("cut_off", "the provider ended the answer at its limit of tokens; ask for less, or allow more")
    if not form:
        return
    last = None
    for last in fenced(subject.text):  # noqa: B007 - the last one is meant
        pass
    if last is not None and not last.closed:
        yield Seen("open_fence", "a fenced block is not closed", start=last.start, end=last.end)
    if last is None and _open_json(subject.text):
        yield Seen("open_json", "the JSON value that the answer begins with does not end")


def _open_json(text: str) -> bool:
    """Whether a text that begins as an object or list ends inside it."""
    if text.lstrip()[:1] not in ("{", "["):
        return False
    bare = _STRING.sub(_rest, text)
    return '"' in bare or bare.count("{") > bare.count("}") or bare.count("[") > bare.count("]")


def _rest(string: re.Match[str]) -> str:
    """Nothing of a string that is closed, a quote of one that is not."""
    closed = len(string[0]) > 1 and string[0][-1] == '"'
    return "" if closed else '"'


TRUNCATED = Validator("truncated", "1", Truncated, _made, hooks=frozenset({"output", "tool_result"}))
