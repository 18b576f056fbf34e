"""`tollhouse sql` and `tollhouse tail`: with and without a running gateway; hostile content is shown, never obeyed."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from gateway.cli import tail as tail_module
from gateway.cli.since import moment
from gateway.cli.sql import sql, visible_json
from gateway.cli.tail import tail
from gateway.cli.visible import visible
from gateway.errors import GatewayError, StartError
from gateway.stores import Batch
from gateway.stores.duckdb import Ledger
from gateway.trace import frames, record
from gateway.trace.exchange_rows import CallRow, ExchangeRow
from gateway.trace.record import Booted, Ended
from gateway.trace.segments import Segment
from tests.patience import PATIENCE_S, until
from tests.ports import free_port

HOSTILE = "\x1b[2Jred\u202e\x9b1m\r\n"
SEGMENT = Segment("1" * 32, 0, "2" * 32, 0)

app = typer.Typer()
app.command("sql")(sql)
app.command("tail")(tail)


def records() -> list[Ended | Booted]:
    at = (time.time_ns() // 86_400_000_000_000 - 1) * 86_400_000_000 + 51_200_000_000  # yesterday, 14:13:20: a body that is kept
    row = ExchangeRow("a" * 32, at, "openai.chat", "openai", "chat", "/v1", HOSTILE, state="complete", cost="0.5")
    call = CallRow("a" * 32, "dec_1", at + 1, 0, "c", "bash", "function", HOSTILE, "h", "deny", False, "rule", "=no", "coder")
    return [Booted(SEGMENT.run, 0, SEGMENT.boot, 1), Ended(row, (call,))]


def run(*arguments: str, given: str | None = None) -> str:
    result = CliRunner().invoke(app, list(arguments), input=given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    ledger = Ledger(folder / "ledger.duckdb")
    ledger.apply([Batch(SEGMENT, list(enumerate(records())), 9, bytes(32))])
    ledger.close()
    return folder


def test_without_a_gateway_the_file_is_asked(data: Path) -> None:
    assert json.loads(run("sql", "SELECT name, cost FROM calls, exchanges", "--data", str(data), "--format", "jsonl")) == {
        "name": "bash", "cost": "0.500000000",
    }  # fmt: skip


def test_a_gateway_that_is_gone_is_no_hindrance(data: Path) -> None:
    (data / "run.json").write_text('{"admin": "http://127.0.0.1:9"}')
    (data / "admin.token").write_text("x" * 40)
    try:
        assert "bash" in run("sql", "SELECT name FROM calls", "--data", str(data))
    finally:
        (data / "run.json").unlink()


@pytest.mark.parametrize("how", ["table", "csv", "json", "jsonl"])
def test_no_format_lets_control_characters_reach_the_terminal(data: Path, how: str) -> None:
    shown = run("sql", "SELECT e.agent, arguments FROM calls JOIN exchanges e ON e.id = exchange_id", "--data", str(data), "--format", how)
    shown += run("sql", "SELECT e.agent FROM exchanges e", "--data", str(data), "--format", how)
    assert "red" in shown
    assert not [each for each in shown if visible(each) != each and each != "\n"]


@pytest.mark.parametrize(("width", "beside"), [(80, False), (300, True)])
def test_columns_whose_names_do_not_fit_side_by_side_are_told_line_by_line(
    data: Path, monkeypatch: pytest.MonkeyPatch, width: int, beside: bool
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    names = [f"column_{number:02}" for number in range(12)]
    values = ", ".join(f"{number} AS {name}" for number, name in enumerate(names))
    lines = run("sql", "--data", str(data), f"SELECT {values} FROM range(2)").splitlines()
    assert any(all(name in line for name in names) for line in lines) == beside
    if not beside:
        said = [f"{name}  {number}" for number, name in enumerate(names)]
        assert [line.rstrip() for line in lines] == ["1 " + "─" * 78, *said, "2 " + "─" * 78, *said, "2 rows"]


def test_csv_is_csv_and_no_cell_is_a_formula(data: Path) -> None:
    out = run("sql", "SELECT reason, '-1.5' AS n, '@x' AS at, -2 AS m, '-a' AS b FROM calls", "--data", str(data), "--format", "csv")
    assert list(csv.reader(io.StringIO(out))) == [["reason", "n", "at", "m", "b"], ["'=no", "-1.5", "'@x", "-2", "'-a"]]


@pytest.mark.parametrize("wanted", [["--format", "json"], ["--json"], ["--json", "--format", "json"]])
def test_json_is_the_whole_answer(data: Path, wanted: list[str]) -> None:
    answer = json.loads(run("sql", "SELECT agent FROM exchanges", "--data", str(data), *wanted))
    assert answer["rows"] == [[HOSTILE]]
    assert answer["truncated"] is False


def test_two_forms_at_once_are_refused_and_named(data: Path) -> None:
    refused = CliRunner().invoke(app, ["sql", "SELECT 1", "--json", "--format", "csv", "--data", str(data)])
    assert (refused.exit_code, "--format says csv" in refused.output) == (2, True)


def test_a_query_comes_from_the_argument_a_file_or_standard_input(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "q.sql"
    file.write_text("SELECT 7 AS v")
    query = file.read_text()
    for arguments, typed in (([query], None), (["-f", str(file)], None), (["-"], query), (["-f", "-"], query)):
        assert run("sql", *arguments, "--data", str(data), "--format", "csv", given=typed) == "v\n7\n"


def test_exactly_one_query_is_wanted(data: Path) -> None:
    for arguments in ([], ["SELECT 1", "--saved", "latest_decisions"], ["SELECT 1", "-f", "-"], ["SELECT 1", "-p", "novalue"]):
        assert CliRunner().invoke(app, ["sql", *arguments, "--data", str(data)]).exit_code == 2


def test_saved_queries_are_listed_and_run_with_parameters(data: Path) -> None:
    assert "latest_decisions" in run("sql", "--saved", "list")
    assert "bash" in run("sql", "--saved", "latest_decisions", "--data", str(data))
    assert "bash" not in run("sql", "--saved", "latest_decisions", "-p", "agent=nobody", "--data", str(data))
    with pytest.raises(GatewayError, match="no saved query 'x'; there are"):
        run("sql", "--saved", "x", "--data", str(data))
    with pytest.raises(GatewayError, match="latest_decisions has no parameter 'agnet'; it has: agent"):
        run("sql", "--saved", "latest_decisions", "-p", "agnet=nobody", "--data", str(data))


def test_a_refused_question_says_why(data: Path) -> None:
    with pytest.raises(GatewayError, match="only functions that compute"):
        run("sql", "SELECT current_setting('x')", "--data", str(data))


def test_a_cut_answer_says_so_on_standard_error(data: Path) -> None:
    result = CliRunner().invoke(app, ["sql", "SELECT * FROM range(9)", "--limit", "2", "--data", str(data), "--format", "csv"])
    assert result.stdout == "range\n0\n1\n"
    assert "cut after 2 rows" in result.stderr


def test_no_data_folder_and_no_ledger_say_how_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for verb in (["sql", "SELECT 1"], ["tail"]):
        with pytest.raises(StartError, match="'tollhouse up'"):
            run(*verb, "--data", str(tmp_path / "absent"))
        with pytest.raises(StartError, match="'tollhouse up'"):
            run(*verb, "--data", str(tmp_path))
    monkeypatch.setenv("TOLLHOUSE_DATA", str(tmp_path / "named"))
    with pytest.raises(StartError, match="named"):
        run("sql", "SELECT 1")


def test_a_damaged_run_file_is_said(data: Path) -> None:
    (data / "run.json").write_text("{")
    (data / "admin.token").write_text("x" * 40)
    try:
        with pytest.raises(StartError, match="damaged"):
            run("sql", "SELECT 1", "--data", str(data))
    finally:
        (data / "run.json").unlink()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder with a book at work on it."""
    folder = tmp_path_factory.mktemp("running")
    (folder / "journal").mkdir()
    data, head = b"", frames.GENESIS
    for each in records():
        raw, head = frames.frame(head, record.encode(each))
        data += raw
    (folder / "journal" / SEGMENT.name).write_bytes(data)
    port = free_port()
    command = [sys.executable, "-m", "gateway.book_process", "--data", str(folder), "--port", str(port)]
    book = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    (folder / "run.json").write_text(json.dumps({"pid": 1, "run": SEGMENT.run, "admin": f"http://127.0.0.1:{port}"}))
    until(lambda: httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=PATIENCE_S).status_code == 200, despite=httpx.HTTPError)
    yield folder
    book.terminate()
    book.wait(PATIENCE_S)


