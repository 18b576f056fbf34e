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
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from gateway.documents import nearest
from gateway.errors import StartError
from gateway.policy.functions import FUNCTIONS, LATER, MAX_PIECES, Function


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

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "call": ("id", "name", "type", "index", "dialect", "schema_hash"),
    "caller": ("agent", "team", "user", "key", "labels", "client"),
    "session": ("id", "source", "messages", "calls", "tools"),
}
"""What the fixed variables hold; `args` and `vars` hold what the call and the file say."""
VARIABLES: Final = ("args", "call", "caller", "session", "model", "vars", "now")
_TYPES: Final = (
    *(
        "bool",
        "bytes",
        "double",
        "duration",
        "int",
        "list",
        "map",
        "null_type",
        "string",
        "timestamp",
        "type",
    ),
)
_MAKE_LISTS: Final = frozenset({"split", "urls", "commands", "installs"})
_MACROS: Final = ("all", "exists", "exists_one", "existsOne", "filter", "map", "optMap", "optFlatMap")
_BUILT_IN: Final = (
    *("has", "size", "contains", "startsWith", "endsWith", "matches", "orValue", "or", "hasValue", "value"),
    *("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours"),
    *("getMinutes", "getSeconds", "getMilliseconds", "optional.of", "optional.none", "uint", "dyn"),
)
_KNOWN_FUNCTIONS: Final = (*_BUILT_IN, *_MACROS, *_TYPES, *FUNCTIONS)


class CannotTell(Exception):  # noqa: N818 - an outcome that the caller turns into a hit, not a crash
    """The condition has no truth value for this call."""


class Defect(NamedTuple):
    """What is wrong with a condition: at which of its characters, and in words."""

    offset: int
    message: str


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


def _environment() -> Any:
    declared = [cel.FunctionDecl(name, _overloads(name, function)) for name, function in FUNCTIONS.items()]
    table = _TYPES_BY_NAME["TABLE"]
    variables = dict.fromkeys(("args", "call", "caller", "session", "vars"), table)
    variables |= {"model": cel.Type.STRING, "now": cel.Type.TIMESTAMP}
    return cel.NewEnv(variables=variables, functions=declared, extensions=[ext_optional.ExtOptional()])


_ENV: Final = _environment()


def activation(variables: Mapping[str, Any]) -> Any:
    """What conditions see, for any number of `Condition.holds`; values are converted only when touched."""
    return _ENV.Activation(dict(variables))


def timestamp(now_us: int) -> dt.datetime:
    """µs since 1970 as CEL's timestamp."""
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=now_us)


class Condition:
    """A compiled condition."""

    __slots__ = ("_expression", "_items", "_loops", "_matches", "labels", "names", "remembers", "source")

    def __init__(self, source: str, expression: Any, tokens: Sequence[_Token]) -> None:
        self.source = source
        self._expression = expression
        self._loops = sum(t.calls and t.text in _MACROS for t in tokens)
        self._items = MAX_PIECES if any(t.calls and t.text in _MAKE_LISTS for t in tokens) else 1
        self._matches = any(t.calls and t.text == "matches" for t in tokens)
        called = {t.text for t in tokens if t.calls and not t.member}
        self.remembers = self._loops > 0 and "history" in called
        """Whether it may walk over earlier calls."""
        self.labels = tuple(_labels(tokens))
        """(offset, label) of each label that it names."""
        self.names = tuple(_names(tokens))
        """(offset, path) of each value that it reads: (5, ("args", "to")) for `!has(args.to)`."""

    def holds(self, seen: Any, size: Size) -> bool:
        """Raises CannotTell when evaluation fails, gives no boolean, or could cost more than MAX_COST.

        The bound: a loop runs at most `items` times (or over the pieces that `split` makes, or the calls of `history`), nested
        loops multiply up to cel-cpp's budget, and each round may scan the longest text once; a single loop over `history` scans
        what was told once. What look-ups in the conversation may cost is bounded there.
        """
        if self._loops and self._cost(size) > MAX_COST:
            raise CannotTell("the arguments are too large for this condition")
        try:
            outcome = self._expression.eval(seen)
            kind = outcome.type().name()
            value = outcome.value()
        except Exception as error:  # noqa: BLE001 - whatever the engine raises, there is no truth value
            raise CannotTell(_first_line(str(error))) from None
        if kind != "BOOL":
            said = _first_line(str(value)) if kind == "ERROR" else f"gives {kind.lower()}, not true or false"
            raise CannotTell(said)
        return bool(value)

    def _cost(self, size: Size) -> int:
        scan = _MATCH_COST if self._matches else _SCAN_COST
        items, text, once = max(size.items, self._items), size.text, 0
        if self.remembers:
            items, once = max(items, size.calls), size.told
            text += 0 if self._loops == 1 else size.told
        rounds: int = min(MAX_ITERATIONS, items**self._loops)
        return rounds * (text * scan + _STEP_COST) + once * scan


