"""`tollhouse coverage`: what was judged and what was not, with the routes nobody asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.coverage import served
from gateway.cli.main import app
from gateway.clock import Clock
from gateway.policy import load
from gateway.stores import Batch
from gateway.stores.duckdb import Ledger
from gateway.trace.exchange_rows import ExchangeRow
from gateway.trace.loaded import policy_row
from gateway.trace.record import Booted, Ended, PolicyLoaded
from gateway.trace.segments import Segment

SEGMENT = Segment("1" * 32, 0, "2" * 32, 0)


def folder(path: Path, *records: object) -> Path:
    ledger = Ledger(path / "ledger.duckdb")
    told = [Booted(SEGMENT.run, 0, SEGMENT.boot, 1), *records]
    ledger.apply([Batch(SEGMENT, list(enumerate(told)), 9, bytes(32))])
    ledger.close()
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    now = Clock().now_us()
    policies = load(
        {"p.yaml": b"policy: 1\nid: p\nagents: ['*']\nallow: [get_*]\nrules:\n- {id: quiet, tools: [get_*], effect: warn}\n"}
    )
    row = ExchangeRow(
        "a" * 32,
        now,
        "openai.responses",
        "openai",
        "chat",
        "/v1/responses",
        "bot\x1b[2J",
        state="complete",
        unevaluated=("field:x", "field:[/y]"),
    )
    return folder(tmp_path, PolicyLoaded(policy_row(policies, now)), Ended(row))


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["coverage", *arguments], env={"COLUMNS": "200"}, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_it_says_what_was_judged_what_was_not_and_what_nobody_asked(data: Path) -> None:
    said = run("--data", str(data))
    for word in ("/v1/responses", "field:x", "quiet", "Every tool seen is named by a rule", "/messages", "/chat/completions"):
        assert word in said
    assert "\x1b[2J" not in said


@pytest.mark.parametrize("width", ["40", "80", "250"])
def test_nothing_is_cut_to_the_width_of_the_terminal(data: Path, width: str) -> None:
    said = CliRunner(env={"COLUMNS": width}).invoke(app, ["coverage", "--data", str(data)], catch_exceptions=False).stdout
    for word in ("/v1/responses", "unevaluated", "last_seen", "tool_call", "field:x", "field:[/y]"):
        assert word in said
    assert "…" not in said


def test_json_is_one_object_with_every_section(data: Path) -> None:
    told = json.loads(run("--data", str(data), "--json", "--days", "7"))
    assert told["days"] == 7
    assert {row["hook"] for row in told["coverage"]} == {"request", "tool_call"}
    assert [row["rule"] for row in told["rules_never_fired"]] == ["allow", "quiet"]
    assert "/responses" not in told["never_asked"]
    assert "/messages" in told["never_asked"]


def test_an_empty_book_is_no_error(tmp_path: Path) -> None:
    said = run("--data", str(folder(tmp_path)))
    assert "Nothing was asked" in said


def test_without_a_data_folder_it_says_what_to_do(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["coverage", "--data", str(tmp_path / "none")])
    assert result.exit_code != 0


def test_every_route_of_every_dialect_is_listed_once() -> None:
    routes = served()
    assert len(routes) == len(set(routes))
    assert {
        "/chat/completions",
        "/messages",
        "/responses",
        "/models/{model}:generateContent",
        "/models",
        "/responses/{id}",
    } <= set(routes)
