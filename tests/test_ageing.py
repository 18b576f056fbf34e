"""Retention of the journal: what is too old goes, signed and in one piece; what is not applied, not signed or not sound stays."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import google_crc32c
import pytest

from gateway import ageing as module
from gateway.ageing import Ageing
from gateway.book import Book
from gateway.heads_log import signing_key
from gateway.journal import Journal
from gateway.notary import Notary
from gateway.proof import Report, prove
from gateway.retention import Cutoffs
from gateway.storage_settings import Heads
from gateway.stores import Offset
from gateway.stores.intake import segments
from gateway.stores.memory import MemoryStore
from gateway.trace import frames
from gateway.trace.exchange_rows import ExchangeRow, MessageRow
from gateway.trace.record import Booted, Opened
from gateway.trace.segments import Segment

RUN = f"{1:032x}"
NOW = 2_000_000_000_000_000
DAY = 86_400_000_000
NEVER = Cutoffs(None, None)


def said(n: int) -> Opened:
    row = ExchangeRow(f"{n:032x}", NOW + n, "openai.chat", "openai", "chat", "/v1/chat/completions", "coder", input_preview=f"asked {n}")
    return Opened(row, (MessageRow(f"{n:032x}", "user", f"PRIVATE {n}", NOW + n),))


class Installation:
    """A data folder with one worker's boot in several segments, and a book that is opened for one round at a time."""

    def __init__(self, data: Path, to: str | None = None) -> None:
        self.data, self.journal, self.heads = data, data / "journal", Heads(to=to)
        self.store = MemoryStore()
        self.cutoffs = NEVER

    def write(self, boot: int, count: int = 9) -> None:
        async def write() -> None:
            name = f"{boot:032x}"
            first = lambda: Booted(RUN, 0, name, NOW)  # noqa: E731
            journal = Journal(self.journal, run=RUN, slot=0, boot=name, durability="interval", first=first, max_segment_bytes=1500)
            for n in range(count):
                await journal.append(said(n))
            await journal.close()

        asyncio.run(write())

    def age(self, days: float, *names: str) -> None:
        """Files last written so long ago."""
        for path in self.journal.glob("*.log"):
            if not names or path.name in names:
                os.utime(path, ns=(0, int(NOW - days * DAY) * 1000))

    def open(self) -> tuple[Book, Notary, Ageing]:
        notary = Notary(self.data, self.journal, self.heads, lambda: NOW)
        ageing = Ageing(self.journal, notary, lambda: self.cutoffs)
        return Book(self.journal, lambda: self.store, notary=notary, ageing=ageing), notary, ageing

    def run(self, cutoffs: Cutoffs = NEVER, rounds: int = 30) -> str | None:
        """A book at work, which then ends; what its ageing complained of."""
        self.cutoffs = cutoffs
        book, _, ageing = self.open()
        for _ in range(rounds):
            book._listed_at = -10.0
            book.round()
        stop = threading.Event()
        stop.set()
        book.run(stop)
        return ageing.problem

    def proven(self) -> Report:
        return prove(self.data, signing_key(self.data).public_key(), None)

    def texts(self) -> int:
        return sum(path.read_bytes().count(b"PRIVATE") for path in self.journal.iterdir())

    def names(self) -> list[str]:
        return [one.name for one in segments(self.journal)]


@pytest.fixture
def made(tmp_path: Path) -> Installation:
    """Two boots: the first ended, the second growing in its last segment."""
    made = Installation(tmp_path / "data")
    made.write(1)
    made.write(2)
    made.age(40)
    return made


def test_what_is_young_enough_stays(made: Installation) -> None:
    made.run(Cutoffs(NOW - 41 * DAY, NOW - 400 * DAY))
    assert made.texts() == 18
    assert made.proven().state == "sound"


def test_bodies_that_are_too_old_are_gone_from_every_ended_segment_and_the_chain_holds(made: Installation) -> None:
    names, growing = made.names(), segments(made.journal)[-1].name
    made.run(Cutoffs(NOW - 30 * DAY, NOW - 400 * DAY))
    assert made.names() == names
    assert made.texts() == (made.journal / growing).read_bytes().count(b"PRIVATE") > 0
    report = made.proven()
    assert (report.state, report.shed) == ("sound", 18 - made.texts())
    assert b"asked" not in (made.journal / names[0]).read_bytes()


def test_a_ledger_built_again_from_shed_segments_has_the_facts(made: Installation) -> None:
    made.run(Cutoffs(NOW - 30 * DAY, None))
    made.store = MemoryStore()
    made.run()
    rows = made.store.tables["exchanges_open"] + made.store.tables["exchanges_ended"]
    assert len(rows) == 18
    assert {row["input_preview"] for row in rows} > {""}
    assert made.proven().state == "sound"


def test_segments_that_are_too_old_are_removed_and_that_is_lawful(made: Installation) -> None:
    growing = segments(made.journal)[-1].name
    made.run(Cutoffs(NOW - 30 * DAY, NOW - 35 * DAY))
    assert made.names() == [growing]
    report = made.proven()
    assert (report.state, report.findings) == ("sound", [])
    assert report.removed > 3


def test_only_old_segments_go(made: Installation) -> None:
    rest = made.names()[2:]
    made.age(10, *rest)
    made.run(Cutoffs(NOW - 5 * DAY, NOW - 30 * DAY))
    assert made.names() == rest
    assert made.proven().state == "sound"


