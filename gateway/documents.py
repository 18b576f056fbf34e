"""Files people write (configuration, policies), checked against a model, every problem with its place.

Why not `yaml.safe_load`: it keeps the last of two equal keys, reads `on` and `1:30` as something else than
they look, follows alias bombs, and forgets where a value stood. Here scalars follow JSON's notation (`true`,
`null`, `12`, `1.5`; all else is text), a duplicate key or a tag is an error, and the value is then checked by
a pydantic model in JSON mode (so a strict model takes a list for a tuple, and text for a path or a date).

Not here: what the models say, reading from disk, includes.
"""

from __future__ import annotations

import difflib
import math
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, TypeAlias, TypeVar, Union

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError

from gateway.errors import FileProblems, Problem
from gateway.yaml_nodes import MAX_DEPTH, Node, Place, Refused, Source, offset_within, read

MAX_NODES: Final = 200_000
"""Nodes after aliases are followed: ten times what a file of a thousand rules has."""

MAX_CHARACTERS: Final = 4 * 1024 * 1024
"""Characters of scalars after aliases are followed."""

Path: TypeAlias = tuple[str | int, ...]
"""Keys and indices from the top of a document to a value."""
T = TypeVar("T", bound=BaseModel)
V = TypeVar("V")


class Section(BaseModel):
    """Base of the models of files: unknown keys are errors, types are not bent, values do not change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True, hide_input_in_errors=True)  # may be a secret
    other_words: ClassVar[Mapping[str, str]] = {}
    """What people used to other products call a key → the key."""
    other_values: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    """Key → what such people write there, in small letters → what is to be offered."""


class _NotNothing:
    """Takes the nothing out of what may be something or nothing."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        either: Any = handler(source)
        return typing.cast(CoreSchema, either["schema"])


Maybe = Annotated[V | None, _NotNothing()]
"""Of a key that may be left out, and whose value is not nothing where it is written: `allow:` above entries that became comments
would else say what no `allow` at all says, so that fewer words grant more."""


class Document:
    """One parsed file: its JSON value, and where each part of it stands."""

    def __init__(
        self,
        source: Source,
        value: Any,
        problems: tuple[Problem, ...],
        nodes: Mapping[Path, Node],
        keys: Mapping[Path, Node],
    ) -> None:
        self.file = source.file
        self.text = source.text
        self.value = value
        self.problems = problems
        """Defects that left the value readable enough to look for more (duplicate keys, tags)."""
        self._source = source
        self._nodes = nodes
        self._keys = keys

    def with_value(self, value: Any) -> Document:
        """The same file with another value at its places."""
        return Document(self._source, value, self.problems, self._nodes, self._keys)

    def part(self, path: Path) -> Document:
        """What stands at a path, as a document of its own, each value in its place in the file."""
        value = self.value
        for step in path:
            value = value[step]
        below = len(path)
        nodes = {place[below:]: node for place, node in self._nodes.items() if place[:below] == path}
        keys = {place[below:]: node for place, node in self._keys.items() if place[:below] == path and len(place) > below}
        return Document(self._source, value, (), nodes, keys)

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Where the value (or its key) stands; of something absent: where its nearest parent stands."""
        return self._source.place(self._offset(path, key))

    def problem(self, path: Path, message: str, *, key: bool = False) -> Problem:
        return self._source.problem(self._offset(path, key), message)

    def problem_within(self, path: Path, offset: int, message: str) -> Problem:
        """A problem at the character `offset` of the text at `path`, whatever style it is written in."""
        return self._source.problem(offset_within(self._source, self._nodes[path], offset), message)

    def positions(self) -> dict[Path, Place]:
        """Place of every value."""
        return {path: self._source.place(node.start) for path, node in self._nodes.items()}

    def _offset(self, path: Path, key: bool) -> int:
        while path not in self._nodes and not (key and path in self._keys):
            path = path[:-1]
        node = self._nodes[path]
        if path in self._keys and (key or node.kind in ("list", "map")):
            return self._keys[path].start  # a mapping is better shown by its key than by its first entry
        return node.start


def load(text: bytes, file: str, model: type[T]) -> T:
    """Raises FileProblems with every problem found."""
    return check(parse(text, file), model)


def check(document: Document, model: type[T]) -> T:
    """The document as the model has it; raises FileProblems with every problem of file and model."""
    problems = list(document.problems)
    try:
        checked = model.model_validate_json(msgspec.json.encode(document.value))
    except ValidationError as error:
        problems += _model_problems(document, model, error)
    if problems:
        raise FileProblems(sorted(dict.fromkeys(problems), key=lambda p: (p.line, p.column)))
    return checked


def parse(text: bytes, file: str) -> Document:
    """Raises FileProblems when the file has no single meaning; lesser problems are kept in the document."""
    source, top = read(text, file)
    return _Builder(source).document(top)


def positions(text: bytes, file: str = "") -> dict[Path, Place]:
    """Place of every value of a file."""
    return parse(text, file).positions()


def reads_as_text(text: str) -> bool:
    """Whether it is read as this text where nothing quotes it; not about characters that mean something to YAML."""
    return text not in _WORDS and not _NUMBER.fullmatch(text)


def _no_empty_name(names: list[str]) -> list[str]:
    if not all(name.strip() for name in names):
        raise ValueError("has an empty name, which fits nothing; write one, or take it out")
    return names


Globs: TypeAlias = Annotated[list[str], AfterValidator(_no_empty_name)]
"""Names with `*` and `?`. Where a list may be left empty, that is all of them."""


def placed(said: str, *at: str | int) -> PydanticCustomError:
    """What a validator raises about something deeper in what it validates: keys and numbers of entries lead there."""
    return PydanticCustomError("placed", "{said}", {"said": said, "at": at})


def nearest(name: str, known: Iterable[str], prefix: str = "") -> str:
    """`; did you mean 'x'?` when a known name is close, else nothing. `prefix` is put before the offer."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    swapped = [one for one in close if sorted(one) == sorted(name)]
    return f"; did you mean '{prefix}{(swapped or close)[0]}'?" if close else ""


