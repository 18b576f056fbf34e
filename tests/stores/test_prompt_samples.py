"""What came of answers beside the prompts they were asked with, and which of them are drawn to be compared: a thousand at the most of each
prompt version and window, always the same ones."""

from __future__ import annotations

import json
import random
import time
from collections import Counter, defaultdict
from typing import Any, NamedTuple

import duckdb
import msgspec
import pytest

from gateway.stores.duckdb import Ledger
from gateway.trace.prompt_rows import RenderedRow
from gateway.trace.record import Ended
from gateway.verdict import Finding
from gateway.web.queries import read_all

DAY_US = 86_400_000_000
MOST = 1000
REASONS = ("stop", "tool_calls", "content_filter", "SAFETY", "length")


class Answer(NamedTuple):
    """One that ended well, as the ledger is told of it."""

    key: int
    agent: str
    late: bool
    kept: bool
    reason: str
    tool: str
    tokens: int
    withheld: bool
    found: bool

    @property
    def id(self) -> str:
        return f"{self.key:032x}"

    @property
    def version(self) -> tuple[str, str, bool, bool]:
        """Prompt, version, whether it is a kept one, window."""
        return ("support", "v7", True, self.late) if self.kept else (self.agent, f"template of {self.agent}", False, self.late)


def made_up() -> list[Answer]:
    """One version with more answers in both windows than are drawn, a kept prompt with few, one in use no longer, and a new one."""
    dice = random.Random(11)
    counts = {("coder", True, False): 1300, ("coder", False, False): 2100, ("payer", True, True): 40, ("payer", False, True): 1001,
              ("gone", False, False): 30, ("new", True, False): 7}  # fmt: skip
    made: list[Answer] = []
    for (agent, late, kept), count in counts.items():
        for _ in range(count):
            reason, tool = dice.choice(REASONS), dice.choice(("look", "send", ""))
            withheld, found = dice.random() < 0.1, dice.random() < 0.1
            made.append(Answer(len(made) + 1, agent, late, kept, reason, tool, dice.randrange(1000), withheld, found))
    dice.shuffle(made)
    return made


def record(make: Any, answer: Answer, now_us: int) -> Ended:
    at = now_us - int((1 + 5 * answer.key / 5000 if answer.late else 9 + 20 * answer.key / 5000) * DAY_US)
    row = make.exchange(
        answer.key, agent=answer.agent, started_us=at, state="complete", template_hash=f"template of {answer.agent}",
        output_tokens=answer.tokens, finish_reasons=(answer.reason,), calls=int(bool(answer.tool)), denied=int(answer.withheld),
        duration_us=answer.key, cost="0.000000001", response_model="m1" if answer.key % 3 else "m2",
    )  # fmt: skip
    call = msgspec.structs.replace(make.call(answer.key, answer.key), decided_us=at, name=answer.tool)
    rendered = RenderedRow(row.id, at, "support", "v7", "production", "{}") if answer.kept else None
    findings = (Finding("pii", "mail", "warn", "$", "one"),) if answer.found else ()
    return Ended(row, (call,) if answer.tool else (), findings, rendered=rendered)


def lots(answers: list[Answer]) -> dict[str, int]:
    """DuckDB's own hash of each id, by which is drawn."""
    ids = json.dumps([each.id for each in answers])
    return dict(duckdb.execute("SELECT id, hash(id) FROM unnest(from_json(?, '[\"VARCHAR\"]')) AS t(id)", [ids]).fetchall())


