"""What people may be bound to, and that the ledger and everything else read it the same way."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.people import bound
from gateway.stores import sight

NAMES = ["red", "Red", "acme", "*", "a/b", "/", "", "null", "%"]
TO = ["red", "acme/red", "acme/*", "*", "/*", "*/*", "a/b", "/a/b", "acme/a/b", "acme/", "/", "", "//", "%"]


@pytest.mark.parametrize(
    ("to", "org", "team", "seen"),
    [
        ("red", None, "red", True), ("red", "acme", "red", False), ("red", None, "blue", False), ("red", None, None, False),
        ("acme/red", "acme", "red", True), ("acme/red", "zeta", "red", False), ("acme/red", None, "red", False),
        ("acme/red", "acme", "blue", False), ("acme/red", "acme", None, False), ("acme/red", None, "acme/red", False),
        ("acme/*", "acme", "red", True), ("acme/*", "acme", None, True), ("acme/*", "zeta", "red", False), ("acme/*", None, "red", False),
        ("acme/*", None, "acme", False), ("acme/*", "acme/*", "red", False), ("acme/*", "acm", "e/*", False), ("/*", None, "red", False),
        ("*", None, "red", False), ("*", "acme", "red", False), ("*/*", "acme", "red", False), ("acme", "acme", "red", False),
        ("a/b/c", "a", "b/c", True), ("a/b/c", "a/b", "c", False), ("/a/b", None, "a/b", True), ("a/b", None, "a/b", False),
    ],
)  # fmt: skip
def test_what_is_seen(to: str, org: str | None, team: str | None, seen: bool) -> None:
    assert bound.sees({to}, org, team) is seen


@given(st.frozensets(st.sampled_from(TO)), st.sampled_from([None, *NAMES]), st.sampled_from([None, *NAMES]))
def test_sql_sees_what_the_rest_sees(to: frozenset[str], org: str | None, team: str | None) -> None:
    mine = sight.condition(sight.OWN, lambda table: table)
    with duckdb.connect() as con:
        sql = f"SELECT count(*) FROM (SELECT $org::VARCHAR AS org, $team::VARCHAR AS team) WHERE {mine}"
        [(count,)] = con.execute(sql, {"org": org, "team": team, sight.TEAMS: sight.value(to)}).fetchall()
    assert bool(count) == bound.sees(to, org, team)


@given(st.sampled_from([None, "acme", "red", "null"]), st.sampled_from(["red", "a/b", "/", "acme", "%"]))
def test_who_is_bound_to_the_name_of_a_team_sees_it_and_no_other(org: str | None, team: str) -> None:
    name = bound.name_of(org, team)
    assert [(o, t) for o in [None, *NAMES] for t in NAMES if bound.sees({name}, o, t) and (o or None, t) != (org, team)] == []
    assert bound.sees({name}, org, team)


@pytest.mark.parametrize("text", ["red", "acme/red", "acme/*", "a/b/c", "/a/b", "Rot und Blau", "acme/Rot und Blau", "%"])
def test_these_can_be_meant(text: str) -> None:
    assert bound.checked(text) == text


WRONG = [
    "", " ", " red", "red ", "re\nd", "*", "/*", "*/red", "*/*", "ac*/red",
    "pay*", "acme/pay*", "/pay*", "acme/", "/", "acme / red", "acme/ *",
]  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_what_has_no_meaning_is_refused_with_what_has(text: str) -> None:
    with pytest.raises(ValueError, match=r"written as on its keys|organisation/\* for all of one"):
        bound.checked(text)
