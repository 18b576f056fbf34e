"""One exchange on a page: why a call was withheld, what the agent got, where values came from, the same as a test, other policies; and
who may read it."""

from __future__ import annotations

import json

import pytest
import yaml
from typer.testing import CliRunner

from gateway.cli.policy import app
from gateway.policy import load, run_cases
from gateway.trace.pens import everything, pens
from gateway.trace.policy_rows import PolicyRow
from gateway.trace.record import ContentRead, PolicyLoaded
from gateway.trace.redact import Redactor
from gateway.verdict import RuleHit

POLICY = """policy: 1
id: bank
agents: ['*']
allow: [send_money, read_file]
rules:
- id: known-payee
  tools: [send_money]
  require: args.to == 'Ada'
  message: "{args.to} is not known"
"""
OTHER = POLICY.replace("'Ada'", "'Eve'")
CALL = {"id": "c0", "type": "function", "function": {"name": "read_file", "arguments": '{"path": "bill.txt"}'}}
MESSAGES = [
    {"role": "user", "content": "Pay the bill"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c0", "content": "Pay 17.5 to Eve"},
]


@pytest.fixture(scope="module")
def told(lived_in):
    """A house whose book has one withheld call under a policy it knows."""
    texts = {"bank.yaml": POLICY, "other.yaml": OTHER}
    hashes = {name: load({name: text.encode()}).hash for name, text in texts.items()}
    for name, text in texts.items():
        lived_in.book.apply(PolicyLoaded(PolicyRow(hashes[name], lived_in.clock[0], "abc123", ((name, text),))))
    hit = RuleHit("bank", "known-payee", "deny", message="Eve is not known", line=6)
    call = {"effect": "deny", "arguments": '{"to": "Eve", "amount": 17.5}', "reason": "Eve is not known", "hits": (hit,)}
    answered = {"role": "assistant", "content": "I pay", "calls": []}
    made = lived_in.exchange(1, messages=MESSAGES, answered=answered, policy_hash=hashes["bank.yaml"], calls=[call, {"name": "read_file"}],
                             state="denied", user="ada", team="red", system="be kind")  # fmt: skip
    lived_in.browse(lambda browser: browser.begin())
    return lived_in, made, hashes


def seen(house, path, name="ada"):
    async def go(browser):
        assert (await browser.sign_in(name)).status_code == 303
        return await browser.get(path)

    return house.browse(go)


@pytest.fixture(scope="module")
def shown(told):
    house, made, _ = told
    return seen(house, f"/ui/exchange/{made}.json").json()


def test_it_says_which_rule_withheld_the_call_where_it_is_written_and_what_it_read(shown) -> None:
    (why,) = shown["calls"][0]["why"]
    assert (why["file"], why["hit"]["line"], why["source"]) == ("bank.yaml", 6, "- id: known-payee")
    assert why["condition"] == "require: args.to == 'Ada'"
    assert why["values"] == {"args.to": "Eve"}
    assert "true" in why["passes"]


def test_it_says_where_values_were_first_said(shown) -> None:
    found = {each["path"]: (each["role"], each["message"]) for each in shown["calls"][0]["origins"]}
    assert found == {"to": ("tool", 2), "amount": ("tool", 2)}


def test_it_says_what_was_proposed_and_what_the_agent_got(shown) -> None:
    withheld, released = shown["calls"]
    assert withheld["got"]["what"] == "withheld"
    assert 'The call of tool "send_money" was blocked by policy "bank"' in withheld["got"]["text"]
    assert withheld["id"] in withheld["got"]["text"]
    assert released["got"] == {"what": "released", "text": released["arguments"], "changed": []}


def test_it_shows_line_by_line_what_differs_between_the_proposal_and_what_the_agent_got(shown) -> None:
    changed = shown["calls"][0]["got"]["changed"]
    assert ["gone", '  "to": "Eve",'] in changed
    assert any(kind == "new" and "was blocked by policy" in text for kind, text in changed)


def test_the_test_it_makes_of_a_call_passes_under_the_policy_that_decided(shown) -> None:
    (case,) = yaml.safe_load(shown["calls"][0]["test"])
    assert case["user"] == "Pay the bill"
    assert case["history"] == [{"call": {"read_file": {"path": "bill.txt"}}, "result": "Pay 17.5 to Eve"}]
    tests = yaml.safe_dump({"tests": [case]}, sort_keys=False)
    assert run_cases(load({"bank.yaml": (POLICY + tests).encode()})).passed
    assert not run_cases(load({"bank.yaml": (OTHER + tests).encode()})).passed


def test_the_file_of_tests_runs_and_passes_at_the_end_of_the_policy_that_decided(told, tmp_path) -> None:
    house, made, _ = told
    answer = house.seen(f"/ui/exchange/{made}.yaml")
    assert answer.headers["content-disposition"] == 'attachment; filename="exchange.yaml"'
    for text, code in ((POLICY, 0), (OTHER, 1)):
        (tmp_path / "bank.yaml").write_text(text + answer.text)
        ran = CliRunner().invoke(app, ["test", str(tmp_path)])
        assert ran.exit_code == code, ran.output
        assert "2 of 2 tests passed" in ran.output if code == 0 else "1 of 2 tests passed" in ran.output


def test_it_says_in_which_file_a_test_stands_and_why_it_does_not_pass_there(told, shown) -> None:
    assert shown["calls"][0]["stands"] == ["bank.yaml", ""]
    house, _, hashes = told
    made = house.exchange(40, calls=[{"effect": "deny", "arguments": '{"to": "Ada"}'}], policy_hash=hashes["bank.yaml"])
    file, said = house.seen(f"/ui/exchange/{made}.json").json()["calls"][0]["stands"]
    assert (file, "expected deny, got allow" in said) == ("bank.yaml", True)


def test_it_can_be_asked_again_under_a_text_that_is_pasted(told) -> None:
    house, made, _ = told
    for text, effect in ((POLICY, "deny"), (OTHER, "allow")):
        answer = house.sent(f"/ui/exchange/{made}.json", {"text": text.replace("\n", "\r\n"), "place": "alone"})
        assert answer.json()["calls"][0]["again"]["effect"] == effect
    wrong = house.sent(f"/ui/exchange/{made}", {"text": OTHER.replace("require:", "requires:")})
    assert "pasted.yaml:8" in wrong.text
    assert "there is no text" in house.sent(f"/ui/exchange/{made}", {"text": " "}).text


def test_a_pasted_text_answers_nothing_to_who_may_not_read(told) -> None:
    house, made, _ = told
    house.join("viewer-metadata", "nia")
    answer = house.sent(f"/ui/exchange/{made}.json", {"text": OTHER}, "nia")
    assert answer.json()["calls"][0]["again"] is None
    assert "# no call" in house.seen(f"/ui/exchange/{made}.yaml", "nia").text


def test_it_can_be_asked_again_under_another_version(told) -> None:
    house, made, hashes = told
    for name, effect in (("bank.yaml", "deny"), ("other.yaml", "allow")):
        again = seen(house, f"/ui/exchange/{made}.json?against={hashes[name]}").json()["calls"][0]["again"]
        assert (again["effect"], again["same"]) == (effect, effect == "deny")


def test_the_policies_in_the_folder_are_asked_and_what_is_wrong_with_them_is_told(told, tmp_path, monkeypatch) -> None:
    house, made, _ = told
    (tmp_path / "p.yaml").write_text(OTHER)
    monkeypatch.setitem(house.settings.__dict__, "policies", str(tmp_path))  # the settings themselves are frozen
    page = seen(house, f"/ui/exchange/{made}?against=now")
    (tmp_path / "p.yaml").write_text(OTHER.replace("require:", "requires:"))
    wrong = seen(house, f"/ui/exchange/{made}?against=now")
    assert "another verdict" in page.text
    assert "p.yaml:8" in wrong.text


def test_a_version_nobody_knows_is_refused(told) -> None:
    house, made, _ = told
    assert seen(house, f"/ui/exchange/{made}?against=feed").status_code == 400


def test_an_exchange_nobody_knows_is_not_found(told) -> None:
    assert seen(told[0], "/ui/exchange/nothing-of-that-id").status_code == 404


def test_who_reads_it_is_on_record_before_it_is_shown(told) -> None:
    house, made, _ = told
    before = len(house.book.written)
    assert "Pay 17.5 to Eve" in seen(house, f"/ui/exchange/{made}").text
    (record,) = house.book.written[before:]
    assert isinstance(record, ContentRead)
    assert (record.read.who, record.read.what, record.read.subject) == ("ada", "exchange", made)
    house.book.full = True
    try:
        refused = seen(house, f"/ui/exchange/{made}")
    finally:
        house.book.full = False
    assert refused.status_code == 503
    assert "Eve" not in refused.text


def test_who_may_not_read_sees_none_of_what_was_written(told) -> None:
    house, made, _ = told

    async def go(browser):
        await browser.sign_in()
        token = await browser.invite("viewer-metadata")
        await browser.post("/ui/logout", {}, "/ui/account")
        fields = {"token": token, "name": "mia", "password": "a boat upon the river", "again": "a boat upon the river"}
        await browser.post("/ui/begin", fields, "/ui/begin")
        before = len(house.book.written)
        pages = [await browser.get(f"/ui/exchange/{made}{form}?against=now") for form in ("", ".json")]
        return pages, house.book.written[before:]

    pages, written = house.browse(go)
    for page in pages:
        assert page.status_code == 200
        for text in ("Eve", "17.5", "Pay the bill", "bill.txt", "be kind", "I pay"):
            assert text not in page.text, text
        assert "known-payee" in page.text
    assert written == []


SHAPES = [
    "{", "[1]", '{"role": "user", "content": [1, null]}', '{"role": "assistant", "calls": [{}]}', '"x"', "[erased]", "null",
    '{"role": "assistant", "tool_calls": [1, {"function": 2}, {"function": {"name": {}}}]}', '{"role": "tool", "tool_call_id": [1]}',
]  # fmt: skip


@pytest.mark.parametrize("body", SHAPES)
def test_a_message_of_any_shape_is_shown(told, body, monkeypatch) -> None:
    house, _, _ = told
    monkeypatch.setattr(json, "dumps", lambda value: body)
    made = house.exchange(500 + len(body), messages=[{"role": "user", "content": "x"}])
    monkeypatch.undo()
    assert seen(house, f"/ui/exchange/{made}").status_code == 200


@pytest.mark.parametrize("arguments", ["", "[]", "{", '{"a": {"b": [1, "xyz", null, {"c": true}]}}', '{"to": 1e400}', '{"a": 1, "a": 2}'])
def test_arguments_of_any_shape_are_shown_and_asked_again(told, arguments) -> None:
    house, _, hashes = told
    made = house.exchange(600 + len(arguments), calls=[{"arguments": arguments, "effect": "deny", "name": "a\nb" * 200}])
    answer = seen(house, f"/ui/exchange/{made}?against={hashes['other.yaml']}")
    assert answer.status_code == 200
    assert "Under the other policies" in answer.text


def test_a_call_that_did_not_leave_any_more_shows_that_the_agent_got_nothing(told) -> None:
    house, _, _ = told
    made = house.exchange(690, calls=[{"effect": "allow", "released": False, "code": "not_delivered"}])
    answer = seen(house, f"/ui/exchange/{made}")
    assert ("The agent got nothing of it" in answer.text, "was blocked" in answer.text) == (True, False)


ODD = ['"1e5"', '"\u202e abc"', "-9223372036854775808", '"a\\u0000b"', '{"\u200b": "null", "": "~", "12": ["\\r\\n", 1e308]}']


@pytest.mark.parametrize("value", ODD)
def test_a_test_that_is_given_is_one_that_a_policy_file_can_hold(told, value) -> None:
    house, _, _ = told
    earlier = {**CALL, "function": {"name": "read_file", "arguments": f'{{"path": {value}}}'}}
    messages = [MESSAGES[0], {"role": "assistant", "content": None, "tool_calls": [earlier]}, MESSAGES[2]]
    made = house.exchange(700 + ODD.index(value), messages=messages, calls=[{"arguments": f'{{"to": {value}}}', "effect": "deny"}])
    (call,) = seen(house, f"/ui/exchange/{made}.json").json()["calls"]
    policies = load({"bank.yaml": (POLICY + "tests:\n" + call["test"]).encode()})
    (case,) = policies.policies[0].layers[0].tests
    assert case.call == {"send_money": {"to": json.loads(value)}}
    assert case.history[0].call == {"read_file": {"path": json.loads(value)}}


TOO_MUCH = {
    "an integer that conditions do not hold": ('{"to": "Eve"}', "9223372036854775808"),
    "more levels than a file may have": ('{"to": "Eve"}', "[" * 45 + "]" * 45),
    "one key twice": ('{"to": "Eve", "to": "Ada"}', "1"),
    "arguments that were erased": ("[erased]", "1"),
}


@pytest.mark.parametrize("said", TOO_MUCH)
def test_a_call_that_no_policy_file_can_hold_is_given_no_test(told, said) -> None:
    house, _, _ = told
    arguments, before = TOO_MUCH[said]
    earlier = {**CALL, "function": {"name": "read_file", "arguments": f'{{"path": {before}}}'}}
    messages = [MESSAGES[0], {"role": "assistant", "content": None, "tool_calls": [earlier]}, MESSAGES[2]]
    made = house.exchange(720 + [*TOO_MUCH].index(said), messages=messages, calls=[{"arguments": arguments, "effect": "deny"}])
    (call,) = seen(house, f"/ui/exchange/{made}.json").json()["calls"]
    assert (call["test"], call["stands"]) == (None, None)
    assert seen(house, f"/ui/exchange/{made}.yaml").text.startswith("# no call of this exchange")


@pytest.mark.parametrize("kind", ["function", "custom"])
@pytest.mark.parametrize("kept", ["[erased]", pens(Redactor([]), everything, b"k")["metadata"].body('{"to": "Eve"}')])
def test_arguments_that_are_not_on_record_are_not_judged_again(told, kept, kind) -> None:
    house, _, hashes = told
    made = house.exchange(740 + len(kept) + len(kind), calls=[{"arguments": kept, "effect": "deny", "type": kind}])
    again = seen(house, f"/ui/exchange/{made}.json?against={hashes['bank.yaml']}").json()["calls"][0]["again"]
    assert (again["effect"], again["same"]) == ("unevaluated", False)
    assert "not on record" in again["reason"]
