"""Ends that the journal refused wait, as many as there is room for, and are written once."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import JournalUnavailable, RecordTooLong
from gateway.late_ends import LateEnds


class Late:
    """What waits: the journal refuses it so many times."""

    def __init__(self, refused: int = 0, request_bytes: int = 1, error: type[Exception] = JournalUnavailable) -> None:
        self.written, self.request_bytes = 0, request_bytes
        self._refused, self._error = refused, error

    async def end_late(self) -> None:
        self._refused -= 1
        if self._refused >= 0:
            raise self._error("no")
        self.written += 1


def rounds(late: LateEnds, count: int) -> None:
    for _ in range(count):
        asyncio.run(late.write())


def test_each_is_written_once_in_order_when_the_journal_takes_it():
    late, waiting = LateEnds(), [Late(), Late(refused=2), Late()]
    for each in waiting:
        late.keep(each)
    rounds(late, 1)
    assert ([each.written for each in waiting], len(late)) == ([1, 0, 0], 2)
    rounds(late, 3)
    assert ([each.written for each in waiting], len(late)) == ([1, 1, 1], 0)


@pytest.mark.parametrize("error", [ValueError, RecordTooLong])
def test_one_that_can_never_be_written_keeps_nobody_from_it(caplog, error):
    late, waiting = LateEnds(), [Late(refused=9, error=error), Late()]
    for each in waiting:
        late.keep(each)
    rounds(late, 1)
    assert ([each.written for each in waiting], len(late)) == ([0, 1], 0)
    assert "be recorded" in caplog.text


@pytest.mark.parametrize(("size", "kept"), [(1, 256), (1024 * 1024, 32), (20 * 1024 * 1024, 1)])
def test_what_waits_is_bounded_and_what_finds_no_room_is_told(caplog, size, kept):
    late = LateEnds()
    for _ in range(kept + 1):
        late.keep(Late(request_bytes=size))
    assert len(late) == kept
    assert f"refused those of {kept} already" in caplog.text
