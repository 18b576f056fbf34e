"""Conditions: CEL text to something that says true, false or "cannot tell", with every defect found at load.

The engine is cel-cpp through `cel-expr-python`. It is typed at load and stops after 10,000 iterations, but it
cannot be interrupted, so what a condition may cost is bounded *before* it runs, from sizes alone (see
`Condition.holds`): no clock is needed, and the same call always gets the same verdict.

Not here: what a condition is for (rules, effects), and where its text stands in a file.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from gateway.documents import nearest
from gateway.errors import StartError
from gateway.policy.defects import Defect, first_line, translated
from gateway.policy.functions import CONVERSATIONAL, FUNCTIONS, MAX_PIECES, Function
from gateway.policy.hooks import SEES, VARIABLES, fields
from gateway.policy.patterns import found
from gateway.policy.provenance import give_back, room_left
from gateway.policy.tokens import MACROS, Token, arguments, labels_named, literal_names, names_read, tokenized
from gateway.policy.zones import beyond_the_earth, literal_zones, of_the_machine
from gateway.validators.detectors import DETECTORS
from gateway.verdict import Hook


def refuse_old_protobuf(version: str | None) -> None:
    """cel-expr-python aborts the whole process beside protobuf 3.20; a clear error is better."""
    if version is not None and int(version.split(".")[0]) < 5:
        raise StartError(
            f"protobuf {version} is installed, and the policy engine crashes beside it; run: pip install 'protobuf>=5'"
        )


def _protobuf_version() -> str | None:
    return next((d.version for d in importlib.metadata.distributions(name="protobuf")), None)


refuse_old_protobuf(_protobuf_version())

from cel_expr_python import cel  # noqa: E402 - importing it beside an old protobuf ends the process
from cel_expr_python.ext import ext_optional  # noqa: E402

MAX_LENGTH: Final = 4096
MAX_ITERATIONS: Final = 10_000
"""cel-cpp's own budget per evaluation."""
MAX_COST: Final = 100_000_000
"""Nanoseconds, roughly: the worst that one condition may take."""
_SCAN_COST: Final = 1
_MATCH_COST: Final = 30
"""Nanoseconds per character for comparing and for RE2's slowest patterns, measured."""
_STEP_COST: Final = 200

_MAKE_LISTS: Final = frozenset({"split", "urls", "commands", "arguments", "installs"})


class CannotTell(Exception):  # noqa: N818 - an outcome that the caller turns into a hit, not a crash
    """The condition has no truth value for this call."""


class Size(NamedTuple):
    """Bounds on what conditions can touch in one evaluation."""

    text: int
    """Characters of the longest text."""
    items: int
    """Entries of the largest list or mapping."""
    calls: int = 0
    """Earlier calls of the conversation."""
    told: int = 0
    """Characters of all of them and their results."""


_TYPES_BY_NAME: Final[Mapping[str, Any]] = {
    "STRING": cel.Type.STRING,
    "INT": cel.Type.INT,
    "DOUBLE": cel.Type.DOUBLE,
    "BOOL": cel.Type.BOOL,
    "NULL": cel.Type.NULL,
    "LIST": cel.Type.List(cel.Type.STRING),
    "VALUES": cel.Type.List(cel.Type.DYN),
    "TABLE": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
    "TABLES": cel.Type.List(cel.Type.Map(cel.Type.STRING, cel.Type.DYN)),
}
_SEVERAL: Final[Mapping[str, tuple[str, ...]]] = {
    "ANY": ("STRING", "INT", "DOUBLE", "BOOL", "NULL", "VALUES", "TABLE"),
    "NAMES": ("VALUES", "TABLE"),
    "SOME": ("STRING", "VALUES"),
}
"""A parameter of type `dyn` matches nothing at run time, so that a function of several types has an overload for each."""


