"""`tollhouse sql`: a question to the book, as a table, CSV, JSON, Arrow or Parquet. Reads only; with and without a running gateway."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec
import typer

from gateway.cli.asking import ask, ask_saved, data_folder, fetch
from gateway.cli.beside import AsJson, Data
from gateway.cli.placing import writable
from gateway.cli.visible import visible
from gateway.stores import Answer
from gateway.stores.media_types import Form
from gateway.stores.spreadsheet import csv_of

if TYPE_CHECKING:

    from gateway.web.queries import Query

_FILES: dict[str, Form] = {".csv": "csv", ".json": "json", ".parquet": "parquet", ".arrow": "arrow"}


class Format(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"
    jsonl = "jsonl"
    parquet = "parquet"
    arrow = "arrow"


def sql(
    query: Annotated[str, typer.Argument(help="a SELECT, or - to read it from standard input")] = "",
    query_file: Annotated[Path | None, typer.Option("--query-file", "-f", help="read the query from a file; - is standard input")] = None,
    saved: Annotated[str | None, typer.Option("--saved", help="a saved query by name; 'tollhouse queries' lists them")] = None,
    param: Annotated[list[str] | None, typer.Option("--param", "-p", help="name=value for $name in the query")] = None,
    data: Data = None,
    format: Annotated[Format | None, typer.Option("--format", help="[default: table, or what the name of --out says]")] = None,  # noqa: A002 - it is the option's name
    as_json: AsJson = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="write the answer to this file")] = None,
    shell: Annotated[bool, typer.Option("--shell", help="ask question after question; \\? there lists its commands")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="rows at most")] = 1000,
) -> None:
    """Ask the book a question in SQL, read-only.

    Example: tollhouse sql "SELECT agent, sum(cost) AS usd FROM exchanges GROUP BY ALL"
    """
    if saved == "list":
        from gateway.cli.queries import queries

        queries("", data, as_json=False)
        return
    form = _form(format, as_json)
    folder = data_folder(data)
    if shell:
        if query or query_file or saved or out or param:
            raise typer.BadParameter("--shell asks for its questions itself; give it --format, --limit and --data alone")
        from gateway.cli.sql_shell import Shell

        Shell(folder, limit, form or Format.table).run()
        return
    kept, text = _question(query, query_file, saved, data)
    asked = {**(kept.params if kept else {}), **_given(param or [])}
    if out is not None or form in _BINARY:
        _write(folder, text, limit, asked, form, out)
    else:
        answer = ask_saved(folder, kept, limit, asked) if kept else ask(folder, text, limit, asked)
        show(answer, form or Format.table)


def _form(named: Format | None, as_json: bool) -> Format | None:
    if as_json and named not in (None, Format.json):
        raise typer.BadParameter(f"--json is --format json, and --format says {named}; give one of them")
    return Format.json if as_json else named


def show(answer: Answer, form: Format) -> None:
    """On the terminal; that something was cut is said on standard error."""
    _PRINT[form](answer)
    if answer.truncated:
        typer.echo(f"(cut after {len(answer.rows)} rows or long values; ask for less, or raise --limit)", err=True)


def _write(data: Path, text: str, limit: int, params: Mapping[str, str], form: Format | None, out: Path | None) -> None:
    """Into a file, whole or not at all; `-`, or none for a binary form, is standard output unless that is a terminal."""
    wanted = _file_form(form, out)
    if (out is None or str(out) == "-") and wanted in _BINARY and sys.stdout.isatty():
        raise typer.BadParameter(f"{wanted} is not for a terminal; name a file with --out, or send it into one")
    if out is not None and str(out) != "-":
        writable(out)
    found = fetch(data, text, limit, params, wanted)
    if out is None or str(out) == "-":
        sys.stdout.buffer.write(found.body)
    else:
        written = out.with_name(f".{out.name}.part")
        written.write_bytes(found.body)
        written.replace(out)
    if found.truncated:
        typer.echo("(cut: not all rows or long values are in it; ask for less, or raise --limit)", err=True)


def _file_form(form: Format | None, out: Path | None) -> Form:
    if form is None:
        kind = _FILES.get(out.suffix.lower() if out else "")
        if kind is None:
            raise typer.BadParameter(f"name the file *{', *'.join(_FILES)}, or say --format")
        return kind
    if form in {Format.table, Format.jsonl}:
        raise typer.BadParameter(f"{form} is for the terminal; a file can be {', '.join(_FILES.values())}")
    return cast(Form, form.value)


def _question(query: str, query_file: Path | None, saved: str | None, data: Path | None) -> tuple[Query | None, str]:
    """(the saved question that was named, the SQL)."""
    if [bool(query), query_file is not None, saved is not None].count(True) != 1:
        raise typer.BadParameter("give exactly one of: a query, --query-file, --saved, --shell")
    if saved is not None:
        kept = saved_query(saved, data)
        return kept, kept.sql
    if query == "-" or (query_file is not None and str(query_file) == "-"):
        return None, _text(sys.stdin.buffer.read(), "standard input")
    return None, _text(query_file.read_bytes(), str(query_file)) if query_file else query


def _text(written: bytes, where: str) -> str:
    try:
        return written.decode()
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{visible(where)} is not UTF-8 (byte {error.start}); convert it first") from None


def saved_query(name: str, data: Path | None) -> Query:
    from gateway.cli import queries

    known = queries.saved(data)
    if name not in known:
        raise queries.no_such(name, known)
    return known[name]


def _given(params: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in params]
    for name, sign, _ in pairs:
        if not (name and sign):
            raise typer.BadParameter("--param wants name=value")
    return {name: value for name, _, value in pairs}


def _table(answer: Answer) -> None:
    from gateway.cli.answer_table import printed  # rich, which the other forms do not need

    printed(answer)


def _csv(answer: Answer) -> None:
    typer.echo(csv_of(answer, visible), nl=False)


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


_BINARY = frozenset({Format.parquet, Format.arrow})
_PRINT = {Format.table: _table, Format.csv: _csv, Format.json: _json, Format.jsonl: _jsonl}
