"""CSV that is inert in a spreadsheet and one row a row."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from gateway.stores import Answer
from gateway.stores.spreadsheet import csv_of


@given(st.text(alphabet=st.sampled_from("=+-@\t\r\n'\",a1.٣²"), max_size=6))
def test_no_csv_cell_is_a_formula(text: str) -> None:
    written = csv_of(Answer(["c"], ["VARCHAR"], [[text + "x"]], False, 0))
    _, row = csv.reader(io.StringIO(written, newline=""))
    assert not row[0].startswith(("=", "+", "-", "@", "\t", "\r"))
    assert row[0].removeprefix("'") == (text + "x").removeprefix("'") or row[0] == text + "x"


def test_numbers_in_csv_stay_numbers() -> None:
    answer = Answer(["a", "b", "c"], ["BIGINT", "DECIMAL(18,9)", "VARCHAR"], [[-2, "-1.5", None]], False, 0)
    assert csv_of(answer) == "a,b,c\n-2,-1.5,\n"


@given(st.lists(st.lists(st.text(alphabet=st.sampled_from("a,\"\r\n ;é")), min_size=2, max_size=2), max_size=4))
def test_what_is_written_is_what_is_read(rows: list[list[str]]) -> None:
    assert list(csv.reader(io.StringIO(csv_of(Answer(["a", "b"], ["VARCHAR"] * 2, rows, False, 0)), newline="")))[1:] == [
        ["'" + cell if cell.startswith("\r") else cell for cell in row] for row in rows
    ]
