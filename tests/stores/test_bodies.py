"""What of a record is content, and in which table it goes."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.stores.bodies import CONTENT, contents
from gateway.trace.exchange_rows import MediaRow
from gateway.trace.record import Ended, Opened


def test_every_row_has_as_many_values_as_its_table_has_columns(make: Any) -> None:
    message = msgspec.structs.replace(make.message(1), media=(MediaRow("image", "image/png", "ab", 3), MediaRow("file", url="https://x")))
    found = list(contents(Ended(make.exchange(1), messages=(message,), prompt=make.prompt("p", "coder", "text"))))
    assert [table for table, _, _ in found] == ["message_bodies", "media_found", "media_found", "prompt_bodies"]
    for table, at, row in found:
        assert len(row) == len(CONTENT[table])
        assert row[CONTENT[table].index("first_seen")] == at


def test_an_opening_brings_its_messages_and_a_decision_none(make: Any) -> None:
    assert [table for table, _, _ in contents(Opened(make.exchange(1), (make.message(1), make.message(2))))] == ["message_bodies"] * 2
    assert list(contents(make.decided(1, 1))) == []
    assert list(contents(make.booted(make.segment()))) == []


def test_a_prompt_that_was_only_seen_again_has_no_row(make: Any) -> None:
    bare = type(make.prompt("p", "a", ""))("p", 1, "a")
    assert list(contents(Ended(make.exchange(1), prompt=bare))) == []
    assert len(list(contents(Ended(make.exchange(1), prompt=make.prompt("p", "a", ""))))) == 1  # it has tools
