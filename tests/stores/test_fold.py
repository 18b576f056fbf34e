"""Folding records into rows: a new boot cuts, an end outlives its opening, every value has a column."""

from __future__ import annotations

from typing import Any

from gateway.stores.fold import COLUMNS, fold
from gateway.trace.record import Ended, KeptRow, MovedRow, Opened, PromptMoved, PromptsLoaded


def test_every_row_has_as_many_values_as_its_table_has_columns(make: Any) -> None:
    segment = make.segment()
    call = make.call(1, 1, released=False)
    prompt = make.prompt("p", "coder", "text")
    kept = KeptRow("support", "4be1c09d", 1, "abc", ("production",), "---")
    records = [
        make.booted(segment), make.opened(9), make.ended(1, calls=[call]),
        Ended(make.exchange(2), prompt=prompt, rendered=make.rendered(2)),
        Opened(make.exchange(3), rendered=make.rendered(3)), PromptsLoaded((kept,)),
        PromptMoved(MovedRow("m", 1, "support", "production", "4be1c09d", None, "ann", "")),
    ]  # fmt: skip
    (step,) = fold([(segment, records)])
    for table, rows in [*step.rows.items(), ("exchanges_ended", step.ended.values()), ("exchanges_open", step.opened.values())]:
        assert rows or table == "findings"
        assert {len(row) for row in rows} <= {len(COLUMNS[table])}, table


def test_each_boot_begins_a_step(make: Any) -> None:
    one, two = make.segment(), make.segment(boot=2)
    steps = fold([(one, [make.opened(1), make.booted(one), make.opened(2)]), (two, [make.booted(two), make.opened(3)])])
    assert [(step.booted and step.booted.boot, len(step.opened), step.count) for step in steps] == [
        (None, 1, 1), (one.boot, 1, 2), (two.boot, 1, 2),
    ]  # fmt: skip


def test_nothing_gives_no_step(make: Any) -> None:
    assert fold([]) == []
    assert fold([(make.segment(), [])]) == []


def test_an_exchange_that_opens_and_ends_in_one_step_is_only_ended(make: Any) -> None:
    (step,) = fold([(make.segment(), [make.opened(1), make.opened(2), make.ended(1)])])
    assert list(step.opened) == [f"{2:032x}"]
    assert list(step.ended) == [f"{1:032x}"]
