"""The DuckDB ledger: exactly once, all or nothing, what a dead worker left open is ended, and it agrees with the plain Python one."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import LedgerInUse, StartError
from gateway.stores import Batch, Offset, Refused, StoreTrouble, reading, sums
from gateway.stores.bodies import CONTENT
from gateway.stores.duckdb import Ledger
from gateway.stores.fold import COLUMNS
from gateway.stores.memory import MemoryStore
from gateway.trace.exchange_rows import HeardRow
from gateway.trace.policy_rows import PolicyRow
from gateway.trace.record import Ended, PolicyLoaded, Record


def rows(ledger: Ledger, sql: str) -> list[list[Any]]:
    return [list(row) for row in ledger.query(sql, 10_000).rows]


def contents(ledger: Ledger, table: str) -> list[dict[str, Any]]:
    """A base table as the memory store has it, past the guard: times in microseconds, money as text."""
    con, names = ledger._con.cursor(), (COLUMNS | CONTENT)[table]
    where = "content.main" if table in CONTENT else "ledger"
    found = con.execute(f"SELECT {', '.join(chr(34) + name + chr(34) for name in names)} FROM {where}.{table}").fetchall()
    return [dict(zip(names, map(plain, row), strict=True)) for row in found]


def plain(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return int((value - dt.datetime(1970, 1, 1)) / dt.timedelta(microseconds=1))  # noqa: DTZ001 - the ledger's times have no zone
    if isinstance(value, list):
        return tuple(value)
    return str(value) if type(value).__name__ == "Decimal" else value


def test_an_exchange_is_a_row_of_its_view(ledger: Ledger, make: Any) -> None:
    segment = make.segment()
    call = make.call(1, 5, released=False)
    ledger.apply([make.batch(segment, [make.booted(segment), make.ended(5, calls=[call], finish_reasons=("stop",))])])
    assert rows(ledger, "SELECT id, started_at, state, cost, finish_reasons, \"user\", slot FROM exchanges") == [
        [f"{5:032x}", "2026-09-21T14:13:20.000005Z", "complete", "0.000012345", ["stop"], None, 0]
    ]
    assert rows(ledger, "SELECT name, effect, released FROM calls") == [["send_money", "deny", False]]
    assert rows(ledger, "SELECT decision_id, rule, line FROM rule_hits") == [["dec_1", "no-strangers", 7]]
    assert rows(ledger, "SELECT validator, code FROM findings") == [["strict_json", "dup_key"]]
    assert rows(ledger, "SELECT role, body FROM messages") == [["user", "body 5"]]


def test_a_batch_applied_again_changes_nothing(ledger: Ledger, make: Any) -> None:
    segment = make.segment()
    batch = make.batch(segment, [make.booted(segment), make.ended(1), make.opened(2)])
    assert ledger.apply([batch]).records == 3
    assert ledger.apply([batch]).records == 0
    assert ledger.apply([batch, batch]).records == 0
    assert rows(ledger, "SELECT count(*) FROM exchanges") == [[2]]


def test_only_the_new_part_of_an_overlapping_batch_is_applied(ledger: Ledger, make: Any) -> None:
    segment = make.segment()
    everything = [make.booted(segment), *(make.ended(n) for n in range(6))]
    ledger.apply([make.batch(segment, everything[:3])])
    assert ledger.apply([make.batch(segment, everything)]).records == 4
    assert rows(ledger, "SELECT count(*), count(DISTINCT id) FROM exchanges") == [[6, 6]]
    assert ledger.offsets()[segment.name].next == 70
    assert ledger.offsets()[segment.name].records == 7


def test_rows_and_place_survive_closing_and_killing(tmp_path: Path, make: Any) -> None:
    path, segment = tmp_path / "ledger.duckdb", make.segment()
    first = Ledger(path)
    first.apply([make.batch(segment, [make.booted(segment), make.opened(1)])])
    first._con.close()  # no checkpoint: as if killed
    second = Ledger(path)
    assert second.offsets()[segment.name].next == 20
    second.apply([make.batch(segment, [make.ended(1)], 20)])
    second.close()
    third = Ledger(path)
    assert rows(third, "SELECT state, count(*) FROM exchanges GROUP BY ALL") == [["complete", 1]]
    third.close()


def test_what_a_dead_worker_left_open_is_interrupted_by_the_next_boot_of_its_slot(ledger: Ledger, make: Any) -> None:
    dead, other, reborn = make.segment(), make.segment(slot=1), make.segment(boot=2)
    ledger.apply([
        make.batch(dead, [
            make.booted(dead), make.opened(1), make.decided(1, 1, released=False), make.decided(2, 1), make.opened(2), make.ended(2),
        ]),
        make.batch(other, [make.booted(other), make.opened(3)]),
    ])
    assert rows(ledger, "SELECT count(*) FROM open_exchanges") == [[2]]
    applied = ledger.apply([make.batch(reborn, [make.booted(reborn)])])
    assert list(applied.interrupted) == [f"{1:032x}"]
    assert rows(ledger, "SELECT id[-1], state, calls, denied FROM exchanges ORDER BY id") == [
        ["1", "interrupted", 2, 1], ["2", "complete", 0, 0], ["3", "open", 0, 0],
    ]


def test_a_new_run_interrupts_every_slot_of_earlier_runs(ledger: Ledger, make: Any) -> None:
    for slot in range(3):
        segment = make.segment(slot=slot)
        ledger.apply([make.batch(segment, [make.booted(segment), make.opened(slot)])])
    later = make.segment(run=2, boot=9)
    assert len(ledger.apply([make.batch(later, [make.booted(later), make.opened(7)])]).interrupted) == 3
    assert rows(ledger, "SELECT state, count(*) FROM exchanges GROUP BY ALL ORDER BY 1") == [["interrupted", 3], ["open", 1]]


@pytest.mark.parametrize("run", [1, 2])
def test_a_boot_of_the_book_interrupts_nobody(ledger: Ledger, make: Any, run: int) -> None:
    worker, book = make.segment(), make.segment(run=run, slot=-1, boot=2)
    ledger.apply([make.batch(worker, [make.booted(worker), make.opened(1)])])
    applied = ledger.apply([make.batch(book, [make.booted(book)])])
    again = make.segment(run=run, slot=-1, boot=3)
    applied = ledger.apply([make.batch(again, [make.booted(again)])])
    assert list(applied.interrupted) == []
    assert rows(ledger, "SELECT state, count(*) FROM exchanges GROUP BY ALL") == [["open", 1]]


def test_another_segment_of_the_same_boot_interrupts_nothing(ledger: Ledger, make: Any) -> None:
    first, second = make.segment(), make.segment(seq=1)
    ledger.apply([make.batch(first, [make.booted(first), make.opened(1)]), make.batch(second, [make.booted(second)])])
    assert rows(ledger, "SELECT state FROM exchanges") == [["open"]]


def test_an_end_that_comes_after_all_replaces_the_interruption(tmp_path: Path, make: Any) -> None:
    path, slow, reborn = tmp_path / "ledger.duckdb", make.segment(), make.segment(boot=2)
    ledger = Ledger(path)
    ledger.apply([make.batch(slow, [make.booted(slow), make.opened(1)]), make.batch(reborn, [make.booted(reborn)])])
    ledger.close()
    ledger = Ledger(path)
    ledger.apply([make.batch(slow, [make.ended(1)], 20)])
    assert rows(ledger, "SELECT state, count(*) FROM exchanges GROUP BY ALL") == [["complete", 1]]
    ledger.close()


def test_a_body_is_stored_once_and_shown_once(tmp_path: Path, make: Any) -> None:
    path, segment = tmp_path / "ledger.duckdb", make.segment()
    ledger = Ledger(path)
    same = make.message(1)
    prompt = make.prompt("p", "coder", "be good")
    ended = [Ended(make.exchange(n, state="complete"), messages=(same, same), prompt=prompt) for n in range(4)]
    ledger.apply([make.batch(segment, [make.booted(segment), *ended[:2]]), make.batch(segment, ended[2:], 30)])
    assert len(contents(ledger, "message_bodies")) == 1
    ledger.close()
    ledger = Ledger(path)
    ledger.apply([make.batch(segment, [make.ended(1)], 50)])
    assert rows(ledger, "SELECT count(*) FROM messages") == [[1]]
    ledger.close()


def test_prompt_versions_are_seen_first_and_last_by_each_agent(ledger: Ledger, make: Any) -> None:
    segment = make.segment()
    bodies = make.prompt("p1", "coder", "be good")
    seen_again = make.prompt("p1", "tester", "")
    ledger.apply([make.batch(segment, [
        Ended(make.exchange(1, prompt_hash="p1", state="complete"), prompt=bodies),
        Ended(make.exchange(9, prompt_hash="p1", state="complete"), prompt=bodies),
        Ended(make.exchange(5, prompt_hash="p1", state="complete", agent="tester"), prompt=seen_again),
    ])])
    found = rows(ledger, "SELECT agent, last_seen - first_seen, exchanges, system FROM prompt_versions ORDER BY agent")
    assert found == [["coder", "0.000008 s", 2, "be good"], ["tester", "0.000000 s", 1, "be good"]]


def test_policy_versions_have_their_files_once_however_often_loaded(ledger: Ledger, make: Any) -> None:
    segment = make.segment()
    loaded = [PolicyLoaded(PolicyRow("h", at, "abc", (("a.yaml", "x: 1"), ("b.yaml", "y: 2")))) for at in (5, 3, 9)]
    ledger.apply([make.batch(segment, loaded)])
    assert rows(ledger, "SELECT hash, git, first_loaded, last_loaded, loads, [f.path for f in files] FROM policy_versions") == [
        ["h", "abc", "1970-01-01T00:00:00.000003Z", "1970-01-01T00:00:00.000009Z", 3, ["a.yaml", "b.yaml"]]
    ]


def test_absurd_numbers_and_texts_do_not_stop_the_book(ledger: Ledger, make: Any) -> None:
    segment = make.segment()
    wild = make.ended(1, input_tokens=2**63, max_tokens=-(2**70), error_message="\0\x1b[2J\u202e😀", cost="9" * 30)
    ledger.apply([make.batch(segment, [wild])])
    assert rows(ledger, "SELECT input_tokens::VARCHAR, error_message, cost FROM exchanges") == [
        [str(2**63 - 1), "\0\x1b[2J\u202e😀", None]
    ]


def test_sums_are_the_same_however_often_they_were_added_to(ledger: Ledger, make: Any) -> None:
    segment = make.segment()
    for n in range(12):
        more = {"cost": None} if n % 3 == 0 else {"cost": "0.5", "input_tokens": n}
        call = make.call(n, n, released=bool(n % 2))
        exchange = make.exchange(n, state="complete", prompt_hash=f"p{n % 2}", agent=f"a{n % 3}", **more)
        ledger.apply([make.batch(segment, [Ended(exchange, (call,))], 10 * n)])
    before = [rows(ledger, f"SELECT * FROM {view} ORDER BY ALL") for view in ("cost_daily", "coverage", "prompt_versions", "tools_seen")]
    assert kept_sums(ledger) == computed_sums(ledger)
    many = sums.size(ledger._con)
    sums.compact(ledger._con)
    assert sums.size(ledger._con) < many
    after = [rows(ledger, f"SELECT * FROM {view} ORDER BY ALL") for view in ("cost_daily", "coverage", "prompt_versions", "tools_seen")]
    assert before == after
    assert rows(ledger, "SELECT agent, exchanges, cost, unpriced FROM cost_daily ORDER BY agent") == [
        ["a0", 4, None, 4], ["a1", 4, "2.000000000", 0], ["a2", 4, "2.000000000", 0],
    ]


def test_sums_are_made_small_when_there_is_nothing_else_to_do(ledger: Ledger, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "COMPACT_AT", 5)
    segment = make.segment()
    for n in range(9):
        ledger.apply([make.batch(segment, [make.ended(n)], 10 * n)])
    assert sums.size(ledger._con) == 9
    ledger.tend()
    assert sums.size(ledger._con) == 1
    ledger.apply([make.batch(segment, [make.ended(9)], 90)])
    ledger.tend()
    assert sums.size(ledger._con) == 2
    assert rows(ledger, "SELECT exchanges FROM cost_daily") == [[10]]


def test_a_failed_batch_leaves_nothing_behind(ledger: Ledger, make: Any) -> None:
    segment = make.segment()
    ledger.apply([make.batch(segment, [make.booted(segment), make.opened(1)])])
    bad = Ended(make.exchange(2, state=None))
    with pytest.raises(StoreTrouble, match="could not take new rows") as caught:
        ledger.apply([make.batch(segment, [make.ended(1), bad], 20)])
    assert not caught.value.broken
    assert rows(ledger, "SELECT state FROM exchanges") == [["open"]]
    assert ledger.offsets()[segment.name].next == 20
    ledger.apply([make.batch(segment, [make.ended(1)], 20)])
    assert rows(ledger, "SELECT state FROM exchanges") == [["complete"]]


def test_a_quarantined_segment_is_remembered(tmp_path: Path, make: Any) -> None:
    path, known, unknown = tmp_path / "ledger.duckdb", make.segment(), make.segment(slot=4)
    ledger = Ledger(path)
    ledger.apply([make.batch(known, [make.booted(known)])])
    ledger.quarantine(known, "offset 10: bad")
    ledger.quarantine(unknown, "offset 0: bad")
    ledger.close()
    ledger = Ledger(path)
    assert ledger.offsets()[known.name] == (10, bytes(32), 1, "offset 10: bad")
    assert ledger.offsets()[unknown.name].damage == "offset 0: bad"
    ledger.close()


KEYS = st.integers(0, 3)
SLOTS = st.tuples(st.integers(1, 2), st.integers(0, 1), st.integers(1, 2))


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[tuple[int, int, int], list[tuple[str, int]]]]:
    """Pieces of segments: (run, slot, boot) and what happens in it to which exchange."""
    acts = st.lists(st.tuples(st.sampled_from(["open", "decide", "end"]), KEYS), max_size=5)
    return draw(st.lists(st.tuples(SLOTS, acts), max_size=8))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories())
def test_it_agrees_with_the_store_in_plain_python(make: Any, tmp_path_factory: pytest.TempPathFactory, history: list[Any]) -> None:
    ledger = Ledger(tmp_path_factory.mktemp("ledger") / "ledger.duckdb")
    memory = MemoryStore()
    for batch in batches(make, history):
        assert ledger.apply([batch])._replace(interrupted=()) == memory.apply([batch])._replace(interrupted=())
        assert ledger.apply([batch]).records == memory.apply([batch]).records == 0
    assert ledger.offsets() == memory.offsets()
    for table in COLUMNS.keys() - {"policy_files"}:
        assert in_order(contents(ledger, table)) == in_order(memory.tables[table]), table
    assert kept_sums(ledger) == computed_sums(ledger)
    sums.compact(ledger._con)
    assert kept_sums(ledger) == computed_sums(ledger)
    ledger.close()


def kept_sums(ledger: Ledger) -> list[Any]:
    """What adds up to nothing was taken back."""
    return in_order_of_text(ledger, [each.compacted() for each in sums.SUMS.values()])


def computed_sums(ledger: Ledger) -> list[Any]:
    return in_order_of_text(ledger, [each.select(f"ledger.{each.facts}") for each in sums.SUMS.values()])


def in_order_of_text(ledger: Ledger, selects: list[str]) -> list[Any]:
    con = ledger._con.cursor()
    counted = {"exchange_sums": "exchanges", "call_sums": "calls", "rule_sums": "hits"}
    found = []
    for select, each in zip(selects, sums.SUMS.values(), strict=True):
        rows = con.execute(f"FROM ({select}) WHERE {counted[each.table]} <> 0").fetchall()
        found.append(sorted(str(tuple(map(plain, row))) for row in rows))
    return found


def batches(make: Any, history: list[Any]) -> Iterator[Batch]:
    """An exchange belongs to one segment, opens once and ends once."""
    at: dict[Any, int] = {}
    done: set[tuple[str, Any]] = set()
    for (run, slot, boot), acts in history:
        segment = make.segment(run, slot, boot)
        records: list[Record] = [] if segment in at else [make.booted(segment)]
        for what, key in acts:
            number = int(f"{run}{slot}{boot}{key}")
            if (what, number) in done or ("end", number) in done:
                continue
            done.add((what, number))
            records.append({"open": make.opened, "decide": lambda n: make.decided(n, n), "end": make.ended}[what](number))
        batch = make.batch(segment, records, at.get(segment, 0))
        at[segment] = batch.next
        yield batch


def in_order(found: list[dict[str, Any]]) -> list[str]:
    return sorted(repr(sorted((name, list(value) if isinstance(value, tuple) else value) for name, value in row.items())) for row in found)


def test_a_file_that_is_no_ledger_is_set_aside_and_a_new_one_made(tmp_path: Path, make: Any) -> None:
    path = tmp_path / "ledger.duckdb"
    path.write_bytes(b"garbage" * 5000)
    ledger = Ledger(path)
    assert ledger.offsets() == {}
    ledger.close()
    (aside,) = tmp_path.glob("ledger.duckdb.corrupt-*")
    assert aside.read_bytes() == b"garbage" * 5000


def test_a_ledger_with_a_damaged_header_is_set_aside_whole(tmp_path: Path, make: Any) -> None:
    path, segment = tmp_path / "ledger.duckdb", make.segment()
    ledger = Ledger(path)
    ledger.apply([make.batch(segment, [make.booted(segment)])])
    ledger.close()
    data = bytearray(path.read_bytes())
    data[4096:12288] = bytes(8192)
    path.write_bytes(data)
    again = Ledger(path)
    assert again.offsets() == {}
    again.close()
    (aside,) = tmp_path.glob("ledger.duckdb.corrupt-*")
    assert aside.read_bytes() == data


def test_a_ledger_taken_away_while_in_use_is_broken_and_made_anew(tmp_path: Path, make: Any) -> None:
    path, segment = tmp_path / "ledger.duckdb", make.segment()
    ledger = Ledger(path)
    ledger.apply([make.batch(segment, [make.booted(segment)])])
    path.unlink()
    with pytest.raises(StoreTrouble, match="taken away") as caught:
        ledger.apply([make.batch(segment, [make.ended(1)], 10)])
    assert caught.value.broken
    ledger._con.close()
    again = Ledger(path)
    assert again.offsets() == {}
    again.apply([make.batch(segment, [make.booted(segment), make.ended(1)])])
    assert rows(again, "SELECT state FROM exchanges") == [["complete"]]
    again.close()


def test_a_write_ahead_log_that_is_damaged_sets_both_files_aside(tmp_path: Path, make: Any) -> None:
    path, segment = tmp_path / "ledger.duckdb", make.segment()
    ledger = Ledger(path)
    ledger.apply([make.batch(segment, [make.booted(segment), *(make.ended(n) for n in range(50))])])
    wal = tmp_path / "ledger.duckdb.wal"
    saved, log_bytes = path.read_bytes(), bytearray(wal.read_bytes())
    ledger.close()
    log_bytes[len(log_bytes) // 2] ^= 0xFF
    path.write_bytes(saved)
    wal.write_bytes(log_bytes)
    again = Ledger(path)
    assert again.offsets().get(segment.name, Offset()).next in {0, 510}
    again.close()


def test_a_question_to_a_closed_ledger_is_refused_for_the_moment(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    ledger.close()
    with pytest.raises(Refused, match="ask again"):
        ledger.query("SELECT 1", 1)


def test_a_ledger_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    Ledger(path).close()
    with duckdb.connect(str(path)) as con:
        con.execute("INSERT INTO schema_migrations VALUES (9999, '9999_future', NULL)")
    with pytest.raises(StartError, match=r"has schema 9999.*start the newer version"):
        Ledger(path)
    assert list(tmp_path.glob("*.corrupt-*")) == []


def test_a_ledger_in_use_by_another_process_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen([sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        for read_only in (False, True):
            with pytest.raises(LedgerInUse, match=rf"in use by process {holder.pid} \(python[0-9.]*\); ask the running gateway"):
                Ledger(path, read_only=read_only)
    finally:
        holder.communicate()
    assert list(tmp_path.glob("*.corrupt-*")) == []


def test_read_only_needs_a_ledger_of_this_schema(tmp_path: Path, make: Any) -> None:
    path, segment = tmp_path / "ledger.duckdb", make.segment()
    with pytest.raises(StartError, match="cannot open the ledger"):
        Ledger(path, read_only=True)
    ledger = Ledger(path)
    ledger.apply([make.batch(segment, [make.booted(segment), make.ended(1)])])
    ledger.close()
    reader = Ledger(path, read_only=True)
    assert rows(reader, "SELECT count(*) FROM exchanges") == [[1]]
    reader.close()
    with duckdb.connect(str(path)) as con:
        con.execute("UPDATE schema_views SET hash = 'of other views'")
    with pytest.raises(StartError, match=r"laid out by another version; start the gateway once"):
        Ledger(path, read_only=True)


def test_a_query_that_takes_too_long_is_interrupted_and_the_ledger_goes_on(
    ledger: Ledger, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "QUERY_SECONDS", 0.2)
    with pytest.raises(Refused, match="took over"):
        ledger.query("SELECT count(*) FROM range(1000000000000) a", 1)
    segment = make.segment()
    assert ledger.apply([make.batch(segment, [make.booted(segment)])]).records == 1


def test_a_query_that_needs_too_much_memory_is_refused_and_the_ledger_goes_on(ledger: Ledger, make: Any) -> None:
    with pytest.raises(Refused) as refused:
        ledger.query("SELECT len(list(i)) FROM range(1000000000) r(i)", 1)
    assert refused.value.code in {"sql_memory", "sql_timeout"}
    segment = make.segment()
    assert ledger.apply([make.batch(segment, [make.booted(segment)])]).records == 1


def test_a_query_that_ignores_its_interruption_calls_for_help(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[bool] = []
    ledger = Ledger(tmp_path / "ledger.duckdb", on_stuck=lambda: called.append(True))
    monkeypatch.setattr(reading, "QUERY_SECONDS", 0.1)
    monkeypatch.setattr(reading, "STUCK_SECONDS", 0.01)
    with pytest.raises(Refused):
        ledger.query("SELECT len(list_sort(range(8000000)))::VARCHAR || count(*) FROM range(100000000000)", 1)
    assert called
    ledger.close()


def test_the_tables_hold_every_field_of_the_records(ledger: Ledger) -> None:
    for table, names in COLUMNS.items():
        assert set(names) == set(ledger._types[table]), table
    for table, names in CONTENT.items():
        assert set(names) == set(ledger._contents._types[table]), table


def test_what_a_rule_said_of_a_text_is_a_row_beside_those_about_calls(ledger: Ledger, make: Any) -> None:
    segment = make.segment()
    heard = HeardRow(f"{5:032x}", 9, "request", "messages[1]", "p", "mask", "redact", "enforce", False, "", 4, "card", "redacted", "ab")
    ended = msgspec.structs.replace(make.ended(5, calls=[make.call(1, 5, released=False)]), heard=(heard,))
    ledger.apply([make.batch(segment, [make.booted(segment), ended])])
    found = rows(ledger, "SELECT hook, decision_id, path, rule, detector, action, original FROM rule_hits ORDER BY hook")
    assert found == [
        ["request", "", "messages[1]", "mask", "card", "redacted", "ab"],
        ["tool_call", "dec_1", None, "no-strangers", None, None, None],
    ]


def test_columns_in_which_every_value_is_another_one_are_packed_by_zstd(tmp_path: Path, make: Any) -> None:
    segment = make.segment()
    ledger = Ledger(tmp_path / "ledger.duckdb")
    said = {"response_id": "chatcmpl-1", "response_message": "ab", "input_preview": "hello"}
    batch = make.batch(segment, [make.booted(segment), make.ended(1, calls=[make.call(1, 1, released=False)], **said)])
    ledger.apply([batch])
    ledger.close()
    con = duckdb.connect(str(tmp_path / "ledger.duckdb"), read_only=True)
    wanted = {
        "exchanges_ended": {"response_id", "response_message", "input_preview"},
        "calls": {"id", "call_id", "arguments", "arguments_hash"},
        "rule_hits": {"decision_id"},
    }
    for table, columns in wanted.items():
        packed = f"SELECT DISTINCT column_name FROM pragma_storage_info('{table}') WHERE compression = 'ZSTD'"
        assert {name for (name,) in con.execute(packed).fetchall()} == columns
    con.close()
