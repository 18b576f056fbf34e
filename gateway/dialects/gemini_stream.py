"""A streamed generateContent: provider bytes to events, verdicts back to client bytes.

1. Each event is a whole answer in itself, parsed once, strictly; one that readers disagree about is dropped, and a proposal in its place
   is denied.
2. Words leave at once, to the byte where nothing had to be left out. From the first function call on everything is held until every
   candidate has finished: only then is it known that no two calls share an id and that the answer was not cut.
3. What was held leaves in its order: an event with calls in pieces, each call written from what was judged. What is said of a candidate
   as a whole (its finish, its ratings) leaves with the last piece of its event.
4. A call after its candidate's finish, a cut after a call, and an end before any finish break the stream.
5. Comments never leave: clients of this dialect stumble over them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

import msgspec
from msgspec import Struct

from gateway import strict_json
from gateway.answer import MOST_TEXT, Answer
from gateway.dialects import gemini_parts as parts
from gateway.dialects import gemini_shape as shape
from gateway.dialects import sse
from gateway.dialects.events import UNTOLD, Broken, Ended, Event, Forward, Held, Limits, Proposed, Said
from gateway.dialects.gemini_errors import error_body, error_json
from gateway.dialects.openai_chat_shape import error_detail, error_of
from gateway.errors import GatewayError
from gateway.strict_json import Json
from gateway.verdict import Call, Finding

_WORDS_HELD = 8
"""How many times as much as calls may be held of everything: words and media behind a call."""
_blank = re.compile(rb"[\r\n]*").fullmatch


class _Told(Struct, frozen=True):
    """One event, taken apart."""

    raw: bytes
    envelope: Mapping[str, Json]
    """Its keys but for the candidates."""
    found: list[parts.Candidate]
    verbatim: bytes | None = None
    """Its own bytes, where they may leave as they came."""
    finished: int | None = None
    """The candidate that it finishes; 0 when it refuses the prompt."""
    last: bool = False
    """Nothing is open behind it."""

    @property
    def calls(self) -> bool:
        return any(candidate.calls for candidate in self.found)


class GeminiStream:
    def __init__(self, dialect: str, limits: Limits, *, allowed: frozenset[str], enforcing: bool) -> None:
        self._limits, self._enforcing = limits, enforcing
        self._parser = sse.SseParser(limits.event_bytes, limits.events)
        self._reader = parts.Reader(dialect, limits, allowed, enforcing=enforcing)
        self._proposed: dict[int, tuple[parts.Piece, parts.Candidate]] = {}
        self._envelope: Mapping[str, Json] = {}
        self._finishes: dict[int, str] = {}
        self._seen: set[int] = set()
        self._called: set[int] = set()
        """Candidates that proposed a call."""
        self._waiting: list[_Told] = []
        self._held_bytes = 0
        self._ending = b""
        self._over = self._blocked = False
        self._head: dict[str, Json] = {}
        self._texts: list[str] = []
        self._queries: set[tuple[int, str]] = set()
        self._fees: set[str] = set()
        self.spoken = False
        self._text_room = MOST_TEXT

    @property
    def answer(self) -> Answer:
        finish = tuple(reason for _, reason in sorted(self._finishes.items()))
        return answer_of(self._head, finish, "".join(self._texts), len(self._queries), self._fees)

    @property
    def findings(self) -> list[Finding]:
        return self._reader.sieve.findings

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
        if not self._ended():
            yield Broken("truncated", "the provider's stream ended before the answer did")
        elif rest := self._parser.rest:
            yield Held(rest)

    def release(self, call: Call) -> bytes:
        piece, candidate = self._proposed[call.index]
        return self._frame(candidate, [parts.written(piece, call)], last=False)

    def explain(self, call: Call, text: str) -> bytes:
        _, candidate = self._proposed[call.index]
        return self._frame(candidate, [{"text": text}], last=False)

    def ended(self, event: Ended, released: int, withheld: int) -> bytes:
        return self._ending

    def error(self, error: GatewayError) -> bytes:
        return sse.frame(error_body(error))

    def _ended(self) -> bool:
        return self._blocked or (bool(self._seen) and self._seen <= self._finishes.keys())

    def _break(self, code: str, detail: str) -> Broken:
        self._over = True
        return Broken(code, detail)

    def _read(self, event: sse.SseEvent) -> Iterator[Event]:
        if event.data is None:
            yield Forward(event.raw, None if _blank(event.raw) else b"")
            return
        try:
            tree = strict_json.parse(event.data, depth=self._limits.depth + 16, exact_numbers=False)
        except strict_json.Ambiguous as ambiguous:
            yield from self._ambiguous(event, ambiguous)
            return
        if not isinstance(tree, dict):
            yield self._break("protocol", "an event that is no JSON object")
        elif error := error_of(tree):
            self._over = True
            yield Broken("provider_error", error_detail(error), sse.frame(error_json(error)) if self._enforcing else event.raw)
        else:
            yield from self._answered(event, event.data, tree)

    def _ambiguous(self, event: sse.SseEvent, ambiguous: strict_json.Ambiguous) -> Iterator[Event]:
        """An event that readers disagree about is dropped whole, and stands as one proposal that nobody can read."""
        detail = f"an event of the stream: {ambiguous.detail}"
        if ambiguous.code == "malformed" or self._finishes:
            yield self._break("protocol", detail)
            return
        call = self._reader.unreadable(ambiguous.code, detail)
        unreadable = parts.Candidate(0, {}, "model", [parts.Piece({}, call)], clean=False)
        self._seen.add(0)
        self._called.add(0)
        yield from self._hold(_Told(event.raw, {}, [unreadable]))

    def _answered(self, event: sse.SseEvent, data: bytes, tree: dict[str, Json]) -> Iterator[Event]:
        top = self._reader.sieve.keep(tree, shape.ANSWER_KEYS, "")
        try:
            found = parts.candidates(self._reader, top)
        except parts.Misshapen as misshapen:
            yield self._break("protocol", str(misshapen))
            return
        if broken := self._out_of_order(found):
            yield broken
            return
        envelope = {key: value for key, value in top.items() if key != "candidates"}
        self._head.update((key, value) for key, value in envelope.items() if value is not None)
        self._note_text(found)
        calls = any(candidate.calls for candidate in found)
        verbatim = not calls and top is tree and all(candidate.clean for candidate in found) and _plain(event, data)
        finished = self._note_finishes(found, envelope)
        last = finished is not None and self._ended()
        told = _Told(event.raw, envelope, found, event.raw if verbatim else None, finished, last)
        yield from self._hold(told) if calls or self._waiting else self._leave(told, event.raw)

    def _out_of_order(self, found: list[parts.Candidate]) -> Broken | None:
        for candidate in found:
            if candidate.calls and candidate.index in self._finishes:
                return self._break("protocol", "a call came after its candidate had finished")
            called = candidate.index in self._called or candidate.calls
            if called and self._enforcing and candidate.finish and candidate.finish not in shape.WHOLE_CALLS:
                return self._break("truncated", "the answer was cut while a call was being proposed")
        return None

    def _note_finishes(self, found: list[parts.Candidate], envelope: Mapping[str, Json]) -> int | None:
        """The candidate that ends with this event; 0 when the provider refuses the prompt."""
        new = [one for one in found if one.finish and one.index not in self._finishes]
        self._seen.update(one.index for one in found)
        self._called.update(one.index for one in found if one.calls)
        self._finishes.update((one.index, str(one.finish)) for one in new)
        block = envelope.get("promptFeedback")
        blocked = not found and isinstance(block, dict) and bool(block.get("blockReason"))
        self._blocked = self._blocked or blocked
        return new[-1].index if new else 0 if blocked else None

    def _hold(self, told: _Told) -> Iterator[Event]:
        yield Held(told.raw)
        self._waiting.append(told)
        self._held_bytes += len(told.raw)
        if self._held_bytes > _WORDS_HELD * self._limits.hold_bytes:
            detail = f"what is held of this answer is longer than {_WORDS_HELD * self._limits.hold_bytes} bytes"
            yield from self._let_go(("hold_limit", detail))
            yield self._break("hold_limit", detail)
        elif self._ended():
            yield from self._let_go()

    def _let_go(self, problem: tuple[str, str] | None = None) -> Iterator[Event]:
        """What was held, in its order; of an answer with a `problem` only the calls, which fail."""
        waiting, self._waiting = self._waiting, []
        left = parts.finally_judged((one for told in waiting for one in told.found), problem)
        for told in waiting:
            self._envelope = told.envelope
            for candidate in told.found if told.calls else ():
                for step in self._in_pieces(candidate, words=problem is None):
                    left -= isinstance(step, Proposed)
                    yield msgspec.structs.replace(step, more=left > 0) if isinstance(step, Proposed) else step
            if problem is None:
                yield from self._leave(told, b"")

    def _leave(self, told: _Told, raw: bytes) -> Iterator[Event]:
        """An event without calls, or what is left of one when its pieces have left."""
        self._envelope = told.envelope
        self.spoken = self.spoken or any(piece.part.get("text") != "" for one in told.found for piece in one.pieces)
        if told.verbatim is not None:
            frame = told.verbatim
        elif not told.calls:
            frame = self._whole_frame([one.holding([piece.part for piece in one.pieces], last=True) for one in told.found])
        else:
            frame = self._whole_frame([one.holding([], last=True) for one in told.found if one.finish])
        if told.finished is not None:
            self._ending = frame
            yield Ended(raw, told.finished, told.last)
        elif not told.calls:
            yield Forward(raw, None if frame is raw else frame if self._enforcing else b"", _said(told.found))
        elif told.envelope.get("usageMetadata") is not None and self._enforcing:
            yield Forward(b"", frame)

    def _in_pieces(self, candidate: parts.Candidate, *, words: bool) -> Iterator[Event]:
        """The parts of an event with calls, each run of words and each call on its own, in order."""
        said: list[Mapping[str, Json]] = []
        for piece in candidate.pieces:
            if piece.call is None:
                said.append(piece.part)
                continue
            yield from self._words(candidate, said if words else [])
            said = []
            self._proposed[piece.call.index] = (piece, candidate)
            yield Proposed(piece.call)
        yield from self._words(candidate, said if words else [])

    def _words(self, candidate: parts.Candidate, said: list[Mapping[str, Json]]) -> Iterator[Event]:
        if said and self._enforcing:
            yield Forward(b"", self._frame(candidate, said, last=False), UNTOLD)

    def _frame(self, candidate: parts.Candidate, said: list[Mapping[str, Json]], *, last: bool) -> bytes:
        return self._whole_frame([candidate.holding(said, last=last)], usage=False)

    def _whole_frame(self, found: list[dict[str, Json]], *, usage: bool = True) -> bytes:
        head = {key: value for key, value in self._envelope.items() if usage or key != "usageMetadata"}
        tree = {**({"candidates": found} if found else {}), **head}
        return sse.frame(strict_json.encode(tree))

    def _note_text(self, found: list[parts.Candidate]) -> None:
        for candidate in found:
            self._queries.update((candidate.index, query) for query in candidate.queries)
            self._fees |= candidate.fees
            if self._text_room > 0 and (text := candidate.text()[: self._text_room]):
                self._text_room -= len(text)
                self._texts.append(text)


def _said(found: list[parts.Candidate]) -> Said | None:
    if len(found) != 1:
        return UNTOLD if found else None
    words: dict[str, str] = {}
    for piece in found[0].pieces:
        if isinstance(text := piece.part.get("text"), str):
            kind = "thought" if piece.part.get("thought") else "text"
            words[kind] = words.get(kind, "") + text
    return found[0].index, words


def _plain(event: sse.SseEvent, data: bytes) -> bool:
    """Whether the event reads the same to every reader of lines."""
    if b"\n" in data or not (data.isascii() or strict_json.one_line(data) == data):
        return False
    return event.raw in (b"data: " + data + b"\r\n\r\n", b"data: " + data + b"\n\n")


def answer_of(head: Mapping[str, Json], finish: tuple[str, ...], text: str, searches: int, fees: Collection[str]) -> Answer:
    """What an answer says about itself."""
    name, model, usage = head.get("responseId"), head.get("modelVersion"), head.get("usageMetadata")
    blocked = head.get("promptFeedback")
    reason = blocked.get("blockReason") if isinstance(blocked, dict) else None
    return Answer(
        id=name if isinstance(name, str) else None,
        model=model if isinstance(model, str) else None,
        finish=finish or ((reason,) if isinstance(reason, str) else ()),
        usage=shape.read_usage(usage, searches or None, fees),
        usage_raw=None if usage is None else strict_json.encode(usage),
        text=text,
    )
