"""Content beside the ledger: one DuckDB file per month, `content-YYYY-MM.duckdb`, so that forgetting a month is removing a file.

1. DuckDB's DELETE leaves bytes in the file and a transaction writes one file, so each file has its own place in the journal. Content is
   committed before the facts that go with it: after a kill it may be ahead of them, never behind, and what it has is not taken twice.
2. A file that is missing or damaged is replaced by an empty one that says `refilling`: the journal is read again from its beginning, the
   ledger and the other months pass over what they have. The ledger's table `content_months` tells which files there should be, and how many
   transactions of each: one that has fewer (its log was lost) is filled from where it stands.
3. A body is filed by when it was first seen. One that was stored lately is not stored again; twice is harmless, the views show it once.
4. The catalogue `content` is in memory and unites the months in views; the ledger's own views speak of these only.

Monthly files were measured against one file that is rewritten: reading one conversation takes as long with 6 files as with 2, and
removing a month takes no time, where a rewrite takes 4 s per GB and as much room again. Blocks have 64 KiB and not DuckDB's 256: the last
one of a row group's bodies is half empty. A row group has more rows than a transaction: one that a transaction fills is written at once,
and again with the next checkpoint (2048 rows: a fifth more in use, half as much again in blocks that are free, a third more CPU).
"""

# ruff: noqa: S608 - the names in these statements are ours

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import duckdb

from gateway import shipped
from gateway.errors import StartError
from gateway.stores import Batch
from gateway.stores.bodies import CONTENT, contents
from gateway.stores.fold import Row
from gateway.stores.forgetting import forget_content, worn
from gateway.stores.inserting import LISTED, as_list, insert
from gateway.stores.seen import SEEN_BODIES, SeenBodies
from gateway.stores.setting_aside import SURROUNDINGS, quoted, set_aside, unusable
from gateway.trace.days import end_of, month_of, months

log = logging.getLogger(__name__)

SCHEMA = 1
_OFFSET_TYPES = {"segment": "VARCHAR", "next_offset": "BIGINT"}
_NAME = re.compile(r"content-(\d{4}-\d{2})\.duckdb")
LAYOUT = "STORAGE_VERSION 'v1.5.0', ROW_GROUP_SIZE 8192"
BLOCK = "BLOCK_SIZE 65536"
"""Of a new file. One that is there keeps the blocks it was made with, and DuckDB refuses to open it under another size."""
_PARTS = ("", ".wal", ".wal.checkpoint", ".wal.recovery")
"""What DuckDB writes beside a file."""


