"""From an exchange to its rows."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.exchange import (
    Answer,
    Attempt,
    Call,
    Caller,
    Exchange,
    Finding,
    Heard,
    Message,
    Rendered,
    Request,
    RuleHit,
    Tool,
    Usage,
    Verdict,
)
from gateway.policy import load
from gateway.prompt.fingerprint import fingerprint
from gateway.prompt.kept import read as read_prompt
from gateway.prompt.library import Commit, Commits, Library, Move
from gateway.trace import rows
from gateway.trace.redact import Redactor
from gateway.trace.rows import (
    Links,
    Priced,
    Scribe,
    Seen,
    about_approval,
    about_call,
    about_exchange,
    about_feedback,
    about_message,
    about_prompt,
    kept_rows,
    policy_row,
)  # fmt: skip

SECRET = "sk-canary-0123456789"


def scribe(secret: str = SECRET, seen: Seen | None = None) -> Scribe:
    return Scribe(b"k" * 32, Redactor([secret]), seen)


def message(role: str, text: str) -> Message:
    return Message(role, f'{{"role":"{role}","content":"{text}"}}'.encode(), text)


def request(*messages: Message) -> Request:
    return Request(
        "openai.chat",
        "gpt-x",
        True,
        messages,
        (Tool("t", "function", b'{"name":"t"}'),),
        b"",
        temperature=0.5,
        max_tokens=9,
    )


def exchange(**changes) -> Exchange:
    x = Exchange("id", 5, "openai.chat", "/v1/chat/completions", Caller("bot", "k1", session="s"), policy_hash="p")
    for name, value in changes.items():
        setattr(x, name, value)
    return x


ALLOW = Verdict("allow", True, "granted", "ok")
DENY = Verdict(
    "deny", False, "rule", f"no {SECRET}", (RuleHit("p", "r", "deny", message=SECRET),), policy="p", rule="r"
)


def call(arguments: str = '{"b":1,"a":2}', args: dict | None = None) -> Call:
    return Call("c1", "pay", arguments, {"b": 1, "a": 2} if args is None else args, 0)


def test_each_body_is_written_once_and_addressed_always():
    writer = scribe()
    first = request(message("system", "be"), message("user", "hi"))
    addresses, rows = writer.request_messages(exchange(request=first), 7)
    assert [row.role for row in rows] == ["system", "user"]
    later = request(*first.messages, message("user", "more"))
    again, new = writer.request_messages(exchange(request=later), 8)
    assert again[:2] == addresses
    assert [row.body for row in new] == ['{"role":"user","content":"more"}']


def test_a_forgotten_prompt_text_is_written_again():
    writer = scribe()
    found = fingerprint(request(message("system", "be kind")))
    x = exchange(prompt_hash=found.hash)
    writer.prompt(x, found, 1)
    writer.forget(exchange(), [])
    assert writer.prompt(x, found, 2).system == ""
    writer.forget(x, [])
    assert writer.prompt(x, found, 3).system == "be kind"


def test_forgotten_bodies_are_written_again():
    writer = scribe()
    addresses, _ = writer.request_messages(exchange(request=request(message("user", "hi"))), 7)
    writer.seen.forget([*addresses, "never seen"])
    assert len(writer.request_messages(exchange(request=request(message("user", "hi"))), 8)[1]) == 1


def test_bodies_are_written_again_when_a_segment_begins():
    seen = Seen()
    assert [seen.first("a"), seen.first("a")] == [True, False]
    seen.begin_anew()
    assert [seen.first("a"), seen.first("b"), seen.first("a")] == [True, True, False]


def test_the_memory_of_written_bodies_is_bounded():
    seen = Seen(4)
    assert [seen.first(a) for a in ("a", "b", "a", "c", "a", "b")] == [True, True, False, True, False, True]
    assert sum(seen.first(f"{n}") for n in range(1000)) == 1000
    assert len(seen._young) + len(seen._old) <= 4


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=6), max_size=20), st.integers(1, 8))
def test_several_bodies_are_remembered_as_one_after_the_other(asked, size):
    one, several = Seen(size), Seen(size)
    for addresses in asked:
        assert several.firsts(addresses) == {each for each in addresses if one.first(each)}


def test_another_installation_has_other_addresses():
    assert scribe().address(b"x") != Scribe(b"z" * 32, Redactor([])).address(b"x")
    assert scribe().address(b"x") == scribe().address(b"x")


@pytest.mark.parametrize("mode", ["full", "redacted", "metadata"])
def test_no_known_secret_is_in_any_row(mode):
    writer = scribe()
    said = request(message("user", f"key {SECRET}"))
    x = exchange(request=said, calls=[(call(f'{{"k":"{SECRET}"}}'), DENY)], error_message=SECRET)
    x.storing, x.findings = mode, [Finding("v", "c", "warn", SECRET, SECRET)]
    x.answer = Answer(text=f"it is {SECRET}", usage_raw=f'{{"x":"{SECRET}"}}'.encode())
    x.caller = Caller("bot", client=SECRET)
    rows = [
        writer.request_messages(x, 1),
        writer.response_message(x, 1),
        writer.call(x, *x.calls[0], decision="d", decided_us=1, judged_us=1),
        writer.exchange(x, provider="openai", durability="commit", priced=Priced(), links=Links()),
        writer.prompt(x, fingerprint(request(message("system", SECRET))), 1),
        writer.findings(x),
    ]
    assert SECRET not in repr(rows)


def test_the_answer_keeps_withheld_calls_for_the_record():
    x = exchange(calls=[(call(), DENY)])
    address, rows = scribe().response_message(x, 3)
    assert address == rows[0].hash
    assert '"released":false' in rows[0].body


def test_an_answer_of_nothing_has_no_message_and_an_equal_one_is_written_once():
    writer = scribe()
    assert writer.response_message(exchange(), 1) == (None, ())
    x = exchange(answer=Answer(text="hi"))
    first, rows = writer.response_message(x, 1)
    assert len(rows) == 1
    assert writer.response_message(x, 2) == (first, ())


def test_the_text_of_a_prompt_version_is_written_once():
    writer = scribe()
    found = fingerprint(request(message("system", "be kind")))
    assert writer.prompt(exchange(), found, 1).system == "be kind"
    assert writer.prompt(exchange(), found, 2).system == ""


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


def test_a_policy_version_is_recorded_with_its_rules():
    text = b"""
