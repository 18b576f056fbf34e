"""Takes a record apart into facts and bodies, and puts the two together again. Which fields are bodies is the caller's to say.

The bodies of a record are an object of the record's own shape that holds nothing else: `{"call": {"arguments": "…"}}`. The facts are the
record with those fields blank. So whoever reads the journal with other means merges the two objects and has the record, and a field that
becomes a body in a later version needs no new format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import UnionType
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

Bodies = dict[str, Any]
Split = Callable[[Any], tuple[Any, Bodies]]
S = TypeVar("S", bound=Struct)


class _Plan(NamedTuple):
    """What of one kind of row is looked at, and how it is taken apart."""

    own: tuple[str, ...]
    """Fields that are bodies."""
    rows: tuple[str, ...]
    """Fields with one row that has bodies, or none."""
    lists: tuple[str, ...]
    """Fields with any number of them."""
    split: Split


class Splitter:
    """`fields`: for each kind of row, which of its fields (texts all) are bodies."""

    def __init__(self, fields: Mapping[type[Struct], tuple[str, ...]]) -> None:
        self._fields = fields
        self._plan = cache(self._planned)

    def split(self, row: S) -> tuple[S, Bodies | None]:
        """(facts, bodies); None where there are no bodies."""
        facts, bodies = self._plan(type(row)).split(row)
        return facts, bodies or None

    def join(self, row: S, bodies: object) -> S:
        """The whole row. Fields that this version does not know are passed over. Raises msgspec.ValidationError for bodies of another
        shape."""
        plan = self._plan(type(row))
        if not isinstance(bodies, dict):
            raise msgspec.ValidationError(f"the bodies of {type(row).__name__} are no object")
        whole: dict[str, Any] = {}
        for name in plan.own:
            if name in bodies:
                whole[name] = _text(bodies[name])
        for name in plan.rows:
            if name in bodies:
                whole[name] = self.join(_there(getattr(row, name)), bodies[name])
        for name in plan.lists:
            if name in bodies:
                whole[name] = tuple(self._paired(getattr(row, name), bodies[name]))
        return msgspec.structs.replace(row, **whole) if whole else row

    def _paired(self, rows: tuple[Struct, ...], bodies: object) -> Iterator[Struct]:
        if not isinstance(bodies, list) or len(bodies) != len(rows):
            raise msgspec.ValidationError(f"there are bodies for other rows than the {len(rows)} of the facts")
        return (self.join(row, each) for row, each in zip(rows, bodies, strict=True))

    def _planned(self, kind: type[Struct]) -> _Plan:
        mine = self._fields.get(kind, ())
        blanks = {field.name: None if field.default is None else "" for field in msgspec.structs.fields(kind)}
        rows: dict[str, Split] = {}
        lists: dict[str, Split] = {}
        for name, hint in get_type_hints(kind).items():
            if (inner := _one(hint)) is not None and self._has_bodies(inner):
                rows[name] = self._plan(inner).split
            elif (inner := _many(hint)) is not None and self._has_bodies(inner):
                lists[name] = self._plan(inner).split
        split = _splitting({name: blanks[name] for name in mine}, rows, lists)
        return _Plan(mine, tuple(rows), tuple(lists), split)

    def _has_bodies(self, kind: type[Struct]) -> bool:
        own, rows, lists, _ = self._plan(kind)
        return bool(own or rows or lists)


def _splitting(own: Mapping[str, str | None], rows: Mapping[str, Split], lists: Mapping[str, Split]) -> Split:
    """Takes one kind of row apart. Every record that is written goes through here, so nothing is looked up that can be known before."""
    singles, several, blanks = tuple(rows.items()), tuple(lists.items()), tuple(own.items())
    replace = msgspec.structs.replace

    def split(row: Any) -> tuple[Any, Bodies]:
        bodies: Bodies = {}
        facts: dict[str, Any] = {}
        for name, blank in blanks:
            if text := getattr(row, name):
                bodies[name], facts[name] = text, blank
        for name, inner in singles:
            if (one := getattr(row, name)) is not None:
                part, taken = inner(one)
                if taken:
                    bodies[name], facts[name] = taken, part
        for name, inner in several:
            if many := getattr(row, name):
                parts = [inner(each) for each in many]
                if any(taken for _, taken in parts):
                    bodies[name], facts[name] = [taken for _, taken in parts], tuple([part for part, _ in parts])
        return (replace(row, **facts), bodies) if bodies else (row, bodies)

    return split


def _one(hint: Any) -> type[Struct] | None:
    """The row of `Row` or `Row | None`."""
    kinds = [each for each in (get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)) if each is not type(None)]
    return kinds[0] if len(kinds) == 1 and isinstance(kinds[0], type) and issubclass(kinds[0], Struct) else None


def _many(hint: Any) -> type[Struct] | None:
    """The row of `tuple[Row, ...]`."""
    if get_origin(hint) is not tuple or get_args(hint)[1:] != (Ellipsis,):
        return None
    return _one(get_args(hint)[0])


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise msgspec.ValidationError("a body is no text")
    return value


def _there(row: Struct | None) -> Struct:
    if row is None:
        raise msgspec.ValidationError("there are bodies for a row that the facts do not have")
    return row