class Contents:
    """The files of one folder, attached to the ledger's connection. Raises StartError for one that cannot be opened through no
    fault of its own.

    `at_work` is the file that is being written, for whoever has to say which one is damaged."""

    def __init__(self, con: duckdb.DuckDBPyConnection, folder: Path, *, read_only: bool = False) -> None:
        self.at_work: Path | None = None
        self.taken_away = False
        self._untold: set[str] = set()
        self._con, self._folder, self._read_only = con, folder, read_only
        self._types = _types(con)
        self._months: dict[str, _Month] = {}
        self._seen = SeenBodies()
        for month in _found(folder):
            self._open(month)
        registered = _registered(con)
        for name, writes in registered.items():
            self._make_good(name, writes)
        self._untold = {name for name, month in self._months.items() if month.writes != registered.get(name)}
        self._unite()
        self._recall()

    @property
    def months(self) -> list[str]:
        return sorted(self._months)

    @property
    def refilling(self) -> list[str]:
        return [name for name, month in self._months.items() if month.refilling]

    def place(self, segment: str) -> int | None:
        """From where a segment must be read for the files that are filled again; None when there are none."""
        behind = [month.offsets.get(segment, 0) for month in self._months.values() if month.refilling]
        return min(behind) if behind else None

    def take(self, batches: Sequence[Batch]) -> None:
        """Commits what is new, month by month. Raises duckdb.Error; `at_work` is then the file it happened in."""
        for month, found in self._sorted(batches).items():
            self._write(month, found, batches)
        self.at_work = None

    def forget(self, before_us: int) -> bool:
        """Takes away one month whose time is over, or a slice of the one in which it ends; whether there was anything."""
        for name in self.months:
            if end_of(name) <= before_us:
                self._remove(name)
                return True
        limit = month_of(before_us)
        return limit in self._months and forget_content(self._con, self._months[limit].catalogue, before_us)

    def worn(self) -> list[Path]:
        return [month.path for month in self._months.values() if worn(self._con, month.catalogue)]

    def _remove(self, name: str) -> None:
        """First out of the list of what there should be: a file that is missing there is not made again."""
        month = self._months.pop(name)
        self._untold.discard(name)
        self._con.execute("DELETE FROM ledger.content_months WHERE month = ?", [name])
        self._unite()
        self._con.execute(f"DETACH {month.catalogue}")
        for part in _PARTS:
            month.path.with_name(month.path.name + part).unlink(missing_ok=True)
        log.info("%s is removed: what was said then is older than retention keeps", month.path.name)

    def filled(self) -> None:
        """The journal has been read to its end: nothing is missing any more."""
        for month in self._months.values():
            if month.refilling:
                self._con.execute(f"UPDATE {month.catalogue}.content_file SET refilling = false")
                month.refilling = False

    def tell(self) -> None:
        """Writes into the ledger, in its transaction, how far the files are."""
        if self._untold:
            rows = [(name, self._months[name].writes) for name in sorted(self._untold)]
            self._con.execute(f"DELETE FROM ledger.content_months WHERE month IN (SELECT {LISTED})", [as_list(self._untold)])
            insert(self._con, "ledger.content_months", ("month", "writes"), {"month": "VARCHAR", "writes": "BIGINT"}, rows)

    def told(self) -> None:
        """That transaction was committed."""
        self._untold.clear()

    def forget_seen(self) -> None:
        """After a failure nobody knows what was stored."""
        self._seen.clear()

    def checkpoint(self) -> None:
        for month in self._months.values():
            self._con.execute(f"CHECKPOINT {month.catalogue}")

    def _sorted(self, batches: Sequence[Batch]) -> dict[str, _Rows]:
        """What is new, by month and table. A month that is filled again is there even with nothing new: its place must go on."""
        found: dict[str, _Rows] = {month: {} for month in self.refilling}
        for batch in batches:
            for at, record in batch.records:
                for table, seen_us, row in contents(record):
                    month = month_of(seen_us)
                    if at >= self._place(month, batch):
                        found.setdefault(month, {}).setdefault(table, []).append(row)
        return found

    def _place(self, month: str, batch: Batch) -> int:
        known = self._months.get(month)
        return known.offsets.get(batch.segment.name, 0) if known else 0

    def _write(self, name: str, found: _Rows, batches: Sequence[Batch]) -> None:
        month = self._months.get(name) or self._new(name)
        self.at_work = month.path
        if not month.path.exists():
            self.taken_away = True
            raise duckdb.IOException(f"{month.path} was taken away; it is filled again from the journal")
        offsets = {batch.segment.name: max(batch.next, self._place(name, batch)) for batch in batches}
        con = self._con
        con.execute("BEGIN TRANSACTION")
        for table, rows in found.items():
            insert(con, f"{month.catalogue}.{table}", CONTENT[table], self._types[table], self._seen.fresh(table, rows))
        self._put_offsets(month, offsets)
        con.execute(f"UPDATE {month.catalogue}.content_file SET writes = {month.writes + 1}")
        con.execute("COMMIT")
        month.writes += 1
        month.offsets |= offsets
        self._untold.add(name)

    def _put_offsets(self, month: _Month, offsets: Mapping[str, int]) -> None:
        self._con.execute(f"DELETE FROM {month.catalogue}.content_offsets WHERE segment IN (SELECT {LISTED})", [as_list(offsets)])
        rows = list(offsets.items())
        insert(self._con, f"{month.catalogue}.content_offsets", ("segment", "next_offset"), _OFFSET_TYPES, rows)

    def _new(self, name: str) -> _Month:
        self._create(name, refilling=False)
        self._unite()
        return self._months[name]

    def _recall(self) -> None:
        """The last bodies of the last month, so that a new start does not store them again."""
        if not self._months or self._read_only:
            return
        last = self._months[self.months[-1]].catalogue
        try:
            recent = self._con.execute(
                f"SELECT hash, epoch_us(first_seen) FROM {last}.message_bodies"
                f" WHERE rowid >= (SELECT max(rowid) FROM {last}.message_bodies) - {SEEN_BODIES // 4}"
            ).fetchall()
        except duckdb.Error as error:
            self._replace(self.months[-1], str(error))
            return
        for found, first_seen in recent:
            self._seen.recall(found, first_seen)

    def _replace(self, name: str, why: str) -> None:
        """A file that is damaged where it was not looked at first."""
        month = self._months.pop(name)
        unite(self._con, [each.catalogue for each in self._months.values()])
        with contextlib.suppress(duckdb.Error):  # it is detached, and could not be checkpointed
            self._con.execute(f"DETACH {month.catalogue}")
        set_aside(month.path, why)
        self._create(name, refilling=True)
        self._unite()

    def damaged(self) -> Path | None:
        """The first file of which not everything can be read."""
        found = (month.path for month in self._months.values() if not readable(self._con, month.catalogue, CONTENT))
        return next(found, None)

    def _make_good(self, name: str, writes: int) -> None:
        """What the ledger knows of and the file has not."""
        if self._read_only:
            return
        if name not in self._months:
            log.error("%s is missing; it is filled again from the journal", self._path(name))
            self._create(name, refilling=True)
        elif self._months[name].writes < writes:
            log.error("%s has lost what was written last; it is filled again from the journal", self._path(name))
            self._refill(self._months[name])

    def _refill(self, month: _Month) -> None:
        self._con.execute(f"UPDATE {month.catalogue}.content_file SET refilling = true")
        month.refilling = True

    def _open(self, name: str) -> None:
        path = self._path(name)
        try:
            self._months[name] = self._attach(name)
        except duckdb.Error as error:
            if self._read_only or SURROUNDINGS.search(str(error)):
                raise unusable(path, str(error)) from error
            self._con.execute(f"DETACH DATABASE IF EXISTS {_catalogue(name)}")
            set_aside(path, str(error))
            self._create(name, refilling=True)

    def _create(self, name: str, *, refilling: bool) -> None:
        path = self._path(name)
        if not path.exists():
            set_aside(path, "the file was taken away and its write-ahead log left behind")
        month = self._attach(name)
        if refilling:
            self._refill(month)
        self._months[name] = month

    def _attach(self, name: str) -> _Month:
        month = _Month(self._path(name), _catalogue(name))
        layout = LAYOUT if month.path.exists() else f"{LAYOUT}, {BLOCK}"
        self._con.execute(f"ATTACH {quoted(month.path)} AS {month.catalogue} ({'READ_ONLY' if self._read_only else layout})")
        if not self._read_only:
            lay_out(self._con, month.catalogue)
        told = self._con.execute(f"SELECT schema, refilling, writes FROM {month.catalogue}.content_file").fetchall()
        schema, month.refilling, month.writes = told[0]
        if schema > SCHEMA:
            advice = "start the newer version, or move the file away and it is filled again from the journal"
            raise StartError(f"{month.path} has schema {schema}, this version knows {SCHEMA}: {advice}")
        month.offsets = dict(self._con.execute(f"SELECT segment, next_offset FROM {month.catalogue}.content_offsets").fetchall())
        return month

    def _unite(self) -> None:
        unite(self._con, [month.catalogue for _, month in sorted(self._months.items())])

    def _path(self, name: str) -> Path:
        return self._folder / f"content-{name}.duckdb"


