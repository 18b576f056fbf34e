"""What is wrong with a condition, in words: the engine's messages, translated for people who know other languages better.

The engine points at the right place but speaks of tokens and overloads. Anything not recognised here is shown as the
engine says it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from gateway.documents import nearest
from gateway.policy.functions import FUNCTIONS
from gateway.policy.hooks import SEES, elsewhere, fields
from gateway.policy.tokens import MACROS, Token
from gateway.policy.zones import ZONED
from gateway.verdict import Hook

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
_BUILT_IN: Final = (
    *("has", "size", "contains", "startsWith", "endsWith", "matches", "orValue", "or", "hasValue", "value"),
    *("optional.of", "optional.none", "uint", "dyn", *ZONED),
)
_KNOWN_FUNCTIONS: Final = (*_BUILT_IN, *MACROS, *_TYPES, *FUNCTIONS)


class Defect(NamedTuple):
    """What is wrong with a condition: at which of its characters, and in words."""

    offset: int
    message: str


def first_line(text: str) -> str:
    """An engine's message without its status code."""
    line = text.strip().split("\n", 1)[0]
    return re.sub(r"^[A-Z_]+: | \[[A-Z_]+\]?$", "", line).strip()[:200] or "unknown error"


_ENGINE_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")


def translated(
    text: str, source: str, tokens: Sequence[Token], variables: Sequence[str], hook: Hook
) -> Iterator[Defect]:
    """The engine's messages in words; of several syntax errors only the first means anything. `variables`: what `vars` holds."""
    found = [(_offset(source, int(m[1]), int(m[2])), m[3]) for m in _ENGINE_ERROR.finditer(text)]
    if not found:
        yield Defect(0, f"not a condition: {first_line(text)}")
    syntax = [f for f in found if f[1].startswith(("Syntax error", "reserved identifier"))]
    for offset, said in syntax[:1] or found:
        if "undeclared reference" in said:
            yield _undeclared(offset, said.split("'")[1], tokens, variables, hook)
        else:
            yield _in_words(offset, said, tokens)


def _offset(source: str, line: int, column: int) -> int:
    lines = source.split("\n")[: line - 1]
    return min(sum(len(one) + 1 for one in lines) + column - 1, len(source))


# -- names ------------------------------------------------------------------------------------------------

_FOREIGN_VALUES: Final = {"None": "null", "nil": "null", "undefined": "null", "True": "true", "False": "false", "TRUE": "true"}
_FOREIGN_FUNCTIONS: Final = {
    **dict.fromkeys(("len", "length"), "size"),
    **dict.fromkeys(("includes", "include"), "contains"),
    **dict.fromkeys(("lower", "toLowerCase", "toLower", "casefold"), "lowerAscii"),
    **dict.fromkeys(("upper", "toUpperCase", "toUpper"), "upperAscii"),
    **dict.fromkeys(("match", "search", "test", "fullmatch", "regex"), "matches"),
    **dict.fromkeys(("some", "any"), "exists"),
    "strip": "trim",
    "defined": "has",
}
"""What other languages call it."""
_FOREIGN_NAMES: Final = {
    **dict.fromkeys(("tool", "tool_name", "toolName", "function", "action"), "call.name"),
    **dict.fromkeys(("arguments", "params", "parameters", "input", "inputs", "kwargs", "payload"), "args"),
    **dict.fromkeys(("output", "response", "answer", "content", "body"), "text"),
    **dict.fromkeys(("variables", "constants", "config"), "vars"),
    **dict.fromkeys(("time", "today", "date", "datetime"), "now"),
}
"""What other policy languages call it."""


def _undeclared(offset: int, name: str, tokens: Sequence[Token], variables: Sequence[str], hook: Hook) -> Defect:
    """The engine points at the dot or parenthesis behind a name; people want the name."""
    head = name.split(".")[0]
    token = [Token("name", head, offset), *(t for t in tokens if t.start <= offset and t.text == head)][-1]
    if not token.calls:
        return Defect(token.start, f"unknown variable '{head}'{_variable_meant(head, variables, hook)}")
    if head in FUNCTIONS:
        return Defect(token.start, f"'{head}' is called like this: {_signature(head)}")
    if head in _KNOWN_FUNCTIONS:
        return Defect(token.start, f"'{head}' is called in a way it does not have; see the language reference")
    if head in _FOREIGN_FUNCTIONS:
        return Defect(token.start, f"unknown function '{head}'; did you mean '{_FOREIGN_FUNCTIONS[head]}'?")
    return Defect(token.start, f"unknown function '{head}'{nearest(head, _KNOWN_FUNCTIONS)}")


