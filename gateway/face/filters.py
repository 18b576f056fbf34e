"""The filter of the traces page: `agent:coder decision:deny tool:Bash cost>0.1 text~"rm -rf"`. Pure: text to terms, or where it is wrong.

1. Terms stand side by side and all must hold. A term is a field, a sign and a value; `-` before it turns it round.
2. `:` is "is one of": commas part alternatives, `*` and `?` stand for what may be there. `~` is "contains". `=`, `>`, `>=`, `<`, `<=`
   compare numbers. A value with spaces or commas in it stands in double quotes, in which `\\` takes the next character as it is.
3. A word alone is looked for in the text (`text~word`).
4. Terms about calls (`decision`, `tool`, …) speak of one and the same call; turned round, each says that there is no such call.
5. `since` and `until` take a span back from now (`90m`, `2h`, `7d`) or a day or moment in UTC.

What a term is in SQL stands in `filter_sql`.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Literal

from msgspec import Struct

Kind = Literal["word", "number", "text", "time"]
Sign = Literal[":", "~", "=", ">", ">=", "<", "<="]
LONGEST, MOST_TERMS, MOST_ALTERNATIVES = 1000, 30, 20
FIELDS: Mapping[str, Kind] = {
    "agent": "word", "org": "word", "team": "word", "user": "word", "key": "word", "session": "word", "model": "word", "provider": "word",
    "state": "word", "dialect": "word", "error": "word", "prompt": "word", "id": "word", "trace": "word",
    "cost": "number", "tokens": "number", "ms": "number", "overhead_ms": "number", "calls": "number", "denied": "number",
    "status": "number",
    "decision": "word", "tool": "word", "rule": "word", "policy": "word", "code": "word", "would": "word",
    "text": "text", "since": "time", "until": "time",
}  # fmt: skip
OF_CALLS = frozenset({"decision", "tool", "rule", "policy", "code", "would"})
SIGNS: Mapping[Kind, frozenset[str]] = {
    "word": frozenset({":", "~", "="}),
    "number": frozenset({":", "=", ">", ">=", "<", "<="}),
    "text": frozenset({":", "~"}),
    "time": frozenset({":", "="}),
}
_FIELD = re.compile(r"(-?)([A-Za-z_]+)(:|~|>=|<=|>|<|=)")
_SPAN = re.compile(r"([0-9]{1,6})(m|h|d)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Term(Struct, frozen=True):
    """One condition. `values` are alternatives; of a time there is one, in ISO form, of a number each reads as one."""

    field: str
    sign: Sign
    values: tuple[str, ...]
    negated: bool = False


class FilterProblem(ValueError):  # noqa: N818 - is shown to people, not raised at programs
    """What is wrong, and where: in characters from the beginning, from 0."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.message, self.position = message, position


def parse(text: str, now: dt.datetime) -> tuple[Term, ...]:
    """The terms, in order. Raises FilterProblem."""
    if len(text) > LONGEST:
        raise FilterProblem(f"A filter has at most {LONGEST} characters.", LONGEST)
    terms: list[Term] = []
    at = _next(text, 0)
    while at < len(text):
        if len(terms) == MOST_TERMS:
            raise FilterProblem(f"A filter has at most {MOST_TERMS} terms.", at)
        term, at = _term(text, at, now)
        terms.append(term)
        at = _next(text, at)
    return tuple(terms)


def written(terms: tuple[Term, ...]) -> str:
    """The filter that says the same."""
    return " ".join(_written(term) for term in terms)


def with_term(text: str, field: str, value: str) -> str:
    """The filter with one more condition, for a link. What cannot be parsed any more is the page's to tell."""
    return f"{text} {field}:{quoted(value)}".strip()


def quoted(value: str) -> str:
    """As it must be written to mean just this."""
    if value and re.fullmatch(r'[^\s",*?\\]+', value):
        return value
    return '"' + re.sub(r'(["\\*?])', r"\\\1", value) + '"'


def _term(text: str, at: int, now: dt.datetime) -> tuple[Term, int]:
    found = _FIELD.match(text, at)
    if found is None:
        negated = text[at] == "-" and at + 1 < len(text) and not text[at + 1].isspace()
        value, end = _value(text, at + negated)
        return Term("text", "~", (_plain(value),), negated), end
    minus, name, sign = found.groups()
    kind = FIELDS.get(name.lower())
    if kind is None:
        raise FilterProblem(_unknown(name), at + len(minus))
    if sign not in SIGNS[kind]:
        raise FilterProblem(f"'{name}' cannot be compared with '{sign}'; it takes {' '.join(sorted(SIGNS[kind]))}", found.start(3))
    values, end = _values(text, found.end(), name)
    return Term(name.lower(), _sign(sign), _checked(kind, values, found.end(), now, sign), minus == "-"), end