def _overloads(name: str, function: Function) -> list[Any]:
    choices = [_SEVERAL.get(parameter, (parameter,)) for parameter in function.parameters]
    return [
        cel.Overload(
            "_".join(("tollhouse", name, *kinds)).lower(),
            return_type=_TYPES_BY_NAME[function.result],
            parameters=[_TYPES_BY_NAME[kind] for kind in kinds],
            is_member=function.member,
            impl=function.implementation,
        )
        for kinds in itertools.product(*choices)
    ]


_VARIABLE_TYPES: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("args", "call", "caller", "session", "vars", "result", "request", "prompt"), _TYPES_BY_NAME["TABLE"]),
    **dict.fromkeys(("model", "text"), cel.Type.STRING),
    "now": cel.Type.TIMESTAMP,
}


def _environment(functions: Mapping[str, Function], seen: Sequence[str]) -> Any:
    declared = [cel.FunctionDecl(name, _overloads(name, function)) for name, function in functions.items()]
    variables = {name: _VARIABLE_TYPES[name] for name in seen}
    return cel.NewEnv(variables=variables, functions=declared, extensions=[ext_optional.ExtOptional()])


_FOUND: Final = "tollhouse_found"
_ENVS: Final[Mapping[Hook, Any]] = {hook: _environment(FUNCTIONS, seen) for hook, seen in SEES.items()}
_BATCHES: Final = _environment({**FUNCTIONS, _FOUND: Function(found, ("STRING", "STRING"), "BOOL", member=True)}, VARIABLES)
"""What people write is compiled by one of the first, so that they cannot call what only a `Batch` may."""


def activation(variables: Mapping[str, Any]) -> Any:
    """What conditions see, for any number of `Condition.holds`; values are converted only when touched. Good at every hook."""
    return _ENVS["tool_call"].Activation(dict(variables))


def timestamp(now_us: int) -> dt.datetime:
    """µs since 1970 as CEL's timestamp."""
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=now_us)


_TRUSTING: Final = frozenset({"from_tool", "field_has", "origin", "history"})
"""Functions that tell a result which was made up from one that a tool gave."""


class Condition:
    """A compiled condition."""

    __slots__ = (
        "_expression", "_items", "_matches", "_quick", "asks", "labels", "loops", "names", "quick", "recalls", "remembers", "source",
    )  # fmt: skip

    def __init__(self, source: str, expression: Any, tokens: Sequence[Token], hook: Hook) -> None:
        self.source = source
        self._expression = expression
        self.loops = sum(t.calls and t.text in MACROS for t in tokens)
        self._items = MAX_PIECES if any(t.calls and t.text in _MAKE_LISTS for t in tokens) else 1
        self._matches = any(t.calls and t.text == "matches" for t in tokens)
        called = {t.text for t in tokens if t.calls and not t.member}
        self.remembers = self.loops > 0 and "history" in called
        """Whether it may walk over earlier calls."""
        self.recalls = not called.isdisjoint(_TRUSTING)
        """Whether it asks what tools said, so that it matters whether the conversation is one that happened."""
        self.labels = tuple(labels_named(tokens))
        """(offset, label) of each label that it names."""
        self.names = tuple(names_read(tokens, SEES[hook]))
        """(offset, path) of each value that it reads: (5, ("args", "to")) for `!has(args.to)`."""
        self.asks = bool(called & CONVERSATIONAL)
        """Whether it asks about the conversation."""
        self.quick = _with_compiled_patterns(source, tokens)
        """Its text as a `Batch` compiles it."""
        self._quick = Batch((self,)) if self.quick != source else None

    def holds(self, seen: Any, size: Size) -> bool:
        """Raises CannotTell when evaluation fails, gives no boolean, or could cost more than MAX_COST.

        The bound: a loop runs at most `items` times (or over the pieces that `split` makes, or the calls of `history`), nested
        loops multiply up to cel-cpp's budget, and each round may scan the longest text once; a single loop over `history` scans
        what was told once. What look-ups in the conversation may cost is bounded there.
        """
        if self.loops and self.cost(size) > MAX_COST:
            raise CannotTell("the arguments are too large for this condition")
        answers = self._quick.answers(seen) if self._quick else None
        return answers[0] if answers else self._asked(seen)

    def _asked(self, seen: Any) -> bool:
        try:
            outcome = self._expression.eval(seen)
            kind = outcome.type().name()
            value = outcome.value()
        except Exception as error:  # noqa: BLE001 - whatever the engine raises, there is no truth value
            raise CannotTell(first_line(str(error))) from None
        if kind != "BOOL":
            said = first_line(str(value)) if kind == "ERROR" else f"gives {kind.lower()}, not true or false"
            raise CannotTell(said)
        return bool(value)

    def cost(self, size: Size) -> int:
        """The most that one evaluation may take, in nanoseconds, roughly."""
        scan = _MATCH_COST if self._matches else _SCAN_COST
        items, text, once = max(size.items, self._items), size.text, 0
        if self.remembers:
            items, once = max(items, size.calls), size.told
            text += 0 if self.loops == 1 else size.told
        rounds: int = min(MAX_ITERATIONS, items**self.loops)
        return rounds * (text * scan + _STEP_COST) + once * scan


