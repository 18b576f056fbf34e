"""Folding records into rows: a new boot cuts, an end outlives its opening, every value has a column."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.stores.fold import COLUMNS, fold
from gateway.trace.prompt_rows import KeptRow, MovedRow
from gateway.trace.record import Ended, Mirrored, Opened, PromptMoved, PromptsLoaded
from gateway.verdict import Ran


def test_every_row_has_as_many_values_as_its_table_has_columns(make: Any) -> None:
    segment = make.segment()
    call = make.call(1, 1, released=False)
    prompt = make.prompt("p", "coder", "text")
    kept = KeptRow("support", "4be1c09d", 1, "abc", ("production",), "---")
    records = [
        make.booted(segment), make.opened(9), make.ended(1, calls=[call]),
        Ended(make.exchange(2), prompt=prompt, rendered=make.rendered(2)),
        Opened(make.exchange(3), rendered=make.rendered(3)), PromptsLoaded((kept,)),
        PromptMoved(MovedRow("m", 1, "support", "production", "4be1c09d", None, "ann", "")), Mirrored(make.attempt(1, kind="mirror")),
    ]  # fmt: skip
    (step,) = fold([(segment, records)])
    for table, rows in [*step.rows.items(), ("exchanges_ended", step.ended.values()), ("exchanges_open", step.opened.values())]:
        assert rows or table in ("findings", "attempts")
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


_RAN = st.builds(
    Ran,
    validator=st.sampled_from(["a", "b"]),
    version=st.just("1"),
    hook=st.sampled_from(["output", "tool_result"]),
    rule=st.sampled_from(["r", "s"]),
    effect=st.sampled_from(["warn", "deny", "repair"]),
    mode=st.sampled_from(["enforce", "shadow"]),
    outcome=st.sampled_from(["passed", "hit", "unevaluated", "not_drawn"]),
    before=st.booleans(),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ran=st.lists(_RAN, max_size=8), state=st.sampled_from(["complete", "denied", "rejected"]))
def test_one_row_of_an_exchange_says_what_all_of_its_validations_come_to(make: Any, ran: list[Ran], state: str) -> None:
    exchange = msgspec.structs.replace(make.exchange(1), operation="chat", state=state)
    (step,) = fold([(make.segment(), [Ended(exchange, ran=tuple(ran))])])
    rows = list(step.rows.get("validations_told", ()))
    assert [row[3] for row in rows] == [each.validator for each in ran]
    for name in {each.validator for each in ran}:
        mine = [each for each in ran if each.validator == name and each.hook == "output"]
        looked = [each for each in mine if each.outcome in ("passed", "hit")]
        when = "before" if any(each.before for each in looked) else "after" if looked else "nothing"
        unsure = any(each.outcome == "unevaluated" for each in mine)
        told = [row[-3:-1] for row in rows if row[3] == name and row[-3] is not None]
        assert told == ([(when, unsure)] if mine and state != "rejected" else [])
    blocking = [e.outcome for e in ran if (e.hook, e.mode) == ("output", "enforce") and e.effect != "warn" and e.outcome != "not_drawn"]
    meets = "met" if set(blocking) == {"passed"} else "unevaluated" if "unevaluated" in blocking else "missed"
    assert [row[-1] for row in rows if row[-1] is not None] == ([meets] if blocking else [])
