"""The page Status: what the planes of the gateway say of themselves and what a look at the machine finds, and what to do about it."""

from __future__ import annotations

import pytest

from gateway.web.admin import Status

TARGET = {"target": "eu/m", "priority": 0, "weight": 1, "state": "open", "opens_in_s": 9.0, "rests_s": 0, "attempts": 7, "failures": 3,
          "last_fault": "503", "last_fault_s_ago": 2.0, "first_byte_ms": None}  # fmt: skip


def look(house, query=""):
    async def go(browser):
        await browser.begin()
        answer = await browser.get(f"/ui/status.json{query}")
        return answer.json(), (await browser.get(f"/ui/status{query}")).text, (await browser.get(f"/ui/status.csv{query}")).text

    return house.browse(go)


def levels(found, about):
    return {each["level"] for each in found["findings"] if each["about"] == about}


def test_where_all_is_well_it_says_so_and_what_was_looked_at(house, worker) -> None:
    found, page, csv = look(house)
    assert found["ready"] is True
    assert {"versions", "startup files", "disk", "state", "ledger"} <= {each["about"] for each in found["findings"]}
    assert "Ready: agents are served" in page
    assert csv.splitlines()[0] == "about,level,said,do"
    assert found["listen"] == worker.url
    assert "No route has several targets" in page
    assert levels(found, "providers") == levels(found, "keys") == set()


def test_an_edit_that_could_not_be_used_is_shown_with_its_place_before_what_is_well(house, worker) -> None:
    worker.says["policy"] |= {"stale": True, "problems": ["policies/bank.yaml:12:7: rules.0.acton: unknown key"]}
    worker.says["prompts"] |= {"stale": True, "problems": ["prompts/hello.md:3:1: no such filter"], "count": 2}
    found, page, _ = look(house)
    assert [each["said"] for each in found["findings"][:2]] == [
        "policies/bank.yaml:12:7: rules.0.acton: unknown key", "prompts/hello.md:3:1: no such filter",
    ]  # fmt: skip
    assert page.count("the last edit could not be used") == 2


def test_lag_damage_disk_and_state_are_told_with_what_to_do(house, worker) -> None:
    house.book.now = Status(ready=False, lag_bytes=4096, records=9, ledger="v", quarantined={"00.log": "bad checksum"}, warnings=("w",))
    worker.says |= {"ready": False, "state": {"healthy": False, "problem": "redis is gone"}}
    worker.says["journal"] = {"healthy": False, "problem": "no space left", "durability": "commit"}
    found, page, _ = look(house)
    assert found["ready"] is False
    assert (found["book"]["lag_bytes"], "4,096 bytes" in page, "Not ready" in page) == (4096, True, True)
    told = {(each["about"], each["said"]): each["do"] for each in found["findings"] if each["level"] == "error"}
    for key in (("journal", "no space left"), ("state", "redis is gone"), ("journal", "00.log is not read any further: bad checksum")):
        assert told[key]


def test_a_providers_breaker_that_is_open_is_told(house, worker) -> None:
    well = TARGET | {"target": "us/m", "state": "closed", "last_fault": None}
    worker.says["routes"] = [{"models": ["m", "n"], "targets": [TARGET, well]}]
    found, page, _ = look(house)
    shown = [(each["target"], each["state"], each["models"]) for each in found["targets"]]
    assert shown == [("eu/m", "open", "m, n"), ("us/m", "closed", "m, n")]
    assert levels(found, "providers") == {"warning"}
    assert "eu/m is open for 9 s; last 503 2 s ago" in page


def test_without_a_worker_the_page_says_that_nobody_answers(house) -> None:
    (house.folder / "run.json").write_text('{"listen": "http://127.0.0.1:9", "admin": "x"}')
    found, page, _ = look(house)
    assert (found["ready"], levels(found, "data plane")) == (False, {"error"})
    assert "no answer from http://127.0.0.1:9" in page


@pytest.mark.parametrize("role", ["viewer-metadata", "viewer-content", "policy-editor", "approver"])
def test_everybody_who_sees_metadata_sees_how_the_gateway_is(house, worker, role) -> None:
    async def go(browser):
        await browser.as_role(role, "bob")
        return (await browser.get("/ui/status")).status_code, (await browser.get("/ui/status?ask=everything")).status_code

    assert house.browse(go) == (200, 400)


def test_providers_are_asked_only_when_somebody_wants_it(build, worker) -> None:
    upstreams = {"one": {"dialect": "openai.chat", "base_url": worker.url}}
    house = build({"upstreams": upstreams})
    assert levels(look(house)[0], "providers") == set()

    async def again(browser):
        await browser.sign_in()
        return (await browser.get("/ui/status.json?ask=providers")).json()

    found = house.browse(again)
    assert levels(found, "telemetry") == {"ok"}
    assert levels(found, "providers") <= {"ok", "error"}
    assert levels(found, "providers")
