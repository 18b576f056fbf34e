"""`SELECT … ORDER BY column LIMIT n`: the value beyond which no row can matter, asked first, so that few whole rows are lent.

1. It is asked for the one shape people ask most: columns of one table, ordered by a point in time or a whole number of it, cut to a
   constant number of rows. Whatever else is in the tree (grouping, joins, sub-queries, aliases, NULLS FIRST), there is no bound and all
   rows are lent.
2. The n-th value in the order is found over the condition and this one column. Rows beyond it cannot be among the first n; those equal
   to it may be, and are lent. Fewer than n rows, or a NULL in the n-th place, is no bound.
3. The question itself then runs unchanged over the rows that are left, which are of the same snapshot. Pure.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from gateway.stores.lending import Condition, Need
from gateway.stores.sql_guard import COMPUTING

ORDERED = frozenset({"TIMESTAMP", "BIGINT"})
THROUGH = {"exchanges": ("exchanges_ended", "exchanges_open"), "open_exchanges": ("exchanges_open",)}
"""Views whose columns are those of their base tables; a base table is its own."""
BESIDE = frozenset({"cost_revisions"})
"""Read along with them: it takes no row away and adds none, and money is no order that is looked for here."""
_MOST_ROWS = 10_000
_WORTH = 4
"""Columns that must be saved for the second way to the ledger to pay."""
_PLAIN = frozenset({"COLUMN_REF", "STAR"})


class Bound(NamedTuple):
    """`tree` gives the value, as text, of `column` in the last place that can matter."""

    tree: dict[str, Any]
    column: str
    kind: str
    descending: bool
    tables: tuple[str, ...]


def find(serialized: Mapping[str, Any], tables: Mapping[str, Mapping[str, str]]) -> Bound | None:
    """`serialized` is DuckDB's parse tree of a question that may be asked."""
    node = serialized["statements"][0]["node"]
    place = _last_place(node)
    source = None if place is None else _source(node, tables)
    if place is None or source is None or not all(_is_plain(each) for each in node["select_list"]):
        return None
    first = node["modifiers"][0]["orders"][0]
    column = _column(first["expression"])
    kind = tables[source[0]].get(column)
    if kind not in ORDERED or first["null_order"] not in {"ORDER_DEFAULT", "NULLS LAST"}:
        return None
    return Bound(_nth(serialized, first["expression"], place), column, kind, first["type"] == "DESCENDING", source)


def narrowed(wanted: Sequence[Need], bound: Bound, value: str) -> list[Need]:
    """The same needs, without the rows that cannot matter."""
    beyond = Condition(bound.column, ">=" if bound.descending else "<=", int(value) if bound.kind == "BIGINT" else value)
    return [
        msgspec.structs.replace(need, any_of=[[*way, beyond] for way in need.any_of]) if need.table in bound.tables else need
        for need in wanted
    ]


def is_worth_it(wanted: Sequence[Need], bound: Bound, first: Sequence[Need]) -> bool:
    """Whether finding the value reads much less than the question would."""
    columns = {need.table: len(need.columns) for need in first}
    return all(len(need.columns) >= columns.get(need.table, 0) + _WORTH for need in wanted) and {
        need.table for need in wanted
    } - BESIDE == set(bound.tables)


def _last_place(node: Mapping[str, Any]) -> int | None:
    """How many rows stand before the last that can matter; None where that is not the whole of what shapes the answer."""
    if node["type"] != "SELECT_NODE" or [each["type"] for each in node["modifiers"]] != ["ORDER_MODIFIER", "LIMIT_MODIFIER"]:
        return None
    if node["cte_map"]["map"] or node["group_expressions"] or node["having"] or node["sample"] or node["qualify"]:
        return None
    limit, offset = (_whole(node["modifiers"][1][name]) for name in ("limit", "offset"))
    if limit is None or offset is None or not 0 < limit + offset <= _MOST_ROWS or limit == 0:
        return None
    return limit + offset - 1


def _whole(expression: Mapping[str, Any] | None) -> int | None:
    if expression is None:
        return 0
    value = expression.get("value")
    given = value.get("value") if expression.get("class") == "CONSTANT" and isinstance(value, dict) else None
    return given if isinstance(given, int) and not isinstance(given, bool) and given >= 0 else None


def _source(node: Mapping[str, Any], tables: Mapping[str, Mapping[str, str]]) -> tuple[str, ...] | None:
    source = node["from_table"]
    if source["type"] != "BASE_TABLE" or source.get("sample") or source.get("column_name_alias") or source.get("at_clause"):
        return None
    condition = msgspec.json.encode(node["where_clause"]).decode()
    if any(f'"{name}"' in condition for name in ("SUBQUERY", *COMPUTING)):  # what is drawn anew each time has no n-th value
        return None
    name = str(source["table_name"]).lower()
    behind = THROUGH.get(name) or (name,)
    return behind if all(each in tables for each in behind) else None


def _is_plain(expression: Mapping[str, Any]) -> bool:
    """A column under its own name: a star that replaces or renames could give the order another meaning."""
    renamed = expression.get("replace_list") or expression.get("rename_list") or expression.get("expr")
    return expression["class"] in _PLAIN and not expression["alias"] and not renamed


def _column(expression: Mapping[str, Any]) -> str:
    names = expression.get("column_names") if expression["class"] == "COLUMN_REF" else None
    return str(names[-1]).lower() if names else ""


def _nth(serialized: Mapping[str, Any], expression: Mapping[str, Any], place: int) -> dict[str, Any]:
    tree: dict[str, Any] = copy.deepcopy(dict(serialized))
    node = tree["statements"][0]["node"]
    node["select_list"] = [{**expression, "query_location": 0}]
    node["modifiers"][0]["orders"] = node["modifiers"][0]["orders"][:1]
    node["modifiers"][1]["limit"], node["modifiers"][1]["offset"] = _constant(1), _constant(place)
    return tree


def _constant(value: int) -> dict[str, Any]:
    kind = {"id": "INTEGER", "type_info": None}
    of = {"type": kind, "is_null": False, "value": value}
    return {"class": "CONSTANT", "type": "VALUE_CONSTANT", "alias": "", "query_location": 0, "value": of}
