"""Pages of prompts: kept and found versions with what came of them, two of them side by side, and what has drifted."""

from __future__ import annotations

import time
from urllib.parse import urlencode

import pytest

from gateway.trace.exchange_rows import ExchangeRow
from gateway.trace.prompt_rows import KeptRow, MovedRow, PromptRow, RenderedRow
from gateway.trace.record import ContentRead, Ended, PromptMoved, PromptsLoaded

OLD, NEW = "a" * 64, "b" * 64
ONE, OTHER = "1" * 32, "2" * 32


@pytest.fixture(scope="module")
def told(lived_in):
    """Two kept versions, one of them promoted; two templates of an agent, the later three times as wordy."""
    lived_in.clock[0] = time.time_ns() // 1000  # saved questions ask the clock of the ledger
    now = lived_in.clock[0]
    kept = (
        KeptRow("support", OLD, now - 9_000_000, "c0ffee", (), "Be kind.\nBe brief.", "c0ffee" * 6, "ada", committed=True),
        KeptRow("support", NEW, now - 5_000_000, "c0ffee", ("production",), "Be kind.\nBe long.", committed=False),
    )
    lived_in.book.apply(PromptsLoaded(kept), PromptMoved(MovedRow("m1", now, "support", "production", NEW, OLD, "eve", "better")))
    for n in range(240):
        late = n >= 120
        template, tokens = (OTHER, 300 + n % 50) if late else (ONE, 100 + n % 50)
        at = now - (600 - n) * 1_000_000
        row = {"agent": "bot", "session": f"s{n}", "state": "complete", "cost": "0.01", "output_tokens": tokens, "template_hash": template}
        text = "Say much.\nSign it." if late else "Say little.\nSign it."
        prompt = PromptRow(f"{template[:1]}f" * 16, at, "bot", text, "[]")
        exchange = ExchangeRow(f"y{n}", at, "openai.chat", "openai", "chat", "/v1", prompt_hash=prompt.hash, **row)
        rendered = RenderedRow(f"y{n}", at, "support", NEW) if n % 4 == 0 else None
        lived_in.book.apply(Ended(exchange, (), (), (), prompt=prompt, rendered=rendered))
    lived_in.browse(lambda browser: browser.begin())
    lived_in.join("viewer-metadata", "mia")
    return lived_in


def compared(house, before, after, name="ada", form=".json", **more):
    return house.seen(f"/ui/prompts/compare{form}?{urlencode({'before': before, 'after': after, **more})}", name)


def test_versions_are_listed_with_who_stands_for_them_and_what_came_of_them(told) -> None:
    rows = {each["id"]: each for each in told.seen("/ui/prompts.json", "mia").json()["rows"]}
    old, new, one = rows[f"kept:support:{OLD}"], rows[f"kept:support:{NEW}"], rows[f"found:bot:{ONE}"]
    assert (old["by"], old["answers"]) == ("ada (c0ffeec0ffee)", 0)
    assert (new["by"], new["labels"], new["answers"], new["cost"]) == ("promoted by eve", "production", 60, "0.600000000")
    assert (one["by"], one["answers"], one["output_tokens"] < 150) == ("nobody deployed it", 90, True)
    page = told.seen("/ui/prompts", "mia").text
    assert ("Say little" in page, "Be kind" in page, "promoted by eve" in page) == (False, False, True)
    assert told.seen("/ui/prompts.csv").text.startswith("id,kind,prompt,version")


def test_two_versions_are_shown_line_by_line_and_the_reading_is_on_record(told) -> None:
    before = len(told.book.written)
    kept = compared(told, f"kept:support:{OLD}", f"kept:support:{NEW}").json()
    assert kept["lines"] == [["same", "Be kind."], ["gone", "Be brief."], ["new", "Be long."]]
    found = compared(told, f"found:bot:{ONE}", f"found:bot:{OTHER}").json()
    assert ["gone", "Say little."] in found["lines"]
    assert [type(each) for each in told.book.written[before:]] == [ContentRead, ContentRead]
    page = compared(told, f"kept:support:{OLD}", f"kept:support:{NEW}", form="").text
    assert "<del>" in page
    assert "Be brief." in page


def test_what_came_of_two_versions_is_compared(told) -> None:
    outcome = compared(told, f"found:bot:{ONE}", f"found:bot:{OTHER}", "mia").json()["outcome"]
    drifted = {each["measure"]: each["drifted"] for each in outcome["measures"]}
    assert (outcome["baseline"], outcome["answers"], outcome["verdict"]) == (90, 90, "drift")
    assert (drifted["output_tokens"], drifted["withheld"]) == (True, False)
    assert compared(told, f"found:bot:{ONE}", f"found:bot:{ONE}", "mia").json()["outcome"]["verdict"] == "steady"
    assert "Too few answers" in compared(told, f"kept:support:{OLD}", f"found:bot:{ONE}", form="").text


def test_who_may_not_read_sees_no_text_and_nothing_is_put_on_record(told) -> None:
    before = len(told.book.written)
    for form in ("", ".json"):
        page = compared(told, f"kept:support:{OLD}", f"kept:support:{NEW}", "mia", form)
        assert (page.status_code, "Be brief" in page.text, "Be long" in page.text) == (200, False, False)
    assert len(told.book.written) == before


def test_no_text_is_shown_when_the_reading_cannot_be_put_on_record(told) -> None:
    told.book.full = True
    try:
        assert compared(told, f"kept:support:{OLD}", f"kept:support:{NEW}").status_code == 503
    finally:
        told.book.full = False


@pytest.mark.parametrize("name", ["kept:support:feed", "x", "found:bot:%"])
def test_a_version_nobody_knows_is_not_found(told, name) -> None:
    assert compared(told, name, f"found:bot:{ONE}").status_code == 404


def test_drift_is_shown_for_each_version_and_as_one_table(told) -> None:
    shown = told.seen("/ui/prompts/drift.json?least=10&days=365", "mia").json()
    assert {each["verdict"] for each in shown["versions"]} == {"too few"}
    assert told.seen("/ui/prompts/drift", "mia").status_code == 200
    assert told.seen("/ui/prompts/drift?days=0").status_code == 400


def test_without_any_the_page_says_how_to_keep_one(house) -> None:
    house.browse(lambda browser: browser.begin())
    page = house.seen("/ui/prompts").text
    assert ("prompts/support.md" in page, "{{ shop }}" in page) == (True, True)
    assert house.seen("/ui/prompts/compare").status_code == 200
