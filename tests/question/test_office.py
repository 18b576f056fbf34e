"""The office: readers that end badly, that are ended, that lie; and a ledger that is written meanwhile."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from gateway.question import office as office_module
from gateway.question import wire
from gateway.question.office import Office
from gateway.question.wire import Done, Failed, Fetch, Needs, Question, Ready
from gateway.stores import Batch, Refused
from gateway.stores.duckdb import Ledger
from gateway.stores.lending import Condition, Need
from gateway.stores.refusals import as_refusal
from gateway.trace.exchange_rows import ExchangeRow
from gateway.trace.record import Booted, Ended, Opened
from gateway.trace.segments import Segment
from tests.patience import PATIENCE_S, until

ENDLESS = "SELECT count(*) FROM range(1000000000000) a WHERE hash(a.range) % 7 = 8"
SEGMENT = Segment("3" * 32, 0, "4" * 32, 0)


def test_a_question_that_takes_too_long_is_killed_and_the_next_is_answered(
    ledger: Ledger, office: Office, ask: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(office_module, "QUERY_SECONDS", 4.0)
    began = time.monotonic()
    with pytest.raises(Refused) as refused:
        office.ask(ledger, Question(ENDLESS))
    assert refused.value.code == "sql_timeout"
    assert time.monotonic() - began < 15
    assert ask("SELECT count(*) FROM calls")["rows"] == [[300]]


def test_who_ends_a_reader_late_does_not_end_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first reader's deadline thread is held between seeing the process and sending the signal."""
    sent: list[int] = []
    entered, go_on = threading.Event(), threading.Event()

    def slow(process: int, number: int) -> None:
        entered.set()
        go_on.wait(PATIENCE_S)
        sent.append(process)

    monkeypatch.setattr(office_module.signal, "pidfd_send_signal", slow)
    ours, theirs = socket.socketpair()
    process = os.pidfd_open(os.getpid())
    visit = office_module.Visit(ours, Ready(os.getpid(), network=True, files=True), process)
    late = threading.Thread(target=visit.kill)
    late.start()
    assert entered.wait(PATIENCE_S)
    leaving = threading.Thread(target=visit.__exit__, args=(None, None, None))
    leaving.start()
    leaving.join(0.3)
    assert leaving.is_alive(), "the descriptor was closed while a signal was on its way to it"
    go_on.set()
    late.join(PATIENCE_S)
    leaving.join(PATIENCE_S)
    with pytest.raises(OSError):
        os.fstat(process)
    visit.kill()
    assert sent == [process, process]
    theirs.close()