policy: 1
id: bank
agents: ["*"]
include: [lib.yaml]
allow: ["get_*", "*"]
rules:
- {id: big, tools: [pay, send_?], when: args.amount > 1.0, effect: ask}
"""
    library = b"policy: 1\nid: lib\nmode: shadow\nrules:\n- {id: all, tools: ['*'], when: session.calls > 9}\n"
    row = policy_row(load({"bank.yaml": text, "lib.yaml": library}), 7)
    rules = [(r.policy, r.rule, r.kind, r.effect, r.mode, r.tools, r.pattern, r.catch_all, r.file) for r in row.rules]
    assert rules == [
        ("bank", "allow", "grant", "allow", "enforce", ("get_*",), "get_.*", False, "bank.yaml"),
        ("bank", "allow", "grant", "allow", "enforce", ("*",), "", True, "bank.yaml"),
        ("bank", "big", "guard", "ask", "enforce", ("pay", "send_?"), "pay|send_.", False, "bank.yaml"),
        ("lib", "all", "guard", "deny", "shadow", ("*",), "", True, "lib.yaml"),
    ]
    assert (row.loaded_us, len(row.files)) == (7, 2)
    assert policy_row(load({}), 1).rules == ()


def test_limits_of_a_policy_version_are_rules_too():
    text = (
        b"policy: 1\nid: p\nagents: [a]\nallow: [pay]\nlimits:\n- {id: few, tools: [pay], per: session, max: 2, effect: ask}\n"
        b"- {id: spend, tools: [pay], sum: args.amount, per: user, window: 24h, max: 9, mode: shadow}\n"
    )
    rows = policy_row(load({"p.yaml": text}), 7).rules
    assert [(row.rule, row.effect, row.mode, row.line) for row in rows] == [
        ("allow", "allow", "enforce", 4),
        ("few", "ask", "enforce", 6),
        ("spend", "deny", "shadow", 7),
    ]


def stored(mode: str, caller: Caller = Caller("bot"), writer: Scribe | None = None):  # noqa: B008 - frozen
    tools = (Tool("t", "function", b'{"type":"function","function":{"name":"get weather","description":"secret plan"}}'),)
    said = Request("openai.chat", "gpt-x", False, (message("system", "be kind"), message("user", "hello there")), tools, b"")
    x = exchange(request=said, storing=mode, caller=caller, answer=Answer(text="so be it"))
    x.calls = [(call('{"to":"Ada"}', {"to": "Ada"}), DENY)]
    writer = writer or scribe()
    addresses, bodies = writer.request_messages(x, 1)
    row = writer.exchange(x, provider="openai", durability="commit", priced=Priced(), links=Links(addresses))
    return x, bodies, row, writer.prompt(x, fingerprint(said), 1), writer.call(x, *x.calls[0], decision="d", decided_us=1, judged_us=1)


def test_metadata_holds_no_word_of_what_was_said_and_says_what_was_decided():
    _, bodies, row, prompt, decided = stored("metadata")
    told = repr((bodies, row, prompt, decided))
    for word in ("be kind", "hello there", "so be it", "Ada", "secret plan"):
        assert word not in told
    assert (row.storing, row.request_model, row.agent) == ("metadata", "gpt-x", "bot")
    assert (decided.name, decided.policy, decided.rule, decided.effect) == ("pay", "p", "r", "deny")
    assert prompt.tools == '[{"name":"' + scribe().pen("metadata").body("get weather") + '"}]'


def test_names_of_tools_are_found_whatever_the_dialect_declares():
    tools = ('{"name":"a"}', '{"type":"web_search"}', '{"type":"custom","custom":{"name":"b"}}', '{"function":{"name":"c"}}', '{"name":7}')
    declared = tuple(Tool("x", "function", tool.encode()) for tool in tools)
    found = fingerprint(Request("openai.chat", "m", False, (), declared, b""))
    named = scribe().prompt(exchange(storing="metadata"), found, 1).tools
    assert named == '[{"name":"a"},{"name":"web_search"},{"name":"b"},{"name":"c"}]'
    assert scribe().prompt(exchange(storing="metadata"), fingerprint(request()), 1).tools == '[{"name":"t"}]'
    nothing = fingerprint(Request("openai.chat", "m", False, (), (), b""))
    assert scribe().prompt(exchange(storing="metadata"), nothing, 1).tools == ""


def test_of_a_budget_metadata_hides_what_the_client_said_of_itself_and_nothing_else():
    caller = Caller("bot", "k1", team="pay", org="acme", labels={"env": "prod"}, session="my secret plan", session_source="header")
    counted = ["all=", "a=acme/bot", "t=acme/pay", "k=k1", "l=prod", "s=my secret plan", "h=from the client"]
    shown = [rows._budget(scribe().pen("metadata"), caller, each) for each in counted]
    assert shown[:5] == counted[:5]
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


def test_what_is_sealed_is_sealed_about_one_row_and_no_other():
    abouts = [about_message("1"), about_prompt("1"), about_call("1"), about_exchange("1"), about_approval("1"), about_feedback("1")]
    assert len(set(abouts)) == 6
    assert about_message("1") != about_message("2")


def test_what_a_rule_said_of_a_text_is_a_row_without_the_text():
    hit = RuleHit("p", "mask", "redact", message=f"not {SECRET}", line=7)
    x = exchange(heard=[Heard("output", "answer", hit, "card", "redacted", "ab")])
    (row,) = scribe().heard(x, 9)
    assert (row.exchange_id, row.heard_us, row.hook, row.path, row.rule, row.line) == ("id", 9, "output", "answer", "mask", 7)
    assert (row.effect, row.mode, row.detector, row.action, row.original) == ("redact", "enforce", "card", "redacted", "ab")
    assert SECRET not in row.message


def test_hands_are_kept_ready_within_a_bound_and_each_tenant_and_mode_has_its_own(monkeypatch):
    monkeypatch.setattr("gateway.trace.rows.MOST_HANDS", 2)
    writer, callers = scribe(), [Caller(name) for name in ("a", "b", "c")]
    ways = [(caller, mode) for caller in callers for mode in ("full", "redacted", "metadata")]
    first = {(caller.agent, mode): writer.hand(mode, caller).address(b"x") for caller, mode in ways}
    assert len(set(first.values())) == len(first)
    assert len(writer._hands) <= 2
    assert first == {(agent, mode): writer.hand(mode, Caller(agent)).address(b"x") for agent, mode in first}


def kept_prompts() -> Library:
    old, new = (read_prompt("support", f"---\nlabels: {{}}\n---\n{text}".encode()) for text in ("Old.", "New."))
    moves = {"support": {"production": Move(old.version), "canary": Move("f" * 64)}}
    return Library({"support": new}, {"support": {old.version: old, new.version: new}}, moves, "abc")


def test_of_kept_prompts_the_files_and_what_labels_point_at_are_recorded():
    rows = {row.source.split("\n")[-1]: (row.name, row.loaded_us, row.git, row.labels) for row in kept_rows(kept_prompts(), 7)}
    assert rows == {"Old.": ("support", 7, "abc", ("production",)), "New.": ("support", 7, "abc", ())}


@pytest.mark.parametrize(
    ("commits", "said"),
    [
        (Commits({"support": Commit("c0ffee", "ann", 7)}), ("c0ffee", "ann", True)),
        (Commits({"support": Commit("c0ffee", "ann", 7)}, frozenset({"support"})), (None, None, False)),
        (Commits({"other": Commit("c0ffee", "ann", 7)}), (None, None, True)),
        (Commits(), (None, None, None)),
    ],
)
def test_of_the_file_as_it_stands_the_commit_and_its_author_are_recorded(commits, said):
    prompts = dataclasses.replace(kept_prompts(), commits=commits)
    rows = {row.source.split("\n")[-1]: structs.astuple(row)[-3:] for row in kept_rows(prompts, 7)}
    assert rows == {"Old.": (None, None, None), "New.": said}


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