def test_a_running_gateway_is_asked_over_its_admin_plane(running: Path) -> None:
    assert run("sql", "SELECT name FROM calls", "--data", str(running), "--format", "csv") == "name\nbash\n"
    with pytest.raises(GatewayError, match="there is no table 'nowhere'") as refused:
        run("sql", "SELECT * FROM nowhere", "--data", str(running))
    assert refused.value.code == "sql_refused"


def test_a_tail_shows_the_past_a_line_each_and_safely(running: Path) -> None:
    shown = run("tail", "--no-follow", "--since", "2020-01-01", "--data", str(running))
    call, exchange = sorted(shown.strip().split("\n"), key=lambda line: "bash" not in line)
    assert "deny" in call
    assert "coder" in call
    assert "bash(\\x1b[2Jred" in call
    assert "complete" in exchange
    assert "$0.5" in exchange
    assert not [each for each in shown if visible(each) != each and each != "\n"]


def test_a_tail_in_json_is_the_recorded_line(running: Path) -> None:
    shown = run("tail", "--no-follow", "--json", "--since", "2020-01-01", "--data", str(running))
    lines = [json.loads(each) for each in shown.splitlines()]
    assert {each["record"] for each in lines} == {"call", "exchange"}
    assert {each.get("arguments") for each in lines} == {HOSTILE, None}


