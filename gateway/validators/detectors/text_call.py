"""Calls that a model wrote as text: some agents act on `<tool_call>{…}</tool_call>`, on fenced JSON or on `Action: name` lines.

Seen are the forms that models are trained on, whatever tool they name. A form in JSON needs a name and, not far from it, arguments.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from gateway.validators.detectors.matching import Detector, Span, compiled, runs

_NAME: Final = rb"([A-Za-z0-9_.:/-]{1,128})"
_GAP: Final = rb"\s{0,16}"
"""Bounded, as everything here is: a form is found by what stands near its beginning."""
_JSON: Final = compiled(
    rb"\"(?:name|tool|tool_name|function|action)\"%b:%b(?:\{%b\"name\"%b:%b)?\"%b\"" % (_GAP, _GAP, _GAP, _GAP, _GAP, _NAME)
)
_FORMS: Final = (
    ("tag", compiled(rb"<(?:tool_call|function_call|tool|function|invoke)\b[^>]{0,40}?[=\"' ]%b[\"']?%b>" % (_NAME, _GAP))),
    ("action", compiled(rb"(?m)^[ \t]{0,16}Action%b:%b%b[ \t\r]{0,16}$" % (_GAP, _GAP, _NAME))),
    ("call", compiled(rb"(?m)^[ \t]{0,16}\[?TOOL_CALLS?\]?%b%b" % (_GAP, _NAME))),
)
_ARGUMENT_KEYS: Final = (b'"arguments"', b'"parameters"', b'"input"', b'"args"', b'"action_input"')
_BESIDE: Final = 300
"""Characters to either side of a name in JSON in which its arguments begin."""
_HINTS: Final = (b"<", b"Action", b"TOOL_CALL", b'"')
_LONGEST: Final = 512


class Written(NamedTuple):
    start: int
    end: int
    name: str
    form: str


def written(text: bytes) -> Iterator[Written]:
    """The calls in a folded text."""
    if not any(hint in text for hint in _HINTS):
        return
    for form, pattern in _FORMS:
        yield from (_written(one, form) for one in runs(pattern, text))
    if any(key in text for key in _ARGUMENT_KEYS):
        near = (one for one in runs(_JSON, text) if _has_arguments(text[max(one.start() - _BESIDE, 0) : one.end() + _BESIDE]))
        yield from (_written(one, "json") for one in near)


def _written(found: Any, form: str) -> Written:
    start, end = found.span()
    return Written(start, end, found[1].decode(), form)


def _has_arguments(beside: bytes) -> bool:
    return any(key in beside for key in _ARGUMENT_KEYS)


def _spans(text: bytes) -> Iterator[Span]:
    yield from sorted((one.start, one.end) for one in written(text))


_HINT: Final = rb"<(?:tool|function|invoke)|\bAction%b:|TOOL_CALL|\"(?:name|tool|tool_name|function|action)\"%b:" % (_GAP, _GAP)

TEXT_CALL: Final = Detector("text_call", _LONGEST, _spans, _HINT)
