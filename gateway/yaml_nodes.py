"""YAML text to nodes that know where they stand, under caps, with exactly one reading.

Why not `yaml.compose`: the C composer recurses and kills the process on deep nesting. Here nodes are made
from the parser's events without recursion. Scalars keep their text; what they mean is said in `documents`.

Not here: values, models, files on disk.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import yaml

from gateway.errors import FileProblems, Problem

MAX_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 40

_BREAK = re.compile(r"\r\n|\r|\n")
_SHOWN: Final = 200
"""Characters of a source line that a problem quotes."""


class Place(NamedTuple):
    """1-based."""

    line: int
    column: int


class Source:
    """The text of one file, with its line starts."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self._starts = [0, *(m.end() for m in _BREAK.finditer(text))]

    def place(self, offset: int) -> Place:
        line = bisect_right(self._starts, offset)
        return Place(line, offset - self._starts[line - 1] + 1)

    def problem(self, offset: int, message: str) -> Problem:
        line, column = self.place(offset)
        start = self._starts[line - 1]
        quoted = _BREAK.split(self.text[start : start + _SHOWN], maxsplit=1)[0] if column <= _SHOWN else ""
        return Problem(self.file, line, column, message, quoted.replace("\t", " "))


class Refused(yaml.YAMLError):
    """The text at an offset breaks a rule or a cap of ours."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message


class Node:
    """`value` is text (scalar, tagged), a list of nodes (list), or key and value nodes in turn (map)."""

    __slots__ = ("end", "kind", "start", "style", "value")

    def __init__(self, kind: str, value: Any, event: Any) -> None:
        self.kind = kind
        self.value = value
        self.style: str = getattr(event, "style", None) or ""
        self.start: int = event.start_mark.index
        self.end: int = event.end_mark.index


def read(text: bytes, file: str) -> tuple[Source, Node]:
    """Raises FileProblems when the bytes are not one non-empty YAML document."""
    source = Source(file, decoded(text, file))
    try:
        return source, _compose(source.text)
    except yaml.YAMLError as error:
        raise FileProblems([_yaml_problem(source, error)]) from None


FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
"""Control characters, line breaks that only some tools see, marks that reorder text on screen."""


def decoded(text: bytes, file: str) -> str:
    if len(text) > MAX_BYTES:
        said = f"the file is larger than {MAX_BYTES // 1024} KiB; split it"
        raise FileProblems([Problem(file, 1, 1, said)])
    if text.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        said = "the file begins with a byte order mark; save it as UTF-8 without BOM"
        raise FileProblems([Problem(file, 1, 1, said)])
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        good = Source(file, text[: error.start].decode("utf-8"))
        said = "not UTF-8 text; save the file as UTF-8"
        raise FileProblems([good.problem(len(good.text), said)]) from None
    if bad := FORBIDDEN.search(decoded):
        said = f"the invisible character U+{ord(bad.group()):04X} is not allowed; remove or escape it"
        raise FileProblems([Source(file, decoded).problem(bad.start(), said)])
    return decoded


def _compose(text: str) -> Node:
    stack: list[Node] = []
    anchors: dict[str, Node] = {}
    top: Node | None = None
    events: Iterator[Any] = yaml.parse(text, Loader=yaml.CSafeLoader)
    for event in events:
        start, end = event.start_mark.index, event.end_mark.index
        if isinstance(event, yaml.DocumentStartEvent) and top is not None:
            raise Refused(start, "only one document per file; remove this '---' or split the file")
        if isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            stack.pop().end = end
        node = _node_of(event, anchors)
        if node is None:
            continue
        if stack:
            stack[-1].value.append(node)
        else:
            top = node
        if isinstance(event, yaml.CollectionStartEvent):
            _push(stack, node)
    if top is None or (top.kind == "scalar" and not top.value and not top.style):
        raise Refused(0, "the file is empty; write at least its first key, or remove the file")
    return top


def _push(stack: list[Node], node: Node) -> None:
    stack.append(node)
    if len(stack) > MAX_DEPTH:
        raise Refused(node.start, f"nested more than {MAX_DEPTH} levels deep; flatten it")


def _node_of(event: Any, anchors: dict[str, Node]) -> Node | None:
    start = event.start_mark.index
    if isinstance(event, yaml.AliasEvent):
        if event.anchor not in anchors:
            said = f"unknown alias '*{event.anchor}'; put the text in quotes if it is not an alias"
            raise Refused(start, said)
        return anchors[event.anchor]
    if isinstance(event, yaml.ScalarEvent):
        node = Node("tagged" if event.tag is not None else "scalar", event.value, event)
    elif isinstance(event, yaml.CollectionStartEvent):
        if event.tag is not None:
            raise Refused(start, f"the tag {event.tag!r} is not allowed; remove it")
        node = Node("list" if isinstance(event, yaml.SequenceStartEvent) else "map", [], event)
    else:
        return None
    if event.anchor is not None:
        anchors[event.anchor] = node
    return node


_CONFLICT = re.compile(r"^(?:<{7}|>{7}) ", re.MULTILINE)
_QUOTED: Final = "while scanning a quoted scalar"
_FLOWING: Final = ("did not find expected ',' or '}'", "did not find expected ',' or ']'")
_ASTRAY: Final = ("did not find expected key", "did not find expected '-' indicator")


def _yaml_problem(source: Source, error: yaml.YAMLError) -> Problem:
    if isinstance(error, Refused):
        return source.problem(error.offset, error.message)
    if conflict := _CONFLICT.search(source.text):
        return source.problem(conflict.start(), "a conflict that git could not merge; keep what is meant and remove git's marks")
    context = getattr(error, "context", None)
    lone_star = context == "while scanning an alias"
    lone_key = "could not find expected ':'" in str(getattr(error, "problem", None))
    if open_bracket := _open_bracket(error):
        return source.problem(*open_bracket)
    mark = getattr(error, "context_mark" if lone_star or lone_key or context == _QUOTED else "problem_mark", None)
    offset = min(mark.index, len(source.text)) if mark is not None else 0
    said = "lone star" if lone_star else str(getattr(error, "problem", None) or error)
    before = _BREAK.split(source.text[:offset])[-1]
    return source.problem(offset, _plainly(said, source.text[offset : offset + 1], before, error))


def _open_bracket(error: Any) -> tuple[int, str] | None:
    """Where a bracket opens that is not closed on its line, and what is missing."""
    if getattr(error, "problem", None) not in _FLOWING or error.problem_mark.line == error.context_mark.line:
        return None
    said = f"between the bracket that opens here and line {error.problem_mark.line + 1} a ',' or the closing bracket is missing"
    return error.context_mark.index, said


def _plainly(said: str, at: str, before: str, error: yaml.YAMLError) -> str:
    """`at`: the character that the parser points at; `before`: what stands before it on the line."""
    if said == "lone star":
        return "a '*' at the beginning of a value is put in quotes: '*'"
    if "tab character" in said or (at == "\t" and "cannot start any token" in said):
        return "a tab is used as indentation; YAML wants spaces"
    if "cannot start any token" in said:
        return f"a value cannot begin with {at!r}; put it in quotes"
    if "mapping values are not allowed" in said:
        return "a ':' stands where no key can be; put the text in quotes, or check the indentation"
    if "could not find expected ':'" in said:
        return "a key without its ':', or without the space behind it"
    if "unknown escape character" in said:
        return "in double quotes a backslash is doubled; or use single quotes"
    if "unexpected end of stream" in said and getattr(error, "context", None) == _QUOTED:
        return "a quote opens here and is closed nowhere"
    if said in _FLOWING:
        return "between brackets a value ends at a ',' or a bracket; put the whole value in double quotes, or close the bracket before it"
    if said in _ASTRAY and not before.strip():
        return "this line is indented like none it could belong to; put keys of one thing in one column"
    if "did not find expected key" in said and before.rstrip().endswith(("'", '"', "]", "}")):
        return "a value that begins with a quote or bracket ends where that is closed; put the whole value in double quotes"
    context = getattr(error, "context", None)
    where = f" ({context})" if context else ""
    return f"not valid YAML: {said}{where}; check brackets, quotes and indentation"


def offset_within(source: Source, node: Node, offset: int) -> int:
    """Offset in the file of the `offset`-th character of a scalar's value.

    Found by counting solid (non-space) characters, which is right for every style, because folding and
    indentation only ever change white space. The end of the value is the end of its last solid character.
    """
    before = sum(not c.isspace() for c in node.value[:offset])
    last = node.start
    for count, (start, end) in enumerate(_solid(source.text, node)):
        if count == before:
            return start
        last = end
    return last


_PATTERNS: Final = {
    '"': re.compile(r'\\(?:x..|u.{4}|U.{8})|\\.|[^\s\\"]', re.DOTALL),
    "'": re.compile(r"''|[^\s']"),
}
_SOLID: Final = re.compile(r"\S")
_SPACE_ESCAPES: Final = frozenset("nrtfvNLP_ \t\n")


def _solid(text: str, node: Node) -> Iterator[tuple[int, int]]:
    """Start and end of what stands for each solid character of a scalar's value."""
    start = node.start
    if node.style in ("|", ">"):
        start = _BREAK.search(text + "\n", start).end()  # type: ignore[union-attr]  # there is one: just added
    for found in _PATTERNS.get(node.style, _SOLID).finditer(text, start, node.end):
        piece = found.group()
        if piece[0] != "\\" or node.style != '"' or piece[1] not in _SPACE_ESCAPES:
            yield found.start(), found.end()
