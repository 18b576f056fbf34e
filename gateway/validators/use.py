"""A validator as it is used: asked about a text, and taken at its word only where it keeps to its form.

Whatever it raises, and whatever it says in another form than `Seen`, is no answer: the text is `unevaluated` then, with the reason. Never
raises itself. Not here: what is done about it (rules), and where the text came from (hooks).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple, TypeVar, get_args

import msgspec

from gateway.overtime import Overtime, within
from gateway.strict_json import Json
from gateway.validators.validator import MOST_SEEN, Check, Question, Seen, Severity, Subject, Unjudged, Validator

Given = TypeVar("Given")
_SEVERITIES: Final = frozenset(get_args(Severity))
MOST_S: Final = 2.0
"""Of CPU time for one look, in which a worker serves nobody else. Built-in validators end long before."""


def cut_off(text: str) -> str:
    """Why a text of which only the beginning is known has not passed."""
    return f"the answer has {len(text)} characters or more, and no more of it was kept to look at"


class Said(NamedTuple):
    """What came of one look."""

    seen: tuple[Seen, ...] = ()
    problem: str = ""
    """Why nobody knows; empty where it was judged."""

    @property
    def hits(self) -> tuple[Seen, ...]:
        return tuple(one for one in self.seen if one.severity != "info")

    @property
    def score(self) -> float | None:
        """The lowest of those that were given."""
        return min((one.score for one in self.seen if one.score is not None), default=None)


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """One validator with its options, as one rule names it."""

    validator: Validator
    check: Check
    argument: tuple[str, ...] = ()
    """At `tool_call`: the keys that lead to the argument; empty: all of them as JSON."""
    question: Question | None = None
    """What a model is asked when the answer has left, where that is how it looks."""

    @property
    def name(self) -> str:
        return self.validator.name

    @property
    def version(self) -> str:
        return self.validator.version if self.question is None else self.question.version

    def look(self, subject: Subject) -> Said:
        if subject.cut:
            return Said(problem=cut_off(subject.text))
        most = self.validator.most
        if len(subject.text) > most:
            return Said(problem=f"the text has {len(subject.text)} characters; {self.name} looks at {most} at most")
        return self._said(self.check, subject, len(subject.text))

    def heard(self, answer: str) -> Said:
        """What the model that was asked says."""
        return Said(problem=f"{self.name} asks no model") if self.question is None else self._said(self.question.read, answer, 0)

    def _said(self, look: Callable[[Given], Iterable[Seen]], given: Given, length: int) -> Said:
        try:
            return within(MOST_S, lambda: _checked(islice(look(given), MOST_SEEN + 1), length))
        except Overtime:
            return Said(problem=f"{self.name} took more than {MOST_S:g} s")
        except Unjudged as error:
            return Said(problem=str(error) or f"{self.name} could not judge the text")
        except Exception as error:  # noqa: BLE001 - a validator that fails has not judged, whatever it was that failed
            return Said(problem=f"{self.name} failed ({type(error).__name__})")

    def look_at_call(self, args: Mapping[str, Json], arguments: str, subject: Subject) -> Said:
        """The look at a call. An argument that is not there cannot be judged."""
        value: Json = args
        for key in self.argument:
            if not isinstance(value, Mapping) or key not in value:
                return Said(problem=f"the call has no argument '{'.'.join(self.argument)}'")
            value = value[key]
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode() if self.argument else arguments
        path = ".".join(("arguments", *self.argument))
        return self.look(msgspec.structs.replace(subject, text=text, hook="tool_call", path=path))


def _checked(said: Iterable[object], length: int) -> Said:
    seen = tuple(said)
    if len(seen) > MOST_SEEN:
        return Said(problem=f"it saw more than {MOST_SEEN} things in one text")
    wrong = [type(one).__name__ for one in seen if not _well_formed(one, length)]
    if wrong:
        return Said(problem=f"it said something that is no finding ({wrong[0]}); a validator yields Seen(code, detail, …)")
    return Said(seen)  # type: ignore[arg-type]  # each was looked at


def _well_formed(one: object, length: int) -> bool:
    if not isinstance(one, Seen) or one.severity not in _SEVERITIES or not one.code:
        return False
    if any(type(text) is not str for text in (one.code, one.detail, one.path)):
        return False
    if type(one.start) is not int or type(one.end) is not int or not 0 <= one.start <= one.end <= length:
        return False
    return one.score is None or (type(one.score) in (int, float) and 0 <= one.score <= 1)


_WHOLE: Final = 1 << 64


def drawn(share: float, exchange: str, rule: str) -> bool:
    """Whether a rule with `sample` is asked in this exchange: by its id, so that whoever asks again finds the same."""
    digest = hashlib.blake2b(f"{exchange}\0{rule}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) < share * _WHOLE
