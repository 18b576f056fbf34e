"""Who writes for whom, under which addresses and seals."""

from __future__ import annotations

from gateway.exchange import Caller
from gateway.trace.hand import about_approval, about_call, about_exchange, about_feedback, about_message, about_prompt
from gateway.trace.redact import Redactor
from gateway.trace.scribe import Scribe
from tests.trace.exchanges import scribe


def test_another_installation_has_other_addresses():
    assert scribe().hands.address(b"x") != Scribe(b"z" * 32, Redactor([])).hands.address(b"x")
    assert scribe().hands.address(b"x") == scribe().hands.address(b"x")


def test_what_is_sealed_is_sealed_about_one_row_and_no_other():
    abouts = [about_message("1"), about_prompt("1"), about_call("1"), about_exchange("1"), about_approval("1"), about_feedback("1")]
    assert len(set(abouts)) == 6
    assert about_message("1") != about_message("2")


def test_hands_are_kept_ready_within_a_bound_and_each_tenant_and_mode_has_its_own(monkeypatch):
    monkeypatch.setattr("gateway.trace.hand.MOST_HANDS", 2)
    writer, callers = scribe(), [Caller(name) for name in ("a", "b", "c")]
    ways = [(caller, mode) for caller in callers for mode in ("full", "redacted", "metadata")]
    first = {(caller.agent, mode): writer.hands.of(mode, caller).address(b"x") for caller, mode in ways}
    assert len(set(first.values())) == len(first)
    assert len(writer.hands._ready) <= 2
    assert first == {(agent, mode): writer.hands.of(mode, Caller(agent)).address(b"x") for agent, mode in first}
