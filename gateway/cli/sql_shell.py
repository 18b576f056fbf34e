"""`tollhouse sql --shell`: question after question, over several lines, with a history and a list of what can be asked.

Lines are edited with the standard library's readline: it is there wherever Python is, and a shell of a few commands needs no more. The
history is the data folder's own, readable by its owner only: questions may quote what is in the book.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import typer

from gateway.cli.asking import ask, ask_saved, views
from gateway.cli.queries import queries
from gateway.cli.sql import Format, saved_query, show
from gateway.cli.visible import visible
from gateway.errors import GatewayError
from gateway.stores import Answer

HISTORY = "sql_history"
_MOST_HISTORY = 1000
_HELP = """\
end a question with ;
\\d            tables and views           \\d NAME       columns of one
\\s            saved queries              \\s NAME       asks one, with what its parameters are by default
\\f FORMAT     table, csv, json or jsonl  \\l N          rows at most
\\set NAME V   a value for $NAME          \\c            forget what was begun
\\?            this                       \\q, Ctrl-D    leave"""


class Shell:
    """Reads from standard input until it ends."""

    def __init__(self, data: Path, limit: int, form: Format) -> None:
        self._data, self._limit, self._form = data, limit, form
        self._params: dict[str, str] = {}
        self._begun = ""
        self._commands: Mapping[str, Callable[[str], object]] = {
            "d": self._describe, "s": self._saved, "f": self._set_form, "l": self._set_limit, "set": self._set_param,
            "c": lambda _: None, "?": lambda _: typer.echo(_HELP), "h": lambda _: typer.echo(_HELP),
        }  # fmt: skip

    def run(self) -> None:
        typer.echo("one SELECT at a time, ended with ;   \\d lists tables and views, \\? what else there is", err=True)
        with _history(self._data / HISTORY, lambda: sorted(views(self._data))):
            while True:
                try:
                    line = input("book> " if not self._begun else " ...> ")
                except EOFError:
                    return
                except KeyboardInterrupt:
                    typer.echo("", err=True)
                    self._begun = ""
                    continue
                if line.strip() in {"\\q", "quit", "exit"}:
                    return
                self._take(line)

    def _take(self, line: str) -> None:
        try:
            if line.strip().startswith("\\"):
                self._begun = ""
                self._command(line.strip()[1:])
                return
            self._begun = f"{self._begun}\n{line}" if self._begun else line
            if ends(self._begun):
                question, self._begun = self._begun, ""
                self._ask(question, {key: value for key, value in self._params.items() if f"${key}" in question})
        except GatewayError as error:
            typer.echo(f"{error.message} [{error.code}]" if "\n" not in error.message else error.message, err=True)
        except KeyboardInterrupt:
            typer.echo("(no longer waited for)", err=True)

    def _ask(self, question: str, params: Mapping[str, str]) -> None:
        if question.strip(" \n\t;"):
            self._show(lambda: ask(self._data, question, self._limit, params))

    def _show(self, ask: Callable[[], Answer]) -> None:
        began = time.monotonic()
        answer = ask()
        show(answer, self._form)
        count = len(answer.rows)
        typer.echo(f"({count} row{'' if count == 1 else 's'}, {(time.monotonic() - began) * 1000:.0f} ms)", err=True)

    def _command(self, text: str) -> None:
        name, _, rest = text.partition(" ")
        command = self._commands.get(name)
        if command is None:
            typer.echo(f"there is no \\{visible(name)}; \\? lists what there is", err=True)
        else:
            command(rest.strip().rstrip(";"))

    def _describe(self, name: str) -> None:
        known = views(self._data)
        if not name:
            for each, columns in known.items():
                typer.echo(f"{each:<20} {len(columns)} columns")
        elif name.lower() in known:
            for column, kind in known[name.lower()].items():
                typer.echo(f"{column:<24} {kind}")
        else:
            typer.echo(f"there is no '{visible(name)}'; there are {', '.join(known)}", err=True)

    def _saved(self, name: str) -> None:
        if not name:
            queries("", self._data, as_json=False)
            return
        query = saved_query(name, self._data)
        params = {key: self._params.get(key, default) for key, default in query.params.items()}
        self._show(lambda: ask_saved(self._data, query, self._limit, params))

    def _set_form(self, name: str) -> None:
        if name not in {Format.table, Format.csv, Format.json, Format.jsonl}:
            typer.echo("\\f table, csv, json or jsonl", err=True)
        else:
            self._form = Format(name)

    def _set_limit(self, text: str) -> None:
        if not (text.isdecimal() and text.isascii() and 0 < int(text) <= 10_000):
            typer.echo("\\l wants a number from 1 to 10000", err=True)
        else:
            self._limit = int(text)

    def _set_param(self, text: str) -> None:
        name, _, value = text.partition(" ")
        if name:
            self._params[name] = value
        for key, each in self._params.items():
            typer.echo(f"${visible(key)} = {visible(each)}", err=True)


def ends(text: str) -> bool:
    """Whether a question is complete: a ; stands behind it, outside of quotes and comments."""
    rest, last = text, ""
    while rest:
        skipped = _beyond(rest)
        if skipped is None:
            return False
        if skipped:
            last = last if rest.startswith(("--", "/*")) else "q"
            rest = rest[skipped:]
            continue
        last = rest[0] if not rest[0].isspace() else last
        rest = rest[1:]
    return last == ";"


def _beyond(text: str) -> int | None:
    """How long the quoted text or comment is with which `text` begins; 0 for neither, None when it does not end."""
    for opening, closing in (("'", "'"), ('"', '"'), ("--", "\n"), ("/*", "*/")):
        if text.startswith(opening):
            end = text.find(closing, len(opening))
            if end < 0:
                return len(text) if opening == "--" else None
            return end + len(closing)
    return 0


@contextlib.contextmanager
def _history(file: Path, names: Callable[[], list[str]]) -> Iterator[None]:
    """Earlier lines by the arrow keys, names by the tab key; without a readline, plain lines."""
    try:
        import readline
    except ImportError:
        yield
        return
    with contextlib.suppress(OSError):
        readline.read_history_file(file)
    readline.set_history_length(_MOST_HISTORY)
    readline.set_completer(_completer(names))
    readline.parse_and_bind("tab: complete")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))
            readline.write_history_file(file)


def _completer(names: Callable[[], list[str]]) -> Callable[[str, int], str | None]:
    known: list[str] = []

    def complete(text: str, state: int) -> str | None:
        with contextlib.suppress(GatewayError):
            known[:] = known or names()
        return next(iter([each for each in known if each.startswith(text.lower())][state:]), None)

    return complete