def _first_line(text: str) -> str:
    """An engine's message without its status code."""
    line = text.strip().split("\n", 1)[0]
    return re.sub(r"^[A-Z_]+: | \[[A-Z_]+\]?$", "", line).strip()[:200] or "unknown error"


# -- compiling --------------------------------------------------------------------------------------------


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    member: bool = False
    """Follows a dot."""
    calls: bool = False
    """Is followed by an opening parenthesis."""


_TOKEN = re.compile(
    r"""(?P<blank>\s+|//[^\n]*)
    |(?P<string>(?:[rR][bB]?|[bB][rR])(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"[^"\n]*"|'[^'\n]*')
      |[bB]?(?:\"{3}(?:\\.|[^\\])*?\"{3}|'{3}(?:\\.|[^\\])*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<number>\.?[0-9][\w.]*)
    |(?P<name>[A-Za-z_]\w*)
    |(?P<sign>\.\??|.)""",
    re.VERBOSE | re.DOTALL,
)


def _tokens(source: str) -> list[_Token]:
    found = _TOKEN.finditer(source)
    plain = [_Token(str(m.lastgroup), m.group(), m.start()) for m in found if m.lastgroup != "blank"]
    return [
        token._replace(
            member=i > 0 and plain[i - 1].text in (".", ".?"),
            calls=token.kind == "name" and i + 1 < len(plain) and plain[i + 1].text == "(",
        )
        for i, token in enumerate(plain)
    ]


def compile_condition(source: str, variables: Sequence[str]) -> Condition | list[Defect]:
    """`variables`: the names that `vars` holds in this file. All defects are returned, in order."""
    if len(source) > MAX_LENGTH:
        return [Defect(0, f"the condition is longer than {MAX_LENGTH} characters; split the rule")]
    tokens = _tokens(source)
    defects = [*_later_functions(tokens), *_unknown_fields(tokens, {**FIELDS, "vars": tuple(variables)})]
    try:
        expression = _ENV.compile(source)
    except Exception as error:  # noqa: BLE001 - whatever the engine raises is a defect of the text
        known = {d.offset for d in defects}
        defects += [d for d in _translated(str(error), source, tokens) if d.offset not in known]
        return sorted(defects)
    defects += _bad_patterns(tokens)
    kind = expression.return_type().name()
    if kind not in ("BOOL", "DYN"):
        said = f"the condition gives {kind.lower()}, not true or false; compare it with something"
        defects.append(Defect(0, said))
    return sorted(defects) or Condition(source, expression, tokens)


def _labels(tokens: Sequence[_Token]) -> Iterator[tuple[int, str]]:
    for name, _, label, end in zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False):
        if name.calls and name.text == "read_from" and label.kind == "string" and end.text == ")":
            yield label.start, label.text.strip("'\"")


def _names(tokens: Sequence[_Token]) -> Iterator[tuple[int, tuple[str, ...]]]:
    for at, head in enumerate(tokens):
        if head.kind == "name" and head.text in VARIABLES and not head.member and not head.calls:
            yield head.start, (head.text, *_path(tokens, at + 1))


def _path(tokens: Sequence[_Token], at: int) -> Iterator[str]:
    """What follows a variable: `.to`, `.?to`, `['to']`, until something else does."""
    while at + 1 < len(tokens):
        link, name = tokens[at : at + 2]
        if link.text in (".", ".?") and name.kind == "name" and not name.calls:
            yield name.text
            at += 2
        elif link.text == "[" and name.kind == "string" and tokens[at + 2 : at + 3] and tokens[at + 2].text == "]":
            yield name.text.strip("'\"")
            at += 3
        else:
            return


