"""`tollhouse export`: rows, traces and datasets leave the book as files, or as OpenTelemetry spans to a collector.

Over the running gateway's admin plane, which puts each export on record; the formats are made here.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from gateway.cli.asking import acting, admin_client, ask, data_folder, refusal
from gateway.cli.beside import AsJson, Data
from gateway.cli.placing import writable
from gateway.cli.since import moment
from gateway.errors import GatewayError, StartError

HELP = """Take rows, traces and datasets out of the book.

Example: tollhouse export --format parquet --out exchanges.parquet --since 7d
"""
app = typer.Typer(help=HELP, no_args_is_help=True, invoke_without_command=True)

MOST_ASKED = 10_000
AT_ONCE = 200
_CHOOSES = "SELECT id FROM exchanges WHERE state IN ('complete', 'denied') AND operation = 'chat' AND started_at >= $since::TIMESTAMP"


class Format(StrEnum):
    parquet = "parquet"
    jsonl = "jsonl"
    otlp = "otlp"


Since = Annotated[str | None, typer.Option(help="Only what happened since: 2026-11-01, or 90s, 15m, 24h, 7d ago.")]
Why = Annotated[str, typer.Option(help="Why; written down.")]
By = Annotated[str | None, typer.Option(help="Who exports. Default: your user name on this machine.")]
Param = Annotated[list[str] | None, typer.Option("--param", "-p", help="name=value for a saved query. Repeatable.")]


@app.callback()
def export(
    context: typer.Context,
    format: Annotated[Format, typer.Option("--format", help="otlp = spans in OpenTelemetry's names")] = Format.jsonl,  # noqa: A002 - the option's name
    out: Annotated[str | None, typer.Option(help="File to write; with otlp also http(s)://collector:4318/v1/traces.")] = None,
    view: Annotated[str | None, typer.Option(help="Which view: exchanges (when left out), calls, feedback, messages, …")] = None,
    query: Annotated[str | None, typer.Option(help="A saved query instead of a view.")] = None,
    since: Since = None,
    param: Param = None,
    why: Why = "",
    by: By = None,
    data: Data = None,
) -> None:
    """Export a view, a saved query, or traces. For SQL of your own: tollhouse sql --format, or 'dataset --sql'."""
    if context.invoked_subcommand is not None:
        return
    if out is None:
        raise typer.BadParameter("name the file to write", param_hint="--out")
    if view and query:
        raise typer.BadParameter("give --view or --query, not both")
    if format is Format.otlp and (view or query):
        raise typer.BadParameter("traces are made of exchanges and their calls; leave out --view and --query")
    if not out.startswith(("http://", "https://")):
        writable(Path(out))
    folder, asked = data_folder(data), {"by": acting(by), "why": why, **dict(map(_pair, param or ()))}
    if since is not None:
        asked["since"] = moment(since)
    if format is Format.otlp:
        from gateway.cli import export_otlp

        spans = export_otlp.spans(_rows(folder, "exchanges", asked), _rows(folder, "calls", asked))
        typer.echo(f"{export_otlp.send(spans, out)} spans to {out}", err=True)
        return
    with _sent(folder, query or view or "exchanges", asked) as rows:
        count = _WRITE[format](rows, Path(out))
    typer.echo(f"{count} rows to {out}", err=True)


@app.command()
def dataset(
    out: Annotated[Path, typer.Option(help="File to write: one example per line (JSONL).")],
    sql: Annotated[str | None, typer.Option(help="A SELECT whose first column holds ids of exchanges. Default: all answered ones.")] = None,
    query: Annotated[str | None, typer.Option(help="A saved query instead, of the same kind.")] = None,
    since: Since = None,
    param: Param = None,
    why: Why = "",
    by: By = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Write conversations in OpenAI's form, with verdicts and feedback: for evaluation and fine-tuning.

    Example: tollhouse export dataset --out set.jsonl --why "fine-tuning"
    """
    writable(out)
    folder = data_folder(data)
    params = {"since": moment(since or "1970-01-01"), **dict(map(_pair, param or ()))}
    ids, asked = _chosen(folder, sql, query, params)
    said = {"by": acting(by), "why": why, "asked": asked}
    written, left_out = 0, dict.fromkeys(("illegible", "unknown"), 0)
    with out.open("w", encoding="utf-8") as file:
        for at in range(0, len(ids), AT_ONCE):
            for told in _examples(folder, {**said, "ids": ids[at : at + AT_ONCE]}):
                if "example" in told:
                    file.write(json.dumps(told["example"], ensure_ascii=False) + "\n")
                    written += 1
                else:
                    left_out[told["left_out"]] += 1
    if as_json:
        typer.echo(json.dumps({"file": str(out), "written": written, "left_out": left_out}))
        return
    typer.echo(f"{written} examples to {out}; left out: {left_out['illegible']} illegible, {left_out['unknown']} unknown", err=True)