_Rows = dict[str, list[Row]]


class _Month:
    """An attached file."""

    def __init__(self, path: Path, catalogue: str) -> None:
        self.path, self.catalogue = path, catalogue
        self.offsets: dict[str, int] = {}
        self.refilling = False
        self.writes = 0


def readable(con: duckdb.DuckDBPyConnection, catalogue: str, tables: Iterable[str]) -> bool:
    """Reads everything: DuckDB looks at a block's checksum when it reads the block."""
    try:
        for table in tables:
            con.cursor().execute(f"SELECT max(hash(t)) FROM {catalogue}.{table} AS t").fetchall()
    except duckdb.Error:
        return False
    return True


def begin(con: duckdb.DuckDBPyConnection) -> None:
    """The catalogue `content`, with no month in it yet."""
    con.execute("ATTACH ':memory:' AS content")
    con.execute("CREATE SCHEMA content.nothing")
    lay_out(con, "content.nothing")
    unite(con, [])


def unite(con: duckdb.DuckDBPyConnection, catalogues: Iterable[str]) -> None:
    """One view per table over these files."""
    for table, names in CONTENT.items():
        picked = ", ".join(names)
        parts = [f"SELECT {picked} FROM {each}.{table}" for each in ("content.nothing", *catalogues)]
        con.execute(f"CREATE OR REPLACE VIEW content.main.{table} AS {' UNION ALL '.join(parts)}")


def reachable(folder: Path) -> list[str]:
    """Every path that the files of any month can have: what stays open when the process locks itself in."""
    begin = folder / "content-"
    return [f"{begin}{month}.duckdb{part}" for month in months() for part in _PARTS]


def lay_out(con: duckdb.DuckDBPyConnection, catalogue: str) -> None:
    """The tables of one month, where they are not there yet."""
    cursor = con.cursor()
    cursor.execute(f"USE {catalogue}")
    cursor.execute("BEGIN TRANSACTION")
    cursor.execute((shipped.folder("traces") / "content.sql").read_text(encoding="utf-8"))
    cursor.execute("INSERT INTO content_file SELECT ?, false, 0 WHERE NOT EXISTS (FROM content_file)", [SCHEMA])
    cursor.execute("COMMIT")
    cursor.close()


def _types(con: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    rows = con.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE database_name = 'content' AND schema_name = 'nothing'"
    ).fetchall()
    types: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        types.setdefault(table, {})[column] = kind
    return types


def _found(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("content-*.duckdb")):
        name = _NAME.fullmatch(path.name)
        if name:
            yield name[1]


def _registered(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Month → transactions."""
    return dict(con.execute("SELECT month, writes FROM ledger.content_months").fetchall())


def _catalogue(month: str) -> str:
    return f"content_{month.replace('-', '_')}"