def _later_functions(tokens: Sequence[_Token]) -> Iterator[Defect]:
    for token in tokens:
        if token.calls and not token.member and token.text in LATER:
            said = f"the function '{token.text}' is not supported by this version; remove the rule"
            yield Defect(token.start, said)


def _unknown_fields(tokens: Sequence[_Token], fields: Mapping[str, Sequence[str]]) -> Iterator[Defect]:
    for head, dot, name in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if head.member or head.kind != "name" or dot.text not in (".", ".?") or name.kind != "name" or name.calls:
            continue
        known = fields.get(head.text)
        if known is not None and name.text not in known:
            offer = nearest(name.text, known, f"{head.text}.")
            yield Defect(head.start, f"unknown variable '{head.text}.{name.text}'{offer}")


def _bad_patterns(tokens: Sequence[_Token]) -> Iterator[Defect]:
    """Literal regular expressions that RE2 cannot read: found now, not at the first call."""
    for name, _, pattern, end in zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False):
        if not (name.calls and name.text == "matches" and pattern.kind == "string" and end.text == ")"):
            continue
        outcome = _ENV.compile(f"''.matches({pattern.text})").eval(activation({}))
        if outcome.type().name() == "ERROR":
            said = _first_line(str(outcome.value())).removeprefix("invalid regular expression: ")
            yield Defect(pattern.start, f"not a regular expression that RE2 reads: {said}")


_ENGINE_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")


def _translated(text: str, source: str, tokens: Sequence[_Token]) -> Iterator[Defect]:
    """The engine's messages in words; of several syntax errors only the first means anything."""
    found = [(_offset(source, int(m[1]), int(m[2])), m[3]) for m in _ENGINE_ERROR.finditer(text)]
    if not found:
        yield Defect(0, f"not a condition: {_first_line(text)}")
    syntax = [f for f in found if f[1].startswith(("Syntax error", "reserved identifier"))]
    for offset, said in syntax[:1] or found:
        if "undeclared reference" in said:
            yield _undeclared(offset, said.split("'")[1], tokens)
        else:
            yield _in_words(offset, said, tokens)


def _offset(source: str, line: int, column: int) -> int:
    lines = source.split("\n")[: line - 1]
    return min(sum(len(one) + 1 for one in lines) + column - 1, len(source))


def _undeclared(offset: int, name: str, tokens: Sequence[_Token]) -> Defect:
    """The engine points at the dot or parenthesis behind a name; people want the name."""
    head = name.split(".")[0]
    token = [_Token("name", head, offset), *(t for t in tokens if t.start <= offset and t.text == head)][-1]
    if not token.calls:
        return Defect(token.start, f"unknown variable '{head}'{nearest(head, VARIABLES)}")
    if head in _KNOWN_FUNCTIONS:
        return Defect(token.start, f"'{head}' is called in a way it does not have; see the language reference")
    return Defect(token.start, f"unknown function '{head}'{nearest(head, _KNOWN_FUNCTIONS)}")


_WORDS: Final = {"and": "write && for 'and'", "or": "write || for 'or'", "not": "write ! for 'not'"}


def _in_words(offset: int, said: str, tokens: Sequence[_Token]) -> Defect:
    for token in [t for t in tokens if t.start <= offset][-2:]:
        if token.text in _WORDS and not token.member:
            return Defect(token.start, _WORDS[token.text])
    if re.search(r"token recognition error at: '= ?'", said):
        return Defect(offset, "write == to compare")
    overload = re.match(r"found no matching overload for '([^']*)' applied to '\((.*)\)'", said)
    if overload:
        name = overload[1].replace("_", "") or overload[1]
        return Defect(offset, f"'{name}' does not work on ({overload[2]})")
    if "<EOF>' expecting" in said:
        return Defect(offset, "the condition ends too early; something is missing at its end")
    return Defect(offset, re.sub(r" expecting \{.*", "", said).replace("Syntax error: ", "cannot be read: "))
