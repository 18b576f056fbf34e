"""A streamed Messages answer: provider events in, what may leave out, every call held until nothing can
change it.

1. Text and thinking flow at once, as they came. The first withheld block closes the road: everything in
   blocks after it waits behind it, so that the client sees blocks in the provider's order.
2. Calls are said (`Proposed`) together, when `message_delta` brings the stop reason: only then is it known
   that no second call has the same id and that the last one was not cut off by a limit. A cut one breaks
   the stream (`truncated`) and nothing held is emitted.
3. What waits is delivered under new block indexes, counted from 0 without gaps; a withheld call becomes a
   text block in its place.
4. Every event is parsed strictly. Where it could be read in two ways it breaks the stream, unless it
   belongs to a held call: then it is that call's problem. A frame is forwarded in one form only: an
   `event:` line, one `data:` line, an empty line.
5. Beyond `hold_bytes` every call of the answer is unreadable, so nothing needs to wait any longer.

Not an SDK: contents that pass are not interpreted, only their keys and types are compared with the tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway import strict_json
from gateway.answer import Answer
from gateway.dialects import anthropic_messages_types as known
from gateway.dialects import sse
from gateway.dialects.anthropic_messages_blocks import Draft, Findings, Intake, outgoing_reason, well_typed
from gateway.dialects.anthropic_messages_errors import error_body
from gateway.dialects.anthropic_messages_frames import (
    ASTRAY,
    Frame,
    Part,
    Tree,
    Untrusted,
    as_object,
    block_frames,
    index_of,
    is_call,
    read_loosely,
    with_more,
)
from gateway.dialects.anthropic_messages_summary import THOUGHTS, Summary
from gateway.dialects.events import UNTOLD, Broken, Ended, Event, Forward, Held, Hidden, Limits, Proposed, Said
from gateway.dialects.proposals import clipped
from gateway.errors import GatewayError
from gateway.request import Request
from gateway.strict_json import Json
from gateway.verdict import Call, Finding

ENVELOPE_DEPTH: Final = 256
MAX_OPEN: Final = 256
_COMMENT: Final = b":\n\n"


class MessagesStream:
    """Decoder and re-encoder of one answer."""

    def __init__(self, request: Request, limits: Limits, *, enforcing: bool) -> None:
        self._limits, self._enforcing = limits, enforcing
        self._parser = sse.SseParser(limits.event_bytes, limits.events)
        self._intake = Intake(request, limits)
        self._findings = Findings("stripped" if enforcing else "none")
        self._summary = Summary()
        self._open: dict[int, Part] = {}
        self._queue: list[Part] = []  # withheld blocks and what waits behind them
        self._given: list[tuple[int, Draft]] = []  # by Call.index: where it is delivered, and from what
        self._last: Part | None = None
        self._starts = self._slots = self._kept = 0
        self._begun = self._overfull = self._done = self._spoken = False
        self._broken = False
        self._final: Frame | None = None

    @property
    def answer(self) -> Answer:
        return self._summary.answer()

    @property
    def findings(self) -> list[Finding]:
        return self._findings

    @property
    def spoken(self) -> bool:
        return self._spoken

    def feed(self, chunk: bytes) -> Iterator[Event]:
        if self._broken:
            return
        try:
            for source in self._parser.feed(chunk):
                yield from self._read(source)
        except sse.Oversize as oversize:
            yield self._break(Broken("protocol", str(oversize)))
        except Untrusted as untrusted:
            yield self._break(untrusted.broken)

    def close(self) -> Iterator[Event]:
        if not (self._done or self._broken):
            yield self._break(Broken("truncated", "the provider's stream ended before message_stop"))

    def _break(self, broken: Broken) -> Broken:
        self._broken = True
        self._queue.clear()
        return broken

    # --- events in ---

    def _read(self, source: sse.SseEvent) -> list[Event]:
        if source.data is None:
            return [Forward(source.raw, _COMMENT if source.raw.strip() else b"")]
        if self._done and source.data == b"[DONE]":
            return [Hidden(source.raw)]
        try:
            tree = strict_json.parse(source.data, depth=ENVELOPE_DEPTH, exact_numbers=False)
        except strict_json.Ambiguous as ambiguous:
            return self._ambiguous(source, ambiguous)
        if not isinstance(tree, dict) or not isinstance(kind := tree.get("type"), str):
            raise Untrusted("an event is not a JSON object with a type")
        if kind == "error":
            raise Untrusted(*self._provider_error(tree))
        if kind != source.event:
            raise Untrusted(f"the event line and the event's type differ ({clipped(source.event)}, {clipped(kind)})")
        return self._dispatch(kind, source, tree)

    def _dispatch(self, kind: str, source: sse.SseEvent, tree: Tree) -> list[Event]:
        if kind == "content_block_delta":
            return self._delta(source, tree)
        if kind == "ping":
            return self._forward(self._frame(source, tree))
        if self._done or (kind == "message_start") == self._begun:
            raise Untrusted(f"a {clipped(kind)} event came where none may come")
        if kind == "content_block_start":
            return self._start(source, tree, None)
        if kind == "content_block_stop":
            return self._stop(source, tree)
        if kind == "message_start":
            return self._message_start(source, tree)
        if kind == "message_delta":
            return self._message_delta(source, tree)
        if kind == "message_stop":
            return self._message_stop(source, tree)
        return self._unknown(source, "event", kind)

    def _provider_error(self, tree: Tree) -> tuple[str, str, bytes]:
        error = tree.get("error")
        kind = error.get("type") if isinstance(error, dict) else None
        raw = sse.frame(strict_json.encode(tree), "error")
        return f"the provider reported an error in its stream ({clipped(kind)})", "provider_error", raw

    def _ambiguous(self, source: sse.SseEvent, ambiguous: strict_json.Ambiguous) -> list[Event]:
        """Rule 4: who reads this event loosely must find a held call in it, else it cannot be contained."""
        tree = read_loosely(source.data)
        if tree.get("type") == source.event and self._begun and self._final is None:
            if source.event == "content_block_start" and is_call(tree.get("content_block")):
                return self._start(source, tree, ambiguous)
            part = self._open.get(index_of(tree))
            if (
                source.event in ("content_block_delta", "content_block_stop")
                and part is not None
                and part.draft is not None
            ):
                part.draft.fault(ambiguous.code, f"an event of this call: {ambiguous.detail}")
                if source.event == "content_block_stop":
                    del self._open[index_of(tree)]
                return [Held(source.raw)]
        raise Untrusted(f"an event has no single meaning ({ambiguous.code}: {ambiguous.detail})")

    # --- blocks ---

    def _start(self, source: sse.SseEvent, tree: Tree, ambiguous: strict_json.Ambiguous | None) -> list[Event]:
        block = tree.get("content_block")
        if self._final is not None or not isinstance(block, dict):
            raise Untrusted("a content block starts after the stop reason, or without a block")
        self._summary.block(block)
        lane, draft = self._intake.sort(block)
        part = self._last = Part(self._starts, clipped(block.get("type")), lane, draft)
        self._starts += 1
        self._place(part, tree.get("index"))
        if lane == "plain":
            return self._start_plain(part, source, tree, block)
        if draft is not None:
            if ambiguous is not None:
                draft.fault(ambiguous.code, f"the start of this call: {ambiguous.detail}")
            self._findings.known_part(
                block, known.BLOCK_KEYS.get(part.kind, frozenset(block)), f"content[{part.number}]"
            )
            self._queue.append(part)
        return self._keep(source, len(source.raw) if draft is not None else 0)

    def _start_plain(self, part: Part, source: sse.SseEvent, tree: Tree, block: Tree) -> list[Event]:
        clean = self._findings.known_part(block, known.BLOCK_KEYS[part.kind], f"content[{part.number}]")
        _check_strings(block)
        if part.kind == "text":
            self._summary.text(block["text"])
        if not self._queue:
            part.slot = self._next_slot()
            self._spoken = self._spoken or part.kind not in THOUGHTS or bool(block.get("thinking"))
        return self._pass(part, self._frame(source, tree, "content_block", clean))

    def _place(self, part: Part, index: Json) -> None:
        """Blocks are counted from 0 and each index is used once; a call that breaks this is unreadable,
        anything else ends the stream."""
        known_index = type(index) is int and index >= 0
        other = self._open.get(index) if known_index else None
        if other is not None or index != part.number or not known_index:
            problem = "bad_index" if other is None else "ambiguous_index"
            for broken in (part, other):
                if broken is not None and broken.draft is None and broken.lane == "plain":
                    raise Untrusted("a content block has an index that is not the next one")
                if broken is not None and broken.draft is not None:
                    broken.draft.fault(problem, "the index of the block is not the next one")
        self._open[index if known_index else ASTRAY] = part
        if len(self._open) > MAX_OPEN:
            raise Untrusted(f"more than {MAX_OPEN} content blocks are open at once")

    def _find(self, tree: Tree) -> Part:
        part = self._open.get(index_of(tree)) or self._open.get(ASTRAY)
        if part is None or self._final is not None:
            raise Untrusted("an event belongs to a content block that is not open")
        return part

    def _delta(self, source: sse.SseEvent, tree: Tree) -> list[Event]:
        part = self._find(tree)
        delta = as_object(tree.get("delta"))
        kind = delta.get("type")
        if part.lane != "plain":
            return self._keep(source, self._collect(part, kind, delta))
        if not isinstance(kind, str) or kind not in known.DELTA_KEYS:
            return self._unknown(source, "delta", kind)
        if kind not in known.DELTAS_OF_BLOCK.get(part.kind, ()):
            raise Untrusted(f"a {kind} came for a block of type {part.kind}")
        _check_strings(delta)
        clean = self._findings.known_part(delta, known.DELTA_KEYS[kind], f"content[{part.number}].delta")
        if kind == "text_delta":
            self._summary.text(delta["text"])
        elif part.kind == "thinking":
            key = known.TEXT_KEYS[kind]
            self._summary.thought(key, delta[key])
            self._spoken = self._spoken or bool(key == "thinking" and delta[key])
        return self._pass(part, self._frame(source, tree, "delta", clean))

    def _collect(self, part: Part, kind: Json, delta: Tree) -> int:
        """The bytes kept of a delta of a withheld block."""
        if part.draft is None or part.slot is not None or part.draft.kind == "unknown":
            return 0
        if kind != "input_json_delta":
            part.draft.fault("unknown_type", f"a delta of type {clipped(kind)} inside a call")
            return 0
        self._findings.known_part(delta, known.DELTA_KEYS[kind], f"content[{part.number}].delta")
        return part.draft.add(delta.get("partial_json"))

    def _stop(self, source: sse.SseEvent, tree: Tree) -> list[Event]:
        part = self._find(tree)
        index = index_of(tree)
        del self._open[index if index in self._open else ASTRAY]
        if part.lane != "plain":
            return [Held(source.raw)]
        return self._pass(part, self._frame(source, tree))

    def _unknown(self, source: sse.SseEvent, what: str, kind: Json) -> list[Event]:
        if self._final is not None:
            raise Untrusted(f"a {what} of unknown type {clipped(kind)} came after the stop reason")
        lane, draft = self._intake.unknown(what, kind)
        if draft is not None:
            self._queue.append(Part(self._starts, "unknown", lane, draft))
        return self._keep(source, 0)

    # --- the message ---

    def _message_start(self, source: sse.SseEvent, tree: Tree) -> list[Event]:
        message = tree.get("message")
        if not isinstance(message, dict) or message.get("type") != "message" or message.get("role") != "assistant":
            raise Untrusted("message_start holds no assistant message")
        if message.get("content") != []:
            raise Untrusted("message_start already has content")
        self._begun = True
        self._summary.message(message)
        clean = self._findings.known_part(message, known.MESSAGE_KEYS, "message")
        return self._forward(self._frame(source, tree, "message", clean))

    def _message_delta(self, source: sse.SseEvent, tree: Tree) -> list[Event]:
        delta = tree.get("delta")
        if not isinstance(delta, dict):
            raise Untrusted("message_delta has no delta")
        reason = delta.get("stop_reason")
        if not (reason is None or isinstance(reason, str)):
            raise Untrusted("the stop reason is not a string")
        if reason is not None and self._final is not None:
            raise Untrusted("a second stop reason came")
        self._summary.usage(tree.get("usage"))
        clean = self._findings.known_part(delta, known.MESSAGE_DELTA_KEYS, "message_delta.delta")
        frame = self._frame(source, tree, "delta", clean)
        if reason is None:
            return self._forward(frame)
        self._refuse_cut_calls(reason)
        self._summary.reason, self._final = reason, frame
        return [*self._flush(), Ended(source.raw)]

    def _refuse_cut_calls(self, reason: str) -> None:
        open_calls = any(part.draft is not None and part.draft.kind == "function" for part in self._open.values())
        last = self._last.draft if self._last is not None else None
        cut = last is not None and last.kind == "function" and reason not in known.WHOLE_CALL_REASONS
        if open_calls or cut:
            raise Untrusted(f"the answer stopped ({clipped(reason)}) inside a call or right behind one", "truncated")

    def _message_stop(self, source: sse.SseEvent, tree: Tree) -> list[Event]:
        if self._final is None:
            raise Untrusted("message_stop came without a stop reason", "truncated")
        self._done = True
        return self._forward(self._frame(source, tree))

    # --- holding and letting go ---

    def _frame(self, source: sse.SseEvent, tree: Tree, key: str = "", part: Tree | None = None) -> Frame:
        clean = self._findings.known_part(tree, known.EVENT_KEYS[tree["type"]], tree["type"])
        if part is not None and part is not tree[key]:
            clean = {**clean, key: part}
        return Frame(source, tree, clean)

    def _forward(self, frame: Frame, said: Said | None = None) -> list[Event]:
        return [Forward(frame.source.raw, frame.clean(), said)]

    def _pass(self, part: Part, frame: Frame) -> list[Event]:
        if part.slot is not None:
            frame.placed(part.slot)
            words = frame.tree.get("delta") or frame.tree.get("content_block")
            return self._forward(frame, (part.slot, words) if words else None)
        if not part.waiting:
            self._queue.append(part)
        part.waiting.append(frame)
        return self._keep(frame.source, len(frame.source.raw))

    def _keep(self, source: sse.SseEvent, size: int) -> list[Event]:
        """Rule 5: what was kept beyond the bound is given up, and with it every reason to wait."""
        self._kept += size
        if self._kept <= self._limits.hold_bytes and not self._overfull:
            return [Held(source.raw)]
        self._overfull = True
        for part in self._queue:
            if part.draft is not None:
                part.draft.fault(
                    "hold_limit", f"more than {self._limits.hold_bytes} bytes of this answer are held back"
                )
        return [Held(source.raw), *self._flush()]

    def _flush(self) -> list[Event]:
        """Everything that waits, in order."""
        events: list[Event] = []
        self._spoken = self._spoken or bool(self._queue)
        for part in self._queue:
            part.slot = self._next_slot()
            if part.draft is not None:
                call = part.draft.call(len(self._given))
                self._given.append((part.slot, part.draft))
                events.append(Proposed(call))
            else:
                for frame in part.waiting:
                    frame.placed(part.slot)
                events.append(Forward(b"", b"".join(frame.bytes() for frame in part.waiting), UNTOLD))
                part.waiting.clear()
        self._queue.clear()
        return with_more(events)

    def _next_slot(self) -> int:
        self._slots += 1
        return self._slots - 1

    # --- frames out ---

    def release(self, call: Call) -> bytes:
        slot, draft = self._given[call.index]
        if draft.problem is not None:
            raise ValueError("a call that cannot be read in exactly one way is never released; explain it instead")
        return block_frames(slot, draft.block({}), {"type": "input_json_delta", "partial_json": call.arguments})

    def explain(self, call: Call, text: str) -> bytes:
        slot, _ = self._given[call.index]
        return block_frames(slot, {"type": "text", "text": ""}, {"type": "text_delta", "text": text})

    def ended(self, event: Ended, released: int, withheld: int) -> bytes:
        frame = self._final
        if frame is None or not self._enforcing:
            return event.raw
        reason = outgoing_reason(self._summary.reason, released, withheld)
        if reason != self._summary.reason:
            frame.tree = {**frame.tree, "delta": {**frame.tree["delta"], "stop_reason": reason}}
            frame.changed = True
        return frame.bytes()

    @staticmethod
    def error(error: GatewayError) -> bytes:
        return sse.frame(error_body(error), "error")


def _check_strings(part: Tree) -> None:
    if not well_typed(part):
        raise Untrusted(f"the text of a {clipped(part.get('type'))} is not a string")
