"""The content of records: message bodies, media, prompt texts. Pure, and the same for every store.

Content is kept apart from facts because it is most of the bytes and the first that must go. Arguments of calls are facts: a decision
without them could not be decided again.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gateway.stores.fold import Row, names_of
from gateway.trace.exchange_rows import MediaRow, MessageRow
from gateway.trace.prompt_rows import PromptRow
from gateway.trace.record import Ended, Opened, Record

CONTENT: dict[str, tuple[str, ...]] = {
    "message_bodies": names_of(MessageRow, "media"),
    "media_found": ("message", *names_of(MediaRow), "first_seen"),
    "prompt_bodies": ("hash", "agent", "first_seen", "system", "tools", "scope"),
}
"""Tables and the order of values in their rows."""


def contents(record: Record) -> Iterator[tuple[str, int, Row]]:
    """(table, when it was first seen in µs, row)."""
    if not isinstance(record, Opened | Ended):
        return
    for message in record.messages:
        if message.body:  # a segment whose bodies were taken away has blank ones
            yield from _message(message)
    if record.prompt is not None and (record.prompt.system or record.prompt.tools):
        yield "prompt_bodies", record.prompt.seen_us, _prompt(record.prompt)


def _message(message: MessageRow) -> Iterator[tuple[str, int, Row]]:
    at = message.first_us
    yield "message_bodies", at, msgspec.structs.astuple(message)[:-1]
    for each in message.media:
        yield "media_found", at, (message.hash, *msgspec.structs.astuple(each), at)


def _prompt(prompt: PromptRow) -> Row:
    return (prompt.hash, prompt.agent, prompt.seen_us, prompt.system, prompt.tools, prompt.scope)
