"""Which SQL may be asked of the ledger: one SELECT over the public views, with functions that only compute.

It judges DuckDB's own parse tree (`json_serialize_sql`), so there is no second grammar to disagree with. Everything is an allow-list: a
kind of table reference, a table or a function that is not known here is refused. What a query may *cost* is bounded elsewhere (time, rows,
memory), and the transaction it runs in is read-only; this is the lock on the first of three doors. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from gateway.stores import Refused

_NODES = frozenset({
    # query nodes
    "SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE",
    # table references
    "BASE_TABLE", "SUBQUERY", "JOIN", "EMPTY", "EXPRESSION_LIST", "TABLE_FUNCTION",
    # modifiers and their parts
    "ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "DISTINCT_MODIFIER",
    "ORDER_DEFAULT", "ASCENDING", "DESCENDING", "ORDER_ASCENDING", "ORDER_DESCENDING",
})  # fmt: skip
TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series", "json_each"})
COMPUTING = frozenset({
    "unnest", "random", "uuid", "gen_random_uuid", "uuidv4", "uuidv7", "error",
})  # fmt: skip
"""Functions that are not pure, or not in the list of scalar functions, and do no harm."""
REVEALING = frozenset({
    "current_setting", "getvariable", "current_database", "current_schema", "current_schemas", "in_search_path",
    "current_catalog", "txid_current", "pg_conf_load_time", "session_user", "current_user", "current_role",
    "json_execute_serialized_sql", "query", "query_table", "getenv",
})  # fmt: skip
"""Functions without side effects that tell about the process rather than the book."""

_MOST_SQL = 2**31
_CTE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Catalogue(Struct, frozen=True):
    """What exists and what of it may be used; names in lower case."""

    public: frozenset[str]
    """Tables and views that may be read."""
    hidden: frozenset[str]
    """All others, DuckDB's own included."""
    functions: frozenset[str]
    """Scalar, aggregate and macro functions that only compute."""


def tree_of(serialized: str) -> dict[str, Any]:
    """What `json_serialize_sql` wrote. It writes a number that no double holds as a bare word. Raises Refused."""
    try:
        return msgspec.json.decode(serialized, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise Refused("sql_error", "it holds a number that is larger than any DOUBLE; write 'infinity'::DOUBLE") from error


def check(serialized: Mapping[str, Any], catalogue: Catalogue) -> None:
    """Raises Refused unless the parse tree is one SELECT that may run."""
    if serialized.get("error"):
        if serialized.get("error_type") == "not implemented":  # DuckDB makes a tree of a SELECT alone
            raise Refused("sql_refused", "only one SELECT at a time is answered here; SQL changes nothing in the book")
        position = str(serialized.get("position", ""))
        raise Refused("sql_error", str(serialized.get("error_message", "this is not SQL")), int(position) if position.isdecimal() else None)
    statements = serialized["statements"]
    if len(statements) != 1:
        told = f"these are {len(statements)} statements" if statements else "there is none"
        raise Refused("sql_refused", f"one SELECT at a time; {told}")
    ctes = frozenset(_cte_names(statements[0]))
    _refuse_cte_names(ctes, catalogue)
    for node in _dicts(statements[0]):
        _check_node(node, ctes, catalogue)


def refuse_elsewhere(serialized: Mapping[str, Any]) -> None:
    """For SQL of our own, which may read any table of the catalogue that is in use. Raises Refused where it names another, or is none."""
    if serialized.get("error"):
        raise Refused("sql_error", str(serialized.get("error_message", "this is not SQL")))
    for node in _dicts(serialized["statements"]):
        if node.get("type") == "BASE_TABLE" and (node["catalog_name"], node["schema_name"]) != ("", ""):
            raise Refused("sql_refused", f"'{node['table_name']}' is asked for by its catalogue, past what may be seen")
        if node.get("type") == "TABLE_FUNCTION" and "function" in node:
            _check_table_function(node)


def _check_node(node: Mapping[str, Any], ctes: frozenset[str], catalogue: Catalogue) -> None:
    kind = node.get("type")
    if "class" in node:
        if node["class"] == "FUNCTION":
            _check_function(node, catalogue)
        return
    if not isinstance(kind, str) or kind.endswith("_TYPE_INFO"):
        return
    if kind == "SHOW_REF":
        message = "SHOW, DESCRIBE and SUMMARIZE are not available here; ask one of these for all with LIMIT 1, which shows its columns"
        raise Refused("sql_refused", f"{message}: {_listed(catalogue)}", _place(node))
    if kind not in _NODES:
        raise Refused("sql_refused", f"{kind} is not available here; query a view or ask GET /queries for what there is", _place(node))
    if kind == "BASE_TABLE":
        _check_table(node, ctes, catalogue)
    elif kind == "TABLE_FUNCTION":
        _check_table_function(node)


def _check_table(node: Mapping[str, Any], ctes: frozenset[str], catalogue: Catalogue) -> None:
    name = str(node["table_name"]).lower()
    plain = node["schema_name"] in {"", "main"} and node["catalog_name"] == ""
    if not plain or name not in catalogue.public | ctes:
        raise Refused("sql_refused", f"there is no table '{node['table_name']}' here; there are {_listed(catalogue)}", _place(node))


def _check_table_function(node: Mapping[str, Any]) -> None:
    name = str(node["function"].get("function_name", "")).lower()
    if name not in TABLE_FUNCTIONS:
        there_are = ", ".join(sorted(TABLE_FUNCTIONS))
        raise Refused("sql_refused", f"table function '{name}' is not available; there are {there_are}", _place(node))


def _check_function(node: Mapping[str, Any], catalogue: Catalogue) -> None:
    name = str(node["function_name"]).lower()
    if node.get("catalog") or name not in catalogue.functions | COMPUTING | TABLE_FUNCTIONS:
        raise Refused("sql_refused", f"function '{name}' is not available here; only functions that compute are", _place(node))


def _refuse_cte_names(ctes: frozenset[str], catalogue: Catalogue) -> None:
    """A CTE's name is known everywhere in the tree here, but not to DuckDB: it must not open a table of the same name."""
    for name in ctes:
        if name in catalogue.hidden or not _CTE_NAME.fullmatch(name):
            raise Refused("sql_refused", f"give the WITH query '{name}' another name")


def _cte_names(statement: Any) -> Iterator[str]:
    for node in _dicts(statement):
        if "cte_map" in node:
            yield from (str(entry["key"]).lower() for entry in node["cte_map"]["map"])
        if "cte_name" in node:
            yield str(node["cte_name"]).lower()


def _dicts(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every object of the tree. Iterative: a query may be nested deeply."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield each
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)


def _place(node: Mapping[str, Any]) -> int | None:
    """In bytes from the start of the SQL; DuckDB says the greatest number there is when it does not know."""
    place = node.get("query_location")
    return place if isinstance(place, int) and place < _MOST_SQL else None


def _listed(catalogue: Catalogue) -> str:
    return ", ".join(sorted(catalogue.public))
