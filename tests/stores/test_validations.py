"""What validators did, asked of the ledger: quality, coverage and what they measure."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.shipped import folder
from gateway.trace.exchange_rows import HeardRow
from gateway.trace.record import Ended, Judged
from gateway.verdict import Finding, Ran


def ran(validator: str = "length", **more: Any) -> Ran:
    return Ran(validator, "1", **{"policy": "bank", "rule": "short", "effect": "deny", **more})


@pytest.fixture
def asked(ledger: Any, make: Any) -> Any:
    """`asked([(row, ...), ...])` records one exchange for each, and returns a function that asks SQL."""

    def begin(exchanges: Any, **more: Any) -> Any:
        segment = make.segment()
        records = [make.booted(segment)]
        records += [Ended(make.exchange(n, state="complete", **more), ran=tuple(rows)) for n, rows in enumerate(exchanges)]
        ledger.apply([make.batch(segment, records)])
        return lambda sql: [list(row) for row in ledger.query(sql, 100).rows]

    return begin


def test_quality_is_the_share_of_answers_that_every_blocking_validator_passed(asked: Any) -> None:
    ask = asked([
        (ran(), ran("other")),
        (ran(), ran("other", outcome="hit")),
        (ran(outcome="unevaluated"),),
        (ran(effect="repair"),),
        (ran(effect="warn", outcome="hit"),),  # none of the others could have withheld the answer
        (ran(mode="shadow", outcome="hit"),),
        (ran(hook="tool_result", outcome="hit"),),
        (ran(outcome="not_drawn"),),
        (),
    ])  # fmt: skip
    assert ask("SELECT agent, controlled, met, unevaluated, quality FROM quality") == [["coder", 4, 2, 1, 0.5]]


def test_coverage_counts_what_was_looked_at_before_it_left(asked: Any) -> None:
    ask = asked([(ran(),), (ran(outcome="hit"),), (ran(before=False),), (ran(outcome="unevaluated"),), (ran(outcome="not_drawn"),), ()])
    found = ask("SELECT validator, outputs, before, after, unevaluated, coverage FROM quality_control_coverage")
    assert found == [["length", 6, 2, 1, 1, 0.3333]]


def looks(before: bool, *names: str) -> tuple[Ran, ...]:
    return tuple(Ran(name, "1", before=before) for name in names)


def test_what_passed_unasked_reads_the_same_in_short_and_in_rows(asked: Any, ledger: Any, make: Any) -> None:
    """One agent's looks are told in rows, as they once were, and the other's in short."""
    ask = asked([looks(True, "card", "iban"), looks(False, "card"), (), (ran(), *looks(True, "card"))])
    short = [("card/1 iban/1", True, ()), ("card/1", False, ()), ("", False, ()), ("card/1", True, (ran(),))]
    records = [
        Ended(make.exchange(10 + n, state="complete", agent="other", looked=looked, looked_before=before), ran=told)
        for n, (looked, before, told) in enumerate(short)
    ]
    ledger.apply([make.batch(make.segment(run=2), records)])
    for view, columns in (
        ("validations", "* EXCLUDE (exchange_id, started_at, agent)"),
        ("quality_control_coverage", "* EXCLUDE (day, agent)"),
        ("quality", "* EXCLUDE (day, agent)"),
    ):
        rows, briefly = (ask(f"SELECT {columns} FROM {view} WHERE agent = '{agent}' ORDER BY ALL") for agent in ("coder", "other"))
        assert rows == briefly != []


def test_what_is_no_answer_is_no_output(asked: Any) -> None:
    ask = asked([(ran(),)], operation="embeddings")
    assert ask("SELECT count(*) FROM quality_control_coverage") == [[0]]


def test_scores_have_a_mean_and_quantiles(asked: Any) -> None:
    ask = asked([(ran(score=score, effect="warn"),) for score in (0.0, 0.5, 1.0)] + [(ran(),)])
    assert ask("SELECT measured, mean, p50 FROM alignment") == [[3, 0.5, 0.5]]


def test_a_finding_says_which_rule_asked_and_never_the_words(ledger: Any, make: Any) -> None:
    segment = make.segment()
    found = Finding("card", "found", "error", "answer", "a card", "denied", "1", "bank", "no-cards", "ab" * 16, 0.5)
    ledger.apply([make.batch(segment, [make.booted(segment), Ended(make.exchange(1), findings=(found,))])])
    rows = ledger.query("SELECT validator, code, action, version, policy, rule, span_hash, score FROM findings", 10).rows
    assert [list(row) for row in rows] == [["card", "found", "denied", "1", "bank", "no-cards", "ab" * 16, 0.5]]


@pytest.mark.parametrize("late", [False, True])
def test_what_a_model_says_afterwards_joins_its_exchange_whichever_comes_first(late: bool, ledger: Any, make: Any) -> None:
    segment, answered = make.segment(), make.exchange(1, state="complete", prompt_hash="ab" * 32)
    opinion = ran("judge", rule="helpful", effect="warn", before=False, outcome="hit", score=0.25, asked="judge-1")
    found = Finding("judge", "below", "warn", "answer", "the score is 0.25", version="1", policy="bank", rule="helpful", score=0.25)
    heard = HeardRow(answered.id, answered.started_us, "output", "answer", "bank", "helpful", "warn", "enforce", detector="judge")
    said = Judged(answered.id, answered.started_us, answered.agent, (opinion,), (found,), (heard,))
    records = [Ended(answered), said] if late else [said, Ended(answered)]
    ledger.apply([make.batch(segment, [make.booted(segment), *records])])

    def ask(sql: str) -> list[list[Any]]:
        return [list(row) for row in ledger.query(sql, 10).rows]

    assert ask("SELECT agent, rule, prompt_hash, measured, mean FROM alignment") == [["coder", "helpful", "ab" * 32, 1, 0.25]]
    assert ask("SELECT outcome, before, asked FROM validations") == [["hit", False, "judge-1"]]
    assert ask("SELECT validator, before, after, coverage FROM quality_control_coverage") == [["judge", 0, 1, 0.0]]
    assert ask("SELECT code, score FROM findings") == [["below", 0.25]]
    assert ask("SELECT rule, hook, detector FROM rule_hits") == [["helpful", "output", "judge"]]


@pytest.mark.parametrize("name", ["quality", "quality_control_coverage", "alignment"])
def test_each_saved_query_answers(asked: Any, name: str) -> None:
    ask = asked([(ran(score=0.5),)])
    sql = (folder("traces") / "queries" / f"{name}.sql").read_text().replace("$days", "36500").replace("$agent", "'%'")
    assert len(ask(sql)) == 1