# -- nodes to values --------------------------------------------------------------------------------------

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_INTEGER = re.compile(r"-?[0-9]+")
_INTEGERS: Final = range(-(2**63), 2**63)
"""What JSON and conditions hold, too."""
_WORDS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class _Builder:
    """Builds the value of one document; counts nodes as aliases expand."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.nodes: dict[Path, Node] = {}
        self.keys: dict[Path, Node] = {}
        self.problems: list[Problem] = []
        self.characters = 0

    def document(self, top: Node) -> Document:
        try:
            value = self._build(top, ())
        except Refused as error:
            raise FileProblems([self.source.problem(error.offset, error.message)]) from None
        return Document(self.source, value, tuple(self.problems), self.nodes, self.keys)

    def _build(self, node: Node, path: Path) -> Any:
        if len(self.nodes) >= MAX_NODES:
            raise Refused(node.start, f"more than {MAX_NODES} values once aliases are followed; write less")
        if len(path) > MAX_DEPTH:
            said = f"nested more than {MAX_DEPTH} levels deep (an alias inside itself?); flatten it"
            raise Refused(node.start, said)
        self.nodes[path] = node
        self._count_text(node)
        if node.kind == "list":
            return [self._build(item, (*path, i)) for i, item in enumerate(node.value)]
        if node.kind == "map":
            return self._mapping(node, path)
        return self._scalar(node)

    def _count_text(self, node: Node) -> None:
        self.characters += node.end - node.start if node.kind in ("scalar", "tagged") else 0
        if self.characters > MAX_CHARACTERS:
            raise Refused(node.start, "too much text once aliases are followed; write less")

    def _mapping(self, node: Node, path: Path) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key, value in zip(node.value[::2], node.value[1::2], strict=True):
            if key.kind != "scalar":
                self._note(key, "a key must be plain text, not a list, mapping or tagged value")
                continue
            if key.value == "<<" and not key.style:
                self._note(key, "merge keys ('<<') are not read, for tools read them differently; write the keys out")
                continue
            below = (*path, key.value)
            if key.value in built:
                line = self.source.place(self.keys[below].start).line
                self._note(key, f"duplicate key {key.value!r} (first in line {line}); remove one of them")
                continue
            self._count_text(key)
            self.keys[below] = key
            built[key.value] = self._build(value, below)
        return built

    def _scalar(self, node: Node) -> Any:
        text: str = node.value
        if node.kind == "tagged":
            self._note(node, "tags ('!…') are not allowed; remove it, and use quotes to make a value text")
            return text
        if node.style or reads_as_text(text):
            return text
        return _WORDS[text] if text in _WORDS else self._number(node, text)

    def _number(self, node: Node, text: str) -> int | float:
        whole = _INTEGER.fullmatch(text)
        number = int(text) if whole and len(text) <= 20 else float(text)
        if not math.isfinite(number) or (whole and number not in _INTEGERS):
            self._note(node, "the number is too large; put it in quotes if it is text")
            return 0
        return number

    def _note(self, node: Node, message: str) -> None:
        self.problems.append(self.source.problem(node.start, message))


# -- what went wrong, in words ----------------------------------------------------------------------------

_MAPPING: Final = "must be a mapping (key: value)"
_KINDS: Final[Mapping[str, str]] = {
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), "must be a list"),
    "date_from_datetime_parsing": "must be a date (2026-11-30)",
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), _MAPPING),
}
_HOW: Final[Mapping[tuple[str, type], str]] = {
    **dict.fromkeys((("must be text", int), ("must be text", float), ("must be text", bool)), "; put it in quotes"),
    ("must be a list", str): "; put it in brackets",
    ("must be a list", dict): "; put '- ' before each of its entries",
}
"""What to do about a value of a kind that is often written where another is wanted."""
_COUNTS: Final[Mapping[str, str]] = {
    "too_short": "must have {min_length} or more entries, not {actual_length}",
    "too_long": "must have {max_length} or fewer entries",
    "string_too_short": "must have {min_length} or more characters",
    "string_too_long": "must have {max_length} or fewer characters",
    "string_pattern_mismatch": "does not have the form {pattern}",
}


def complaints(value: Any, error: ValidationError) -> list[tuple[Path, str]]:
    """What a model says of a value that no file holds: (where in it, what is wrong and what to do)."""
    return [(path, _complaint(each["type"], each)) for path, each in _placed_errors(value, error)]


def _model_problems(document: Document, model: type[BaseModel], error: ValidationError) -> list[Problem]:
    return [_model_problem(document, model, path, each) for path, each in _placed_errors(document.value, error)]


def _placed_errors(value: Any, error: ValidationError) -> list[tuple[Path, Any]]:
    """Of a union, only what the member of the right kind says, when there is one."""
    errors: list[Any] = list(error.errors(include_url=False))
    found = [(_real_path(value, (*e["loc"], *e.get("ctx", {}).get("at", ())), absent=e["type"] == "missing"), e) for e in errors]
    return [
        (path, each)
        for path, each in found
        if each["type"] not in _KINDS or not any(other[: len(path)] == path != other for other, _ in found)
    ]


def _model_problem(document: Document, model: type[BaseModel], path: Path, error: Any) -> Problem:
    kind = error["type"]
    last = path[-1] if path else ""
    if kind == "extra_forbidden":
        offer = _other_word(model, path[:-1], str(last)) or nearest(str(last), _keys_of(model, path[:-1]))
        return document.problem(path, f"unknown key {last!r}{offer}", key=True)
    if kind == "missing":
        return document.problem(path[:-1], f"missing key {last!r}; add it", key=True)
    at_key = error["loc"][-1:] == ("[key]",)
    meant = _other_value(model, path, error) if kind == "literal_error" else ""
    return document.problem(path, f"{_about(path, error)}{_complaint(kind, error, meant)}", key=at_key)


def _about(path: Path, error: Any) -> str:
    return "" if error["type"] in ("placed", "value_error") and isinstance(error["input"], dict) else _named(path[-1] if path else "")


def _complaint(kind: str, error: Any, meant: str = "") -> str:
    if kind == "literal_error":
        said = f"must be {error['ctx']['expected']}".replace("False", "false").replace("True", "true")
        given = error["input"]
        return said + (meant or (nearest(given, re.findall(r"'([^']*)'", said)) if isinstance(given, str) else ""))
    if kind in _KINDS:
        return f"{_KINDS[kind]}, not {_kind_of(error['input'])}{_HOW.get((_KINDS[kind], type(error['input'])), '')}"
    if kind in _COUNTS:
        return _COUNTS[kind].format(**error["ctx"])
    said = str(error["msg"]).removeprefix("Value error, ")
    return f"{said[:1].lower()}{said[1:]}"


def _named(last: str | int) -> str:
    if isinstance(last, int):
        return f"entry {last + 1} "
    return f"'{last}' " if last else "the file "


_NAMES: Final[Mapping[type, str]] = {
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a decimal number",
    list: "a list",
    dict: "a mapping",
    type(None): "nothing",
}


def _kind_of(value: Any) -> str:
    return _NAMES[type(value)]


def _real_path(value: Any, loc: tuple[str | int, ...], *, absent: bool) -> Path:
    """pydantic's location without the labels that it puts in for members of unions.

    `absent`: the last part is a key that is not there.
    """
    path: list[str | int] = []
    for part in loc[:-1] if absent else loc:
        if _holds(value, part):
            path.append(part)
            value = value[part]
    return (*path, loc[-1]) if absent else tuple(path)


def _holds(value: Any, part: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value


def _keys_of(model: Any, path: Path) -> list[str]:
    """Keys that the model knows at a path."""
    return [field.alias or name for m in _models_at(model, path) for name, field in m.model_fields.items()]


def _other_word(model: Any, path: Path, key: str) -> str:
    words = (getattr(m, "other_words", {}).get(key) for m in _models_at(model, path))
    return next((f"; did you mean '{word}'?" for word in words if word), "")


def _other_value(model: Any, path: Path, error: Any) -> str:
    words = (getattr(m, "other_values", {}).get(path[-1], {}).get(str(error["input"]).lower()) for m in _models_at(model, path[:-1]))
    return next((f"; did you mean {word}?" for word in words if word), "")


def _models_at(model: Any, path: Path) -> list[Any]:
    found: list[Any] = [model]
    for part in path:
        found = [below for kind in found for below in _below(kind, part)]
    return [m for kind in found for m in _members(kind) if _is_model(m)]


def _below(kind: Any, part: str | int) -> Iterator[Any]:
    for member in _members(kind):
        if _is_model(member):
            yield from (f.annotation for name, f in member.model_fields.items() if (f.alias or name) == part)
        elif typing.get_args(member):
            yield typing.get_args(member)[0 if isinstance(part, int) else -1]


def _members(kind: Any) -> list[Any]:
    """A union's members, annotations taken off."""
    if typing.get_origin(kind) is typing.Annotated:
        return _members(typing.get_args(kind)[0])
    if typing.get_origin(kind) in (Union, types.UnionType):
        return [m for arg in typing.get_args(kind) for m in _members(arg)]
    return [kind]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
