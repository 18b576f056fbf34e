"""An answer of the book on the terminal, whatever it holds: nothing in it is markup, and nothing is cut to the width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.visible import visible
from gateway.stores import Answer
from gateway.stores.spreadsheet import cell


def printed(answer: Answer) -> None:
    """Row by row, one line a column, where the columns' names do not fit side by side."""
    console = Console(highlight=False, markup=False)
    beside = sum(len(name) + len(" │ ") for name in answer.columns) + 1
    if beside <= console.width:
        console.print(_rows_below_names(answer))
    else:
        for number, row in enumerate(answer.rows, 1):
            console.rule(str(number), align="left")
            console.print(_names_beside(answer.columns, row))
        console.print(f"{len(answer.rows)} rows" if len(answer.rows) != 1 else "1 row")


def _names_beside(columns: Sequence[str], row: Sequence[Any]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in zip(columns, row, strict=True):
        table.add_row(Text(visible(name)), Text(visible(cell(value))))
    return table


def _rows_below_names(answer: Answer) -> Table:
    table = Table(title_justify="left")
    for name, kind in zip(answer.columns, answer.types, strict=True):
        numeric = kind.startswith(("BIGINT", "DECIMAL", "DOUBLE", "INTEGER", "HUGEINT"))
        table.add_column(Text(visible(name)), justify="right" if numeric else "left", overflow="fold")
    for row in answer.rows:
        table.add_row(*(Text(visible(cell(value))) for value in row))
    return table
