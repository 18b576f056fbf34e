"""`tollhouse rebuild`: what it says, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.trace import frames, record
from gateway.trace.exchange_rows import ExchangeRow
from gateway.trace.record import Booted, Ended
from gateway.trace.segments import Segment


@pytest.fixture
def data(tmp_path: Path) -> Path:
    of = Segment("1" * 32, 0, "2" * 32, 0)
    asked = ("openai.chat", "openai", "chat", "/v1/chat/completions", "a")
    rows = [Ended(ExchangeRow(f"{n:032x}", 5, *asked, state="complete")) for n in range(9)]
    head, data = frames.GENESIS, b""
    for each in (Booted(of.run, 0, of.boot, 1), *rows):
        raw, head = frames.frame(head, record.encode(each))
        data += raw
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / of.name).write_bytes(data)
    return tmp_path


def test_in_place_it_says_what_was_built_and_where_the_old_one_is(data: Path) -> None:
    first = CliRunner().invoke(app, ["rebuild", "--data", str(data)])
    assert first.exit_code == 0, first.output
    assert "9 exchanges from 10 records" in first.output
    assert "the old ledger is in" in first.output
    asked = CliRunner().invoke(app, ["sql", "SELECT count(*) AS n FROM exchanges", "--data", str(data), "--format", "csv"])
    assert asked.output == "n\n9\n"


def test_beside_it_leaves_the_folder_alone_and_speaks_json(data: Path) -> None:
    told = CliRunner().invoke(app, ["rebuild", "--data", str(data), "--into", str(data / "copy"), "--json"])
    found = json.loads(told.output)
    assert (found["exchanges"], found["into"], found["kept"], found["damaged"]) == (9, str(data / "copy"), None, {})
    assert not (data / "ledger.duckdb").exists()
    assert (data / "copy" / "ledger.duckdb").exists()


def test_damage_is_named_and_makes_the_exit_code_1(data: Path) -> None:
    (segment,) = (data / "journal").iterdir()
    whole = bytearray(segment.read_bytes())
    whole[len(whole) // 2] ^= 4
    segment.write_bytes(whole)
    told = CliRunner().invoke(app, ["rebuild", "--data", str(data)])
    assert told.exit_code == 1
    assert f"{segment.name} is damaged and was read up to there: offset" in told.output
    assert "tollhouse verify" in told.output
