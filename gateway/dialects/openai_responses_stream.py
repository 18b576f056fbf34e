"""A streamed response: provider bytes to events, verdicts back to client bytes.

1. Each event is parsed once, strictly. Words, progress and what the provider was allowed to do by itself leave at once.
2. From the first proposed call on everything is held until the response's last event: a call is told up to five times (item added, deltas,
   arguments done, item done, final output), each copy is what some client uses, and only then is it known that they agree.
3. Reasoning is held until what follows it is known: reasoning whose call is withheld must go with it, because the provider refuses a
   history in which it stands alone.
4. What is held leaves in its order, numbered again; calls are written anew from what was judged; the last event holds exactly the items
   that were delivered.
5. Anything after the last event, an item that was never begun, and an end before the last event break the stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway import strict_json
from gateway.answer import Answer
from gateway.dialects import openai_responses_frames as frames
from gateway.dialects import openai_responses_items as items
from gateway.dialects import openai_responses_shape as shape
from gateway.dialects import sse
from gateway.dialects.events import UNTOLD, Broken, Ended, Event, Forward, Held, Limits, Proposed, Said
from gateway.dialects.openai_chat_shape import Sieve, error_detail
from gateway.dialects.proposals import clipped, failed
from gateway.errors import GatewayError
from gateway.strict_json import Json
from gateway.verdict import Call, Finding

_MOST_ITEMS = 4096
_WORDS_HELD = 8
"""How many times as much as calls may be held of words: each few letters of reasoning come in an event of their own."""


class ResponsesStream:
    def __init__(self, dialect: str, limits: Limits, *, allowed: frozenset[str], enforcing: bool, fetched: bool = False) -> None:
        self._limits, self._allowed, self._enforcing, self._fetched = limits, allowed, enforcing, fetched
        self._parser = sse.SseParser(limits.event_bytes, limits.events)
        self._sieve = Sieve(dialect, enforcing=enforcing)
        self._writer = frames.Writer()
        self._items: list[frames.Item] = []
        self._holding = False
        self._held_bytes = 0
        self._waiting: list[frames.Item] = []
        """Reasoning, until what follows it is known."""
        self._odd: tuple[str, str] | None = None
        self._entries: dict[int, frames.Entry] = {}
        self._last: frames.Piece | None = None
        self._over = self._finished = False
        self._head: Mapping[str, Json] = {}
        self._words = frames.Words()

    @property
    def answer(self) -> Answer:
        return frames.answer_of(self._head, self._words.text, self._writer.kept)

    @property
    def findings(self) -> list[Finding]:
        return self._sieve.findings

    @property
    def spoken(self) -> bool:
        return any(not item.called and item.kind != "reasoning" for item in self._items)

    def feed(self, chunk: bytes) -> Iterator[Event]:
        try:
            for event in () if self._over else self._parser.feed(chunk):
                yield from self._read(event)
                if self._over:
                    return
        except sse.Oversize as oversize:
            yield self._break("protocol", str(oversize))

    def close(self) -> Iterator[Event]:
        if self._over:
            return
        self._over = True
        if not self._finished:
            yield Broken("truncated", "the provider's stream ended before the response did")
        elif rest := self._parser.rest:
            yield Held(rest)

    def release(self, call: Call) -> bytes:
        return self._writer.call(self._entries[call.index], call)

    def explain(self, call: Call, text: str) -> bytes:
        return self._writer.explanation(call, text)

    def ended(self, event: Ended, released: int, withheld: int) -> bytes:
        if self._last is None:
            raise RuntimeError("a response was ended that had not come to its end")
        response = self._sieve.keep(self._head, shape.RESPONSE_KEYS, "response")
        return self._writer.last(self._last.kept(self._sieve, shape.FRAME_KEYS[self._last.kind]), response)

    def error(self, error: GatewayError) -> bytes:
        return self._writer.error(error)

    def _break(self, code: str, detail: str) -> Broken:
        self._over = True
        return Broken(code, detail)

    # Events

    def _read(self, event: sse.SseEvent) -> Iterator[Event]:
        if event.data is None:
            yield Forward(event.raw, None if frames.plain_comment(event.raw) else frames.EMPTY_COMMENT)
            return
        if self._finished:
            yield Forward(event.raw) if event.data == b"[DONE]" else self._break("protocol", "something follows the end of the response")
            return
        try:
            tree = strict_json.parse(event.data, depth=self._limits.depth + 16, exact_numbers=False)
        except strict_json.Ambiguous as ambiguous:
            yield self._unreadable(event, ambiguous)
            return
        kind = tree.get("type") if isinstance(tree, dict) else None
        if not isinstance(kind, str):
            yield self._break("protocol", "an event without a type")
        else:
            yield from self._dispatch(frames.Piece.read(event, event.data, kind, tree))

    def _unreadable(self, event: sse.SseEvent, ambiguous: strict_json.Ambiguous) -> Event:
        if ambiguous.code == "malformed":
            return self._break("protocol", f"an event cannot be read in one way: {ambiguous.detail}")
        self._suspect(ambiguous.code, f"an event of the stream: {ambiguous.detail}")
        return Held(event.raw)

    def _suspect(self, code: str, detail: str) -> None:
        """Something that may be a call was met and dropped: no call of this answer passes, and there is at least one."""
        self._odd = self._odd or (code, detail)
        self._holding = True

    def _dispatch(self, piece: frames.Piece) -> Iterator[Event]:
        kind = piece.kind
        self._writer.begin(piece.tree.get("sequence_number"))
        if kind == "error":
            yield self._provider_error(piece, piece.tree.get("error") or piece.tree)
        elif kind in shape.STATE_EVENTS:
            yield from self._state(piece)
        elif kind in shape.LAST_EVENTS:
            yield from self._end(piece)
        elif kind == shape.ADDED:
            yield from self._added(piece)
        elif kind == shape.DONE:
            yield from self._done(piece)
        elif kind in shape.ITEM_EVENTS:
            yield from self._of_item(piece)
        elif kind in shape.LOOSE_EVENTS and shape.only_texts(piece.tree):
            yield from self._pass(piece.kept(self._sieve, shape.LOOSE_EVENTS[kind]))
        else:
            self._suspect("unknown_type", f"events of type {clipped(kind)} are not known")
            yield Held(piece.raw)

    def _provider_error(self, piece: frames.Piece, error: Json) -> Event:
        self._over = True
        raw = self._writer.provider_error(error) if self._enforcing else piece.raw
        return Broken("provider_error", error_detail(error), raw)

    def _state(self, piece: frames.Piece) -> Iterator[Event]:
        response = piece.tree.get("response")
        if not isinstance(response, dict):
            yield self._break("protocol", f"`{piece.kind}` without a response")
            return
        self._head = response
        if response.get("output"):
            self._suspect("copies_differ", "a response that has only begun holds items already")
            response = {**response, "output": []}
        piece = piece.kept(self._sieve, shape.FRAME_KEYS[piece.kind])
        piece = piece.with_value("response", self._sieve.keep(response, shape.RESPONSE_KEYS, "response"))
        yield Forward(piece.raw, self._writer.passed(piece) if self._enforcing else None)

    # Items

    def _added(self, piece: frames.Piece) -> Iterator[Event]:
        found, index = piece.tree.get("item"), piece.tree.get("output_index")
        if not isinstance(found, dict) or type(index) is not int or index != len(self._items) or index >= _MOST_ITEMS:
            yield self._break("protocol", "an item that does not count up from 0")
            return
        item = frames.Item(found, called=items.is_call(found, self._allowed), began=self._words.pieces)
        self._items.append(item)
        if item.called:
            self._holding = True
        elif item.kind != "reasoning" and self._waiting and not self._holding:
            yield from self._let_go()
        yield from self._told(piece, item, found)

    def _done(self, piece: frames.Piece) -> Iterator[Event]:
        item, found = self._addressed(piece), piece.tree.get("item")
        if item is None or not isinstance(found, dict) or found.get("type") != item.added.get("type") or item.done is not None:
            yield self._break("protocol", "an item ended that was not begun")
            return
        item.done = found
        self._words.hear_whole(item, item.added, found)
        yield from self._told(piece, item, found)

    def _of_item(self, piece: frames.Piece) -> Iterator[Event]:
        kinds, keys = shape.ITEM_EVENTS[piece.kind]
        item = self._addressed(piece)
        if item is None or item.kind not in kinds or item.done is not None:
            yield self._break("protocol", f"`{clipped(piece.kind)}` belongs to no item that is being written")
            return
        self._words.hear(piece, item)
        piece = piece.kept(self._sieve, keys)
        if item.called:
            item.hear(piece, self._limits)
            yield from self._hold(piece)
            return
        if not shape.only_texts(piece.tree):
            yield self._break("protocol", f"`{clipped(piece.kind)}` with something else than text")
            return
        key = next((key for key in shape.PLACES if key in piece.tree), None)
        yield from self._pass(piece, item) if key is None else self._of_part(piece, item, key)

    def _addressed(self, piece: frames.Piece) -> frames.Item | None:
        """The item an event is about. Its place alone counts: what is held is written anew under one id."""
        index = piece.tree.get("output_index")
        return self._items[index] if type(index) is int and 0 <= index < len(self._items) else None

    def _told(self, piece: frames.Piece, item: frames.Item, found: Mapping[str, Json]) -> Iterator[Event]:
        """An event that tells of a whole item: begun or done."""
        piece = piece.kept(self._sieve, shape.FRAME_KEYS[piece.kind])
        if item.called:
            yield from self._hold(piece)
        else:
            yield from self._pass(piece.with_value("item", self._clean(found, item.kind)), item)

    def _of_part(self, piece: frames.Piece, item: frames.Item, key: str) -> Iterator[Event]:
        """An event of one part. A part of a kind that nobody knows leaves no trace; those behind it move up."""
        index = piece.tree[key]
        if type(index) is not int:
            yield self._break("protocol", "a part whose place is no whole number")
            return
        if "part" in piece.tree:
            part = self._part(piece.tree["part"])
            if part is None:
                item.dropped.add((key, index))
            else:
                piece = piece.with_value("part", part)
        if (key, index) in item.dropped:
            yield Held(piece.raw)
            return
        before = sum(kind == key and place < index for kind, place in item.dropped)
        yield from self._pass(piece.with_value(key, index - before) if before else piece, item)

    def _clean(self, found: Mapping[str, Json], kind: Json) -> Mapping[str, Json]:
        """An item that leaves: known keys, known parts."""
        kept = self._sieve.keep(found, shape.item_keys(kind) or frozenset(), f"item.{clipped(kind)}")
        for key in ("content", "summary") if kind in ("message", "reasoning") else ():
            parts = kept.get(key)
            if isinstance(parts, list):
                clean = [part for part in map(self._part, parts) if part is not None]
                kept = kept if clean == parts else {**kept, key: clean}
            elif parts is not None:
                self._suspect("unknown_type", f"a {kind} whose {key} is no list of parts")
                kept = {**kept, key: []}
        return kept

    def _part(self, part: Json) -> Mapping[str, Json] | None:
        kind = part.get("type") if isinstance(part, dict) else None
        if not isinstance(kind, str) or kind not in shape.PART_KEYS or not shape.only_texts(part):
            self._suspect("unknown_type", f"parts of type {clipped(kind)} are not known")
            return None
        return self._sieve.keep(part, shape.PART_KEYS[kind], f"part.{kind}")

    # Letting go and holding

    def _pass(self, piece: frames.Piece, item: frames.Item | None = None) -> Iterator[Event]:
        """Leaves at once; with its item when that is held."""
        if not self._enforcing:
            yield Forward(piece.raw, None, _said(piece))
        elif item is not None and (self._holding or item.kind == "reasoning"):
            if item.kind == "reasoning" and not self._holding and item not in self._waiting:
                self._waiting.append(item)
            item.pieces.append(piece)
            yield from self._hold(piece)
        elif self._holding:
            yield Held(piece.raw)
        else:
            yield Forward(piece.raw, self._writer.passed(piece), _said(piece))

    def _let_go(self) -> Iterator[Event]:
        """The reasoning that waited belongs to words."""
        for item in self._waiting:
            for piece in item.pieces:
                self._held_bytes -= len(piece.raw)
                frame = self._writer.passed(piece)
                yield Forward(b"", piece.raw if frame is None else frame, _said(piece))
            item.pieces.clear()
        self._waiting.clear()

    def _hold(self, piece: frames.Piece) -> Iterator[Event]:
        yield Held(piece.raw)
        self._held_bytes += len(piece.raw)
        if self._held_bytes > (1 if self._called() else _WORDS_HELD) * self._limits.hold_bytes:
            detail = f"what is held of this answer is longer than {self._limits.hold_bytes} bytes"
            self._odd = self._odd or ("hold_limit", detail)
            yield from self._propose(self._planned([]))
            yield self._break("hold_limit", detail)

    def _called(self) -> bool:
        return bool(self._items) and self._items[-1].called

    # The end

    def _end(self, piece: frames.Piece) -> Iterator[Event]:
        response = piece.tree.get("response")
        output = response.get("output") if isinstance(response, dict) else None
        if not isinstance(response, dict) or not isinstance(output, list | None):
            yield self._break("protocol", f"`{piece.kind}` without a response")
            return
        if piece.kind == "response.failed" and not self._fetched:
            yield self._provider_error(piece, response.get("error") or {"message": "the response failed"})
            return
        self._head = {**self._head, **response}
        for at, item in enumerate(self._items):  # while a policy enforces, the client gets no final copy of the provider's
            self._words.hear_whole(item, item.added, *(() if self._enforcing else (output or [])[at : at + 1]))
        planned = self._planned(output or [])
        if piece.kind != "response.completed" and any(entry.call for entry in planned):
            detail = "the answer was cut while a call was being proposed"
            if self._enforcing:
                yield self._break("truncated", detail)
                return
            planned = [_spoiled(entry, "truncated", detail) for entry in planned]
        self._last, self._head, self._finished = piece, response, True
        yield from self._propose(planned)
        yield Ended(piece.raw)

    def _planned(self, output: list[Json]) -> list[frames.Entry]:
        """What becomes of each item, in order; `output` is the final copy of all of them."""
        entries = [entry for at, item in enumerate(self._items) for entry in self._entry(at, item, output)]
        entries += [self._unseen(found) for found in output[len(self._items) :] if self._is_call(found)]
        if self._odd and not any(entry.call for entry in entries):
            entries.append(frames.Entry({}, call=items.read_call({}, 0, self._limits, self._odd)))
        entries = frames.numbered(entries, self._limits)
        return [_spoiled(entry, *self._odd) for entry in entries] if self._odd else entries

    def _entry(self, at: int, item: frames.Item, output: list[Json]) -> Iterator[frames.Entry]:
        final = output[at] if at < len(output) else None
        if item.called:
            told, problem = item.whole(final, expected=bool(output))
            self._sieve.note(told, shape.CALL_ITEMS.get(item.kind, frozenset(told)), f"item.{clipped(item.kind)}")
            yield frames.Entry(told, call=items.read_call(told, 0, self._limits, problem))
            return
        yield frames.Entry(self._clean(item.done or item.added, item.kind), item.pieces)
        if final is not None and self._is_call(final):
            yield self._unseen(final)

    def _is_call(self, found: Json) -> bool:
        return not isinstance(found, dict) or items.is_call(found, self._allowed)

    def _unseen(self, found: Json) -> frames.Entry:
        problem = ("copies_differ", "the final response holds a call that the stream did not")
        return frames.Entry({}, call=items.read_call(found if isinstance(found, dict) else {}, 0, self._limits, problem))

    def _propose(self, planned: list[frames.Entry]) -> Iterator[Event]:
        """Everything that was held, in its order. Reasoning goes or stays with the call that follows it."""
        left = sum(entry.call is not None for entry in planned)
        carried: list[frames.Entry] = []
        for entry in planned:
            if entry.call is not None:
                left -= 1
                entry.carried, carried = carried, []
                self._entries[entry.call.index] = entry
                yield Proposed(entry.call, more=left > 0)
            elif entry.pieces and entry.item.get("type") == "reasoning":
                carried.append(entry)
            else:
                yield from self._put(*carried, entry)
                carried = []
        yield from self._put(*carried)

    def _put(self, *entries: frames.Entry) -> Iterator[Event]:
        for entry in entries:
            if entry.pieces:
                yield Forward(b"", self._writer.held(entry), UNTOLD)
            else:
                self._writer.sent(entry.item)


def _said(piece: frames.Piece) -> Said | None:
    delta = piece.tree.get("delta")
    if delta is None:
        return None
    stem, place = piece.kind.removesuffix(".delta"), shape.place_of(piece.tree)
    told = {(f"{stem}.{name}", place): text for name, text in delta.items()} if isinstance(delta, dict) else {(stem, place): delta}
    return piece.tree.get("output_index", -1), told


def _spoiled(entry: frames.Entry, problem: str, detail: str) -> frames.Entry:
    if entry.call is not None and entry.call.problem is None:
        entry.call = failed(entry.call, problem, detail)
    return entry
