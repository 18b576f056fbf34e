"""What may be read in a database attached as `ledger`, and how a DuckDB is opened that takes nothing from outside by itself."""

from __future__ import annotations

from typing import Any

import duckdb

from gateway.stores.sql_guard import REVEALING, Catalogue

PLAIN: dict[str, Any] = {
    "python_enable_replacements": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
}
PUBLIC_TABLES = frozenset(
    {
        *("calls", "rule_hits", "findings", "boots", "journal_offsets", "questions", "cost_revisions"),
        *("prompts_rendered", "prompt_moves", "budget_resets", "experiment_changes", "attempts"),
    }
)
"""Base tables that are as they should be seen; the others are seen through views."""


def read_catalogue(con: duckdb.DuckDBPyConnection, functions: frozenset[str] | None = None) -> Catalogue:
    """`functions` when they are known already: they are DuckDB's own."""
    ours = con.execute("SELECT lower(view_name) FROM duckdb_views() WHERE database_name = 'ledger' AND NOT internal").fetchall()
    base = con.execute("SELECT lower(table_name) FROM duckdb_tables() WHERE database_name = 'ledger'").fetchall()
    internal = con.execute("SELECT lower(view_name) FROM duckdb_views() WHERE internal").fetchall()
    public = frozenset(name for (name,) in ours) | PUBLIC_TABLES
    hidden = frozenset(name for (name,) in (*base, *internal)) - public
    return Catalogue(public, hidden, computing_functions(con) if functions is None else functions)


def computing_functions(con: duckdb.DuckDBPyConnection) -> frozenset[str]:
    """In lower case. The same for every database: they are asked for once."""
    if not _COMPUTING:
        _COMPUTING.append(_computing(con))
    return _COMPUTING[0]


_COMPUTING: list[frozenset[str]] = []


def _computing(con: duckdb.DuckDBPyConnection) -> frozenset[str]:
    pure = con.execute(
        "SELECT DISTINCT lower(function_name) FROM duckdb_functions() WHERE function_type IN ('scalar', 'aggregate', 'macro')"
        " AND NOT coalesce(has_side_effects, false)"
    ).fetchall()
    return frozenset(name for (name,) in pure) - REVEALING
