"""An observatory that is opened late hears everything all the same, in order, and keeps nobody waiting."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from gateway.stores import Applied, Batch
from gateway.telemetry import late
from gateway.telemetry.late import LateObservatory
from gateway.trace.record import Booted
from gateway.trace.segments import Segment
from tests.patience import PATIENCE_S

BOOTED = Booted(run="r", slot=0, boot="b", at_us=1)


class Opened:
    """What an observatory is to the book."""

    def __init__(self) -> None:
        self.told: list[Applied] = []
        self.closed = False

    def tell(self, applied: Applied, batches: Any) -> None:
        self.told.append(applied)

    def page(self, accept: str) -> tuple[bytes, str]:
        return str(len(self.told)).encode(), accept

    def untold(self) -> int:
        return 7

    def close(self) -> None:
        self.closed = True


def applied(records: int = 1, interrupted: tuple[str, ...] = ("x",)) -> Applied:
    return Applied(records, (), (), interrupted)


def batch(*records: Any) -> list[Batch]:
    return [Batch(Segment("r", 0, "b", 0), list(enumerate(records)), 0, None)]


@pytest.fixture
def made() -> list[Opened]:
    return []


@pytest.fixture
def may_open() -> threading.Event:
    return threading.Event()


@pytest.fixture
def observatory(made, may_open) -> LateObservatory:
    def open_() -> Any:
        assert may_open.wait(PATIENCE_S)
        made.append(Opened())
        return made[0]

    return LateObservatory(open_, at_once=False)


def test_that_the_gateway_was_started_opens_nothing(observatory, made):
    observatory.tell(applied(interrupted=()), batch(BOOTED))
    observatory.close()
    assert made == []
    assert observatory.untold() == 0


def test_what_is_told_while_it_is_opened_arrives_once_and_in_order_and_nobody_waits(observatory, made, may_open):
    first, *others = told = [applied(interrupted=(str(number),)) for number in range(50)]
    observatory.tell(first, batch(BOOTED))
    for each in others[:20]:
        observatory.tell(each, batch())
    assert made == []
    may_open.set()
    for each in others[20:]:
        observatory.tell(each, batch())
    observatory.close()
    assert len(made) == 1
    assert made[0].told == told
    assert made[0].closed


def test_whoever_looks_has_it_opened(observatory, made, may_open):
    may_open.set()
    assert observatory.page("text/plain") == (b"0", "text/plain")
    observatory.tell(applied(), batch())
    assert observatory.page("text/plain")[0] == b"1"
    assert len(made) == 1
    assert observatory.untold() == 7


def test_what_does_not_fit_while_it_is_opened_is_left_out_and_counted(observatory, made, may_open, monkeypatch):
    monkeypatch.setattr(late, "MOST_RECORDS", 10)
    fits, too_many = applied(records=10), Applied(1, (object(), object()), (), ())
    observatory.tell(fits, batch())
    observatory.tell(too_many, batch())
    assert observatory.untold() == 2
    may_open.set()
    observatory.close()
    assert made[0].told == [fits]
    assert observatory.untold() == 2 + 7


def test_what_cannot_be_opened_is_said_once_and_neither_ends_the_book_nor_is_it_hidden_from_who_looks(caplog):
    def open_() -> Any:
        raise ValueError("no such collector")

    observatory = LateObservatory(open_, at_once=False)
    for _ in range(3):
        observatory.tell(applied(), batch())
    observatory.close()
    assert caplog.text.count("telemetry could not be opened") == 1
    with pytest.raises(ValueError, match="no such collector"):
        observatory.page("text/plain")
    with pytest.raises(ValueError, match="no such collector"):
        LateObservatory(open_, at_once=True)
