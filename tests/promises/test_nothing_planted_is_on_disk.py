"""A secret that an agent, a model, a tool, a provider or a person lets out is found nowhere on disk; `full` shows that the search works."""

from __future__ import annotations

import pytest

DIALECTS = ("chat", "responses", "messages", "gemini")
PLACES = (
    "request text",
    "system prompt",
    "variable of a prompt",
    "streamed answer",
    "whole answer",
    "finish reason",
    "user agent",
    "request id",
    "session id",
    "user id",
    "metadata",
    "declaration of a tool",
    "earlier argument",
    "tool result",
    "argument of a released call",
    "argument of a denied call, quoted by its reason",
    "name of a tool",
    "argument of an undeclared tool",
    "argument a person is asked about",
    "argument without one reading",
    "error of the provider",
    "model name",
    "unknown key",
    "path",
    "query",
    "label of feedback",
    "comment of feedback",
)
CONTENT = {
    "request text", "system prompt", "variable of a prompt", "streamed answer", "whole answer", "declaration of a tool", "earlier argument",
    "tool result",
    "argument of a released call", "argument a person is asked about", "comment of feedback",
}  # fmt: skip
"""What is said. `full` keeps it, which proves that the search finds what is there."""
ALLOWED = ("journal/", "ledger.duckdb", "content-")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_planted_secret_is_nowhere(disk, mode, dialect, place):
    found = disk.places_of(disk.secret(f"{dialect} {place}"))
    if mode == "full":
        assert [name for name in found if not name.removeprefix(".tollhouse/").removeprefix("running ").startswith(ALLOWED)] == []
        assert found or place not in CONTENT
    elif mode == "encrypted":
        assert not found or place not in CONTENT
    else:
        assert found == []


@pytest.mark.parametrize("place", ["edited argument", "reason of a person"])
def test_what_a_person_says_is_nowhere(disk, mode, place):
    found = disk.places_of(disk.secret(place))
    assert not found or mode == "full" or (mode == "encrypted" and place != "edited argument")


def test_the_log_of_the_gateway_was_searched_too(disk):
    assert b"tollhouse is ready" in disk.texts["gateway.log"]
    assert any(name.startswith("running state.sqlite") for name in disk.texts)
    assert any(name.startswith("ledger.duckdb: ") for name in disk.texts)
    assert any(name.endswith(".log") and "journal" in name for name in disk.texts)


MARKS = {"full": b"ghp_", "encrypted": b"enc:1:dk", "redacted": b"[REDACTED:secret:", "metadata": b"[text, "}


@pytest.mark.parametrize(
    "table",
    ["message_bodies", "calls", "exchanges_ended", "prompt_bodies", "prompts_rendered", "approval_changes", "feedback_told"],
)
def test_something_stands_in_the_place_of_what_was_said(disk, mode, table):
    mark = b"look_up" if (mode, table) == ("metadata", "prompt_bodies") else MARKS[mode]
    assert any(mark in data for name, data in disk.texts.items() if name.endswith(f".duckdb: {table}"))