def test_readers_that_are_no_more_leave_nothing_behind(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(office_module, "QUERY_SECONDS", 3.0)
    own = Office()
    try:
        own.ask(ledger, Question("SELECT 1"))
        threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
        for sql in ("SELECT * FROM exchanges", "SELECT nope", "SELECT * FROM exchanges LIMIT 1", ENDLESS, "DROP TABLE x"):
            try:
                own.ask(ledger, Question(sql))
            except Refused:
                continue
        own.ask(ledger, Question("SELECT 1"))
        until(lambda: threading.active_count() <= threads, what=threading.enumerate)
        assert len(os.listdir("/proc/self/fd")) <= files
    finally:
        own.close()


def test_a_nursery_that_was_killed_is_started_again(ledger: Ledger) -> None:
    own = Office()
    try:
        own.ask(ledger, Question("SELECT 1"))
        assert own._nursery is not None
        os.kill(own._nursery[0].pid, signal.SIGKILL)
        own._nursery[0].wait()
        for _ in range(2):
            assert own.ask(ledger, Question("SELECT 2")).rows == 1
    finally:
        own.close()


def test_a_closed_office_answers_nothing_and_leaves_no_process(ledger: Ledger) -> None:
    own = Office()
    own.warm()
    assert own._nursery is not None
    nursery = own._nursery[0]
    own.close()
    assert nursery.poll() == 0
    with pytest.raises(Refused) as refused:
        own.ask(ledger, Question("SELECT 1"))
    assert refused.value.code == "unavailable"


def with_memory(megabytes: int) -> tuple[str, str]:
    """A nursery whose readers may have less than usual."""
    less = f"fence.ADDRESS_SPACE = {megabytes} << 20"
    lines = "import sys", "from gateway.question import fence, nursery", less, "nursery.main(int(sys.argv[1]))"
    return "-c", "\n".join(lines)


def test_the_widest_table_is_read_with_a_fifth_of_the_memory(ledger: Ledger) -> None:
    small = Office(with_memory(200))
    try:
        assert small.ask(ledger, Question("SELECT * FROM exchanges ORDER BY started_at DESC LIMIT 7")).rows == 7
    finally:
        small.close()


@pytest.mark.parametrize("megabytes", [4, 12, 24])
def test_a_reader_that_has_too_little_memory_says_so_wherever_it_ends(ledger: Ledger, megabytes: int) -> None:
    small = Office(with_memory(megabytes))
    try:
        with pytest.raises(Refused) as refused:
            small.ask(ledger, Question("SELECT * FROM exchanges ORDER BY started_at DESC LIMIT 7"))
        assert refused.value.code in ("sql_memory", "sql_limits", "unavailable")
    finally:
        small.close()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (duckdb.InvalidInputException("MemoryError: <EMPTY MESSAGE>"), "sql_memory"), (MemoryError(), "sql_memory"),
        (duckdb.Error("std::bad_alloc"), "sql_memory"), (duckdb.IOException("IO Error: read: Cannot allocate memory"), "sql_memory"),
        (duckdb.InvalidInputException("Invalid Input Error: MemoryError: as somebody's query says"), "sql_error"),
        (duckdb.ParserException("Parser Error: no"), "sql_error"),
    ],
)  # fmt: skip
def test_who_wants_for_memory_and_says_it_in_other_words_is_understood(error: Exception, code: str) -> None:
    assert as_refusal(error).code == code


def test_questions_are_answered_side_by_side(ledger: Ledger, office: Office) -> None:
    answers: list[int] = []
    asking = [
        threading.Thread(target=lambda n=n: answers.append(office.ask(ledger, Question(f"SELECT * FROM exchanges LIMIT {n}")).rows))
        for n in range(1, 7)
    ]
    for each in asking:
        each.start()
    for each in asking:
        each.join()
    assert sorted(answers) == [1, 2, 3, 4, 5, 6]


def exchange(n: int, state: str) -> ExchangeRow:
    return ExchangeRow(f"{n:032x}", n, "openai.chat", "openai", "chat", "/v1", "a", state=state)


def test_every_exchange_is_seen_once_while_the_book_writes(tmp_path: Path, office: Office) -> None:
    """Open and ended exchanges are two tables, and two streams to a reader: both must be of one snapshot."""
    ledger = Ledger(tmp_path / "ledger.duckdb")
    at = 1

    def apply(*records: Any) -> None:
        nonlocal at
        ledger.apply([Batch(SEGMENT, [(at + n, each) for n, each in enumerate(records)], at + len(records), bytes(32))])
        at += len(records)

    apply(Booted(SEGMENT.run, 0, SEGMENT.boot, 1), *(Opened(exchange(n, "open"), ()) for n in range(400)))
    stop = threading.Event()

    def write() -> None:
        for n in range(400):
            apply(Ended(exchange(n, "complete"), ()))
            if stop.wait(0.005):
                return

    writing = threading.Thread(target=write)
    writing.start()
    try:
        question = Question("SELECT count(*), count(DISTINCT id) FROM exchanges")
        seen = [msgspec.json.decode(office.ask(ledger, question).body)["rows"] for _ in range(8)]
    finally:
        stop.set()
        writing.join()
        ledger.close()
    assert seen == [[[400, 400]]] * 8


