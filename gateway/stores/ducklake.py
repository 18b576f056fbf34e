"""The ledger of a fleet: a lake (DuckLake: Parquet files, catalogue in PostgreSQL) that the books of several machines write at once.

1. A book adds rows and the place in its own journal in one transaction of the catalogue (`lake_writing.py`): after a kill at any moment
   nothing is lost or doubled. Two books never write the same row, so nobody waits for anybody but for the commit itself.
2. A commit makes files. So it holds much: `pace` says how long the book gathers.
3. PostgreSQL or the place of the data may be away. Then rows stay in the journal, questions are refused, and every later attempt connects
   anew (`lake_connecting.py`), which also finds out whether the last commit was made.
4. Tables, views and saved queries are those of the embedded ledger (`lake_layout.py`).

Not here: what wears in a lake and who tends it (`lake_upkeep.py`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import duckdb

from gateway.errors import StartError
from gateway.ledger_place import LakePlace
from gateway.retention import Cutoffs
from gateway.stores import Answer, Applied, Batch, Offset, Pace, Refused, StoreTrouble
from gateway.stores.cursors import cursor_of, let_go
from gateway.stores.lake_connecting import (
    CONFIG,
    CatalogueAway,
    attach,
    give_keys,
    in_a_line,
    in_conflict,
    load_extensions,
    lock_down,
)
from gateway.stores.lake_layout import Pattern, lay_out_own, lay_over, pattern, resolving
from gateway.stores.lake_upkeep import Upkeep
from gateway.stores.lake_writing import LakeWriter, OtherName
from gateway.stores.lending import Loan, Need, Shape
from gateway.stores.reading import Reading
from gateway.trace.segments import Segment

log = logging.getLogger(__name__)

GATHER_S = 5.0
LOOK_EVERY_S = 5.0
"""How soon a lake that has gone is missed while there is nothing to write."""
NEW_KEYS_EVERY_S = 300.0
MUCH, AT_MOST = 1_000, 10_000
"""Records."""
MOST_CONFLICTS = 5
"""In a row: only who tends the lake changes what a book adds to, a few times in ten minutes."""
_Told = TypeVar("_Told")


def node_of(data: Path) -> str:
    """The name by which a lake knows the book of a data folder: made once, kept in its file `node`. Raises StartError."""
    file = data / "node"
    try:
        with contextlib.suppress(FileExistsError), file.open("x") as new:
            new.write(f"{secrets.token_hex(16)}\n")
            new.flush()
            os.fsync(new.fileno())
        node = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"the name of this book cannot be read from {file}: {error}") from error
    if not re.fullmatch("[0-9a-f]{32}", node):
        advice = "restore it from a backup, or delete it and see what the book says"
        raise StartError(f"{file} holds no name of a book (32 hexadecimal digits); {advice}")
    return node


class Lake:
    """The lake at `place`, written by the book `node`, of which there is one. Opens it at once if it can be reached, else later.
    Raises StartError for what waiting does not mend. `on_stuck` is called from a timer's thread when a query cannot be stopped."""

    whole, worn = True, False
    pace = Pace(GATHER_S, MUCH, AT_MOST, behind_bytes=8 * 1024 * 1024)

    def __init__(
        self,
        place: LakePlace,
        node: str,
        *,
        on_stuck: Callable[[], None] | None = None,
        cutoffs: Callable[[], Cutoffs] | None = None,
    ) -> None:
        self._place, self._node, self._cutoffs = place, node, cutoffs or (lambda: Cutoffs(None, None))
        self._on_stuck = on_stuck or (lambda: log.critical("a query cannot be stopped"))
        self._writing = threading.Lock()
        self._offsets: Mapping[str, Offset] = {}
        self._new_keys_at = 0.0
        self._away, self._look_again_at = "it was not reached yet", 0.0
        self._session: _Session | None = None
        self._prepared: _Prepared | None = _prepared(place)
        self._pattern = self._prepared.pattern
        self._connect_at_once()

    def _connect_at_once(self) -> None:
        """Raises StartError."""
        try:
            self._connected()
        except StoreTrouble as trouble:
            if isinstance(trouble.__cause__, StartError):
                raise trouble.__cause__ from None
            log.warning("%s", trouble)

    @property
    def version(self) -> str:
        return self._pattern.version

    def offsets(self) -> Mapping[str, Offset]:
        """As last known."""
        return dict(self._offsets)

    def apply(self, batches: Sequence[Batch]) -> Applied:
        with self._writing:
            return self._written(lambda writer: writer.commit(batches))

    def quarantine(self, segment: Segment, damage: str) -> None:
        with self._writing:
            self._written(lambda writer: writer.quarantine(segment, damage))

    def query(self, sql: str, limit: int, params: Mapping[str, Any] | None = None) -> Answer:
        return self._reading().query(sql, limit, params)

    def views(self) -> Mapping[str, Mapping[str, str]]:
        """In alphabetical order."""
        return {name: self._pattern.types[name] for name in sorted(self._pattern.catalogue.public)}

    def fetch(self, sql: str, params: Mapping[str, Any], teams: frozenset[str] | None = None) -> list[dict[str, Any]]:
        return self._reading().fetch(sql, params, teams)

    def arrow(self, sql: str, params: Mapping[str, Any]) -> Iterator[bytes]:
        return self._reading().arrow(sql, params)

    def shape(self) -> Shape:
        return self._pattern.shape

    def loan(self, needs: Sequence[Need], teams: frozenset[str] | None = None) -> Loan:
        """Others may commit meanwhile: every table is read as it was at one snapshot. Raises Refused."""
        session = self._there()
        try:
            with cursor_of(session.con) as cursor:
                ((snapshot,),) = cursor.execute("FROM lake.current_snapshot()").fetchall()
        except duckdb.Error as error:
            raise Refused("unavailable", f"the lake could not be read: {in_a_line(error)}; ask again in a moment") from error
        places = {table: f"({select})" for table, select in resolving(self._pattern, f"AT (VERSION => {snapshot})").items()}
        return Loan(session.con, self._pattern.shape, needs, places, teams)

    def tend(self) -> None:
        """Finds out whether the lake can be reached, and has it tended. Raises StoreTrouble."""
        with self._writing:
            session = self._connected()
            if time.monotonic() >= self._look_again_at:
                self._look(session)
            session.upkeep.begin()

    def close(self) -> None:
        with self._writing:
            self._let_go("the book is being closed")

    def _reading(self) -> Reading:
        return self._there().reading

    def _there(self) -> _Session:
        session = self._session
        if session is None:
            raise Refused("unavailable", f"the ledger cannot be asked now: {self._away}; ask again when the lake can be reached")
        return session

    def _look(self, session: _Session) -> None:
        try:
            session.con.execute("FROM lake.current_snapshot()").fetchall()
        except duckdb.Error as error:
            self._let_go(f"the lake does not answer: {in_a_line(error)}")
            raise StoreTrouble(self._away) from error
        self._look_again_at = time.monotonic() + LOOK_EVERY_S

    def _written(self, write: Callable[[LakeWriter], _Told]) -> _Told:
        """Raises StoreTrouble."""
        for left in range(MOST_CONFLICTS, -1, -1):
            session = self._connected()
            try:
                told = write(session.writer)
            except OtherName as refused:
                self._let_go(str(refused))
                raise StoreTrouble(self._away) from refused
            except (duckdb.Error, RuntimeError, ArithmeticError, TypeError, ValueError) as error:
                if not (left and in_conflict(error) and session.begin_again()):
                    self._let_go(f"the lake could not take new rows: {in_a_line(error)}")
                    raise StoreTrouble(self._away) from error
            else:
                self._offsets = dict(session.writer.offsets)
                return told
        raise AssertionError("the last attempt returns or raises")

    def _connected(self) -> _Session:
        """The session there is, or a new one. Raises StoreTrouble."""
        if self._session is None:
            try:
                prepared, self._prepared = self._prepared or _prepared(self._place), None
                self._session = _Session(prepared, self._place, self._node, self._on_stuck, self._cutoffs)
            except (CatalogueAway, StartError, duckdb.Error) as error:
                self._away = in_a_line(error)
                raise StoreTrouble(f"{self._away}; rows stay in the journal until it can") from error
            self._offsets = dict(self._session.writer.offsets)
            self._new_keys_at = time.monotonic() + NEW_KEYS_EVERY_S
        if self._place.in_s3 and time.monotonic() >= self._new_keys_at:
            self._renew_keys(self._session)
        return self._session

    def _renew_keys(self, session: _Session) -> None:
        try:
            give_keys(session.con, self._place)
        except StartError as error:
            raise StoreTrouble(str(error)) from error
        self._new_keys_at = time.monotonic() + NEW_KEYS_EVERY_S

    def _let_go(self, why: str) -> None:
        session, self._session, self._away = self._session, None, why
        if session is not None:
            session.upkeep.stop()
            let_go(session.con)


