"""The text of a kept prompt: Jinja2's notation, of which only filling in values, choosing and listing are left.

Why so little: a template is reviewed as text, but what fills it comes from anybody. So nothing that a template may say can reach an object
behind a value, run anything, or make much out of little:

1. A closed list of what may stand in a template is checked on its syntax tree before it is compiled. No attributes, no subscripts, no
   calls, no arithmetic (`%` formats, `*` repeats), no macros, imports or assignments. Jinja2's sandbox stands behind that as a second wall.
2. A name is a declared variable or the one of the loop it stands in: an unknown one is found when the file is read, not when it is used.
3. A loop goes over a variable, never over what is computed, and never inside another loop; filters take constants, and inside a loop no
   other value than the loop's own; `json` is said once of a value, because saying it again doubles what it has escaped; a list in brackets
   stands behind `in` and nowhere else. A rendering of more than `MOST_CHARACTERS` is none.
4. A value is put in once: what looks like a template in it stays text.

Not here: the file around it (`kept.py`), what may be given for a variable (`variables.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import msgspec
from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gateway.prompt.variables import NAME
from gateway.strict_json import Json

MOST_CHARACTERS: Final = 512 * 1024
"""Of a rendered prompt."""
MOST_NODES: Final = 5_000
MOST_LOOPED: Final = 300
"""Parts of a template, and those of them inside loops: with no loop in a loop and lists of a thousand items, they bound the work of a
rendering."""
LARGEST: Final = 2**63 - 1
MOST_DEEP: Final = 50
"""Levels of a template, one inside the other."""
MOST_ARGUMENT: Final = 64
"""Characters of a filter's argument."""


class Defect(Exception):  # noqa: N818 - says what is wrong with a text, with its place
    """`offset` is the character at which it begins."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset, self.message = offset, message


class TooLong(Exception):  # noqa: N818 - names what a rendering became
    """What was filled in makes more than `MOST_CHARACTERS`."""


class _Environment(ImmutableSandboxedEnvironment):
    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        return False

    def is_safe_callable(self, obj: Any) -> bool:
        return False


def _shown(value: Any) -> Any:
    """Values that are no text, in JSON's notation."""
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()


def _join(value: Any, between: str = ", ") -> str:
    return between.join(map(_shown, value)) if isinstance(value, list) else _shown(value)


FILTERS: Mapping[str, Callable[..., Any]] = {
    "capitalize": lambda value: _shown(value).capitalize(),
    "join": _join,
    "json": _json,
    "length": lambda value: len(value) if isinstance(value, str | list) else len(_shown(value)),
    "lower": lambda value: _shown(value).lower(),
    "trim": lambda value: _shown(value).strip(),
    "upper": lambda value: _shown(value).upper(),
}
"""All there are. None can make much out of little, or reach anything but its value."""

_ALLOWED: Final = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Const, nodes.Name, nodes.If, nodes.For, nodes.Filter, nodes.Compare,
    nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr, nodes.List, nodes.Tuple,
)  # fmt: skip
_SAID: Mapping[type[nodes.Node], str] = {
    nodes.Getattr: "attributes (a.b) are not allowed; declare a variable of its own for what you need",
    nodes.Getitem: "subscripts (a[b]) are not allowed; declare a variable of its own for what you need",
    nodes.Call: "calls are not allowed; filters do what can be done with a value: " + ", ".join(FILTERS),
    nodes.Mod: "'%' is not allowed; put the value where it belongs with {{ name }}",
}
_ENVIRONMENT: Final = _Environment(
    autoescape=False, undefined=StrictUndefined, finalize=_shown, trim_blocks=True, lstrip_blocks=True, extensions=(), cache_size=0
)
"""Prompts are no HTML: escaping would change what is said."""
_ENVIRONMENT.filters = dict(FILTERS)
_ENVIRONMENT.tests = {}
_ENVIRONMENT.globals = {}


