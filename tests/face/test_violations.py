"""The page of violations over a real ledger: what counts as one, by what it is counted, that pages neither repeat nor miss."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from gateway.verdict import Finding


@pytest.fixture(scope="module")
def house(lived_in):
    noted = Finding("secrets", "api_key", "error", "output", "found one")
    quiet = Finding("secrets", "nothing", "info", "output", "")
    steered = Finding("policy", "steered", "info", "round[0]", "asked again")
    lived_in.exchange(1, ago_s=100, calls=[{"effect": "deny", "name": "Bash"}, {"name": "Read"}], state="denied")
    lived_in.exchange(2, ago_s=200, agent="bank-1", findings=(noted, noted, quiet))
    lived_in.exchange(3, ago_s=300, findings=(steered,))
    lived_in.exchange(4, ago_s=400, calls=[{"name": "Write", "would": "deny"}, {"effect": "unevaluated", "name": "Edit", "released": True}])
    lived_in.exchange(5, ago_s=500, calls=[{"effect": "ask", "name": "pay", "released": True, "rule": "large"}])
    lived_in.exchange(6, ago_s=20 * 86400, calls=[{"effect": "deny", "name": "Old"}])
    hit = {"policy": "words", "rule": "no-names", "effect": "redact", "mode": "enforce", "hook": "input", "detector": "email"}
    lived_in.exchange(7, ago_s=600, agent="bank-1", heard=[{**hit, "path": "messages[0]"}, {**hit, "path": "messages[1]"}])
    lived_in.browse(lambda browser: browser.begin())
    return lived_in


def seen(house, path):
    async def go(browser):
        assert (await browser.sign_in()).status_code == 303
        return await browser.get(path)

    return house.browse(go)


def told(house, query=""):
    rows = seen(house, f"/ui/violations.json?{query}").json()["rows"]
    return [(row["what"], row["tool"] or row["rule"], row["outcome"], row["times"]) for row in rows]


CALL = ("call", "Bash", "deny", 1)
FINDING = ("finding", "secrets api_key", "error", 2)
STEERED = ("finding", "policy steered", "info", 1)
WOULD, ASKED = ("call", "Write", "would deny", 1), ("call", "pay", "ask", 1)
TEXT = ("text", "no-names", "redact", 2)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [CALL, FINDING, STEERED, WOULD, ASKED, TEXT]),
        ("what=calls", [CALL, WOULD, ASKED]),
        ("what=texts", [TEXT]),
        ("what=findings", [FINDING, STEERED]),
        ("q=agent:bank-1", [FINDING, TEXT]),
        ("q=tool:Bash", [CALL]),
        ("q=decision:ask", [ASKED]),
        ("q=rule:large", [ASKED]),
        ("q=tool:Bash&what=findings", []),
        ("q=-tool:Bash", [FINDING, STEERED, WOULD, ASKED, TEXT]),
        ("q=since:30d until:8d", [("call", "Old", "deny", 1)]),
        ("q=agent:nobody", []),
    ],
)
def test_what_was_withheld_asked_flagged_or_found_is_a_violation_and_nothing_else(house, query, expected) -> None:
    assert told(house, query.replace(" ", "%20")) == expected


def test_they_are_counted_by_rule_agent_tool_and_hour(house) -> None:
    found = seen(house, "/ui/violations.json").json()
    rules = {(row["policy"], row["rule"]): (row["what"], row["times"], row["agents"]) for row in found["rules"]}
    assert rules["bank", "known-payee"] == ("call", 1, 1)
    assert rules["", "secrets api_key"] == ("finding", 2, 1)
    assert rules["words", "no-names"] == ("text", 2, 1)
    assert {one["value"]: one["count"] for one in found["facets"]["agent"]} == {"coder": 4, "bank-1": 4}
    assert {one["value"] for one in found["facets"]["decision"]} == {"deny", "ask", "redact"}
    assert sum(map(sum, found["heat"]["values"])) == 8
    assert len(found["heat"]["rows"]) == 8
    by_week = seen(house, "/ui/violations.json?q=since:30d").json()["heat"]
    assert (by_week["rows"][0], sum(map(sum, by_week["values"]))) == ("Monday", 9)


def test_each_leads_to_its_exchange_and_says_nothing_of_what_was_said(house) -> None:
    page, rows = seen(house, "/ui/violations").text, seen(house, "/ui/violations.json").json()["rows"]
    assert all(f'/ui/exchange/{row["exchange_id"]}"' in page for row in rows)
    assert not {"question", "Eve", "because", "found one", "asked again"} & set(page.replace("<", " ").split())
    assert "did you mean" in seen(house, f"/ui/violations?q={quote('cots>1')}").text
    assert seen(house, "/ui/violations?what=nonsense").status_code == 400


def test_pages_follow_each_other_without_a_gap_or_a_row_twice(house) -> None:
    for n in range(60):
        found = (Finding("secrets", "api_key", "error", "output", ""),) if n % 3 == 0 else ()
        calls = [{"effect": "deny", "agent": "many"}, {"effect": "deny", "agent": "many", "name": "other"}] if n % 2 else []
        house.exchange(100 + n, ago_s=1000 + n // 4, agent="many", calls=calls, findings=found)

    async def go(browser):
        await browser.sign_in()
        rows, after = [], ""
        while after is not None:
            page = (await browser.get(f"/ui/violations.json?q=agent:many&before={after}")).json()
            rows += page["rows"]
            after = page["next"]
        return rows

    rows = house.browse(go)
    assert len(rows) == len({(row["what"], row["id"]) for row in rows}) == 60 + 20
    assert [row["happened_at"] for row in rows] == sorted((row["happened_at"] for row in rows), reverse=True)