class Liar:
    """A reader that says what it is told to say."""

    def __init__(self, *said: wire.ToOffice | bytes) -> None:
        self.said = said

    def forked(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        threading.Thread(target=self._talk, args=(theirs,), daemon=True).start()
        return ours

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            for each in self.said:
                if isinstance(each, bytes):
                    connection.sendall(each)
                else:
                    wire.send(connection, each)
            connection.settimeout(3)
            try:
                while connection.recv(65536):
                    continue
            except OSError:
                return


@pytest.fixture
def childs_child() -> Iterator[int]:
    """A process that may be killed in a liar's place."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    yield pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


NEEDS = Needs([Need("calls", ["id"], [[]])])


@pytest.mark.parametrize(
    "said",
    [
        (b"",),
        (b"\xff\xff\xff\xff",),
        (b"\0\0\0\2{}",),
        (Done(1, False, 3), b"abc"),
        (Fetch("calls"),),
        (Needs([Need("calls; DROP TABLE calls", ["id"], [])]),),
        (Needs([Need("calls", ['id", (SELECT 1) AS "x'], [])]),),
        (Needs([Need("calls", [], [])]),),
        (Needs([Need("schema_migrations", ["nope"], [])]),),
        (Needs([Need("calls", ["id"], [[Condition('1=1 OR "id', "=", "x")]])]),),
        (Needs([Need("calls", ["id"], [[Condition("id", "=", "x")] * 1000])]),),
        (Needs([Need("calls", ["id"], [[]] * 1000)]),),
        (NEEDS, Fetch("exchanges_ended")),
        (NEEDS, Done(1, False, wire.MAX_BODY + 1)),
        (NEEDS, Done(1, False, -1)),
        (NEEDS, Done(1, False, 10), b"short"),
        (NEEDS, Needs([Need("boots", ["run"], [[]])])),
        (NEEDS, Needs([Need("calls", ["nope"], [[]])])),
        (NEEDS, Failed("unauthorized", "the code is none of a reader's")),
        (NEEDS, b"\0\0\0\1"),
    ],
)
def test_a_reader_that_was_taken_over_gets_nothing_and_breaks_nothing(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, childs_child: int, said: tuple[wire.ToOffice | bytes, ...]
) -> None:
    monkeypatch.setattr(office_module, "QUERY_SECONDS", 0.5)
    own = Office()
    monkeypatch.setattr(own, "_forked", Liar(Ready(childs_child, True, True), *said).forked)
    with pytest.raises(Refused) as refused:
        own.ask(ledger, Question("SELECT 1"))
    assert refused.value.code.startswith("sql_")
    assert ledger.query("SELECT count(*) FROM calls", 1).rows == [[300]]


@pytest.mark.parametrize("said", [b"", b"\0\0\0\2[]", b"\xff\xff\xff\xff"])
def test_who_does_not_even_say_that_it_is_ready_is_not_asked(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(office_module, "BEGIN_SECONDS", 0.5)
    own = Office()
    monkeypatch.setattr(own, "_forked", Liar(said).forked)
    with pytest.raises(Refused) as refused:
        own.ask(ledger, Question("SELECT 1"))
    assert refused.value.code == "unavailable"


def test_rows_that_end_early_are_no_answer(ledger: Ledger, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """An Arrow stream that is cut at a batch looks whole to who reads it."""

    class Torn:
        def __init__(self, rows: Any) -> None:
            self.schema, self._rows = rows.schema, rows

        def __iter__(self) -> Iterator[Any]:
            yield next(iter(self._rows))
            raise OSError("the disk is gone")

        def close(self) -> None:
            self._rows.close()

    from gateway.stores import lending

    whole = lending.Loan.rows
    monkeypatch.setattr(lending.Loan, "rows", lambda self, table: Torn(whole(self, table)))
    with pytest.raises(Refused, match="the disk is gone"):
        office.ask(ledger, Question("SELECT count(*) FROM calls"))
