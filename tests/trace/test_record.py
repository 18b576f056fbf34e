"""Records on their way through the journal."""

from __future__ import annotations

import msgspec
import pytest

from gateway.exchange import Finding, RuleHit
from gateway.trace.record import (
    Booted,
    CallRow,
    Decided,
    Ended,
    ExchangeRow,
    MessageRow,
    Opened,
    PolicyLoaded,
    PolicyRow,
    PromptRow,
    decode,
    encode,
)

ROW = ExchangeRow(
    id="e", started_us=1, dialect="d", provider="p", operation="chat", route="/r", agent="a", cost="0.10", finish_reasons=("stop",)
)
CALL = CallRow("e", "dec", 2, 0, "c", "t", "function", "{}", "h", "deny", False, "rule", "no", "a", hits=(RuleHit("p", "r", "deny"),))
RECORDS = [
    Booted("r", 0, "b", 1),
    Opened(ROW, (MessageRow("h", "user", "{}", 1),), PromptRow("h", 1, "a", "s", "[]")),
    Decided(CALL),
    Ended(ROW, (CALL,), (Finding("v", "c", "error", "p", "d", "denied"),)),
    PolicyLoaded(PolicyRow("h", 1, None, (("p.yaml", "policy: 1"),))),
]


@pytest.mark.parametrize("record", RECORDS)
def test_what_is_written_is_read_back(record):
    assert decode(encode(record)) == record


def test_a_field_of_a_later_version_is_passed_over():
    payload = encode(RECORDS[0]).replace(b"{", b'{"later":1,', 1)
    assert decode(payload) == RECORDS[0]


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"type":"unheard"}', b'{"type":"decided"}', b"[]"])
def test_what_no_version_wrote_is_refused(payload):
    with pytest.raises((msgspec.DecodeError, msgspec.ValidationError)):
        decode(payload)