def test_the_thousand_answers_of_each_version_and_window_with_the_lowest_lots_are_drawn(ledger: Ledger, make: Any) -> None:
    answers, now_us = made_up(), time.time_ns() // 1000
    ledger.apply([make.batch(make.segment(), [record(make, each, now_us) for each in answers])])
    by_version, lot = defaultdict[tuple[str, str, bool, bool], list[Answer]](list), lots(answers)
    for each in answers:
        by_version[each.version].append(each)
    query = read_all()["prompt_samples"]
    answer = ledger.query(query.sql, 1000, query.params)
    found = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    compared = [("coder", "template of coder", False, False), ("coder", "template of coder", False, True), ("support", "v7", True, False),
                ("support", "v7", True, True), ("new", "template of new", False, True)]  # fmt: skip
    # the busiest first; one is used no longer
    assert [(row["prompt"], row["version"], row["kept"], row["late"]) for row in found] == compared
    for row, version in zip(found, compared, strict=True):
        drawn = sorted(by_version[version], key=lambda each: lot[each.id])[:MOST]
        of_version = len(by_version[version]) + len(by_version[(*version[:3], not version[3])])
        assert (row["answers"], row["drawn"], int(row["of_version"])) == (len(by_version[version]), len(drawn), of_version)
        assert sorted(json.loads(row["output_tokens"])) == sorted(each.tokens for each in drawn)
        assert sorted(json.loads(row["duration_us"])) == sorted(each.key for each in drawn)
        assert len(json.loads(row["cost"])) == len(drawn)
        assert row["refused"] == sum(each.reason in ("content_filter", "SAFETY") for each in drawn)
        assert (row["withheld"], row["findings"]) == (sum(each.withheld for each in drawn), sum(each.found for each in drawn))
        assert told(row["tools"]) == Counter(each.tool for each in drawn)
        assert told(row["models"]) == Counter("m1" if each.key % 3 else "m2" for each in drawn)


def told(mix: str) -> dict[str, int]:
    """By name; the commonest comes first."""
    parts = json.loads(mix)
    assert parts == sorted(parts, key=lambda each: (-each["n"], each["name"]))
    return {each["name"]: each["n"] for each in parts}


def test_no_more_than_a_hundred_windows_are_compared_and_they_are_the_busiest(ledger: Ledger, make: Any) -> None:
    places, now_us = [(n, k) for n in range(60) for k in range(n + 1)], time.time_ns() // 1000
    answers = [Answer(100 * n + k + 1, f"agent-{n:02}", k % 2 == 0, False, "stop", "", 1, False, False) for n, k in places]
    ledger.apply([make.batch(make.segment(), [record(make, each, now_us) for each in answers])])
    query = read_all()["prompt_samples"]
    answer = ledger.query(query.sql, 1000, query.params)
    busiest = [(f"agent-{n:02}", late) for n in range(59, 9, -1) for late in (False, True)]
    assert [(row[answer.columns.index("prompt")], row[answer.columns.index("late")]) for row in answer.rows] == busiest


@pytest.mark.parametrize(("reasons", "refused"), [
    (("stop",), False), (("tool_calls",), False), (("end_turn",), False), (("tool_use",), False), (("STOP",), False), (("length",), False),
    ((), False), (("content_filter",), True), (("refusal",), True), (("SAFETY",), True), (("PROHIBITED_CONTENT",), True),
    (("stop", "content_filter"), True), (("content_filter", "stop"), True), (("stop", "stop"), False), (("unsafe_safetynet",), False),
])  # fmt: skip
def test_an_answer_counts_as_refused_by_any_of_its_reasons(ledger: Ledger, make: Any, reasons: tuple[str, ...], refused: bool) -> None:
    ledger.apply([make.batch(make.segment(), [Ended(make.exchange(1, state="complete", template_hash="t", finish_reasons=reasons))])])
    assert [list(row) for row in ledger.query("SELECT refused FROM prompt_outcomes", 9).rows] == [[refused]]


def test_an_answer_counts_as_refused_where_the_validator_says_so(ledger: Ledger, make: Any) -> None:
    said = Finding("refusal", "declines", "warn", "$", "cannot help")
    rows = [make.exchange(key, state="complete", template_hash="t", finish_reasons=("stop",)) for key in (0, 1, 2)]
    ledger.apply([make.batch(make.segment(), [Ended(row, (), (said,) * key) for key, row in enumerate(rows)])])
    found = ledger.query("SELECT refused, findings FROM prompt_outcomes ORDER BY exchange_id", 9).rows
    assert [tuple(row) for row in found] == [(False, 0), (True, 0), (True, 0)]
