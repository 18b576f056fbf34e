"""SHELF: ledgers, which are derived from the journal and can always be built again from it. One module per kind.

A store applies batches of records exactly once: the rows and the place in the journal are committed together, so whoever asks the
store where it stands never sees a record twice and never misses one. `intake.py` reads the journal for them, `fold.py` turns
records into rows, `sql_guard.py` says which questions may be asked, `lending.py` hands rows to those who answer them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from gateway.trace.exchange_rows import CallRow, ExchangeRow
from gateway.trace.record import Record
from gateway.trace.segments import Segment

if TYPE_CHECKING:  # a loan is Arrow; who only names a store should not need to load it
    from gateway.stores.lending import Loan, Need, Shape


class Offset(NamedTuple):
    """How far one segment is applied."""

    next: int = 0
    head: bytes | None = None
    """Hash of the last applied frame; None before the first."""
    records: int = 0
    damage: str | None = None
    """Why reading stopped for good at `next`."""


class Batch(NamedTuple):
    """Consecutive records of one segment."""

    segment: Segment
    records: Sequence[tuple[int, Record]]
    """(offset of the frame, record)"""
    next: int
    head: bytes | None


class Applied(NamedTuple):
    """What a store newly took in."""

    records: int
    exchanges: Sequence[ExchangeRow]
    """Those that ended."""
    calls: Sequence[CallRow]
    interrupted: Sequence[str]
    """Ids of exchanges that a dead worker had left open."""


class Answer(NamedTuple):
    """The rows of one question. Values are plain JSON values; money and integers beyond 2^53 are text."""

    columns: Sequence[str]
    types: Sequence[str]
    rows: Sequence[Sequence[Any]]
    truncated: bool
    elapsed_ms: float


class StoreTrouble(Exception):  # noqa: N818 - names a state, not a mistake
    """The store could not take a batch; nothing of it was applied. `broken`: it must be opened anew. `at_fault`: the file that
    is damaged, where it is not the disk, the memory or the rights around it. `proven`: opening it anew would not help."""

    def __init__(self, message: str, *, broken: bool = False, at_fault: Path | None = None, proven: bool = False) -> None:
        super().__init__(message)
        self.broken = broken
        self.at_fault = at_fault
        self.proven = proven


class Refused(Exception):  # noqa: N818 - names an answer, not a mistake
    """A question that may not be asked, cannot be understood, or took too much; says what to change."""

    def __init__(self, code: str, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.position = position
        """Where in the SQL, in characters from its start."""


class Pace(NamedTuple):
    """How much a ledger wants at a time."""

    every_s: float
    """Between the beginnings of two rounds, unless much is waiting."""
    much: int
    """Records; a round that applied as many is followed by the next at once."""
    at_most: int
    """Records that are gathered for one commit, about."""
    steady_s: float = 0.0
    """The same as `every_s` while records keep coming; 0: no other."""
    behind_bytes: float = inf
    """So much that is not yet read is read without a pause, however few records it is."""


EMBEDDED_PACE = Pace(0.2, 2000, 2000, steady_s=0.5, behind_bytes=1024 * 1024)
"""Of a file of our own: a commit costs some 30 ms of CPU whatever it holds, and 30 µs for each record."""


class Store(Protocol):
    """What the book needs of a ledger."""

    @property
    def pace(self) -> Pace: ...
    @property
    def version(self) -> str:
        """Which schema it has."""
    @property
    def worn(self) -> bool:
        """It should be closed and opened again."""
    @property
    def whole(self) -> bool:
        """False while a part of it that was lost is read again: `offsets` then lie behind what was once applied."""
    def offsets(self) -> Mapping[str, Offset]:
        """By segment name; of the segments of this book's own journal."""
    def apply(self, batches: Sequence[Batch]) -> Applied:
        """All or nothing, durable when it returns. What was applied before is left out. Raises StoreTrouble."""
    def quarantine(self, segment: Segment, damage: str) -> None:
        """Remembers that the segment is not read beyond its offset. Raises StoreTrouble."""
    def query(self, sql: str, limit: int, params: Mapping[str, Any] | None = None) -> Answer:
        """Runs SQL of our own over the rows. Raises Refused."""
    def views(self) -> Mapping[str, Mapping[str, str]]:
        """What may be asked about: table or view → column → type."""
    def fetch(self, sql: str, params: Mapping[str, Any], teams: frozenset[str] | None = None) -> list[dict[str, Any]]:
        """The gateway's own questions: rows by column name, values as the ledger has them, none cut. Never a text of somebody else's.
        Over what these teams may see, where they are named (`sight`). Raises Refused."""
    def shape(self) -> Shape:
        """Its tables and views, for those who answer questions elsewhere."""
    def loan(self, needs: Sequence[Need], teams: frozenset[str] | None = None) -> Loan:
        """Rows of one snapshot; of these teams alone, where they are named. Raises Refused."""
    def arrow(self, sql: str, params: Mapping[str, Any]) -> Iterator[bytes]:
        """As `fetch`, as a stream in Arrow's format, however long it is."""
    def tend(self) -> None:
        """A bounded piece of housekeeping, for when everything there is has been applied. Raises StoreTrouble."""
    def close(self) -> None: ...
