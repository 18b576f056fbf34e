"""Records on their way through the journal."""

from __future__ import annotations

import msgspec
import pytest

from gateway.trace.exchange_rows import CallRow, ExchangeRow, MediaRow, MessageRow
from gateway.trace.frames import Parts
from gateway.trace.people_rows import ApprovalRow
from gateway.trace.policy_rows import PolicyRow
from gateway.trace.prompt_rows import KeptRow, MovedRow, PromptRow, RenderedRow
from gateway.trace.record import (
    BODIES,
    ApprovalChanged,
    Booted,
    Decided,
    Ended,
    Opened,
    PolicyLoaded,
    PromptMoved,
    PromptsLoaded,
    decode,
    encode,
)
from gateway.verdict import Finding, RuleHit

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
    PromptsLoaded((KeptRow("n", "v", 1, None, ("production",), "---\n---\nHi"),)),
    PromptMoved(MovedRow("i", 1, "n", "production", "v", None, "ann")),
]


@pytest.mark.parametrize("record", RECORDS)
def test_what_is_written_is_read_back(record):
    assert decode(encode(record)) == record


def test_a_field_of_a_later_version_is_passed_over():
    facts, bodies = encode(RECORDS[1])
    later = [part.replace(b"{", b'{"later":1,', 1) for part in (facts, bodies)]
    assert decode(Parts(*later)) == RECORDS[1]


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"type":"unheard"}', b'{"type":"decided"}', b"[]"])
def test_what_no_version_wrote_is_refused(payload):
    with pytest.raises((msgspec.DecodeError, msgspec.ValidationError)):
        decode(Parts(payload))


def test_the_parts_are_one_object_of_which_the_bodies_are_the_texts():
    facts, bodies = (msgspec.json.decode(part) for part in encode(RECORDS[1]))
    assert bodies == {"messages": [{"body": "{}"}], "prompt": {"system": "s", "tools": "[]"}}
    assert facts["messages"] == [{"hash": "h", "role": "user", "body": "", "first_us": 1}]
    assert facts["prompt"] == {"hash": "h", "seen_us": 1, "agent": "a"}


def test_a_record_without_texts_has_no_bodies():
    assert encode(RECORDS[0]).bodies == b""
    assert encode(PolicyLoaded(PolicyRow("h", 1))).bodies == b""


def test_a_record_whose_bodies_were_shed_is_the_record_with_blanks():
    short = decode(encode(RECORDS[3])._replace(bodies=None))
    assert isinstance(short, Ended)
    assert (short.calls[0].arguments, short.calls[0].reason, short.calls[0].hits[0].message) == ("", "", "")
    assert (short.calls[0].effect, short.calls[0].hits[0].rule, short.exchange) == ("deny", "r", ROW)


def test_every_text_that_a_person_or_a_model_wrote_is_a_body():
    """Whatever free text is put into any record's rows, none of it is in the facts."""
    marked = msgspec.structs.replace(ROW, error_message="MARK", input_preview="MARK", output_preview="MARK")
    media = MediaRow("image", url="MARK")
    call = msgspec.structs.replace(CALL, arguments="MARK", reason="MARK", hits=(RuleHit("p", "r", "deny", message="MARK"),))
    approval = ApprovalRow("i", 1, "pending", 1, 2, "a", arguments="MARK", message="MARK", reason="MARK", edited="MARK")
    messages, prompt = (MessageRow("h", "user", "MARK", 1, (media,)),), PromptRow("h", 1, "a", "MARK", "MARK")
    for whole in (
        Opened(marked, messages, prompt),
        Decided(call),
        Ended(marked, (CALL, call), (), messages, prompt, rendered=RenderedRow("e", 1, "n", "v", None, "MARK")),
        ApprovalChanged(approval),
    ):
        parts = encode(whole)
        assert b"MARK" not in parts.facts
        assert decode(parts) == whole


@pytest.mark.parametrize(
    "bodies",
    [
        b"[]",
        b'{"messages": {}}',
        b'{"messages": []}',
        b'{"messages": [{"body": 1}]}',
        b'{"messages": [{"body": null}]}',
        b'{"prompt": []}',
        b'{"prompt',
    ],
)
def test_bodies_of_another_shape_than_the_facts_are_refused(bodies):
    with pytest.raises(msgspec.DecodeError):
        decode(encode(RECORDS[1])._replace(bodies=bodies))


def test_what_bodies_do_not_hold_stays_blank():
    whole = decode(encode(RECORDS[1])._replace(bodies=b'{"prompt": {"system": "s"}}'))
    assert isinstance(whole, Opened)
    assert whole.prompt == PromptRow("h", 1, "a", "s", "")
    assert whole.messages[0].body == ""


def test_bodies_for_a_row_that_the_facts_do_not_have_are_refused():
    facts = encode(Opened(ROW)).facts
    with pytest.raises(msgspec.ValidationError, match="a row that the facts do not have"):
        decode(Parts(facts, b'{"prompt": {"system": "s"}}'))


def test_what_is_named_as_a_body_is_a_text_of_that_row():
    for kind, names in BODIES.items():
        fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
        assert all(fields[name] in (str, str | None) for name in names), kind