MOST_IN_BATCH: Final = 32


class Batch:
    """Conditions asked in one evaluation. For speed only: unless each of them gives a truth value there are no answers, and each
    must be asked alone, so that an error, or a budget that runs out, is that of one condition.
    """

    __slots__ = ("_compiled", "_conditions")

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self._conditions = tuple(conditions)
        self._compiled: Any = None

    def cost(self, size: Callable[[Condition], Size]) -> int:
        """Sum of what its loops may cost; `size` is not asked where nothing loops."""
        return sum(condition.cost(size(condition)) for condition in self._conditions if condition.loops)

    def answers(self, seen: Any) -> list[bool] | None:
        """In the order of the conditions."""
        room = room_left()
        try:
            given = self._expression.eval(seen).plain_value()
        except Exception:  # noqa: BLE001 - each condition alone says what the matter is
            given = None
        if type(given) is list and all(type(answer) is bool for answer in given):
            return given
        give_back(room)
        return None

    @property
    def _expression(self) -> Any:
        """A list; each text stands on lines of its own, because it may end with a comment."""
        if self._compiled is None:
            self._compiled = _BATCHES.compile("[" + ",".join(f"(\n{c.quick}\n)" for c in self._conditions) + "]")
        return self._compiled


# -- compiling --------------------------------------------------------------------------------------------


def compile_condition(source: str, variables: Sequence[str], hook: Hook = "tool_call") -> Condition | list[Defect]:
    """`variables`: the names that `vars` holds in this file. All defects are returned, in order."""
    if len(source) > MAX_LENGTH:
        return [Defect(0, f"the condition is longer than {MAX_LENGTH} characters; split the rule")]
    tokens = tokenized(source)
    defects = [*_unknown_fields(tokens, {**fields(hook), "vars": tuple(variables)}), *_bare_days(tokens)]
    try:
        expression = _ENVS[hook].compile(source)
    except Exception as error:  # noqa: BLE001 - whatever the engine raises is a defect of the text
        known = {d.offset for d in defects}
        defects += [d for d in translated(str(error), source, tokens, variables, hook) if d.offset not in known]
        return sorted(defects)
    defects += (*_bad_patterns(tokens), *_bad_zones(tokens), *_bad_times(tokens), *_bad_detectors(tokens))
    kind = expression.return_type().name()
    if kind not in ("BOOL", "DYN"):
        said = f"the condition gives {kind.lower()}, not true or false; compare it with something"
        defects.append(Defect(0, said))
    return sorted(defects) or Condition(source, expression, tokens, hook)


def _unknown_fields(tokens: Sequence[Token], fields: Mapping[str, Sequence[str]]) -> Iterator[Defect]:
    for head, dot, name in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if head.member or head.kind != "name" or dot.text not in (".", ".?") or name.kind != "name" or name.calls:
            continue
        known = fields.get(head.text)
        if known is not None and name.text not in known:
            offer = nearest(name.text, known, f"{head.text}.")
            yield Defect(head.start, f"unknown variable '{head.text}.{name.text}'{offer}")


