"""`tollhouse sql --shell`: in pipes, and on a real terminal with lines that are edited."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.sql_shell import HISTORY, ends
from gateway.stores.duckdb import Ledger
from tests.patience import PATIENCE_S, until


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    Ledger(folder / "ledger.duckdb").close()
    return folder


def shell(data: Path, typed: str) -> tuple[str, str]:
    command = [sys.executable, "-m", "gateway.cli.main", "sql", "--shell", "--format", "csv", "--data", str(data)]
    ended = subprocess.run(command, input=typed, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, ended.stderr


def test_questions_commands_and_mistakes_one_after_another(data: Path) -> None:
    out, err = shell(
        data,
        "SELECT 1 AS a,\n  ';' AS b -- and ; here\n;\n"
        "SELECT nope;\n"
        "\\d\n\\d boots\n\\d nowhere\n\\nothing\n"
        "\\f jsonl\n\\f nonsense\n\\l 2\n\\l 0\nFROM range(5);\n"
        "\\set who it's me\nSELECT $who AS who;\n;\n"
        "\\s\n\\s unpriced_models\n\\s nowhere\n\\?\nSELECT 'begun\n\\c\nSELECT 3 AS three;\n\\q\nSELECT 4;\n",
    )
    assert "a,b\n1,;\n" in out
    assert "booted_at                TIMESTAMP" in out
    assert "exchanges" in out
    assert '{"range":1}\nbook> ' in out
    assert '{"range":2}' not in out
    assert '{"who":"it\'s me"}' in out
    assert "unpriced_models" in out
    assert '{"three":3}' in out
    assert "4" not in out.split("three")[1]
    assert "LINE 1: SELECT nope" in err
    for said in (
        "there is no 'nowhere'", "there is no \\nothing",
        "\\f table, csv", "\\l wants", "no saved query 'nowhere'", "cut after 2",
    ):
        assert said in err, said


def test_on_a_terminal_lines_are_remembered_for_the_next_time(data: Path) -> None:
    command = [sys.executable, "-m", "gateway.cli.main", "sql", "--shell", "--format", "csv", "--data", str(data)]
    for typed, expected in ((b"SELECT 40 + 2 AS answer;\n", "42"), (b"\x1b[A\n", "42"), (b"\\d exch\t\n", "request_model")):
        main, side = pty.openpty()
        process = subprocess.Popen(command, stdin=side, stdout=side, stderr=side, env={**os.environ, "TERM": "xterm"})
        os.close(side)
        shown = read(main, "book> ")
        os.write(main, typed)
        shown = read(main, expected, "book> ")
        os.write(main, b"\x04")
        assert process.wait(PATIENCE_S) == 0, shown
        os.close(main)
    assert (data / HISTORY).stat().st_mode & 0o077 == 0


def read(terminal: int, *wanted: str) -> str:
    """What is shown until it has all of these, one behind the other."""
    shown = ""

    def more() -> bool:
        nonlocal shown
        if select.select([terminal], [], [], 0)[0]:
            shown += os.read(terminal, 4096).decode(errors="replace")
        return in_order(shown, wanted)

    until(more, what=lambda: f"{wanted} in {shown!r}")
    return shown


def in_order(text: str, parts: tuple[str, ...]) -> bool:
    for part in parts:
        _, found, text = text.partition(part)
        if not found:
            return False
    return True


@pytest.mark.parametrize("text", ["SELECT 1;", "SELECT ';';", "SELECT 1; -- so", "/* ; */ SELECT 1 ; /* x */", "SELECT \"a;\";\n", ";"])
def test_a_question_ends_with_a_semicolon_behind_it(text: str) -> None:
    assert ends(text)


@pytest.mark.parametrize("text", ["", "SELECT 1", "SELECT ';", "SELECT 1 -- ;", "/* ;", "SELECT 1; x", "SELECT 1; 'x'", "SELECT \"a;"])
def test_otherwise_it_goes_on(text: str) -> None:
    assert not ends(text)


@given(st.text(alphabet=st.sampled_from("a;'\"-/* \n"), max_size=12))
def test_every_text_either_ends_or_goes_on(text: str) -> None:
    assert ends(text) in {True, False}
    assert ends("SELECT 'x' || " + "'" + text.replace("'", "''") + "';")
