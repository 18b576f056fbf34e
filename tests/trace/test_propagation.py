"""Trace ids, sampling and what the provider is told."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import uuid7
from gateway.exchange import TraceParent
from gateway.trace import propagation

ID = "01a1fdc4-cfd2-722b-9d8b-c62a23801532"
CLIENT = TraceParent("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", 1, "vendor=1")
SPAN = f"{propagation.span_id(ID):016x}"


def test_an_exchange_has_its_own_trace_or_the_clients():
    assert propagation.trace_id(ID) == int(ID.replace("-", ""), 16)
    assert propagation.trace_id(ID, CLIENT.trace_id) == int(CLIENT.trace_id, 16)
    odd = {propagation.trace_id(name) for name in ("odd", "X" * 32, "other")}
    assert len(odd) == 3
    assert all(0 < each < 2**128 for each in odd)


@given(st.text(max_size=40))
def test_a_span_id_has_64_bits_and_is_never_nothing(name):
    assert 0 < propagation.span_id(name) < 2**64
    assert propagation.span_id(name) == propagation.span_id(name)


def test_a_clients_decision_about_its_trace_counts():
    assert propagation.sampled(1, True, 0.0)
    assert not propagation.sampled(2**128 - 1, False, 1.0)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_of_our_own_traces_the_share_is_kept_although_half_of_their_ids_is_time(share):
    drawn = [propagation.sampled(propagation.trace_id(str(uuid7())), None, share) for _ in range(4000)]
    assert abs(sum(drawn) / 4000 - share) < 0.05
    assert share not in (0.0, 1.0) or sum(drawn) == 4000 * share


@given(st.integers(0, 2**128 - 1), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_holds_every_trace_of_a_smaller_one(trace, one, other):
    less, more = sorted((one, other))
    assert not propagation.sampled(trace, None, less) or propagation.sampled(trace, None, more)


def test_who_records_nothing_hands_on_what_came():
    assert propagation.onward(ID, None, recording=False, share=1) == {}
    told = propagation.onward(ID, CLIENT, recording=False, share=1)
    assert told == {"traceparent": f"00-{CLIENT.trace_id}-{CLIENT.span_id}-01", "tracestate": "vendor=1"}


def test_who_records_is_the_providers_parent():
    assert propagation.onward(ID, CLIENT, recording=True, share=1)["traceparent"] == f"00-{CLIENT.trace_id}-{SPAN}-01"
    assert propagation.onward(ID, None, recording=True, share=1) == {"traceparent": f"00-{ID.replace('-', '')}-{SPAN}-01"}
    assert propagation.onward(ID, None, recording=True, share=0)["traceparent"].endswith("-00")


@pytest.mark.parametrize(("flags", "told"), [(0, "00"), (1, "01"), (3, "03"), (0xFF, "03"), (0xFE, "02")])
def test_flags_of_a_later_version_are_not_handed_on(flags, told):
    parent = TraceParent(CLIENT.trace_id, CLIENT.span_id, flags)
    assert propagation.onward(ID, parent, recording=bool(random.getrandbits(1)), share=1)["traceparent"].endswith(f"-{told}")
    assert "tracestate" not in propagation.onward(ID, parent, recording=True, share=1)
