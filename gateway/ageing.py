"""Takes from the journal what is older than retention says: bodies out of segments, and whole segments.

1. A segment goes, or loses its bodies, as one, and its age is that of its last record. As a segment is closed after a day, a record may
   stay a day longer than the settings say, never shorter.
2. Only a segment that has ended, that the ledger has applied to its end, and whose last head is signed and where it is to be (in the second
   place too, where there is one) is touched. One that is damaged or not what was signed is evidence and stays.
3. What is done is signed first (`shed`, `removed` in `heads.log`), so that `tollhouse verify` knows it for lawful, and done then. A crash
   in between is made good at the next start.
4. Bodies are shed by writing the segment anew beside itself, syncing, and renaming over it. The chain of hashes stays what it was.

Not here: what is a body (`trace/record.py`), how long (`retention.py`), the ledger's own rows. Frames of the journal's first format cannot
lose their bodies; they stay until their segment goes.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from gateway.notary import Notary
from gateway.retention import Cutoffs
from gateway.stores import Offset
from gateway.trace import frames
from gateway.trace.heads import Head

CHECK_EVERY_S = 60.0
ASIDE = ".shed"
"""Ending of a segment that is being written anew."""


class Ageing:
    """One per book, called by its thread. `cutoffs` says what is too old now."""

    def __init__(self, journal: Path, notary: Notary, cutoffs: Callable[[], Cutoffs]) -> None:
        self.problem: str | None = None
        self._journal, self._notary, self._cutoffs = journal, notary, cutoffs
        self._checked_at = -CHECK_EVERY_S
        self._unfinished = True
        self._bodies_stay: set[str] = set()
        """Segments of the first format."""
        self._evidence: set[str] = set()
        """Segments that are not what was signed."""

    def work(self, offsets: Mapping[str, Offset]) -> bool:
        """Treats one segment, so that the book is not kept from reading; whether it did."""
        now = time.monotonic()
        if now - self._checked_at < CHECK_EVERY_S:
            return False
        try:
            if self._unfinished:
                self._make_good()
            done = self._one(offsets)
            self.problem = self._not_as_signed()
        except OSError as error:
            self.problem = f"what is older than retention says cannot be taken from the journal: {error.strerror} ({error.filename})"
            done = False
        if not done:
            self._checked_at = now
        return done

    def _one(self, offsets: Mapping[str, Offset]) -> bool:
        cutoffs = self._cutoffs()
        for head in self._ended(offsets):
            gone = cutoffs.decisions_us is not None and head.written_us < cutoffs.decisions_us
            old = cutoffs.bodies_us is not None and head.written_us < cutoffs.bodies_us
            if not gone and (not old or head.segment in self._shed_before()):
                continue
            data = self._proven(head)
            if data is not None and (self._remove(head) if gone else self._shed(head, data)):
                return True
        return False

    def _ended(self, offsets: Mapping[str, Offset]) -> Iterator[Head]:
        """Heads of the segments that may be touched, oldest name first."""
        log = self._notary.log
        for name, head in sorted(log.last.items()) if log is not None else ():
            at = offsets.get(name, Offset())
            applied = at.records == head.records and at.damage is None
            if head.ended and applied and name not in self._evidence and self._notary.delivered(name):
                yield head

    def _proven(self, head: Head) -> bytes | None:
        """The segment's frames; None where they are not those that were signed."""
        whole = (self._journal / head.segment).read_bytes()
        found = frames.scan(whole, 0, None)
        if found.head is not None and found.head.hex() == head.hash and len(found.payloads) == head.records:
            return whole[: found.next]
        self._evidence.add(head.segment)
        return None

    def _not_as_signed(self) -> str | None:
        if not self._evidence:
            return None
        return f"{min(self._evidence)} is not what was signed, so it is kept whatever its age; see 'tollhouse verify'"

    def _shed_before(self) -> set[str]:
        log = self._notary.log
        return self._bodies_stay | (log.shed if log is not None else set())

    def _remove(self, head: Head) -> bool:
        if not self._notary.say("removed", [head]):
            return False
        self._unlink(head.segment)
        return True

    def _unlink(self, name: str) -> None:
        (self._journal / name).unlink(missing_ok=True)
        _sync_folder(self._journal)

    def _shed(self, head: Head, data: bytes) -> bool:
        path = self._journal / head.segment
        short, _ = frames.shed(data, None)
        if _first_form(data):
            self._bodies_stay.add(head.segment)
            return False
        aside = path.with_name(path.name + ASIDE)
        _write_synced(aside, short)
        if not self._notary.say("shed", [head]):
            aside.unlink()
            return False
        aside.replace(path)
        _sync_folder(self._journal)
        return True

    def _make_good(self) -> None:
        """What was signed and then not done for a crash."""
        log = self._notary.log
        if log is None:
            return
        for aside in self._journal.glob("*" + ASIDE):
            name = aside.name.removesuffix(ASIDE)
            if name in log.shed:
                aside.replace(aside.with_name(name))
            else:
                aside.unlink()
        for name in log.removed:
            with contextlib.suppress(FileNotFoundError):
                self._unlink(name)
        self._unfinished = False


def _first_form(data: bytes) -> bool:
    """Whether in any frame bodies lie among the facts."""
    offset = 0
    while offset < len(data):
        if data[offset + 3] >> 6 == frames.FIRST_FORM:
            return True
        offset += frames.HEADER_BYTES + frames.length_at(data, offset)
    return False


def _write_synced(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
