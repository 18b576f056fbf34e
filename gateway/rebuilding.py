"""A fresh ledger from the journal, put in the place of the one there is, or built beside it.

The ledger is derived, so this loses nothing that the journal still has. What the journal no longer has would be lost: a rebuild in place
stops where the present ledger has applied more of a segment than can be read today, unless a signed line says that retention removed it.
The old files are kept in a folder; a crash between two moves leaves a ledger that the next start completes from the journal.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection
from pathlib import Path

from msgspec import Struct

from gateway import heads_log
from gateway.book import Book
from gateway.book_process import only_one
from gateway.errors import StartError
from gateway.stores.duckdb import Ledger
from gateway.stores.intake import segments

BESIDE = "ledger.rebuilding"
"""Folder in which a rebuild in place is made."""


class Progress(Struct, frozen=True):
    records: int
    read_bytes: int
    total_bytes: int


class Rebuilt(Struct, frozen=True):
    """`into` is the folder with the new files, `kept` the one with the old."""

    records: int
    exchanges: int
    seconds: float
    into: str
    kept: str | None
    damaged: dict[str, str]
    """Segment → where and why it was not read any further."""


def rebuild(data: Path, into: Path | None, tell: Callable[[Progress], None]) -> Rebuilt:
    """Raises StartError. With `into` a gateway may run meanwhile: what it adds after the end is reached is left out."""
    if not segments(data / "journal"):
        raise StartError(f"there is no journal in {data}: a ledger is built from {data / 'journal'}; name the data folder with --data")
    if into is not None:
        return _beside(data, into, tell)
    with only_one(data / "book.lock"):
        return _in_place(data, tell)


def _beside(data: Path, into: Path, tell: Callable[[Progress], None]) -> Rebuilt:
    if into.exists() and any(into.iterdir()):
        raise StartError(f"{into} is not empty; name a new folder with --into")
    return _build(data / "journal", into, tell)


def _in_place(data: Path, tell: Callable[[Progress], None]) -> Rebuilt:
    applied = _applied(data)
    _refuse_loss(applied.keys() - {segment.name for segment in segments(data / "journal")}, "are not in the journal")
    beside = data / BESIDE
    shutil.rmtree(beside, ignore_errors=True)  # a rebuild that was killed
    built = _build(data / "journal", beside, tell)
    try:
        read = _offsets(beside)
        _refuse_loss({name for name, at in applied.items() if at > read.get(name, 0)}, "can no longer be read as far as it did")
        kept = _swap(data, beside)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Rebuilt(built.records, built.exchanges, built.seconds, str(data), str(kept), built.damaged)


def _applied(data: Path) -> dict[str, int]:
    """How far the present ledger is, but for what retention removed from the journal; nothing where it cannot be read."""
    try:
        known = _offsets(data)
    except StartError:
        return {}
    removed = heads_log.removed(data)
    return {name: at for name, at in known.items() if name not in removed}


def _offsets(folder: Path) -> dict[str, int]:
    ledger = Ledger(folder / "ledger.duckdb", read_only=True)
    try:
        return {name: offset.next for name, offset in ledger.offsets().items() if offset.next}
    finally:
        ledger.close()


def _refuse_loss(names: Collection[str], what: str) -> None:
    if names:
        raise StartError(
            f"{len(names)} segments that the ledger has applied {what}, {min(names)} first: a new ledger would lack records. "
            "Put them back, or build beside the old one with --into"
        )


def _swap(data: Path, beside: Path) -> Path:
    kept = data / time.strftime("ledger.before-%Y%m%dT%H%M%SZ", time.gmtime())
    kept.mkdir(mode=0o700)
    for old in _files(data):
        old.rename(kept / old.name)
    for new in sorted(_files(beside)):  # content before the ledger
        new.rename(data / new.name)
    return kept


def _build(journal: Path, into: Path, tell: Callable[[Progress], None]) -> Rebuilt:
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    began = time.monotonic()
    ledger = Ledger(into / "ledger.duckdb")
    book = Book(journal, lambda: ledger)
    try:
        total = book.status().lag_bytes
        while book.round():
            tell(Progress(book.records, total - book.status().lag_bytes, total))
            if book.status().lag_bytes == 0:
                book.round()
                break
        (exchanges,) = book.query("SELECT count(*) FROM exchanges", 1).rows[0]
        damaged = dict(book.status().quarantined)
    finally:
        book.store.close()
    return Rebuilt(book.records, exchanges, round(time.monotonic() - began, 1), str(into), None, damaged)


def _files(folder: Path) -> list[Path]:
    """The ledger's, whatever their endings, but not what was once set aside."""
    found = [*folder.glob("ledger.duckdb*"), *folder.glob("content-*.duckdb*")]
    return [path for path in found if ".corrupt-" not in path.name and path.is_file()]
