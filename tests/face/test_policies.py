"""Pages of policies: what is in force and in the folder, how often each rule spoke, each file with its lines, and what another text would
change."""

from __future__ import annotations

import pytest

from gateway.face.rendering import policy_page
from gateway.policy import load
from gateway.trace.loaded import policy_row
from gateway.trace.record import ContentRead, PolicyLoaded
from gateway.verdict import RuleHit

BANK = """policy: 1
id: bank
agents: ['*']
allow: [send_money, read_file]
rules:
- id: known-payee
  tools: [send_money]
  require: args.to == 'Ada'
  message: "{args.to} is not known"
- id: idle
  tools: [sleep]
  effect: deny
"""
LOOSE = BANK.replace("args.to == 'Ada'", "args.to in ['Ada', 'Eve']")
DENIED = {"effect": "deny", "policy": "bank", "rule": "known-payee"}


@pytest.fixture(scope="module")
def told(lived_in, tmp_path_factory):
    """Policies in force, and the calls they decided: three withheld, two released, one that a limit of that time withheld."""
    folder = tmp_path_factory.mktemp("policies")
    (folder / "bank.yaml").write_text(BANK)
    found = load({"bank.yaml": BANK.encode()})
    lived_in.book.apply(PolicyLoaded(policy_row(found, lived_in.clock[0])))
    hit = RuleHit("bank", "known-payee", "deny", message="Eve is not known", line=6)
    known = {"arguments": '{"to": "Ada"}'}
    for n, given in enumerate([*[{**DENIED, "hits": (hit,)}] * 3, known, known, {"effect": "deny", **known}]):
        lived_in.exchange(n, ago_s=600 + n, calls=[{"policy_hash": found.hash, **given}], policy_hash=found.hash)
    lived_in.exchange(50, ago_s=40 * 3600, calls=[{"policy_hash": found.hash, **DENIED, "hits": (hit,)}], policy_hash=found.hash)
    lived_in.browse(lambda browser: browser.begin())
    lived_in.join("viewer-metadata", "mia")
    lived_in.settings.__dict__["policies"] = str(folder)
    return lived_in, folder, found.hash


def test_each_rule_has_its_place_its_hits_and_when_it_last_hit(told) -> None:
    house, _, _ = told
    page = house.seen("/ui/policies.json").json()
    rules = {each["rule"]: each for each in page["rules"]}
    assert (rules["known-payee"]["file"], rules["known-payee"]["line"], rules["known-payee"]["hits"]) == ("bank.yaml", 6, 5)
    assert rules["known-payee"]["last_fired"].startswith("2026-09-21")
    assert (rules["idle"]["hits"], rules["idle"]["last_fired"]) == (0, None)
    assert page["never"] == sum(each["hits"] == 0 for each in page["rules"])
    assert (page["files"][0]["file"], page["files"][0]["rules"], page["differs"]) == ("bank.yaml", 4, False)
    assert house.seen("/ui/policies.csv").text.splitlines()[0].startswith("policy,rule,kind,effect,mode,file,line")
    assert "/ui/policies/bank.yaml#L6" in house.seen("/ui/policies").text


def test_a_file_is_shown_with_an_anchor_for_each_line_and_hits_beside_its_rules(told) -> None:
    house, _, version = told
    lines = house.seen("/ui/policies/bank.yaml.json").json()["lines"]
    assert [each["text"] for each in lines] == BANK.splitlines()
    assert {each["number"]: [rule["rule"] for rule in each["rules"]] for each in lines if each["rules"]} == {
        4: ["allow", "allow"], 6: ["known-payee"], 10: ["idle"],
    }  # fmt: skip
    page = house.seen(f"/ui/policies/bank.yaml?version={version}").text
    assert '<tr id="L6">' in page
    assert "rule%3Aknown-payee" in page


def test_a_folder_that_cannot_be_used_says_where_and_its_files_can_still_be_read(told) -> None:
    house, folder, _ = told
    (folder / "bank.yaml").write_text(BANK.replace("require:", "requires:"))
    try:
        page = house.seen("/ui/policies")
        file = house.seen("/ui/policies/bank.yaml?version=folder")
    finally:
        (folder / "bank.yaml").write_text(BANK)
    assert "/ui/policies/bank.yaml?version=folder#L8" in page.text
    assert "stays in force" in page.text
    assert "known-payee" in page.text
    assert "← unknown key" in file.text


def test_a_folder_that_differs_from_what_is_in_force_is_told(told) -> None:
    house, folder, _ = told
    (folder / "bank.yaml").write_text(LOOSE)
    try:
        assert house.seen("/ui/policies.json").json()["differs"] is True
        text = house.seen("/ui/policies/bank.yaml.json?version=folder").json()["text"]
    finally:
        (folder / "bank.yaml").write_text(BANK)
    assert text == LOOSE


