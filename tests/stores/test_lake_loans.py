"""What is lent of a lake: one snapshot of all tables, whoever commits meanwhile, and the answers of the embedded ledger."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nanoarrow as na
import pytest

from gateway.ledger_place import LakePlace
from gateway.question.office import Office
from gateway.question.snapshots import Snapshots
from gateway.question.wire import Question
from gateway.stores import Refused
from gateway.stores.ducklake import Lake
from gateway.stores.lending import Condition, Need

WHOLE = [[]]


@pytest.fixture
def lake(lake_place: LakePlace) -> Iterator[Lake]:
    opened = Lake(lake_place, "1" * 32)
    yield opened
    opened.close()


def told(loan: Any, table: str) -> list[Any]:
    return sorted(value for batch in loan.rows(table) for value in na.Array(batch.child(0)).to_pylist())


def test_a_loan_is_of_one_snapshot_whoever_commits_meanwhile(lake: Lake, lake_place: LakePlace, make: Any) -> None:
    segment, other = make.segment(), make.segment(run=2)
    lake.apply([make.batch(segment, [make.booted(segment), make.opened(1), make.ended(2, calls=[make.call(2, 2)])])])
    loan = lake.loan([Need(table, [name], WHOLE) for table, name in _FIRST.items()])
    before = told(loan, "exchanges_open")
    elsewhere = Lake(lake_place, "2" * 32)
    elsewhere.apply([make.batch(other, [make.booted(other), make.opened(3), make.ended(4, calls=[make.call(4, 4)])])])
    elsewhere.close()
    lake.apply([make.batch(segment, [make.ended(1)], 30)])
    assert before == told(loan, "exchanges_open") == [f"{1:032x}"]
    assert told(loan, "exchanges_ended") == told(loan, "calls") == [f"{2:032x}"]
    assert told(loan, "message_bodies") == [f"{1:032x}", f"{2:032x}"]
    assert told(loan, "journal_offsets") == [segment.name]
    assert told(loan, "exchange_sums") == ["coder"]
    assert told(loan, "wear") == []
    loan.close()
    now = lake.loan([Need("exchanges_ended", ["id"], [[Condition("id", ">=", f"{2:032x}")]])])
    assert told(now, "exchanges_ended") == [f"{2:032x}", f"{4:032x}"]
    now.close()


def test_the_gateways_own_questions_see_the_rows_of_teams_alone(lake: Lake, make: Any) -> None:
    segment = make.segment()
    told_of = [make.ended(n, team=team, calls=[make.call(n, n)]) for n, team in ((2, "red"), (3, "blue"), (4, None))]
    lake.apply([make.batch(segment, [make.booted(segment), *told_of])])
    for sql in ("SELECT id FROM exchanges", "SELECT exchange_id AS id FROM calls"):
        assert lake.fetch(sql, {}, frozenset({"red"})) == [{"id": f"{2:032x}"}]
        assert len(lake.fetch(sql, {})) == 3
        assert lake.fetch(sql, {}, frozenset()) == []
    assert lake.fetch("SELECT sum(calls)::BIGINT AS n FROM call_sums", {}, frozenset({"red"})) == [{"n": 1}]
    with pytest.raises(Refused):
        lake.fetch("SELECT * FROM lake.exchanges_ended", {}, frozenset({"red"}))


_FIRST = {
    "exchanges_open": "id", "exchanges_ended": "id", "calls": "exchange_id", "message_bodies": "hash", "journal_offsets": "segment",
    "exchange_sums": "agent", "wear": "dead",
}  # fmt: skip


_HOSTILE = ["' OR true --", "it's", '"', "\\", "a\x00b", "é…\U0001f600", "x" * 100_000]


def test_a_value_is_compared_as_what_it_is_and_finds_its_rows(lake: Lake, make: Any) -> None:
    segment = make.segment()
    said = [make.ended(number, agent=agent) for number, agent in enumerate(_HOSTILE)]
    lake.apply([make.batch(segment, [make.booted(segment), *said, make.ended(99)])])
    for agent in _HOSTILE:
        found = lake.loan([Need("exchanges_ended", ["agent"], [[Condition("agent", "=", agent)]])])
        if "\x00" in agent:  # the catalogue cannot be asked about a zero byte: refused, and nothing else is found instead
            with pytest.raises(Refused, match="cannot be read"):
                told(found, "exchanges_ended")
        else:
            assert told(found, "exchanges_ended") == [agent]
        found.close()
    everybody = [row[0] for row in lake.query("SELECT left(agent, 9) FROM exchanges", 99).rows]
    assert sorted(everybody) == sorted([*(agent[:9] for agent in _HOSTILE), "coder"])


def test_questions_and_snapshots_are_answered_as_from_a_file(lake: Lake, make: Any, tmp_path: Any) -> None:
    segment = make.segment()
    lake.apply([make.batch(segment, [make.booted(segment), make.opened(1), make.ended(2, cost="0.5"), make.ended(3, cost="0.25")])])
    office = Office()
    try:
        reply = office.ask(lake, Question("SELECT state, count(*), sum(cost) FROM exchanges GROUP BY ALL ORDER BY 1", 10, {}, "json"))
        with pytest.raises(Refused, match="there is no table"):
            office.ask(lake, Question("SELECT * FROM exchanges_opened", 10, {}, "json"))
    finally:
        office.close()
    assert b'["complete",2,"0.750000000"],["open",1,null]' in reply.body
    made = Snapshots(tmp_path / "snapshots").make(lake, lake.views())
    assert made.rows >= 3