class Template:
    """A template that was found harmless. Raises `Defect` for one that is not, or that uses a name outside `known`; `lists` are the
    names of those that are lists."""

    def __init__(self, text: str, known: Collection[str], lists: Collection[str] = ()) -> None:
        try:
            tree = _ENVIRONMENT.parse(text)
            _Check(text, frozenset(known), frozenset(lists)).look(tree)
            self._template = _ENVIRONMENT.from_string(tree)
        except TemplateSyntaxError as error:
            raise Defect(_offset(text, error.lineno), f"{error.message}; correct the template") from None
        except ValueError:  # of a number with thousands of digits, before anything can be looked at
            raise Defect(0, "holds a number that is far too long; write less") from None
        except (RecursionError, SyntaxError):  # more levels than Python's own compiler takes
            raise Defect(0, "nested far too deeply; write it flatter") from None

    def render(self, values: Mapping[str, Json]) -> str:
        """Raises TooLong, and TypeError where values are compared that have no order."""
        pieces, length = [], 0
        for piece in self._template.generate(dict(values)):
            length += len(piece)
            if length > MOST_CHARACTERS:
                raise TooLong
            pieces.append(piece)
        return "".join(pieces)


class _Check:
    """Whether a tree holds only what is allowed."""

    def __init__(self, text: str, known: frozenset[str], lists: frozenset[str]) -> None:
        self._text, self._known, self._lists = text, known, lists
        self._count = self._looped = self._deep = 0

    def look(self, node: nodes.Node, of_loop: str = "") -> None:
        self._deep += 1
        if self._deep > MOST_DEEP:
            raise Defect(0, f"nested more than {MOST_DEEP} levels deep; write it flatter")
        self._one(node, of_loop)
        self._deep -= 1

    def _one(self, node: nodes.Node, of_loop: str) -> None:
        self._count += 1
        self._looped += bool(of_loop)
        if self._count > MOST_NODES or self._looped > MOST_LOOPED:
            raise Defect(0, f"more than {MOST_NODES} parts, or {MOST_LOOPED} inside loops; write less")
        if not isinstance(node, _ALLOWED):
            said = _SAID.get(type(node)) or f"'{_named(node)}' is not allowed here; use {{{{ name }}}}, if and for only"
            raise self._at(node, _marks(node), said)
        match node:
            case nodes.Name():
                self._name(node, of_loop)
            case nodes.Const():
                self._const(node)
            case nodes.Filter():
                self._filter(node, of_loop)
            case nodes.Compare():
                self._compared(node, of_loop)
                return
            case nodes.List() | nodes.Tuple():
                raise self._at(node, ("[", "("), "a list in brackets stands behind 'in' only; declare a variable of type list")
            case nodes.CondExpr(expr2=None):
                raise self._at(node, ("if",), "'a if b' says nothing of the other case; add else '…'")
            case nodes.For():
                self._loop(node, of_loop)
                return
        for child in node.iter_child_nodes():
            self.look(child, of_loop)

    def _name(self, node: nodes.Name, of_loop: str) -> None:
        if node.name not in self._known and node.name != of_loop:
            known = ", ".join(sorted(self._known)) or "none"
            said = f"'{node.name}' is not declared; add it to 'variables' (declared: {known})"
            raise self._at(node, (node.name,), said)

    def _const(self, node: nodes.Const) -> None:
        value = node.value
        if (isinstance(value, int) and abs(value) > LARGEST) or (isinstance(value, float) and not math.isfinite(value)):
            raise self._at(node, (), "a number that not every reader understands in the same way; write a smaller one")
        if isinstance(value, str) and not _encodable(value):
            raise self._at(node, (), "half a character (a surrogate) is no text; write the whole one")

    def _compared(self, node: nodes.Compare, of_loop: str) -> None:
        """Its parts; a list may stand behind `in`."""
        self.look(node.expr, of_loop)
        for operand in node.ops:
            listed = operand.op in ("in", "notin") and isinstance(operand.expr, nodes.List | nodes.Tuple)
            for each in operand.expr.iter_child_nodes() if listed else [operand.expr]:
                self.look(each, of_loop)
        self._count += 2 * len(node.ops)

    def _filter(self, node: nodes.Filter, of_loop: str) -> None:
        if node.name not in FILTERS:
            raise self._at(node, (node.name,), f"there is no filter '{node.name}'; there are: {', '.join(FILTERS)}")
        wrong = node.kwargs or node.dyn_args or node.dyn_kwargs or len(node.args) > (node.name == "join")
        if wrong or node.node is None or not all(map(_short, node.args)):
            said = f"a filter takes a value and no more, 'join' also a text of up to {MOST_ARGUMENT} characters"
            raise self._at(node, (node.name,), said)
        if node.name == "json" and _says_json(node.node):
            raise self._at(node, (node.name,), "'json' is said once of a value; leave the other one out")
        if of_loop and any(name.name != of_loop for name in node.find_all(nodes.Name)):
            raise self._at(node, (node.name,), f"inside the loop filters take '{of_loop}' only; put this before the loop")

    def _loop(self, node: nodes.For, of_loop: str) -> None:
        over, each = node.iter, node.target
        if of_loop or node.recursive:
            raise self._at(node, ("for",), "a loop inside a loop is not allowed; give a list that is ready to be shown")
        if not isinstance(over, nodes.Name) or over.name not in self._lists:
            raise self._at(node, ("for",), "a loop goes over a variable of type list and nothing else; declare one")
        if not isinstance(each, nodes.Name) or each.name in self._known or not re.fullmatch(NAME, each.name):
            raise self._at(node, ("for",), "a loop needs a name of its own, no variable's, of a-z, 0-9 and _: {% for item in items %}")
        for child in (*node.body, *node.else_, *([node.test] if node.test else [])):
            self.look(child, each.name)

    def _at(self, node: nodes.Node, marks: Collection[str], message: str) -> Defect:
        return Defect(_offset(self._text, node.lineno, marks), message)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _says_json(node: nodes.Node) -> bool:
    return any(inner.name == "json" for inner in (node, *node.find_all(nodes.Filter)) if isinstance(inner, nodes.Filter))