def test_a_file_nobody_has_is_not_found(told) -> None:
    house, _, _ = told
    for path in ("none.yaml", "../../etc/passwd", "file?file=../x", "bank.yaml?version=feed"):
        assert house.seen(f"/ui/policies/{path}").status_code == 404, path


@pytest.mark.parametrize(("file", "line", "path"), [
    ("bank.yaml", 6, "/ui/policies/bank.yaml#L6"), ("a/b-c/policy.yml", None, "/ui/policies/a/b-c/policy.yml"),
    ("a b.yaml", 1, "/ui/policies/file?file=a+b.yaml#L1"), ("x.json", None, "/ui/policies/file?file=x.json"),
    ("a/../b.yaml", None, "/ui/policies/file?file=a%2F..%2Fb.yaml"), ("//evil.yaml", None, "/ui/policies/file?file=%2F%2Fevil.yaml"),
])  # fmt: skip
def test_a_file_has_an_address_whatever_it_is_called(file, line, path) -> None:
    assert policy_page(file, line) == path


def asked(house, fields, name="ada", file="policies"):
    return house.sent(f"/ui/{file}.json", {"place": "alone", "hours": "24", **fields}, name).json()["what_if"]


def test_what_another_text_would_change_is_shown_and_nothing_else(told) -> None:
    house, _, _ = told
    before = len(house.book.written)
    result = asked(house, {"text": LOOSE})["result"]
    assert {name: result[name] for name in ("calls", "same", "changed", "not_again", "cut")} == {
        "calls": 6, "same": 2, "changed": 3, "not_again": 1, "cut": False,
    }  # fmt: skip
    assert result["moves"] == [{"was": "deny", "now": "allow", "calls": 3}]
    assert {(each["was_rule"], each["effect"]) for each in result["changes"]} == {("bank known-payee", "allow")}
    (record,) = house.book.written[before:]
    assert isinstance(record, ContentRead)
    assert (record.read.who, record.read.count) == ("ada", 6)


def test_the_same_text_changes_nothing_and_more_hours_see_more(told) -> None:
    house, _, _ = told
    assert asked(house, {"text": BANK})["result"]["changed"] == 0
    assert asked(house, {"text": LOOSE, "hours": "48"})["result"]["changed"] == 4


def test_a_file_that_is_edited_takes_its_own_place(told) -> None:
    house, folder, _ = told
    assert asked(house, {"text": LOOSE, "place": "bank.yaml"}, file="policies/bank.yaml")["result"]["changed"] == 3
    found = asked(house, {"text": LOOSE, "place": "beside"})
    assert "duplicate policy id 'bank'" in found["problems"][0]["message"]
    assert (folder / "bank.yaml").read_text() == BANK
    assert house.sent("/ui/policies.json", {"text": LOOSE, "place": "../x", "hours": "1"}).status_code == 400


def test_what_is_wrong_with_a_text_is_told_with_its_line(told) -> None:
    house, _, _ = told
    (problem,) = asked(house, {"text": BANK.replace("require:", "requires:")})["problems"]
    assert (problem["file"], problem["line"]) == ("pasted.yaml", 8)
    assert problem["source"].strip().startswith("requires:")
    assert "agents" in asked(house, {"text": "policy: 1\nid: x\n"})["problems"][0]["message"]
    assert house.sent("/ui/policies", {"text": BANK, "hours": "0"}).status_code == 400


def test_who_may_not_read_content_cannot_ask_by_conditions_what_was_said(told) -> None:
    house, _, _ = told
    before = len(house.book.written)
    assert house.sent("/ui/policies.json", {"text": LOOSE}, "mia").status_code == 403
    page = house.seen("/ui/policies", "mia")
    assert (page.status_code, "<textarea" in page.text, "known-payee" in page.text) == (200, False, True)
    assert len(house.book.written) == before


def test_nothing_is_shown_when_the_reading_cannot_be_put_on_record(told) -> None:
    house, _, _ = told
    house.book.full = True
    try:
        assert house.sent("/ui/policies.json", {"text": LOOSE}).status_code == 503
    finally:
        house.book.full = False


def test_without_a_policy_the_page_says_how_to_write_one_and_what_it_would_have_denied(house) -> None:
    house.browse(lambda browser: browser.begin())
    page = house.seen("/ui/policies")
    assert "tollhouse init" in page.text
    assert "<textarea" in page.text


def test_calls_that_were_only_observed_can_be_judged(told) -> None:
    house, _, _ = told
    house.exchange(70, ago_s=30, calls=[{"effect": "unevaluated", "released": True, "code": "no_policy"}], enforcing=False)
    moves = asked(house, {"text": BANK, "hours": "1"})["result"]["moves"]
    assert {"was": "unevaluated", "now": "deny", "calls": 1} in moves


def test_a_form_of_another_site_asks_nothing(told) -> None:
    house, _, _ = told

    async def go(browser):
        await browser.sign_in()
        return await browser.post("/ui/policies", {"text": BANK}, "/ui/account", **{"sec-fetch-site": "cross-site"})

    assert house.browse(go).status_code == 403
