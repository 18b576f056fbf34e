"""`tollhouse sql`: a question to the book, answered as a table, CSV or JSON. Reads only; works with and without a running gateway."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from gateway.cli.asking import ask, data_folder
from gateway.cli.visible import visible
from gateway.stores import Answer

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Format(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"
    jsonl = "jsonl"


def sql(
    query: Annotated[str, typer.Argument(help="a SELECT, or - to read it from standard input")] = "",
    query_file: Annotated[Path | None, typer.Option("--query-file", "-f", help="read the query from a file; - is standard input")] = None,
    saved: Annotated[str | None, typer.Option("--saved", help="a saved query by name; 'tollhouse queries' lists them")] = None,
    param: Annotated[list[str] | None, typer.Option("--param", "-p", help="name=value for $name in the query")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="data folder [default: $TOLLHOUSE_DATA or ./.tollhouse]")] = None,
    format: Annotated[Format, typer.Option("--format", help="how to print")] = Format.table,  # noqa: A002 - it is the option's name
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="rows at most")] = 1000,
) -> None:
    """Ask the book a question in SQL, read-only."""
    if saved == "list":
        from gateway.cli.queries import queries

        queries("", data, as_json=False)
        return
    text, params = _question(query, query_file, saved, data)
    answer = ask(data_folder(data), text, limit, {**params, **_given(param or [])})
    _PRINT[format](answer)
    if answer.truncated:
        typer.echo(f"(cut after {len(answer.rows)} rows or long values; ask for less, or raise --limit)", err=True)


def _question(query: str, query_file: Path | None, saved: str | None, data: Path | None) -> tuple[str, dict[str, str]]:
    if [bool(query), query_file is not None, saved is not None].count(True) != 1:
        raise typer.BadParameter("give exactly one of: a query, --query-file, --saved")
    if saved is not None:
        return _saved(saved, data)
    if query == "-" or (query_file is not None and str(query_file) == "-"):
        return sys.stdin.read(), {}
    return (query_file.read_text(encoding="utf-8") if query_file else query), {}


def _saved(name: str, data: Path | None) -> tuple[str, dict[str, str]]:
    from gateway.cli import queries

    known = queries.saved(data)
    if name not in known:
        raise queries.no_such(name, known)
    return known[name].sql, dict(known[name].params)


def _given(params: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in params]
    for name, sign, _ in pairs:
        if not (name and sign):
            raise typer.BadParameter("--param wants name=value")
    return {name: value for name, _, value in pairs}


def _table(answer: Answer) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title_justify="left")
    for name, kind in zip(answer.columns, answer.types, strict=True):
        numeric = kind.startswith(("BIGINT", "DECIMAL", "DOUBLE", "INTEGER", "HUGEINT"))
        table.add_column(Text(visible(name)), justify="right" if numeric else "left", overflow="fold")
    for row in answer.rows:
        table.add_row(*(Text(visible(_cell(value))) for value in row))
    Console(highlight=False, markup=False).print(table)


def _csv(answer: Answer) -> None:
    """Cells that a spreadsheet would take for a formula get a leading apostrophe; numbers are left alone."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_tame(visible(name)) for name in answer.columns])
    writer.writerows([[_csv_cell(value) for value in row] for row in answer.rows])
    typer.echo(out.getvalue(), nl=False)


def _json(answer: Answer) -> None:
    typer.echo(_terminal_json(answer._asdict()))


def _jsonl(answer: Answer) -> None:
    for row in answer.rows:
        typer.echo(_terminal_json(dict(zip(answer.columns, row, strict=True))))


def _terminal_json(value: Any) -> str:
    """JSON escapes C0 itself; C1 and direction marks would reach the terminal, so they are escaped too. It stays the same JSON."""
    return visible_json(msgspec.json.encode(value).decode())


def visible_json(text: str) -> str:
    """The same JSON with every hostile character as a JSON escape."""
    return "".join(each if visible(each) == each else _json_escape(each) for each in text) if visible(text) != text else text


def _json_escape(character: str) -> str:
    code = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{code[at : at + 4]}" for at in range(0, len(code), 4))


def _csv_cell(value: Any) -> str:
    return _cell(value) if isinstance(value, int | float) else _tame(visible(_cell(value)))


def _tame(text: str) -> str:
    return "'" + text if text.startswith(_FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    return text.lstrip("-").replace(".", "", 1).isdigit()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


_PRINT = {Format.table: _table, Format.csv: _csv, Format.json: _json, Format.jsonl: _jsonl}