def test_what_the_ledger_has_not_applied_stays(made: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    made.run()
    book, _, ageing = made.open()
    made.cutoffs = Cutoffs(NOW, NOW)
    behind = {name: Offset(at.next, at.head, at.records - 1) for name, at in made.store.offsets().items()}
    broken = {name: at._replace(damage="offset 0: x") for name, at in made.store.offsets().items()}
    monkeypatch.setattr(module, "CHECK_EVERY_S", 0.0)
    names = made.names()
    assert not any(ageing.work(offsets) for offsets in ({}, behind, broken))
    assert made.names() == names
    assert ageing.work(made.store.offsets())
    assert made.names() == names[1:]
    book.store.close()


def test_what_the_second_place_has_not_got_stays_until_it_has(made: Installation, tmp_path: Path) -> None:
    made.heads = Heads(to=f"file:{tmp_path}/away/heads")
    names = made.names()
    made.run(Cutoffs(NOW, NOW))
    assert made.names() == names
    (tmp_path / "away").mkdir()
    made.run()
    made.run(Cutoffs(NOW, NOW))
    assert made.names() == names[-1:]


@pytest.mark.parametrize("cutoffs", [Cutoffs(NOW, None), Cutoffs(NOW, NOW)])
def test_a_segment_that_is_not_what_was_signed_is_evidence_and_the_others_go(made: Installation, cutoffs: Cutoffs) -> None:
    made.run()
    path = made.journal / made.names()[1]
    changed = path.read_bytes().replace(b"PRIVATE", b"private", 1)
    path.write_bytes(changed)
    problem = made.run(cutoffs)
    assert path.read_bytes() == changed
    assert f"{path.name} is not what was signed" in str(problem)
    assert made.proven().state == "broken"
    shed_or_gone = made.journal / made.names()[0]
    assert shed_or_gone == path or b"PRIVATE" not in shed_or_gone.read_bytes()


def test_frames_of_the_first_format_keep_what_they_hold_until_their_segment_goes(tmp_path: Path) -> None:
    made = Installation(tmp_path)
    made.journal.mkdir()
    boot = f"{0:032x}"
    head, raws = frames.GENESIS, []
    for facts in (b'{"type":"booted","run":"%s","slot":0,"boot":"%s","at_us":1}' % (RUN.encode(), boot.encode()), b'{"type":"policy",'):
        payload = facts if facts.endswith(b"}") else facts + b'"policy":{"hash":"PRIVATE","loaded_us":1}}'
        checksum = google_crc32c.extend(google_crc32c.value(head), payload)
        raws.append(frames.HEADER.pack(len(payload), checksum, head) + payload)
        head = frames.scan(raws[-1], 0, None).head or b""
    (made.journal / Segment(RUN, 0, boot, 0).name).write_bytes(b"".join(raws))
    made.write(1)
    made.age(40)
    made.run(Cutoffs(NOW, None))
    assert b"PRIVATE" in (made.journal / made.names()[0]).read_bytes()
    assert made.proven().state == "sound"
    made.run(Cutoffs(NOW, NOW))
    assert len(made.names()) == 1


@pytest.mark.parametrize("moment", ["written aside", "signed"])
@pytest.mark.parametrize("what", ["shed", "removed"])
def test_a_crash_in_between_is_made_good(made: Installation, monkeypatch: pytest.MonkeyPatch, moment: str, what: str) -> None:
    made.run()
    cutoffs = Cutoffs(NOW, None) if what == "shed" else Cutoffs(NOW, NOW)
    monkeypatch.setattr(module, "CHECK_EVERY_S", 0.0)

    class Crash(BaseException):
        pass

    def crash(*given: object) -> None:
        raise Crash

    made.cutoffs = cutoffs
    _, notary, ageing = made.open()
    with monkeypatch.context() as patched:
        if moment == "written aside":
            patched.setattr(notary, "say", crash)
        else:
            patched.setattr(Path, "replace", crash)
            patched.setattr(ageing, "_unlink", crash)
        with pytest.raises(Crash):
            ageing.work(made.store.offsets())
    assert made.proven().state == "sound"
    made.run(cutoffs)
    assert made.proven().state == "sound"
    assert not list(made.journal.glob("*.shed"))
    assert made.texts() == (made.journal / made.names()[-1]).read_bytes().count(b"PRIVATE")


def test_a_folder_that_says_no_is_said_and_tried_again(made: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    made.run()
    monkeypatch.setattr(module, "CHECK_EVERY_S", 0.0)
    made.cutoffs = Cutoffs(NOW, None)
    _, _, ageing = made.open()

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(module, "_write_synced", full)
        assert not ageing.work(made.store.offsets())
    assert "cannot be taken from the journal: No space left on device" in str(ageing.problem)
    assert ageing.work(made.store.offsets())
    assert ageing.problem is None


def test_it_looks_now_and_then_and_takes_one_segment_at_a_time(made: Installation) -> None:
    made.run()
    made.cutoffs = Cutoffs(NOW, NOW)
    _, _, ageing = made.open()
    counts = []
    for _ in range(len(made.names()) + 3):
        ageing.work(made.store.offsets())
        counts.append(len(made.names()))
    assert counts == [*range(counts[0], 0, -1), 1, 1, 1, 1][: len(counts)]
    made.write(3)
    made.run()
    assert not ageing.work(made.store.offsets()), "it has looked a moment ago"