class _Prepared(NamedTuple):
    """What can be made without reaching anything."""

    con: duckdb.DuckDBPyConnection
    pattern: Pattern


def _prepared(place: LakePlace) -> _Prepared:
    """Raises StartError."""
    con = duckdb.connect(":memory:", config=CONFIG)
    try:
        load_extensions(con, place)
        return _Prepared(con, pattern(con))
    except BaseException:
        con.close()
        raise


class _Session:
    """One connection, with what is only known while it lasts. Raises CatalogueAway, duckdb.Error, StartError."""

    def __init__(
        self, prepared: _Prepared, place: LakePlace, node: str, on_stuck: Callable[[], None], cutoffs: Callable[[], Cutoffs]
    ) -> None:
        self.con, found = prepared
        self._writes_as = (node, found)
        try:
            _open(self.con, place, node, found)
            self.reading = Reading(self.con, found.catalogue, found.shape, on_stuck)
            self.writer = LakeWriter(self.con, *self._writes_as)
            self.upkeep = Upkeep(self.con, node, cutoffs)
        except BaseException:
            let_go(self.con)
            raise

    def begin_again(self) -> bool:
        """After a transaction that is known to have changed nothing; False where that cannot be."""
        try:
            self.con.execute("ROLLBACK")
        except duckdb.TransactionException:  # the failed commit had ended it
            log.debug("nothing to roll back")
        except duckdb.Error:
            return False
        try:
            self.writer = LakeWriter(self.con, *self._writes_as)
        except duckdb.Error:
            return False
        return True


def _open(con: duckdb.DuckDBPyConnection, place: LakePlace, node: str, found: Pattern) -> None:
    attach(con, place, node, found)
    lay_over(con, found)
    lay_out_own(con, found, node)
    con.execute("USE ledger")
    con.execute("SET GLOBAL TimeZone = 'UTC'")
    lock_down(con, place)
