"""The inside's bench: what goes through it is the provider's answer, and every request is recorded."""

import asyncio

import pytest

from gateway.trace.record import Ended
from tests.bench import inside, wire


@pytest.mark.parametrize("name", inside.KINDS)
def test_requests_are_answered_as_by_the_gateway_and_each_has_its_record(name):
    kind, size = inside.KINDS[name]
    records = []
    with inside.inside(kind, size, keep=records.append) as one, asyncio.Runner() as runner:
        answers = [runner.run(one.once()) for _ in range(3)]
    assert all(wire.is_whole(kind, answer) for answer in answers)
    assert [each.exchange.state for each in records if isinstance(each, Ended)] == ["complete"] * 3


def test_calls_are_counted_where_they_are_made():
    calls = inside.counted("plain", "2k", 5)
    assert calls["pipeline.py"] >= 10
    assert calls["builtins"] > calls["pipeline.py"]


def test_time_is_told_beside_the_yardsticks(monkeypatch):
    monkeypatch.setattr(inside, "ROUNDS", 2)
    us, yardsticks = inside.timed("plain", "2k", 2)
    assert us > 0
    assert yardsticks > 0
