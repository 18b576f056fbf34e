"""Coverage as plain SQL: what was judged, which rules spoke, which tools nobody names."""

from __future__ import annotations

import json
from typing import Any

from gateway.policy import load
from gateway.stores.duckdb import Ledger
from gateway.trace.loaded import policy_row
from gateway.trace.prompt_rows import PromptRow
from gateway.trace.record import Ended, PolicyLoaded

POLICY = """
policy: 1
id: bank
agents: ["*"]
allow: [get_*, send_money, "*"]
rules:
- {id: no-strangers, tools: [send_money], when: "args.amount > 1.0"}
- {id: never, tools: [delete_*], mode: shadow}
- {id: everywhere, when: "session.calls > 9"}
"""
START = 1_790_000_000_000_000


def rows(ledger: Ledger, sql: str) -> list[dict[str, Any]]:
    answer = ledger.query(sql, 1000)
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]


def loaded(text: str = POLICY, at: int = START) -> PolicyLoaded:
    return PolicyLoaded(policy_row(load({"bank.yaml": text.encode()}), at))


def test_routes_are_counted_by_hook_and_an_id_makes_no_route_of_its_own(ledger: Ledger, make: Any) -> None:
    segment = make.segment()
    records = [
        make.ended(1, route="/v1/chat/completions", stream=True, enforcing=True, calls=[make.call(1, 1)]),
        make.ended(2, route="/v1/chat/completions", stream=True, enforcing=True, state="rejected"),
        make.ended(3, route="/v1/chat/completions", stream=True, unevaluated=("no_policy", "field:x")),
        make.ended(4, route="/v1/chat/completions", stream=True, unevaluated=("answer:protocol",)),
        make.ended(5, route="/v1/responses/resp_1", operation="retrieve"),
        make.ended(6, route="/v1/responses/resp_2", operation="retrieve"),
        make.ended(7, route="/v1/responses/compact", operation="compact"),
        make.ended(8, route="/v1beta/models/gemini-2.5-pro:generateContent"),
        make.ended(9, route="/v1/embeddings", operation="embeddings"),
    ]
    ledger.apply([make.batch(segment, [make.booted(segment), *records])])
    found = {(row["route"], row["hook"]): row for row in rows(ledger, "SELECT * FROM coverage")}
    asked, proposed = found["/v1/chat/completions", "request"], found["/v1/chat/completions", "tool_call"]
    assert [asked[key] for key in ("exchanges", "judged", "unevaluated", "refused", "enforcing")] == [4, 3, 1, 1, 2]
    assert [proposed[key] for key in ("exchanges", "judged", "unevaluated", "refused")] == [4, 1, 2, 1]
    assert found["/v1/responses/{id}", "tool_call"]["exchanges"] == 2
    assert {"/v1/responses/compact", "/v1beta/models/{model}:generateContent", "/v1/embeddings"} <= {route for route, _ in found}
    assert ("/v1/embeddings", "tool_call") not in found
    reasons = {row["reason"]: row["exchanges"] for row in rows(ledger, "SELECT * FROM coverage_reasons")}
    assert reasons == {"no_policy": 1, "field:x": 1, "answer:protocol": 1}


def test_a_rule_that_fired_is_told_from_one_that_never_did(ledger: Ledger, make: Any) -> None:
    segment = make.segment()
    withheld = make.ended(1, calls=[make.call(1, 1, released=False)])
    ledger.apply([make.batch(segment, [make.booted(segment), loaded(), withheld])])
    found = {row["rule"]: row for row in rows(ledger, "SELECT * FROM rules_in_force WHERE kind = 'guard'")}
    assert {rule: row["hits"] for rule, row in found.items()} == {"no-strangers": 1, "never": 0, "everywhere": 0}
    assert (found["never"]["mode"], found["never"]["tools"], found["everywhere"]["catch_all"]) == ("shadow", ["delete_*"], True)
    assert found["never"]["line"] == 8
    assert [row["tools"] for row in rows(ledger, "SELECT * FROM rules_in_force WHERE kind = 'grant' ORDER BY tools")] == [
        ["*"],
        ["get_*"],
        ["send_money"],
    ]


def test_a_new_version_changes_what_is_in_force_and_keeps_what_happened(ledger: Ledger, make: Any) -> None:
    segment = make.segment()
    second = POLICY.replace("- {id: never, tools: [delete_*], mode: shadow}\n", "")
    withheld = make.ended(1, calls=[make.call(1, 1, released=False)])
    records = [make.booted(segment), loaded(), withheld, loaded(second, START + 9), loaded(second, START + 10)]
    ledger.apply([make.batch(segment, records)])
    found = {row["rule"]: row["hits"] for row in rows(ledger, "SELECT * FROM rules_in_force WHERE kind = 'guard'")}
    assert found == {"no-strangers": 1, "everywhere": 0}


def test_tools_that_no_rule_names_are_listed_however_they_were_declared(ledger: Ledger, make: Any) -> None:
    segment = make.segment()
    tools = [
        {"type": "function", "function": {"name": "get_balance"}},
        {"type": "custom", "custom": {"name": "note"}},
        {"name": "delete_all", "input_schema": {}},
        {"type": "web_search"},
    ]
    prompt = PromptRow("p1", START, "coder", "be kind", json.dumps(tools))
    records = [make.booted(segment), loaded(), Ended(make.exchange(1, state="complete"), (make.call(1, 1),), prompt=prompt)]
    ledger.apply([make.batch(segment, records)])
    seen = {row["name"]: (row["prompts"], row["calls"]) for row in rows(ledger, "SELECT * FROM tools_seen")}
    assert seen == {"get_balance": (1, 0), "note": (1, 0), "delete_all": (1, 0), "web_search": (1, 0), "send_money": (0, 1)}
    assert {row["name"] for row in rows(ledger, "SELECT name FROM unnamed_tools")} == {"note", "web_search"}


def test_a_journal_from_before_rules_were_written_is_still_applied(ledger: Ledger, make: Any) -> None:
    segment = make.segment()
    old = PolicyLoaded(type(loaded().policy)("h", START, None, (("a.yaml", "x"),)))
    ledger.apply([make.batch(segment, [make.booted(segment), old])])
    assert rows(ledger, "SELECT * FROM rules_in_force") == []
    assert len(rows(ledger, "SELECT * FROM policy_versions")) == 1
