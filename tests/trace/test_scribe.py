"""From an exchange to its rows."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.answer import Answer, Usage
from gateway.exchange import Attempt, Caller, Rendered
from gateway.prompt.fingerprint import fingerprint
from gateway.request import Request, Tool
from gateway.trace.redact import Redactor
from gateway.trace.scribe import Links, Priced, Scribe
from gateway.verdict import Call, Finding, Heard, RuleHit
from tests.trace.exchanges import ALLOW, DENY, SECRET, call, exchange, message, request, scribe


@pytest.mark.parametrize("mode", ["full", "redacted", "metadata"])
def test_no_known_secret_is_in_any_row(mode):
    writer = scribe()
    said = request(message("user", f"key {SECRET}"))
    x = exchange(request=said, calls=[(call(f'{{"k":"{SECRET}"}}'), DENY)], error_message=SECRET)
    x.storing, x.findings = mode, [Finding("v", "c", "warn", SECRET, SECRET)]
    x.answer = Answer(text=f"it is {SECRET}", usage_raw=f'{{"x":"{SECRET}"}}'.encode())
    x.caller = Caller("bot", client=SECRET)
    rows = [
        writer.texts.request_messages(x, 1),
        writer.texts.response_message(x, 1),
        writer.call(x, *x.calls[0], decision="d", decided_us=1, judged_us=1),
        writer.exchange(x, provider="openai", durability="commit", priced=Priced(), links=Links()),
        writer.texts.prompt(x, fingerprint(request(message("system", SECRET))), 1),
        writer.findings(x),
    ]
    assert SECRET not in repr(rows)


def test_equal_arguments_have_one_hash_however_they_are_written():
    writer = scribe()
    rows = [
        writer.call(exchange(), c, ALLOW, decision="d", decided_us=1, judged_us=1)
        for c in (call('{"b":1,"a":2}'), call('{"a":2, "b":1}', {"a": 2, "b": 1}), call('{"a":3}', {"a": 3}))
    ]
    assert rows[0].arguments_hash == rows[1].arguments_hash != rows[2].arguments_hash


def test_unreadable_arguments_stand_for_themselves():
    bad = Call("c", "pay", "{{", None, 0, problem="malformed")
    row = scribe().call(exchange(), bad, DENY, decision="d", decided_us=1, judged_us=1)
    assert row.arguments == "{{"
    assert len(row.arguments_hash) == 32


def test_the_exchange_row_says_what_happened():
    x = exchange(request=request(message("user", "first"), message("assistant", "a"), message("user", "last " * 100)))
    x.answer = Answer("r1", "gpt-x-1", ("stop",), Usage(1, 2, 3, 4, 5, 6), b"{}", "answer")
    x.calls = [(call(), ALLOW), (call(), DENY)]
    priced = Priced(Decimal("0.00000010"), "v1", "gpt-x")
    row = scribe().exchange(x, provider="openai", durability="commit", priced=priced, links=Links(("m",), "r"))
    assert (row.calls, row.denied, row.cost, row.price_model) == (2, 1, "0.00000010", "gpt-x")
    assert (row.input_tokens, row.cache_read_tokens, row.cache_write_tokens) == (1, 2, 3)
    assert (row.cache_write_1h_tokens, row.output_tokens, row.reasoning_tokens) == (4, 5, 6)
    assert row.input_preview.startswith("last last")
    assert len(row.input_preview) == 200
    assert (row.temperature, row.max_tokens, row.stream) == (0.5, 9, True)


def test_an_exchange_refused_before_it_was_read_still_has_a_row():
    row = scribe().exchange(
        exchange(state="rejected"), provider="openai", durability="commit", priced=Priced(), links=Links()
    )
    assert (row.state, row.request_model, row.cost, row.input_preview) == ("rejected", "", None, "")


def stored(mode: str, caller: Caller = Caller("bot"), writer: Scribe | None = None):  # noqa: B008 - frozen
    tools = (Tool("t", "function", b'{"type":"function","function":{"name":"get weather","description":"secret plan"}}'),)
    said = Request("openai.chat", "gpt-x", False, (message("system", "be kind"), message("user", "hello there")), tools, b"")
    x = exchange(request=said, storing=mode, caller=caller, answer=Answer(text="so be it"))
    x.calls = [(call('{"to":"Ada"}', {"to": "Ada"}), DENY)]
    writer = writer or scribe()
    addresses, bodies = writer.texts.request_messages(x, 1)
    row = writer.exchange(x, provider="openai", durability="commit", priced=Priced(), links=Links(addresses))
    prompt = writer.texts.prompt(x, fingerprint(said), 1)
    return x, bodies, row, prompt, writer.call(x, *x.calls[0], decision="d", decided_us=1, judged_us=1)


def test_metadata_holds_no_word_of_what_was_said_and_says_what_was_decided():
    _, bodies, row, prompt, decided = stored("metadata")
    told = repr((bodies, row, prompt, decided))
    for word in ("be kind", "hello there", "so be it", "Ada", "secret plan"):
        assert word not in told
    assert (row.storing, row.request_model, row.agent) == ("metadata", "gpt-x", "bot")
    assert (decided.name, decided.policy, decided.rule, decided.effect) == ("pay", "p", "r", "deny")
    assert prompt.tools == '[{"name":"' + scribe().hands.pens["metadata"].body("get weather") + '"}]'


def test_of_a_budget_metadata_hides_what_the_client_said_of_itself_and_nothing_else():
    caller = Caller("bot", "k1", team="pay", org="acme", labels={"env": "prod"}, session="my secret plan", session_source="header")
    counted = ["all=", "a=acme/bot", "t=acme/pay", "k=k1", "l=prod", "s=my secret plan", "h=from the client"]
    x = exchange(caller=caller, budgets=counted, storing="metadata")
    shown = scribe().exchange(x, provider="openai", durability="commit", priced=Priced(), links=Links()).budgets
    assert list(shown[:5]) == counted[:5]
    assert [each[:7] for each in shown[5:]] == ["s=hmac:", "h=hmac:"]


def test_a_session_that_a_client_chose_is_a_hash_in_metadata_and_the_same_each_time():
    chosen, again, derived = (
        stored("metadata", Caller("bot", session=session, session_source=source))[2].session
        for session, source in (("of Ada", "x-session-id"), ("of Ada", "metadata"), ("ses_0", "derived"))
    )
    assert chosen == again != "of Ada"
    assert derived == "ses_0"


def test_equal_bodies_of_two_tenants_or_modes_have_different_addresses():
    writer = scribe()
    rows = [
        stored(mode, Caller("bot", team=team), writer)[2]
        for mode, team in (("full", "red"), ("full", "blue"), ("redacted", "red"), ("full", "red"))
    ]
    first, other_team, other_mode, again = (row.request_messages for row in rows)
    assert first == again
    assert len({*first, *other_team, *other_mode}) == 6


class Sealed:
    scope = "key-1"

    def sealer(self, caller):
        return self

    def seal(self, text, about):
        return f"sealed({len(text)}, {about})"


def test_a_vault_seals_what_was_said_and_nothing_else():
    writer = Scribe(b"k" * 32, Redactor([]), vault=Sealed())
    _, bodies, row, prompt, decided = stored("redacted", writer=writer)
    sealed = (*(body.body for body in bodies), row.input_preview, row.output_preview, prompt.system, prompt.tools, decided.arguments)
    assert all(text.startswith("sealed(") for text in sealed)
    assert (row.request_model, decided.name, decided.reason) == ("gpt-x", "pay", f"no {SECRET}")
    assert bodies[0].body.endswith(f"message:{bodies[0].hash})")
    assert decided.arguments.endswith("call:d)")


def test_sizes_and_hashes_are_not_sealed_and_nothing_stays_nothing():
    _, bodies, row, *_ = stored("metadata", writer=Scribe(b"k" * 32, Redactor([]), vault=Sealed()))
    assert bodies[0].body.startswith("[text, ")
    assert row.input_preview.startswith("[text, ")
    empty = Scribe(b"k" * 32, Redactor([]), vault=Sealed()).exchange(
        exchange(), provider="p", durability="commit", priced=Priced(), links=Links()
    )
    assert empty.input_preview == ""


def test_what_a_rule_said_of_a_text_is_a_row_without_the_text():
    hit = RuleHit("p", "mask", "redact", message=f"not {SECRET}", line=7)
    x = exchange(heard=[Heard("output", "answer", hit, "card", "redacted", "ab")])
    (row,) = scribe().heard(x, 9)
    assert (row.exchange_id, row.heard_us, row.hook, row.path, row.rule, row.line) == ("id", 9, "output", "answer", "mask", 7)
    assert (row.effect, row.mode, row.detector, row.action, row.original) == ("redact", "enforce", "card", "redacted", "ab")
    assert SECRET not in row.message


@pytest.mark.parametrize("storing", ["full", "redacted", "metadata"])
def test_what_filled_a_prompt_is_content(storing):
    x = exchange(storing=storing, rendered=Rendered("support", "4be1", "", {"shop": f"by {SECRET}", "vip": True}))
    row = scribe().rendered(x)
    assert (row.exchange_id, row.rendered_us, row.name, row.version, row.label) == ("id", 5, "support", "4be1", None)
    expected = "[text, " if storing == "metadata" else '{"shop":"by [REDACTED:provider_key]","vip":true}'
    assert row.variables.startswith(expected)
    assert scribe().rendered(exchange()) is None


def attempt(ordinal: int, **more) -> Attempt:
    made = Attempt(ordinal, "a", "m", "eu", "primary", "weight", 7)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_what_each_round_took_and_cost_stands_with_its_answered_attempt():
    rounds = (Usage(input=1, cache_read=2, output=3), Usage(input=10, output=20, reasoning=5))
    x = exchange(rounds=rounds, attempts=[attempt(1, fault="status_503"), attempt(2, answered=True), attempt(3, answered=True, round=1)])
    rows = scribe().attempts(x, Priced(Decimal(3), each=(Decimal(1), Decimal(2))))
    told = [(row.ordinal, row.fault, row.read_tokens, row.written_tokens, row.cost) for row in rows]
    assert told == [(1, "status_503", None, None, None), (2, None, 3, 3, "1"), (3, None, 10, 25, "2")]
    assert all(row.exchange_id == "id" and row.agent == "bot" for row in rows)


def test_where_a_round_s_cost_is_not_known_no_attempt_has_another_s():
    x = exchange(rounds=(None, Usage(input=1, output=1)), attempts=[attempt(1, answered=True), attempt(2, answered=True)])
    assert [(row.read_tokens, row.cost) for row in scribe().attempts(x, Priced())] == [(None, None), (None, None)]


@pytest.mark.parametrize("storing", ["full", "redacted", "metadata"])
def test_why_a_target_was_asked_is_legible_in_every_mode(storing):
    (row,) = scribe().attempts(exchange(storing=storing, attempts=[attempt(1, why="openai/gpt-5: status_429")]), Priced())
    assert row.why == "openai/gpt-5: status_429"
