"""Turns of an agent as spans `invoke_agent`: where they begin and end, what they add up to, how many are remembered."""

from __future__ import annotations

import msgspec
import pytest

from gateway.trace import otel
from gateway.trace.exchange_rows import ExchangeRow
from gateway.trace.turns import IDLE_US, MOST_LINKS, Turns

ROW = ExchangeRow(
    id="x0", started_us=1_000_000, dialect="openai.chat", provider="openai", operation="chat", route="/v1", agent="bot", session="s",
    request_model="m", state="complete", duration_us=500, input_tokens=10, output_tokens=1, cost="0.1",
)  # fmt: skip


def step(number: int, **fields) -> ExchangeRow:
    return msgspec.structs.replace(ROW, id=f"x{number}", started_us=ROW.started_us + number * 1000, **fields)


def test_a_turn_goes_on_while_calls_are_delivered_and_adds_up():
    turns = Turns()
    assert turns.ended(step(0, calls=1)) is None
    assert turns.ended(step(1, calls=2, denied=1, cost=None)) is None
    span = turns.ended(step(2, state="denied", calls=1, denied=1, output_tokens=None))
    assert (span.name, span.kind, span.parent_id) == ("invoke_agent bot", "internal", None)
    assert (span.start_ns, span.end_ns) == (1_000_000_000, (1_002_000 + 500) * 1000)
    assert span.links == tuple(otel.ids(step(number)) for number in range(3))
    told = span.attributes
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"], told["tollhouse.cost"]) == (30, 2, 0.2)
    assert (told["tollhouse.exchanges"], told["tollhouse.calls"], told["tollhouse.denied"]) == (3, 4, 2)


def test_sessions_and_callers_have_turns_of_their_own():
    turns = Turns()
    turns.ended(step(0, calls=1))
    assert turns.ended(step(1, session="other")).attributes["tollhouse.exchanges"] == 1
    for whose in ({"agent": "other"}, {"org": "other"}, {"team": "other"}, {"user": "other"}):
        assert turns.ended(step(1, **whose)).attributes["tollhouse.exchanges"] == 1
    assert turns.ended(step(2)).attributes["tollhouse.exchanges"] == 2


@pytest.mark.parametrize("fields", [{"operation": "embeddings"}, {"trace_id": "0" * 31 + "1"}, {"session": ""}, {"state": "rejected"}])
def test_of_what_is_no_part_of_a_turn_none_is_made(fields):
    turns = Turns()
    turns.ended(step(0, calls=1))
    assert turns.ended(step(1, **fields)) is None
    assert turns.ended(step(2)).attributes["tollhouse.exchanges"] == 2


def test_a_broken_answer_ends_a_turn_as_failed():
    turns = Turns()
    span = turns.ended(step(0, state="upstream_reset", calls=1, input_tokens=None, output_tokens=None, cost=None))
    assert (span.failed, span.attributes["error.type"]) == ("upstream_reset", "upstream_reset")
    assert not {"gen_ai.usage.input_tokens", "tollhouse.cost"} & set(span.attributes)


def test_a_turn_that_nobody_went_on_with_is_not_gone_on_with():
    turns = Turns()
    turns.ended(step(0, calls=1))
    late = msgspec.structs.replace(ROW, id="late", started_us=ROW.started_us + 501 + IDLE_US)
    assert turns.ended(late).attributes["tollhouse.exchanges"] == 1


def test_of_too_many_the_oldest_is_forgotten():
    turns = Turns(most=2)
    for number in range(3):
        turns.ended(step(number, calls=1, session=str(number)))
    assert turns.ended(step(9, session="0")).attributes["tollhouse.exchanges"] == 1
    assert turns.ended(step(9, session="2")).attributes["tollhouse.exchanges"] == 2


def test_a_long_turn_counts_all_and_links_so_many():
    turns = Turns()
    for number in range(MOST_LINKS + 5):
        turns.ended(step(number, calls=1))
    span = turns.ended(step(MOST_LINKS + 5))
    assert (len(span.links), span.attributes["tollhouse.exchanges"]) == (MOST_LINKS, MOST_LINKS + 6)