def _short(argument: nodes.Node) -> bool:
    return isinstance(argument, nodes.Const) and isinstance(argument.value, str) and len(argument.value) <= MOST_ARGUMENT


def _named(node: nodes.Node) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", " ", type(node).__name__).lower()


def _marks(node: nodes.Node) -> tuple[str, ...]:
    """What to look for in the line, to show the place."""
    match node:
        case nodes.Getattr():
            return (f".{node.attr}",)
        case nodes.Getitem():
            return ("[",)
        case nodes.Call():
            return ("(",)
        case nodes.BinExpr():
            return (node.operator,)
        case nodes.Scope():
            return ("autoescape", "with")
    return ()


def _offset(text: str, line: int | None, marks: Collection[str] = ()) -> int:
    """Jinja2 knows lines only: of the line, the first mark inside braces, else the first brace."""
    if line is None:  # of `autoescape` it does not even know that
        return max(0, *(text.find(mark) for mark in marks))
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    start = starts[min(max(line, 1), len(starts)) - 1]
    said = text[start:].split("\n", 1)[0]
    brace = max(said.find("{{"), 0) if "{%" not in said else min(i for i in (said.find("{%"), said.find("{{")) if i >= 0)
    found = [at for mark in marks if (at := _word(said, mark, brace)) >= 0]
    return start + (min(found) if found else brace)


def _word(line: str, mark: str, start: int) -> int:
    pattern = rf"(?<!\w){re.escape(mark)}(?!\w)" if mark.isidentifier() else re.escape(mark)
    found = re.compile(pattern).search(line, start)
    return found.start() if found else -1


