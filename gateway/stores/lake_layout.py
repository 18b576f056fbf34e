"""The tables of the lake, and the views that make the ledger's tables of them.

1. Writers only ever add rows. What the embedded ledger changes or deletes is a row of its own here: an exchange that opens stays in
   `exchanges_opened`, one that a dead worker left stays in `exchanges_interrupted`, each step of a segment is in `journal_offsets`. The
   views of `resolving` show what that comes to, under the names and with the columns of the embedded ledger's tables.
2. The ledger's own views and saved queries are laid over these, in each book's memory when it connects: there is one set of them.
3. Columns are those that the migrations make; a lake from before one gets the new columns when a book opens it. A newer lake is refused,
   and one from before the first release.
4. Rows with a time are filed by day, so that what is older than retention says goes by whole files.
"""

# ruff: noqa: S608 - the names in these statements are ours

from __future__ import annotations

from collections.abc import Iterable, Mapping

import duckdb
from msgspec import Struct

from gateway.errors import StartError
from gateway.stores.bodies import CONTENT
from gateway.stores.catalogue import read_catalogue
from gateway.stores.fold import COLUMNS
from gateway.stores.lending import Shape, read_shape
from gateway.stores.schema import EarlierSchema, column_types, lay_out_facts, migrations, number_of, outstanding
from gateway.stores.sql_guard import Catalogue
from gateway.stores.sums import SUMS

Types = Mapping[str, str]
OPENED, INTERRUPTED, OFFSETS = "exchanges_opened", "exchanges_interrupted", "journal_offsets"
UPKEEP = "upkeep"
"""When the lake was tended, and by which book."""
NODE = "node"
OF_ONE_NODE = frozenset({OPENED, OFFSETS, "boots"})
"""Tables whose rows say which book wrote them: it must find its own again."""
DAYS = {
    "exchanges_ended": "started_at", OPENED: "started_at", INTERRUPTED: "started_at", "calls": "decided_at", "rule_hits": "decided_at",
    "findings": "started_at", "validations_told": "started_at", "message_bodies": "first_seen", "media_found": "first_seen",
    "prompt_bodies": "first_seen", "prompts_rendered": "rendered_at", "attempts": "started_at",
}  # fmt: skip
"""Tables whose rows are filed by day, and by the day of what."""
OPTIONS = {"parquet_compression": "zstd", "target_file_size": "128MB"}
"""Of a new lake. Small files are merged up to this size: merging needs room in memory for what it makes."""


class Pattern(Struct, frozen=True):
    """The embedded ledger without its rows: what there is to ask, and of which types."""

    shape: Shape
    types: Mapping[str, Types]
    catalogue: Catalogue
    version: str


def pattern(con: duckdb.DuckDBPyConnection) -> Pattern:
    """Makes the catalogues `ledger` and `content` in memory, as `traces/` says. Their tables are empty and to be replaced."""
    con.execute("ATTACH ':memory:' AS ledger")
    lay_out_facts(con, "ledger")
    return Pattern(read_shape(con), column_types(con), read_catalogue(con), migrations()[-1].stem)


def lake_tables(found: Pattern) -> dict[str, dict[str, str]]:
    """Table of the lake → column → type."""
    facts = {name: dict(found.shape.tables[name]) for name in (*COLUMNS, *CONTENT, OFFSETS, *(each.table for each in SUMS.values()))}
    exchanges = facts.pop("exchanges_open")
    tables = facts | {OPENED: exchanges, INTERRUPTED: exchanges, UPKEEP: {NODE: "VARCHAR", "ended_at": "TIMESTAMP"}}
    return {name: ({NODE: "VARCHAR"} if name in OF_ONE_NODE else {}) | columns for name, columns in sorted(tables.items())}


def bring_up_to_date(con: duckdb.DuckDBPyConnection, tables: Mapping[str, Types]) -> None:
    """Makes what is missing. Nobody else may be doing so. Raises StartError for a lake of a newer version, or of one before the first."""
    con.execute("CREATE TABLE IF NOT EXISTS lake.schema_migrations (number BIGINT, name VARCHAR, applied_at TIMESTAMP)")
    applied = dict(con.execute("SELECT number, name FROM lake.schema_migrations").fetchall())
    try:
        waiting = outstanding(applied, "the lake", "start the newer version on this machine too")
    except EarlierSchema as error:
        raise StartError(f"the lake cannot be used, {error}; {_ANOTHER}") from error
    if not waiting:
        return
    there = dict(_columns(con))
    if not applied:
        for name, value in OPTIONS.items():
            con.execute("CALL ducklake_set_option('lake', ?, ?)", [name, value])
    con.execute("BEGIN TRANSACTION")
    for table, columns in tables.items():
        _make(con, table, columns, there.get(table, frozenset()))
    for migration in waiting:
        con.execute("INSERT INTO lake.schema_migrations VALUES (?, ?, now()::TIMESTAMP)", [number_of(migration), migration.stem])
    con.execute("COMMIT")
    _give_statistics(con, {table: next(iter(tables[table])) for table in tables.keys() - there.keys()})