def _variable_meant(head: str, variables: Sequence[str], hook: Hook) -> str:
    if head in _FOREIGN_VALUES:
        return f"; write {_FOREIGN_VALUES[head]}"
    if others := elsewhere(head, hook):
        return f"; it exists at {', '.join(others)}, not at {hook}"
    foreign = _FOREIGN_NAMES.get(head, "")
    if foreign.split(".")[0] in SEES[hook]:
        return f"; did you mean '{foreign}'?"
    close = nearest(head, SEES[hook])
    if close:
        return close
    if head in variables:
        return f"; did you mean 'vars.{head}'?"
    known = fields(hook)
    holder = next((one for one in ("caller", "call", "session", "request") if head in known.get(one, ())), "")
    if holder:
        return f"; did you mean '{holder}.{head}'?"
    return "; text is put in quotes, an argument is written args.x"


_PARAMETERS: Final = {"STRING": "text", "ANY": "value", "LIST": "list", "NAMES": "list", "SOME": "names"}


def _signature(name: str) -> str:
    function = FUNCTIONS[name]
    given = [_PARAMETERS[one] for one in function.parameters]
    return f"{given[0]}.{name}({', '.join(given[1:])})" if function.member else f"{name}({', '.join(given)})"


# -- signs ------------------------------------------------------------------------------------------------

_WORDS: Final = {"and": "write && for 'and'", "or": "write || for 'or'", "not": "write ! for 'not'"}
_SIGNS: Final = (
    (re.compile(r"token recognition error at: '= ?'"), "write == to compare"),
    (re.compile(r"token recognition error at: '& ?'"), "write && for 'and'"),
    (re.compile(r"token recognition error at: '\| ?'"), "write || for 'or'"),
    (re.compile(r"token recognition error at: '[“”„‘’]"), "write straight quotes: '…'"),
    (re.compile(r"token recognition error at: '['\"]"), "a text begins here and its closing quote is missing"),
    (re.compile(r"missing '\)' at"), "a closing parenthesis is missing"),
    (re.compile(r"missing '\]' at"), "a closing bracket is missing"),
    (re.compile(r"<EOF>' expecting"), "the condition ends too early; something is missing at its end"),
    (re.compile(r"input 'if' expecting"), "write condition ? value : other"),
    (re.compile(r"input ',' expecting <EOF>"), "a ',' stands where none can be; numbers are written 1000.5"),
)
"""What the engine says of a sign, and what to write."""


def _in_words(offset: int, said: str, tokens: Sequence[Token]) -> Defect:
    for token, behind in _last_two(offset, tokens):
        if token.text == "not" and behind.text == "in":
            return Defect(token.start, "write !(x in list) for 'not in'")
        if token.text in _WORDS and not token.member:
            return Defect(token.start, _WORDS[token.text])
    odd = re.search(r"token recognition error at: '([^\x00-\x7f])", said)
    if odd and odd[1].isspace():
        return Defect(offset, f"the space U+{ord(odd[1]):04X} stands here, which is no ordinary one; type it anew")
    for pattern, words in _SIGNS:
        if pattern.search(said):
            return Defect(offset, words)
    overload = re.match(r"found no matching overload for '([^']*)' applied to '\((.*)\)'", said)
    if overload:
        return Defect(offset, _misused(overload[1], overload[2]))
    return Defect(offset, re.sub(r" expecting \{.*", "", said).replace("Syntax error: ", "cannot be read: "))


def _last_two(offset: int, tokens: Sequence[Token]) -> list[tuple[Token, Token]]:
    """The two tokens up to the offset, each with the one behind it."""
    end = Token("sign", "", offset)
    return [pair for pair in zip(tokens, [*tokens[1:], end], strict=False) if pair[0].start <= offset][-2:]


def _misused(name: str, types: str) -> str:
    if name in FUNCTIONS:
        return f"'{name}' does not work on ({types}); it is called like this: {_signature(name)}"
    sign = name if name.isidentifier() and not name.startswith("_") else name.replace("_", "").removeprefix("@")
    return f"'{sign or name}' does not work on ({types})"
