"""Rows of the GenAI views as spans."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal

import pytest

from gateway.trace import otel

AT = dt.datetime(2026, 11, 21, 12, 0, 0, 123456)  # noqa: DTZ001 - as the ledger gives them
ID = "01a1fdc4-cfd2-722b-9d8b-c62a23801532"
EXCHANGE = {
    "id": ID, "start_time": AT, "end_time": AT + dt.timedelta(seconds=2), "gen_ai_operation_name": "chat",
    "gen_ai_request_model": "gpt-x", "gen_ai_response_finish_reasons": ["stop"], "gen_ai_usage_input_tokens": 12,
    "gen_ai_usage_cache_read_input_tokens": None, "gen_ai_usage_cost_amount": Decimal("0.000012345"), "gen_ai_request_stream": True,
    "error_type": None, "state": "complete", "calls": 1, "something_new": "kept",
}  # fmt: skip
CALL = {
    "id": "dec_1", "exchange_id": ID, "start_time": AT, "gen_ai_operation_name": "execute_tool", "gen_ai_tool_name": "pay",
    "gen_ai_tool_call_arguments": '{"to":"Ada"}', "gen_ai_security_verdict": "deny", "released": False, "reason": "",
}  # fmt: skip


def test_an_exchange_is_a_client_span_in_a_trace_of_its_own():
    span = otel.exchange(EXCHANGE)
    assert (span.name, span.client, span.parent_id, span.failed) == ("chat gpt-x", True, None, None)
    assert span.trace_id == uuid.UUID(ID).int
    assert span.end_ns - span.start_ns == 2 * 10**9
    assert span.start_ns == 1_795_262_400_123_456_000
    assert span.attributes == {
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-x", "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 12, "gen_ai.usage.cost.amount": 0.000012345, "gen_ai.request.stream": True,
        "tollhouse.state": "complete", "tollhouse.calls": 1, "tollhouse.something_new": "kept",
    }  # fmt: skip


def test_a_call_is_inside_the_span_of_its_exchange_and_carries_no_content():
    parent, span = otel.exchange(EXCHANGE), otel.call(CALL)
    assert (span.trace_id, span.parent_id, span.name) == (parent.trace_id, parent.span_id, "execute_tool pay")
    assert "Ada" not in repr(span)
    assert span.attributes["gen_ai.security.verdict"] == "deny"
    assert span.attributes["tollhouse.released"] is False


def test_what_is_exported_twice_is_the_same_and_two_are_not():
    assert otel.call(CALL) == otel.call(dict(CALL))
    assert otel.call(CALL).span_id != otel.call({**CALL, "id": "dec_2"}).span_id


@pytest.mark.parametrize(("state", "failed"), [("denied", None), ("complete", None), ("upstream_error", "slow"), ("interrupted", "slow")])
def test_a_denial_is_no_failure_and_a_broken_answer_is(state, failed):
    assert otel.exchange({**EXCHANGE, "state": state, "error_type": "slow"}).failed == failed


def test_an_exchange_without_an_end_has_no_length_and_an_odd_id_is_hashed():
    span = otel.exchange({**EXCHANGE, "id": "odd", "end_time": None, "state": "interrupted", "when": dt.date(2026, 1, 1)})
    assert span.end_ns == span.start_ns
    assert span.trace_id.bit_length() <= 128
    assert (span.failed, span.attributes["tollhouse.when"]) == ("interrupted", "2026-01-01")
