"""What a reader answers from the rows it is lent is what the ledger itself answers: whatever is pushed down, streamed, kept or left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.stores import Refused
from gateway.stores.catalogue import PUBLIC_TABLES
from gateway.stores.duckdb import Ledger
from gateway.web import queries

Ask = Callable[..., dict[str, Any]]

QUESTIONS = [
    "SELECT 1, NULL, 'a', [1.5], {'k': DATE '2026-01-01'}, INTERVAL 1 DAY",
    "SELECT count(*) FROM exchanges",
    "SELECT agent, sum(cost), count(DISTINCT session) FROM exchanges GROUP BY ALL ORDER BY ALL",
    "SELECT * FROM exchanges ORDER BY started_at DESC LIMIT 7",
    "SELECT * FROM exchanges ORDER BY started_at DESC, id LIMIT 7 OFFSET 4",
    "SELECT * FROM calls ORDER BY decided_at LIMIT 3",
    "SELECT id, team FROM exchanges ORDER BY team NULLS FIRST, id LIMIT 5",
    "SELECT id, cost FROM exchanges WHERE cost > 0.0000001 ORDER BY cost DESC, id LIMIT 5",
    "SELECT e.id, c.name FROM exchanges e JOIN calls c ON c.exchange_id = e.id WHERE c.effect = 'deny' ORDER BY ALL",
    "SELECT a.id FROM exchanges a JOIN exchanges b ON a.duration_us = b.duration_us + 1000 WHERE b.agent = 'coder' ORDER BY 1",
    "SELECT id FROM exchanges WHERE agent = 'coder' OR id IN (SELECT exchange_id FROM calls WHERE name = 'tool3') ORDER BY 1",
    "WITH e AS (SELECT * FROM exchanges WHERE state = 'denied') SELECT (SELECT count(*) FROM e), (SELECT max(id) FROM e), count(*) FROM e",
    "SELECT (SELECT count(*) FROM calls WHERE name = 'tool1'), (SELECT count(*) FROM calls WHERE name = 'tool2')",
    "SELECT started_at FROM exchanges WHERE started_at BETWEEN '2026-09-22' AND TIMESTAMP '2026-09-23 00:00:00.5' ORDER BY 1",
    "SELECT count(*) FROM exchanges WHERE started_at::DATE = '2026-09-25' AND team IS NULL",
    "SELECT count(*) FROM exchanges WHERE started_at > now()::TIMESTAMP",
    "SELECT agent, row_number() OVER (ORDER BY id) AS n FROM exchanges QUALIFY n < 4 ORDER BY n",
    "SELECT finish_reasons[2], len(unevaluated) FROM exchanges ORDER BY id LIMIT 4",
    "SELECT DISTINCT ON (agent) agent, id FROM exchanges ORDER BY agent, id DESC",
    "SELECT state, count(*) FROM exchanges WHERE false GROUP BY 1",
    "SELECT count(*) FROM exchanges a, (SELECT 1 FROM calls LIMIT 2)",
    "FROM calls SELECT max(decided_at) - min(decided_at)",
    "SELECT head FROM journal_offsets",
    "SELECT name, agents, calls FROM tools_seen ORDER BY ALL",
    "SELECT coalesce(team, 'none') AS t, list(id ORDER BY id) FROM exchanges GROUP BY t ORDER BY t",
]


def same(ask: Ask, ledger: Ledger, sql: str, **params: Any) -> None:
    expected = ledger.query(sql, 10_000, params)
    found = ask(sql, **params)
    assert (found["columns"], found["types"]) == (list(expected.columns), list(expected.types))
    assert found["rows"] == [list(row) for row in expected.rows]


@pytest.mark.parametrize("sql", QUESTIONS)
def test_a_question_has_the_ledgers_answer(ask: Ask, ledger: Ledger, sql: str) -> None:
    same(ask, ledger, sql)


def test_every_public_table_and_view_can_be_read_whole(ask: Ask, ledger: Ledger) -> None:
    views = ledger.query("SELECT 1", 1) and [view.split()[2] for view in ledger.shape().views]
    for name in sorted(PUBLIC_TABLES | set(views)):
        same(ask, ledger, f"SELECT count(*), sum(hash(t::VARCHAR))::VARCHAR FROM {name} AS t")


@pytest.mark.parametrize("name", sorted(queries.read_all()))
def test_saved_queries_have_the_same_answer_when_people_send_them(ask: Ask, ledger: Ledger, name: str) -> None:
    query = queries.read_all()[name]
    found, expected = ask(query.sql, **query.params), ledger.query(query.sql, 10_000, query.params)
    assert sorted(map(str, found["rows"])) == sorted(map(str, map(list, expected.rows)))


TEXTS = ["coder", "it's", "a\nb", "input_tokens=5", 'quo"te', "", "ä€🦀", "x' AND state='open", "z\nteam='blue'\n", "' OR 1=1"]
texts = st.sampled_from(TEXTS)
comparison = st.one_of(
    st.tuples(st.sampled_from(["agent", "team", "state", "session"]), st.sampled_from(["=", "<>", "<", ">=", "LIKE"]), texts).map(
        lambda t: f"{t[0]} {t[1]} '{t[2].replace(chr(39), chr(39) * 2)}'"
    ),
    st.tuples(st.sampled_from(["input_tokens", "duration_us"]), st.sampled_from(["=", "<", ">=", "<>"]), st.integers(-3, 300_000)).map(
        lambda t: f"{t[0]} {t[1]} {t[2]}"
    ),
    st.tuples(st.sampled_from(["<", ">="]), st.integers(0, 300)).map(
        lambda t: f"started_at {t[0]} make_timestamp({START} + {t[1]} * 3600000000)"
    ),
    st.sampled_from(["team IS NULL", "team IS NOT NULL", "cost > 0.00000005",
        "'a' = ANY(unevaluated)", "stream", "state IN ('open', 'x')"]),
)
START = 1_790_000_000_000_000
condition = st.recursive(
    comparison,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"), inner.map(lambda c: f"NOT ({c})")
    ),
    max_leaves=5,
)
frames = st.sampled_from([
    "SELECT id, agent FROM exchanges WHERE {} ORDER BY id",
    "SELECT count(*), sum(cost) FROM exchanges WHERE {}",
    "SELECT * FROM exchanges WHERE {} ORDER BY started_at DESC LIMIT 5",
    "SELECT * FROM exchanges AS e WHERE {} ORDER BY e.started_at LIMIT 3 OFFSET 2",
    "SELECT * EXCLUDE (usage_raw) FROM exchanges WHERE {} ORDER BY input_tokens DESC, id LIMIT 4",
    "FROM exchanges WHERE {} ORDER BY duration_us LIMIT 400",
    "SELECT c.id FROM calls c JOIN (SELECT * FROM exchanges WHERE {}) e ON e.id = c.exchange_id ORDER BY 1",
    "SELECT id FROM exchanges WHERE {} UNION ALL SELECT id FROM exchanges WHERE NOT ({}) ORDER BY 1",
])  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(frames, condition, condition)
def test_no_condition_makes_a_difference_to_what_is_lent(ask: Ask, ledger: Ledger, frame: str, one: str, other: str) -> None:
    same(ask, ledger, frame.format(one, other))


@settings(max_examples=10, deadline=None)
@given(texts, st.integers(0, 9))
def test_parameters_are_values_and_nothing_else(ask: Ask, ledger: Ledger, text: str, number: int) -> None:
    same(ask, ledger, "SELECT id FROM exchanges WHERE agent = $t AND input_tokens >= $n::BIGINT ORDER BY 1", t=text, n=number)


@pytest.mark.parametrize("number", ["1e400", "-1e400::DOUBLE", "[1e999]"])
def test_a_number_that_no_double_holds_is_refused_in_the_same_words(ask: Ask, ledger: Ledger, number: str) -> None:
    for asked in (ask, lambda sql: ledger.query(sql, 1)):
        with pytest.raises(Refused, match="larger than any DOUBLE") as refused:
            asked(f"SELECT count(*) FROM exchanges WHERE cost < {number}")
        assert refused.value.code == "sql_error"


def test_a_question_that_needs_more_than_it_says_is_not_answered_wrongly(ask: Ask) -> None:
    with pytest.raises(Refused) as refused:
        ask("SELECT rowid FROM calls")
    assert refused.value.code == "sql_error"