@pytest.mark.parametrize(("since", "seconds"), [("30s", 30), ("15m", 900), ("2h", 7200), ("7d", 604800)])
def test_since_may_be_a_span_before_now(since: str, seconds: int) -> None:
    start = moment(since)
    ago = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(start + "+00:00")
    assert abs(ago.total_seconds() - seconds) < 5


@pytest.mark.parametrize(
    ("since", "start"),
    [
        ("2026-01-01", "2026-01-01T00:00:00"),
        ("2026-01-01T12:30", "2026-01-01T12:30:00"),
        ("2026-01-01 12:30:00.5Z", "2026-01-01T12:30:00.500000"),
        ("2026-01-01T12:30+02:00", "2026-01-01T10:30:00"),
    ],
)
def test_since_may_be_a_time_in_utc_or_with_its_zone(since: str, start: str) -> None:
    assert moment(since) == start


@pytest.mark.parametrize("since", ["", "h", "12", "soon", "1w", "-1h", "2026-13-01", "999999d", "9999999d"])
def test_since_is_never_nonsense(since: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no time; write a day"):
        moment(since)


def test_a_tail_since_nonsense_is_refused(running: Path) -> None:
    refused = CliRunner().invoke(app, ["tail", "--no-follow", "--since", "soon", "--data", str(running)])
    assert (refused.exit_code, "'soon' is no time" in refused.output) == (2, True)


@pytest.mark.parametrize("more", [["SELECT 1"], ["--saved", "latest_decisions"], ["--out", "x.csv"], ["-p", "days=1"]])
def test_a_shell_takes_nothing_that_it_would_not_use(data: Path, more: list[str]) -> None:
    refused = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["sql", "--shell", *more, "--data", str(data)])
    assert (refused.exit_code, "--shell asks" in refused.output) == (2, True)


def test_a_question_that_is_no_text_is_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "q.sql").write_bytes(b"SELECT '\xff'")
    for asked, piped in ((["-f", str(tmp_path / "q.sql")], None), (["-"], b"SELECT '\xff'")):
        refused = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["sql", *asked, "--data", str(data)], input=piped)
        assert (refused.exit_code, "is not UTF-8 (byte 8)" in refused.output) == (2, True)


