"""Answers: plain JSON values, bounded in rows, cell and sum, whatever the content."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from gateway.stores import answers
from gateway.stores.duckdb import Ledger


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    opened = Ledger(tmp_path_factory.mktemp("ledger") / "ledger.duckdb")
    yield opened
    opened.close()


VALUES = [
    ("NULL", None),
    ("true", True),
    ("42", 42),
    ("9007199254740993", "9007199254740993"),
    ("(-9007199254740993)::BIGINT", "-9007199254740993"),
    ("1.5::DOUBLE", 1.5),
    ("'nan'::DOUBLE", "nan"),
    ("'-inf'::DOUBLE", "-inf"),
    ("0.000000001::DECIMAL(18,9)", "0.000000001"),
    ("'x'", "x"),
    ("TIMESTAMP '2026-01-02 03:04:05.000006'", "2026-01-02T03:04:05.000006Z"),
    ("TIMESTAMPTZ '2026-01-02 03:04:05+01'", "2026-01-02T02:04:05.000000+00:00"),
    ("DATE '2026-01-02'", "2026-01-02"),
    ("TIME '01:02:03'", "01:02:03"),
    ("INTERVAL 90 SECOND", "90.000000 s"),
    ("'\\xFF'::BLOB", "ff"),
    ("'00000000-0000-0000-0000-000000000001'::UUID", "00000000-0000-0000-0000-000000000001"),
    ("[1, NULL]", [1, None]),
    ("{'a': [1.5], 'b': 'x'}", {"a": ["1.5"], "b": "x"}),
    ("map(['k'], [1])", {"k": 1}),
    ("'101'::BIT", "101"),
]


@pytest.mark.parametrize(("sql", "want"), VALUES)
def test_every_type_becomes_a_json_value(ledger: Ledger, sql: str, want: object) -> None:
    answer = ledger.query(f"SELECT {sql} AS v", 1)
    assert answer.rows == [[want]]
    assert msgspec.json.decode(msgspec.json.encode(answer.rows)) == [[want]]


@pytest.mark.parametrize(("have", "limit", "want", "truncated"), [(5, 5, 5, False), (6, 5, 5, True), (0, 5, 0, False), (3, 0, 1, True)])
def test_rows_are_cut_at_the_limit_and_it_is_said(ledger: Ledger, have: int, limit: int, want: int, truncated: bool) -> None:
    answer = ledger.query(f"SELECT * FROM range({have})", limit)
    assert (len(answer.rows), answer.truncated) == (want, truncated)


def test_nobody_gets_more_than_the_most(ledger: Ledger) -> None:
    answer = ledger.query("SELECT * FROM range(100000)", 10**9)
    assert (len(answer.rows), answer.truncated) == (answers.MAX_ROWS, True)


def test_a_result_without_end_is_not_computed_to_its_end(ledger: Ledger) -> None:
    assert ledger.query("SELECT * FROM range(1000000000000000)", 3).rows == [[0], [1], [2]]


def test_a_long_text_is_cut_and_it_is_said(ledger: Ledger) -> None:
    answer = ledger.query("SELECT repeat('x', 70000) AS v, ['y' || repeat('z', 70000)] AS w", 1)
    assert [len(answer.rows[0][0]), len(answer.rows[0][1][0])] == [answers.MAX_CELL + 1] * 2
    assert answer.rows[0][0].endswith("…")
    assert answer.truncated


def test_the_whole_answer_is_bounded(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_TOTAL", 100_000)
    answer = ledger.query("SELECT repeat('x', 60000) AS v FROM range(9999)", 9999)
    assert answer.truncated
    assert len(answer.rows) <= answers._FETCH


def test_parameters_are_values_and_never_sql(ledger: Ledger) -> None:
    assert ledger.query("SELECT $a AS v", 1, {"a": "1; DROP TABLE calls"}).rows == [["1; DROP TABLE calls"]]