_ANOTHER = "name another database and another place for its data in the settings (ledger:), and the lake there is filled from the journals"


def _give_statistics(con: duckdb.DuckDBPyConnection, tables: Mapping[str, str]) -> None:
    """`tables`: table → one of its columns. A table that never had a row has no statistics, and every question about it asks the
    catalogue for them anew, column by column: 10 ms each."""
    for change in ("INSERT INTO lake.{} ({}) VALUES (NULL)", "DELETE FROM lake.{}"):
        con.execute("BEGIN TRANSACTION")
        for table, column in sorted(tables.items()):
            con.execute(change.format(table, _quoted(column)))
        con.execute("COMMIT")



def _make(con: duckdb.DuckDBPyConnection, table: str, columns: Types, there: frozenset[str]) -> None:
    if not there:
        con.execute(f"CREATE TABLE lake.{table} ({', '.join(f'{_quoted(name)} {kind}' for name, kind in columns.items())})")
        if table in DAYS:
            at = DAYS[table]
            con.execute(f"ALTER TABLE lake.{table} SET PARTITIONED BY (year({at}), month({at}), day({at}))")
    for name in columns.keys() - there if there else ():
        con.execute(f"ALTER TABLE lake.{table} ADD COLUMN {_quoted(name)} {columns[name]}")


def _columns(con: duckdb.DuckDBPyConnection) -> dict[str, frozenset[str]]:
    rows = con.execute("SELECT table_name, list(column_name) FROM duckdb_columns() WHERE database_name = 'lake' GROUP BY 1").fetchall()
    return {table: frozenset(names) for table, names in rows}


def lay_over(con: duckdb.DuckDBPyConnection, found: Pattern) -> None:
    """Puts views on the lake in the place of the empty tables."""
    for table, select in resolving(found).items():
        con.execute(f"DROP TABLE ledger.main.{table}")
        con.execute(f"CREATE VIEW ledger.main.{table} AS {select}")
    for table in CONTENT:
        con.execute(f"CREATE OR REPLACE VIEW content.main.{table} AS {plain(table, CONTENT[table])}")


def resolving(found: Pattern, at: str = "") -> dict[str, str]:
    """Table of the ledger → SELECT over the lake. `at` names a snapshot, as `AT (VERSION => 7)`."""
    selects = {name: plain(name, found.shape.tables[name], at) for name in (*COLUMNS, *(each.table for each in SUMS.values()))}
    exchanges = found.shape.tables["exchanges_open"]
    interrupted = f"{plain(INTERRUPTED, exchanges, at)} WHERE {_without('exchanges_ended', INTERRUPTED, at)}"
    opened = f"{plain(OPENED, exchanges, at)} WHERE {_without('exchanges_ended', OPENED, at)} AND {_without(INTERRUPTED, OPENED, at)}"
    latest = f"QUALIFY row_number() OVER (PARTITION BY {NODE}, segment ORDER BY next_offset DESC, damage IS NULL) = 1"
    return selects | {
        "exchanges_ended": f"{selects['exchanges_ended']} UNION ALL {interrupted}",
        "exchanges_open": opened,
        OFFSETS: f"{plain(OFFSETS, found.shape.tables[OFFSETS], at)} {latest}",
    }


def _without(other: str, table: str, at: str) -> str:
    return f"NOT EXISTS (FROM lake.{other} AS {other} {at} WHERE {other}.id = {table}.id)"


def lay_out_own(con: duckdb.DuckDBPyConnection, found: Pattern, node: str) -> None:
    """The catalogue `own`: what this book finds of itself when it starts. `node` is ours, and hexadecimal."""
    con.execute("ATTACH ':memory:' AS own")
    mine = f"{NODE} = '{node}'"
    opened = resolving(found)["exchanges_open"]
    latest = resolving(found)[OFFSETS].replace(" QUALIFY", f" WHERE {mine} QUALIFY")
    con.execute(f"CREATE VIEW own.exchanges_open AS {opened} AND {mine}")
    con.execute(f"CREATE VIEW own.journal_offsets AS {latest}")
    con.execute(f"CREATE VIEW own.boots AS SELECT rowid, run, slot, boot FROM lake.boots WHERE {mine}")
    con.execute("CREATE VIEW own.policy_files AS SELECT hash FROM lake.policy_files")


def plain(table: str, columns: Iterable[str], at: str = "") -> str:
    return f"SELECT {', '.join(map(_quoted, columns))} FROM lake.{table} AS {table} {at}".rstrip()


def _quoted(name: str) -> str:
    return f'"{name}"'


