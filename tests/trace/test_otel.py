"""Records as spans: names, types, parents, failures; nothing of content unless it is given."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.semconv._incubating.attributes import (
    error_attributes,
    gen_ai_attributes,
    http_attributes,
    user_attributes,
)

from gateway.trace import otel
from gateway.trace.exchange_rows import CallRow, ExchangeRow, HeardRow
from gateway.verdict import Finding, Ran

ID = "01a1fdc4-cfd2-722b-9d8b-c62a23801532"
CLIENT = "0af7651916cd43dd8448eb211c80319c"
ROW = ExchangeRow(
    id=ID, started_us=1_795_262_400_123_456, dialect="openai.chat", provider="openai", operation="chat", route="/v1/chat/completions",
    agent="bot", session="s-1", request_model="gpt-x", response_model="gpt-x-1", stream=True, status=200, state="complete",
    finish_reasons=("stop",), input_tokens=12, cache_read_tokens=3, output_tokens=5, reasoning_tokens=2, cost="0.000012345",
    first_byte_us=1_500_000, duration_us=2_000_000, calls=1, upstream="up", error_message="secret words", input_preview="secret words",
)  # fmt: skip
CALL = CallRow(
    exchange_id=ID, id="dec_1", decided_us=1_795_262_401_000_000, index=0, call_id="c1", name="pay", type="function",
    arguments='{"to":"Ada"}', arguments_hash="h", effect="deny", released=False, code="rule", reason="not to Ada", agent="bot",
    session="s-1", policy="p", rule="r", judged_us=40,
)  # fmt: skip
KNOWN = {
    value
    for module in (gen_ai_attributes, error_attributes, http_attributes, user_attributes)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str)
}


def changed(row, **fields):
    return msgspec.structs.replace(row, **fields)


def every_name(span: otel.Span) -> set[str]:
    return set(span.attributes) | {name for event in span.events for name in event.attributes} | {event.name for event in span.events}


def full():
    """A span of an exchange of which all is said."""
    ran = [Ran("secret", "1", outcome="hit", score=0.5)]
    heard = [HeardRow(ID, 1_795_262_401_000_000, "output", "answer", "p", "r", "warn", "enforce", message="quotes")]
    return otel.exchange(ROW, ran, heard, [Finding("json", "odd", "warn", "x", "quotes")], otel.Said('[{"role":"user"}]', "[]"))


def test_an_exchange_is_a_client_span_in_a_trace_of_its_own():
    span = otel.exchange(ROW)
    assert (span.name, span.kind, span.parent_id, span.failed) == ("chat gpt-x", "client", None, None)
    assert (span.trace_id, span.end_ns - span.start_ns) == (int(ID.replace("-", ""), 16), 2 * 10**9)
    told = span.attributes
    assert told["gen_ai.usage.input_tokens"] == 15
    assert told["gen_ai.usage.output_tokens"] == 7
    assert told["gen_ai.response.time_to_first_chunk"] == 1.5
    assert told["gen_ai.response.finish_reasons"] == ("stop",)
    assert told["tollhouse.cost"] == 0.000012345
    assert "error.type" not in told


def test_a_client_that_traces_is_the_parent():
    span = otel.exchange(changed(ROW, trace_id=CLIENT, parent_span_id="b7ad6b7169203331"))
    assert (f"{span.trace_id:032x}", f"{span.parent_id:016x}") == (CLIENT, "b7ad6b7169203331")
    inside = otel.call(CALL, CLIENT)
    assert (inside.trace_id, inside.parent_id) == (span.trace_id, span.span_id)


def test_a_call_is_inside_the_span_of_its_exchange_for_as_long_as_it_was_judged():
    parent, span = otel.exchange(ROW), otel.call(CALL, None)
    assert (span.trace_id, span.parent_id, span.name, span.kind) == (parent.trace_id, parent.span_id, "execute_tool pay", "internal")
    assert span.end_ns - span.start_ns == 40_000
    assert (span.attributes["tollhouse.verdict"], span.attributes["tollhouse.released"], span.failed) == ("deny", False, None)


def test_content_is_told_only_where_it_is_given():
    assert "Ada" not in repr(otel.call(CALL, None))
    assert otel.call(CALL, None, content=True).attributes["gen_ai.tool.call.arguments"] == '{"to":"Ada"}'
    span = full()
    assert "secret words" not in repr(span)
    assert "quotes" not in repr(span)
    assert span.attributes["gen_ai.input.messages"] == '[{"role":"user"}]'


def test_every_name_is_the_conventions_or_begins_with_ours():
    names = every_name(full()) | every_name(otel.call(CALL, None, content=True)) | every_name(otel.exchange(changed(ROW, state="rejected")))
    assert {name for name in names if not name.startswith("tollhouse.")} <= KNOWN | {"gen_ai.evaluation.result"}


def test_validators_rules_and_findings_are_events():
    span = full()
    assert [event.name for event in span.events] == ["gen_ai.evaluation.result", "tollhouse.rule", "tollhouse.finding"]
    assert span.events[0].attributes["gen_ai.evaluation.score.label"] == "hit"
    assert span.events[0].at_ns == span.end_ns


@pytest.mark.parametrize(
    ("state", "code", "failed"),
    [("denied", None, None), ("denied", "rule", None), ("complete", None, None), ("client_gone", None, None), ("rejected", "bad", "bad"),
     ("upstream_error", "429", "429"), ("interrupted", None, "interrupted")],
)  # fmt: skip
def test_a_denial_is_no_failure_and_a_broken_answer_is(state, code, failed):
    span = otel.exchange(changed(ROW, state=state, error_code=code))
    assert (span.failed, span.attributes.get("error.type")) == (failed, failed)


def test_what_nobody_knows_is_not_told_as_nothing():
    span = otel.exchange(changed(ROW, input_tokens=None, cache_read_tokens=None, cost=None, stream=False))
    assert not {"gen_ai.usage.input_tokens", "tollhouse.cost", "gen_ai.request.stream"} & set(span.attributes)
    assert "gen_ai.response.time_to_first_chunk" not in span.attributes


def test_what_was_refused_before_a_provider_was_asked_is_no_clients_span():
    assert otel.exchange(changed(ROW, state="rejected", upstream=None)).kind == "internal"
    no_request = otel.exchange(changed(ROW, state="rejected", upstream=None, provider="", dialect="http", request_model=""))
    assert (no_request.name, "gen_ai.operation.name" in no_request.attributes) == ("http", False)


def test_counting_tokens_is_no_use_of_tokens():
    assert "gen_ai.usage.input_tokens" not in otel.exchange(changed(ROW, operation="count_tokens")).attributes


@given(st.lists(st.one_of(st.none(), st.integers(0, 10**6)), min_size=11, max_size=11))
def test_every_class_of_tokens_is_counted_once(counts):
    names = ("input", "cache_read", "cache_write", "cache_write_1h", "audio_input", "audio_cache_read", "image_input",
             "output", "reasoning", "audio_output", "image_output")  # fmt: skip
    row = changed(ROW, **{f"{name}_tokens": count for name, count in zip(names, counts, strict=True)})
    known = [count for count in counts if count is not None]
    assert (otel.input_tokens(row) or 0) + (otel.output_tokens(row) or 0) == sum(known)
    assert (otel.input_tokens(row) is None) == all(count is None for count in counts[:7])
