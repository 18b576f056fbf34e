"""The text of a condition, cut into tokens, and what can be told from them alone: the values it reads, the labels it names.

The engine compiles conditions but does not show what is in them. Not a parser: what a condition means is for the engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

MACROS: Final = ("all", "exists", "exists_one", "existsOne", "filter", "map", "optMap", "optFlatMap")


_OPENING: Final = frozenset("([{")
_CLOSING: Final = frozenset(")]}")


class Token(NamedTuple):
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


def tokenized(source: str) -> list[Token]:
    found = _TOKEN.finditer(source)
    plain = [Token(str(m.lastgroup), m.group(), m.start()) for m in found if m.lastgroup != "blank"]
    return [
        token._replace(
            member=i > 0 and plain[i - 1].text in (".", ".?"),
            calls=token.kind == "name" and i + 1 < len(plain) and plain[i + 1].text == "(",
        )
        for i, token in enumerate(plain)
    ]


def labels_named(tokens: Sequence[Token]) -> Iterator[tuple[int, str]]:
    for name, _, label, end in zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False):
        if name.calls and name.text == "read_from" and label.kind == "string" and end.text == ")":
            yield label.start, label.text.strip("'\"")


def arguments(tokens: Sequence[Token], at: int) -> list[list[Token]]:
    """Of the call whose name stands at `at`: each argument, as far as the closing parenthesis."""
    found: list[list[Token]] = [[]]
    depth = 0
    for token in tokens[at + 2 :]:
        depth += (token.kind == "sign") * ((token.text in _OPENING) - (token.text in _CLOSING))
        if depth < 0:
            break
        if depth == 0 and token.text == ",":
            found.append([])
        else:
            found[-1].append(token)
    return found


def literal_names(argument: Sequence[Token]) -> Iterator[tuple[int, str]]:
    """(offset, name) of a name in quotes, or of each in a list; nothing where anything is worked out, or written with escapes."""
    signs = "".join(token.text for token in argument if token.kind != "string")
    names = [token for token in argument if token.kind == "string"]
    if signs in ("", "[" + "," * (len(names) - 1) + "]") and not any("\\" in name.text for name in names):
        yield from ((name.start, name.text.lstrip("rRbB").strip("'\"")) for name in names)


_TOOLS_AT: Final = {"count": 0, "total": 0, "history": 0, "from_tool": 1, "field_has": 1}
"""At which of its arguments a function takes a pattern of tools."""


def tools_named(tokens: Sequence[Token]) -> Iterator[tuple[int, str]]:
    """(offset, pattern) of the tools that it asks the conversation about, where they stand in quotes."""
    for at, name in enumerate(tokens):
        if name.calls and not name.member and name.text in _TOOLS_AT:
            nth = _TOOLS_AT[name.text]
            yield from (each for argument in arguments(tokens, at)[nth : nth + 1] for each in literal_names(argument))


def names_read(tokens: Sequence[Token], variables: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    for at, head in enumerate(tokens):
        if head.kind == "name" and head.text in variables and not head.member and not head.calls:
            yield head.start, (head.text, *_path(tokens, at + 1))


def _path(tokens: Sequence[Token], at: int) -> Iterator[str]:
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