def _bare_days(tokens: Sequence[Token]) -> Iterator[Defect]:
    """2026-12-31 is 1983: a condition that compares with it could be evaluated at no call."""
    for day in zip(*(tokens[n:] for n in range(5)), strict=False):
        written = "".join(token.text for token in day)
        adjacent = day[-1].start + len(day[-1].text) - day[0].start == len(written)
        if adjacent and re.fullmatch(r"[12][0-9]{3}-[0-9]{1,2}-[0-9]{1,2}", written):
            said = f"{written} is a subtraction here; write timestamp('{written}T00:00:00Z') for a time, or '{written}' for text"
            yield Defect(day[0].start, said)


def _bad_detectors(tokens: Sequence[Token]) -> Iterator[Defect]:
    """Literal names of detectors that there are none of: found now, not at every call."""
    for at, name in enumerate(tokens):
        if name.calls and not name.member and name.text == "detect":
            named = [each for argument in arguments(tokens, at)[1:2] for each in literal_names(argument)]
            for offset, word in named:
                if word not in DETECTORS:
                    offer = nearest(word, DETECTORS) or f"; there are {', '.join(DETECTORS)}"
                    yield Defect(offset, f"names no detector: '{word}'{offer}")


def _bad_patterns(tokens: Sequence[Token]) -> Iterator[Defect]:
    """Literal regular expressions that RE2 cannot read: found now, not at the first call."""
    for _, pattern in _literal_patterns(tokens):
        outcome = _ENVS["tool_call"].compile(f"''.matches({pattern.text})").eval(activation({}))
        if outcome.type().name() == "ERROR":
            said = first_line(str(outcome.value())).removeprefix("invalid regular expression: ")
            yield Defect(pattern.start, f"not a regular expression that RE2 reads: {said}")


def _bad_zones(tokens: Sequence[Token]) -> Iterator[Defect]:
    """Literal names of time zones that there are none of: found now, not at every call."""
    for zone in literal_zones(tokens):
        outcome = _ENVS["tool_call"].compile(f"now.getHours({zone.text})").eval(activation({"now": timestamp(0)}))
        name = zone.text.strip("rR'\"")
        if outcome.type().name() == "ERROR" or of_the_machine(name) or beyond_the_earth(name):
            yield Defect(zone.start, f"no time zone {zone.text}; take a name such as 'Europe/Zurich' or 'UTC', or an offset: '+02:00'")


_TIMES: Final = {
    "timestamp": "no time {}; write it with its zone, such as '2026-12-31T18:00:00Z'",
    "duration": "no length of time {}; write hours, minutes or seconds: '36h', '90m', '1.5s'",
}


def _bad_times(tokens: Sequence[Token]) -> Iterator[Defect]:
    """Literal times that there are none of: found now, not at every call."""
    for name, _, written, end in zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False):
        if name.calls and not name.member and name.text in _TIMES and written.kind == "string" and end.text == ")":
            outcome = _ENVS["tool_call"].compile(f"{name.text}({written.text})").eval(activation({}))
            if outcome.type().name() == "ERROR":
                yield Defect(written.start, _TIMES[name.text].format(written.text))


def _literal_patterns(tokens: Sequence[Token]) -> Iterator[tuple[Token, Token]]:
    """(name, pattern) of each `.matches('pattern')`."""
    for name, _, pattern, end in zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False):
        if name.calls and name.text == "matches" and pattern.kind == "string" and end.text == ")":
            yield name, pattern


def _with_compiled_patterns(source: str, tokens: Sequence[Token]) -> str:
    parts, at = [], 0
    for name, _ in _literal_patterns(tokens):
        parts += [source[at : name.start], _FOUND]
        at = name.start + len(name.text)
    return "".join((*parts, source[at:]))
