"""What is wrong with a question, as a refusal that says what to change, and where in the SQL."""

from __future__ import annotations

import re

import duckdb

from gateway.stores import Refused

QUERY_SECONDS = 10.0
_OUT_OF_MEMORY = re.compile(r"MemoryError\b|.*(?:bad_alloc|Cannot allocate memory)", re.DOTALL)
"""How DuckDB passes on what others met: C++, the system, and Python where it feeds DuckDB rows."""
_SHOWN = 100
"""Characters of a line that are shown with an error."""


def as_refusal(error: Exception) -> Refused:
    if isinstance(error, duckdb.InterruptException):
        return Refused("sql_timeout", f"the query took over {QUERY_SECONDS:.0f} s; bound it by started_at or LIMIT")
    if isinstance(error, duckdb.OutOfMemoryException | MemoryError) or _OUT_OF_MEMORY.match(str(error)):
        return Refused("sql_memory", "the query needs more memory than one may have; bound it by started_at, or aggregate")
    return Refused("sql_error", str(error))


def pointed(refused: Refused, sql: str) -> Refused:
    """The same, with the line it is about and a caret below the place, as DuckDB does it. Its `position` counts characters, not bytes."""
    if refused.position is None or "\nLINE " in refused.message:
        return refused
    before = sql.encode("utf-8", "replace")[: refused.position].decode("utf-8", "replace")
    at = len(before)
    start = before.rfind("\n") + 1
    line, column = before.count("\n") + 1, at - start
    text = sql[start:].partition("\n")[0]
    cut = max(0, column - _SHOWN // 2)
    shown = ("..." if cut else "") + text[cut : cut + _SHOWN].replace("\t", " ")
    head = f"LINE {line}: "
    caret = " " * (len(head) + column - cut + (3 if cut else 0)) + "^"
    return Refused(refused.code, f"{refused.message}\n\n{head}{shown}\n{caret}", at)
