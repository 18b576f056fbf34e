"""`tollhouse policy explain`: a decision from the book, by the policy text of its own version."""

import json

import msgspec
import pytest
from typer.testing import CliRunner

from gateway.cli.policy import app
from gateway.errors import GatewayError, StartError
from gateway.policy import load
from gateway.stores import Batch
from gateway.stores.duckdb import Ledger
from gateway.trace.exchange_rows import CallRow, ExchangeRow
from gateway.trace.policy_rows import PolicyRow
from gateway.trace.record import Booted, Ended, PolicyLoaded
from gateway.trace.segments import Segment
from gateway.verdict import RuleHit

SEGMENT = Segment("1" * 32, 0, "2" * 32, 0)
AT = 1_790_000_000_000_000
POLICY = """policy: 1
id: bank
agents: ['*']
allow: [pay]
vars: {limit: 5, names: {file: names.txt}}
rules:
- {id: big, when: "args.amount > vars.limit && session.calls > 0", message: much}
- {id: known, require: args.to in vars.names, effect: ask}
"""
FILES = {"bank.yaml": POLICY, "names.txt": "".join(f"name-{n}\n" for n in range(20_000))}
"""The list is longer than one cell of an answer."""
HITS = (
    RuleHit("bank", "allow", "allow", line=4),
    RuleHit("bank", "big", "deny", message="much", line=7),
    RuleHit("bank", "known", "ask", "shadow", line=8),
)


def call(decision, version, arguments='{"amount": 9, "to": "Bob"}'):
    what = ("a" * 32, decision, AT, 0, "c", "pay", "function", arguments, "h")
    return CallRow(*what, "deny", False, "rule", "much.", "bank-1", policy="bank", rule="big", policy_hash=version, hits=HITS)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    version = load({path: text.encode() for path, text in FILES.items()}).hash
    calls = (
        call("dec_1", version),
        call("dec_cut", version, '{"amount": "\x1b[2J'),
        call("dec_old", "f" * 64),
        call("dec_later", "e" * 64),
        call("dec_part", "d" * 64),
        msgspec.structs.replace(call("dec_text", version, '{"amount": 1}'), type="custom_tool_call"),
    )
    asked = ("a" * 32, AT, "openai.chat", "openai", "chat", "/v1", "bank-1")
    exchange = ExchangeRow(*asked, team="t", request_model="gpt-x", state="complete")
    loads = [
        PolicyRow(version, AT, files=tuple(FILES.items())),
        PolicyRow("e" * 64, AT, files=(("bank.yaml", "policy: 2\n"),)),
        PolicyRow("d" * 64, AT, files=(("bank.yaml", POLICY.replace("{file: names.txt}", "[a]")),)),
    ]
    records = [Booted(SEGMENT.run, 0, SEGMENT.boot, 1), *map(PolicyLoaded, loads), Ended(exchange, calls)]
    ledger = Ledger(folder / "ledger.duckdb")
    ledger.apply([Batch(SEGMENT, list(enumerate(records)), 9, bytes(32))])
    ledger.close()
    return folder


def explain(data, *options):
    done = CliRunner().invoke(app, ["explain", *options, "--data", str(data)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_decision_is_explained_by_the_rules_and_values_of_its_time(data):
    lines = explain(data, "dec_1").splitlines()
    assert lines[0].startswith("dec_1: pay by agent bank-1, 2026-")
    assert lines[1] == 'arguments: {"amount": 9, "to": "Bob"}'
    assert "deny (withheld, rule): much." in lines
    at = lines.index("bank.yaml:7: rule big of policy bank: deny")
    assert lines[at + 1 : at + 7] == [
        "    when: args.amount > vars.limit && session.calls > 0",
        "    args.amount = 9",
        "    vars.limit = 5",
        "    session.calls is not known here",
        "    says: much",
        "    would pass with: the condition being false",
    ]
    assert "bank.yaml:8: rule known of policy bank: ask, shadow" in lines
    assert '    vars.names = "(20000 names)"' in lines
    assert lines[-1] == f"The conversation: tollhouse sql --saved exchange -p id={'a' * 32}"
    assert not any(line.startswith("note:") for line in lines)


def test_json_holds_the_row_the_hits_and_the_note(data):
    shown = json.loads(explain(data, "dec_1", "--json"))
    assert (shown["id"], shown["name"], shown["effect"], shown["request_model"], shown["note"]) == ("dec_1", "pay", "deny", "gpt-x", "")
    assert [hit["rule"] for hit in shown["hits"]] == ["allow", "big", "known"]
    assert shown["hits"][1]["values"] == {"args.amount": 9, "vars.limit": 5}


@pytest.mark.parametrize(
    ("decision", "note"), [("dec_old", "holds no policy text"), ("dec_later", "cannot read that policy"), ("dec_part", "is not whole")]
)
def test_without_the_text_of_the_version_the_hits_still_speak(data, decision, note):
    out = explain(data, decision)
    assert note in out.splitlines()[-3]
    assert "policy bank:7: rule big of policy bank: deny\n    says: much\n" in out
    assert "when:" not in out


def test_arguments_that_cannot_be_read_are_shown_harmless_and_not_guessed(data):
    out = explain(data, "dec_cut")
    assert "\x1b" not in out
    assert "    args.amount is not there" in out


def test_what_a_model_wrote_to_a_tool_of_free_text_is_no_arguments_in_json(data):
    out = explain(data, "dec_text")
    assert "    args.amount is not there" in out
    assert "args.amount = 1" not in out


def test_a_decision_that_is_not_in_the_book_is_an_error_that_says_where_to_look(data):
    with pytest.raises(GatewayError, match="latest_decisions"):
        explain(data, "dec_none")


def test_without_a_book_there_is_nothing_to_explain(tmp_path):
    with pytest.raises(StartError, match="no data folder"):
        explain(tmp_path / "nowhere", "dec_1")
