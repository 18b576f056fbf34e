"""A Messages answer that came in one piece: the same rules as for a stream, on one JSON value.

A body in which nothing was withheld, stripped or normalised leaves as the very bytes that came. A call
whose own text is ambiguous is that call's problem; ambiguity anywhere else makes the whole body unusable.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct

from gateway import strict_json
from gateway.answer import Answer
from gateway.dialects import anthropic_messages_types as known
from gateway.dialects.anthropic_messages_blocks import Draft, Findings, Intake, outgoing_reason, well_typed
from gateway.dialects.anthropic_messages_summary import Summary
from gateway.dialects.events import AS_PROPOSED, Broken, Limits, WholeAnswer
from gateway.dialects.proposals import clipped
from gateway.request import Request
from gateway.strict_json import Json
from gateway.verdict import Call

ENVELOPE_DEPTH = 256
_PLACEHOLDER = b'{"type":"tool_use"}'


class _Slices(Struct):
    content: list[Raw]


class _Item(Struct, frozen=True):
    """One block that may be delivered: as it is, or a call."""

    block: Json
    call: Call | None = None


class _Tree(Struct, frozen=True):
    message: dict[str, Json]
    items: tuple[_Item, ...]
    changed: bool
    """True when even with every call allowed the body is not what came."""


class _Unusable(Exception):  # noqa: N818 - becomes `WholeAnswer.broken`
    def __init__(self, code: str, detail: str, raw: bytes = b"") -> None:
        super().__init__(detail)
        self.broken = Broken(code, detail, raw)


_slices = msgspec.json.Decoder(_Slices).decode
_lenient = msgspec.json.Decoder().decode


def decode_answer(body: bytes, request: Request, limits: Limits) -> WholeAnswer:
    try:
        return _decode(body, request, limits)
    except _Unusable as unusable:
        return WholeAnswer(Answer(), (), body, None, broken=unusable.broken)


def encode_answer(whole: WholeAnswer, withheld: Mapping[int, str], edited: Mapping[int, Call] = AS_PROPOSED) -> bytes:
    """A broken answer has nothing to deliver; calls with a problem must all be in `withheld`. Else
    ValueError."""
    tree = whole.tree
    if not isinstance(tree, _Tree):
        raise ValueError("a broken answer cannot be delivered; send an error instead")  # noqa: TRY004 - a state, not a type
    if any(call.problem is not None and call.index not in withheld for call in whole.calls):
        raise ValueError("a call that cannot be read in exactly one way is never released; withhold it")
    if not (withheld or edited or tree.changed):
        return whole.body
    content = [_delivered(item, withheld, edited) for item in tree.items]
    reason = outgoing_reason(tree.message.get("stop_reason"), len(whole.calls) - len(withheld), len(withheld))
    return strict_json.encode({**tree.message, "content": content, "stop_reason": reason})


def _delivered(item: _Item, withheld: Mapping[int, str], edited: Mapping[int, Call]) -> Json:
    if item.call is not None and item.call.index in withheld:
        return {"type": "text", "text": withheld[item.call.index]}
    if item.call is not None and item.call.index in edited:
        return {**item.block, "input": edited[item.call.index].args}
    return item.block


def _decode(body: bytes, request: Request, limits: Limits) -> WholeAnswer:
    tree, doubts = _parse(body)
    reason = _check_message(tree, body)
    blocks: list[dict[str, Json]] = tree["content"]
    findings = Findings()
    summary = Summary()
    summary.message(tree)
    summary.reason = reason
    message = findings.known_part(tree, known.MESSAGE_KEYS, "message")
    items = _items(_sort(blocks, doubts, Intake(request, limits), findings, summary))
    if _cut(blocks, reason):
        detail = f"the answer stopped ({clipped(reason)}) right behind a call, which may have been cut"
        return WholeAnswer(summary.answer(), (), body, None, tuple(findings), Broken("truncated", detail))
    calls = tuple(item.call for item in items if item.call is not None)
    changed = (
        message is not tree
        or [item.block for item in items] != blocks
        or outgoing_reason(reason, len(calls), 0) != reason
    )
    return WholeAnswer(summary.answer(), calls, body, _Tree(message, items, changed), tuple(findings))


def _parse(body: bytes) -> tuple[dict[str, Json], dict[int, strict_json.Ambiguous]]:
    """The body, and by position the calls in it that have no single meaning; those stand in it as their
    last-wins reading."""
    doubts: dict[int, strict_json.Ambiguous] = {}
    patched = body
    for i, raw in enumerate(_slice(body)):
        try:
            strict_json.parse(raw, depth=ENVELOPE_DEPTH)
        except strict_json.Ambiguous as ambiguous:
            doubts[i] = ambiguous
            patched = patched.replace(raw, _read_loosely(raw), 1)
    try:
        tree = strict_json.parse(patched, depth=ENVELOPE_DEPTH, exact_numbers=False)
    except strict_json.Ambiguous as ambiguous:
        detail = f"the answer has no single meaning ({ambiguous.code}: {ambiguous.detail})"
        raise _Unusable("protocol", detail) from None
    if not isinstance(tree, dict):
        raise _Unusable("protocol", "the answer is not a JSON object")
    return tree, doubts


def _slice(body: bytes) -> list[bytes]:
    """The bytes of each block; none where the body has no such shape (what it has instead is judged as a
    whole)."""
    try:
        return [bytes(raw) for raw in _slices(body).content]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []


def _read_loosely(raw: bytes) -> bytes:
    """The last-wins reading of a call; anything but a call stays, and stays ambiguous."""
    try:
        block = _lenient(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw
    is_call = isinstance(block, dict) and block.get("type") == "tool_use"
    return strict_json.encode(block) if is_call else raw


def _check_message(tree: dict[str, Json], body: bytes) -> str | None:
    """The stop reason of a well-formed message."""
    if tree.get("type") == "error":
        error = tree.get("error")
        kind = error.get("type") if isinstance(error, dict) else None
        raise _Unusable("provider_error", f"the provider answered with an error ({clipped(kind)})", body)
    if tree.get("type") != "message" or tree.get("role") != "assistant":
        raise _Unusable("protocol", "the answer is not an assistant message")
    content, reason = tree.get("content"), tree.get("stop_reason")
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise _Unusable("protocol", "the answer's content is not a list of blocks")
    if reason is not None and not isinstance(reason, str):
        raise _Unusable("protocol", "the answer's stop reason is not a string")
    return reason


def _sort(
    blocks: list[dict[str, Json]],
    doubts: Mapping[int, strict_json.Ambiguous],
    intake: Intake,
    findings: Findings,
    summary: Summary,
) -> list[dict[str, Json] | Draft]:
    """What may be delivered, in order: blocks that pass and drafts of calls."""
    sorted_blocks: list[dict[str, Json] | Draft] = []
    for i, block in enumerate(blocks):
        summary.block(block)
        lane, draft = intake.sort(block)
        keys = known.BLOCK_KEYS.get(clipped(block.get("type")), frozenset(block))
        clean = findings.known_part(block, keys, f"content[{i}]")
        if lane == "plain":
            if not well_typed(block):
                raise _Unusable("protocol", f"the text of content block {i} is not a string")
            sorted_blocks.append(clean)
            summary.text(block.get("text"))
        elif draft is not None:
            sorted_blocks.append(draft)
            if i in doubts:
                draft.fault(doubts[i].code, f"the block of this call: {doubts[i].detail}")
    return sorted_blocks


def _items(sorted_blocks: list[dict[str, Json] | Draft]) -> tuple[_Item, ...]:
    items: list[_Item] = []
    count = 0
    for entry in sorted_blocks:
        if isinstance(entry, Draft):
            call = entry.call(count)
            count += 1
            items.append(_Item(None if call.args is None else entry.block(call.args), call))
        else:
            items.append(_Item(entry))
    return tuple(items)


def _cut(blocks: list[dict[str, Json]], reason: str | None) -> bool:
    last = blocks[-1].get("type") if blocks else None
    return last == "tool_use" and reason not in known.WHOLE_CALL_REASONS
