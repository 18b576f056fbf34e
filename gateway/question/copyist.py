"""The process that writes a snapshot: a DuckDB file, or a folder of Parquet files, with everything that can be asked about.

It is lent rows like a reader, all of one snapshot, and writes them beside the place where they shall be; only what is whole gets its name.
It runs SQL of our own only, so it is not fenced in. The file holds the base tables and the same views as the ledger, so that saved queries
work on it, in a storage version that DuckDB from 1.4 on reads.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb

from gateway.question.wire import (
    Copy,
    Done,
    Failed,
    Fetch,
    Lent,
    Needs,
    Ready,
    read_by_reader,
    receive,
    receive_with,
    send,
)
from gateway.stores.arrow import Scanned, read_stream
from gateway.stores.catalogue import PLAIN
from gateway.stores.lending import Condition, Need, Shape
from gateway.stores.unwanted import refuse_unwanted

_TIMES = ("started_at", "decided_at")
"""Rows of tables with one of these columns can be left out by time; others (bodies, prompts, policies) are what these rows point to."""
_APART = re.compile(r'(?<![\w".])(?:"content"|content)\.(?:"main"|main)\.')
"""Bodies stand in a catalogue of their own beside the ledger; in a snapshot everything is in one file."""
_OURS = frozenset({"schema_migrations", "schema_views"})


def main(descriptor: int) -> None:
    refuse_unwanted()
    os.umask(0o077)
    os.nice(10)
    office = socket.socket(fileno=descriptor)
    send(office, Ready(os.getpid(), network=False, files=False))
    order = read_by_reader(receive(office))
    if not isinstance(order, Copy):
        raise TypeError("the office begins with Copy")
    wanted = list(_needs(order))
    send(office, Needs(wanted))
    receive(office)
    unfinished = Path(f"{order.out}.part")
    try:
        rows = _written(office, order, wanted, unfinished)
        unfinished.replace(order.out)
        send(office, Done(rows, truncated=False, body=0))
    except (duckdb.Error, RuntimeError, OSError) as error:
        _remove(unfinished)
        send(office, Failed("snapshot_failed", f"the snapshot could not be written: {error}"))


def _needs(order: Copy) -> Iterator[Need]:
    for table, columns in order.shape.tables.items():
        at = next((name for name in _TIMES if name in columns), None)
        bound = [Condition(at, ">=", order.since)] if at and order.since else []
        if table not in _OURS:
            yield Need(table, list(columns), [bound])


def _written(office: socket.socket, order: Copy, wanted: list[Need], unfinished: Path) -> int:
    file = unfinished.with_name(unfinished.name + ".duckdb") if order.parquet else unfinished
    _remove(file)
    _remove(unfinished)
    con = duckdb.connect(":memory:", config={**PLAIN, "memory_limit": "1GB", "threads": 2, "temp_directory": f"{file}.tmp"})
    try:
        con.execute(f"ATTACH '{_quoted(file)}' AS snapshot (STORAGE_VERSION 'v1.4.0')")
        con.execute("USE snapshot")
        con.execute("SET GLOBAL TimeZone = 'UTC'")
        rows = sum(_filled(con, office, need, order.shape) for need in wanted)
        for view in order.shape.views:
            con.execute(_APART.sub("", view))
        if order.parquet:
            unfinished.mkdir()
            for name in order.public:
                con.execute(f"COPY (FROM {name}) TO '{_quoted(unfinished / name)}.parquet' (FORMAT parquet, COMPRESSION zstd)")
        con.execute("CHECKPOINT snapshot")
    finally:
        con.close()
        _remove(Path(f"{file}.tmp"))
        if order.parquet:
            _remove(file)
    return rows


def _filled(con: duckdb.DuckDBPyConnection, office: socket.socket, need: Need, shape: Shape) -> int:
    columns = ", ".join(f'"{name}" {kind}' for name, kind in shape.tables[need.table].items())
    con.execute(f"CREATE TABLE {need.table} ({columns})")
    send(office, Fetch(need.table))
    message, descriptors = receive_with(office, 1)
    if not isinstance(read_by_reader(message), Lent) or len(descriptors) != 1:
        raise TypeError("the office answers Fetch with Lent and a pipe")
    with os.fdopen(descriptors[0], "rb", buffering=1 << 18) as pipe:
        lent = read_stream(pipe)
        con.register("lent", Scanned(lambda: lent, lent.get_schema()))
        rows = con.execute(f"INSERT INTO {need.table} SELECT * FROM lent").fetchall()  # noqa: S608 - names are the ledger's
        con.unregister("lent")
    return int(rows[0][0])


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
