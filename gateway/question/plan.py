"""What a plan reads: from DuckDB's `EXPLAIN (FORMAT JSON)` to needs. Pure.

1. A scan names its columns and the comparisons that were pushed into it. Those of a text, a time or a whole number with a constant are
   understood; every other one is left out, which only means that more rows are lent.
2. A table scanned more than once needs the columns of all scans, and the rows of any.
3. A scan that cannot be understood needs the whole table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.stores.lending import Condition, Need

Tables = Mapping[str, Mapping[str, str]]
_COMPARED = re.compile(
    r"""(?:(?P<column>[a-z_][a-z0-9_]*)|"(?P<quoted>[a-z_]+)")
    (?P<op><=|>=|=|<|>)
    (?:'(?P<text>(?:[^']|'')*)'(?:::(?P<cast>TIMESTAMP))?|(?P<number>-?\d{1,18})(?:::BIGINT)?)""",
    re.VERBOSE,
)
_NULLNESS = re.compile(r'\((?:(?P<column>[a-z_][a-z0-9_]*)|"(?P<quoted>[a-z_]+)") (?P<op>IS NULL|IS NOT NULL)\)')
_MOST_CONDITIONS = 16
_WIDTH = {"BOOLEAN": 1, "BIGINT": 8, "TIMESTAMP": 8, "DOUBLE": 8}


def needs(plan: Sequence[Mapping[str, Any]], tables: Tables) -> list[Need]:
    """One for each table that the plan reads."""
    found: dict[str, list[Need]] = {}
    for scan in _scans(plan):
        need = _need(scan, tables)
        found.setdefault(need.table, []).append(need)
    return [_joined(several, tables) for several in found.values()]


def conditions(texts: Sequence[str], columns: Mapping[str, str]) -> list[Condition]:
    """The comparisons among the filters of one scan that are understood; all of them hold for every row the scan gives."""
    found = [each for text in _whole(texts) for each in _conjunction(text, columns)]
    return found[:_MOST_CONDITIONS]


def _whole(texts: Sequence[str]) -> Iterator[str]:
    """DuckDB cuts what it says into lines, also inside a literal: a line goes on while a quote is open."""
    begun = ""
    for text in texts:
        begun = f"{begun}\n{text}" if begun else text
        if begun.count("'") % 2 == 0:
            yield begun
            begun = ""


def _scans(plan: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    waiting = list(plan)
    while waiting:
        node = waiting.pop()
        waiting.extend(node.get("children") or ())
        info = node.get("extra_info") or {}
        if "Table" in info:
            yield info


def _need(scan: Mapping[str, Any], tables: Tables) -> Need:
    table = str(scan["Table"]).rpartition(".")[2].strip('"')
    known = tables[table]
    filters = _listed(scan.get("Filters"))
    wanted = {name.strip('"') for name in _listed(scan.get("Projections")) if name}
    wanted |= {name for text in filters for name in known if re.search(rf"\b{name}\b", text)}
    return Need(table, _columns(wanted, known), [conditions(filters, known)])


def _columns(wanted: set[str], known: Mapping[str, str]) -> list[str]:
    """In the table's order. Where only rows are counted, the narrowest; where a name is not known, all."""
    if not wanted:
        return [min(known, key=lambda name: _WIDTH.get(known[name], 16))]
    return [name for name in known if name in wanted] if wanted <= known.keys() else list(known)


def _joined(several: Sequence[Need], tables: Tables) -> Need:
    if len(several) == 1:
        return several[0]
    table = several[0].table
    wanted = {name for need in several for name in need.columns}
    ways = [way for need in several for way in need.any_of]
    any_of = ways if all(ways) and len(ways) <= _MOST_CONDITIONS else [[]]
    return Need(table, [name for name in tables[table] if name in wanted], any_of, len(several))


def _conjunction(text: str, columns: Mapping[str, str]) -> list[Condition]:
    """Empty unless the whole text is comparisons joined by AND: half of an OR would say too much."""
    found, rest = [], text
    while True:
        match = _COMPARED.match(rest) or _NULLNESS.match(rest)
        if match is None:
            return []
        condition = _condition(match.groupdict(), columns)
        if condition is not None:
            found.append(condition)
        rest = rest[match.end() :]
        if not rest:
            return found
        if not rest.startswith(" AND "):
            return []
        rest = rest.removeprefix(" AND ")


def _condition(part: Mapping[str, str | None], columns: Mapping[str, str]) -> Condition | None:
    name = part["column"] or part["quoted"] or ""
    kind = columns.get(name)
    op: Any = str(part["op"]).lower()
    if kind is None:
        return None
    if op.startswith("is"):
        return Condition(name, op)
    if part["number"] is not None:
        return Condition(name, op, int(part["number"])) if kind == "BIGINT" else None
    text = str(part["text"]).replace("''", "'")
    return Condition(name, op, text) if kind == ("TIMESTAMP" if part["cast"] else "VARCHAR") else None


def _listed(value: object) -> list[str]:
    if value is None:
        return []
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]