def _sign(sign: str) -> Sign:
    return sign  # type: ignore[return-value] # the pattern lets nothing else through


def _unknown(name: str) -> str:
    near = get_close_matches(name.lower(), FIELDS, 1)
    hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(FIELDS)}"
    return f"There is no field '{name[:40]}'; {hint} To look for the word itself, write it in double quotes."


def _values(text: str, at: int, name: str) -> tuple[list[str], int]:
    """Alternatives, with `\\` before what is meant literally."""
    values = []
    while True:
        value, at = _value(text, at, stop=",")
        if not value:
            raise FilterProblem(f"'{name}' wants a value here.", at)
        values.append(value)
        if len(values) > MOST_ALTERNATIVES:
            raise FilterProblem(f"A field takes at most {MOST_ALTERNATIVES} alternatives.", at)
        if at >= len(text) or text[at] != ",":
            return values, at
        at += 1


def _value(text: str, at: int, stop: str = "") -> tuple[str, int]:
    """Inside quotes a star is a star only with a backslash before it, as outside."""
    if at < len(text) and text[at] == '"':
        return _in_quotes(text, at)
    end = at
    while end < len(text) and not text[end].isspace() and text[end] not in stop:
        if text[end] == '"':
            raise FilterProblem("A double quote stands at the beginning and the end of a value; write \\\" for one inside.", end)
        end += 2 if text[end] == "\\" else 1
    return text[at:end], min(end, len(text))


def _in_quotes(text: str, at: int) -> tuple[str, int]:
    end = at + 1
    while end < len(text) and text[end] != '"':
        end += 2 if text[end] == "\\" else 1
    if end >= len(text):
        raise FilterProblem("This double quote is not closed.", at)
    after = end + 1
    if after < len(text) and not text[after].isspace() and text[after] != ",":
        raise FilterProblem("After a closing quote comes a space or a comma.", after)
    return text[at + 1 : end], after


def _checked(kind: Kind, values: list[str], at: int, now: dt.datetime, sign: str) -> tuple[str, ...]:
    if kind == "number":
        return tuple(_number(value, at) for value in values)
    if kind == "time":
        if len(values) > 1:
            raise FilterProblem("A time has no alternatives.", at)
        return (_time(values[0], at, now),)
    if kind == "text" or sign == "~":
        return tuple(_plain(value) for value in values)
    return tuple(values)


def _plain(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)


def _number(value: str, at: int) -> str:
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", value):
        raise FilterProblem(f"'{value[:40]}' is no number; write it like 0.25 or 1000.", at)
    return value


def _time(value: str, at: int, now: dt.datetime) -> str:
    if span := _SPAN.fullmatch(value):
        try:
            return (now - dt.timedelta(**{_UNITS[span[2]]: int(span[1])})).isoformat()
        except OverflowError:
            raise FilterProblem(f"'{value}' is longer ago than there is time.", at) from None
    try:
        moment = dt.datetime.fromisoformat(value)
    except ValueError:
        raise FilterProblem(f"'{value[:40]}' is no time; write 90m, 2h, 7d, 2026-11-21 or 2026-11-21T14:30 (UTC).", at) from None
    return (moment.astimezone(dt.UTC) if moment.tzinfo else moment).replace(tzinfo=None).isoformat()


def _written(term: Term) -> str:
    literal = FIELDS[term.field] == "text" or term.sign == "~"
    values = ",".join(quoted(value) if literal else _again(value) for value in term.values)
    return f"{'-' if term.negated else ''}{term.field}{term.sign}{values}"


def _again(value: str) -> str:
    """Backslashes stand in it as they were written."""
    return value if re.fullmatch(r'(?:[^\s",\\]|\\[^\s])+', value) else f'"{value}"'


def _next(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def pattern(value: str) -> str | None:
    """The LIKE pattern (escaped by `\\`) of a word with stars or question marks; None where it means just itself (`plain`)."""
    pieces = list(_pieces(value))
    if all(literal for literal, _ in pieces):
        return None
    return "".join(re.sub(r"([%_\\])", r"\\\1", piece) if literal else {"*": "%", "?": "_"}[piece] for literal, piece in pieces)


def plain(value: str) -> str:
    return "".join(piece for _, piece in _pieces(value))


def _pieces(value: str) -> Iterator[tuple[bool, str]]:
    """(whether it means itself, character)"""
    at = 0
    while at < len(value):
        if value[at] == "\\" and at + 1 < len(value):
            yield True, value[at + 1]
            at += 2
        else:
            yield value[at] not in "*?", value[at]
            at += 1