def test_a_file_that_cannot_be_written_is_said_before_the_question_is_asked(data: Path, tmp_path: Path) -> None:
    for out, why in ((tmp_path / "none" / "x.csv", "there is no folder"), (tmp_path / "x.csv", "is a folder")):
        (tmp_path / "x.csv").mkdir(exist_ok=True)
        refused = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["sql", "nonsense", "--out", str(out), "--data", str(data)])
        assert (refused.exit_code, why in refused.output) == (2, True)


def test_gaps_and_interruptions_are_told() -> None:
    assert "3 lines left out" in tail_module._told({"record": "gap", "lines": 3})
    assert "interrupted abc" in tail_module._told({"record": "interrupted", "id": "abc"})
    assert tail_module._told({"record": "new", "x": "\x1b"}) == "{'record': 'new', 'x': '\\x1b'}"


@given(st.text())
def test_visible_text_has_no_character_a_terminal_obeys(text: str) -> None:
    shown = visible(text)
    assert all(each.isprintable() or each not in "\x1b\x07\x08\x9b\r\n\u202e" for each in shown)
    assert visible(shown) == shown


@given(st.text())
def test_visible_json_is_the_same_json(text: str) -> None:
    shown = visible_json(json.dumps({"t": text}, ensure_ascii=False))
    assert json.loads(shown) == {"t": text}
    assert visible(shown) == shown


def test_an_answer_is_written_to_a_file_in_the_form_its_name_says(data: Path, running: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for folder in (data, running):
        for name in ("a.parquet", "a.arrow", "a.csv", "a.json"):
            file = tmp_path / name
            assert run("sql", "SELECT name, released FROM calls", "--out", str(file), "--data", str(folder)) == ""
        assert pq.read_table(tmp_path / "a.parquet").to_pylist() == [{"name": "bash", "released": False}]
        assert pa.ipc.open_stream((tmp_path / "a.arrow").read_bytes()).read_all().num_rows == 1
        assert (tmp_path / "a.csv").read_text() == "name,released\nbash,false\n"
        assert json.loads((tmp_path / "a.json").read_text())["rows"] == [["bash", False]]
        assert sorted(each.name for each in tmp_path.iterdir()) == ["a.arrow", "a.csv", "a.json", "a.parquet"]


@pytest.mark.parametrize("options", [["--out", "x.txt"], ["--out", "x.csv", "--format", "table"], ["--out", "x", "--format", "jsonl"]])
def test_a_file_whose_form_nobody_knows_is_not_written(data: Path, tmp_path: Path, options: list[str]) -> None:
    options[1] = str(tmp_path / options[1])
    assert CliRunner().invoke(app, ["sql", "SELECT 1", *options, "--data", str(data)]).exit_code == 2
    assert not list(tmp_path.iterdir())


def test_a_refused_question_leaves_a_file_as_it_was(data: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(GatewayError):
        run("sql", "SELECT nope", "--out", str(tmp_path / "a.csv"), "--data", str(data))
    assert [each.read_text() for each in tmp_path.iterdir()] == ["old"]


def test_an_error_shows_its_place_and_obeys_no_content(data: Path) -> None:
    with pytest.raises(GatewayError) as refused:
        run("sql", "SELECT 1,\n  nope FROM calls", "--data", str(data))
    _, line, caret = refused.value.message.rsplit("\n", 2)
    assert line[caret.index("^") :].startswith("nope")
    with pytest.raises(GatewayError) as refused:
        run("sql", "SELECT arguments::INTEGER FROM calls", "--data", str(data))
    assert "\\x1b" in refused.value.message
    assert "\x1b" not in refused.value.message


def test_what_was_asked_is_in_the_book_a_moment_later(running: Path) -> None:
    run("sql", "SELECT 'a question nobody else asks' AS q", "--data", str(running), "--format", "csv")
    with pytest.raises(GatewayError):
        run("sql", "DROP TABLE nobody_else_drops", "--data", str(running))
    wanted = "SELECT outcome, row_count, who FROM questions WHERE sql LIKE '%nobody%else%' AND sql NOT LIKE '%questions%' ORDER BY asked_at"
    shown = partial(run, "sql", wanted, "--data", str(running), "--format", "csv")
    until(lambda: "sql_refused" in shown(), what=shown)
    assert shown() == "outcome,row_count,who\nanswered,1,admin.token\nsql_refused,,admin.token\n"