def _chosen(folder: Path, sql: str | None, query: str | None, params: dict[str, str]) -> tuple[list[str], str]:
    """(ids of exchanges, the question). Raises GatewayError for a question that is refused or finds more than one answer may have."""
    if sql and query:
        raise typer.BadParameter("give --sql or --query, not both")
    if query:
        from gateway.web import queries

        known = queries.read_all()
        if query not in known:
            raise GatewayError("not_found", "no_such_query", f"no saved query '{query}'; there are {', '.join(known)}")
        text, given = known[query].sql, {name: params.get(name, default) for name, default in known[query].params.items()}
    else:
        text = sql or _CHOOSES
        given = {name: value for name, value in params.items() if f"${name}" in text}
    answer = ask(folder, text, MOST_ASKED, given)
    if answer.truncated:
        told = f"more than {MOST_ASKED} exchanges; bound the question by --since, or by LIMIT and OFFSET"
        raise GatewayError("bad_request", "too_many", told)
    return list(dict.fromkeys(str(row[0]) for row in answer.rows)), query or text


def _examples(folder: Path, body: dict[str, Any]) -> Iterator[Any]:
    with _client(folder) as client, _asked(client.stream("POST", "/dataset", json=body)) as response:
        for line in response.iter_lines():
            yield json.loads(line)


def _rows(folder: Path, what: str, asked: dict[str, str]) -> Iterator[dict[str, Any]]:
    with _sent(folder, what, asked) as rows:
        yield from _told(rows)


def _told(rows: Any) -> Iterator[dict[str, Any]]:
    found = rows.execute("FROM sent")
    names = [column[0] for column in found.description]
    while some := found.fetchmany(AT_ONCE):
        yield from (dict(zip(names, row, strict=True)) for row in some)


@contextlib.contextmanager
def _sent(folder: Path, what: str, asked: dict[str, str]) -> Iterator[Any]:
    """A DuckDB in which `sent` is what was asked for, as it arrives: to be read once."""
    import duckdb

    from gateway.stores.arrow import Scanned, read_stream

    with (
        _client(folder) as client,
        _asked(client.stream("GET", f"/export/{what}", params=asked)) as response,
        io.BufferedReader(_Body(response.iter_bytes())) as body,
        duckdb.connect(":memory:", config={"temp_directory": ""}) as rows,
    ):
        stream = read_stream(body)
        rows.register("sent", Scanned(lambda: stream, stream.get_schema()))
        yield rows


class _Body(io.RawIOBase):
    """An answer as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        some = self._rest[: len(buffer)]
        buffer[: len(some)] = some
        self._rest = self._rest[len(some) :]
        return len(some)


def _client(folder: Path) -> httpx.Client:
    client = admin_client(folder)
    if client is None:
        raise StartError(f"no gateway is running on {folder}; start it with 'tollhouse up': exports are put on record by it")
    return client


class _asked:  # noqa: N801 - reads as a statement
    """An answer that is streamed, or the refusal as it was told."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __enter__(self) -> httpx.Response:
        try:
            response: httpx.Response = self._stream.__enter__()
        except httpx.HTTPError as error:
            told = f"the gateway's admin plane does not answer: {error}; see 'tollhouse status'"
            raise GatewayError("unavailable", "admin_plane", told) from error
        if not response.is_success:
            response.read()
            raise refusal(response)
        return response

    def __exit__(self, *error: object) -> None:
        self._stream.__exit__(*error)


def _jsonl(rows: Any, out: Path) -> int:
    count = 0
    with out.open("w", encoding="utf-8") as file:
        for row in _told(rows):
            file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
            count += 1
    return count


def _parquet(rows: Any, out: Path) -> int:
    quoted = str(out).replace("'", "''")
    copied = f"COPY (FROM sent) TO '{quoted}' (FORMAT parquet, COMPRESSION zstd, WRITE_EMPTY_FILE false)"
    ((count,),) = rows.execute(copied).fetchall()
    if not count:
        raise GatewayError("not_found", "nothing_there", "there is nothing to export; a Parquet file needs at least one row")
    return int(count)


_WRITE = {Format.jsonl: _jsonl, Format.parquet: _parquet}


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise typer.BadParameter("--param wants name=value")
    return name, value
