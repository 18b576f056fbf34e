"""A streamed generateContent: provider bytes to events, verdicts back to client bytes.

1. Each event is a whole answer in itself, parsed once, strictly; one that readers disagree about is dropped, and a proposal in its place
   is denied.
2. Words leave at once, to the byte where nothing had to be left out. A function call comes whole in one event: it is proposed there, and
   the event leaves in pieces, in order, each call written from what was judged.
3. What is said of a candidate as a whole (its finish, its ratings) leaves with the last piece of the event.
4. A call after its candidate's finish, a cut beside a call, and an end before any finish break the stream.
5. Comments never leave: clients of this dialect stumble over them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from gateway.dialects import gemini_parts as parts
from gateway.dialects import gemini_shape as shape
from gateway.dialects import sse, strict_json
from gateway.dialects.events import Broken, Ended, Event, Forward, Held, Limits, Proposed
from gateway.dialects.gemini_errors import error_body, error_json
from gateway.dialects.openai_chat_shape import MOST_TEXT, error_detail, error_of
from gateway.errors import GatewayError
from gateway.exchange import Answer, Call, Finding, Json

_blank = re.compile(rb"[\r\n]*").fullmatch


class GeminiStream:
    def __init__(self, dialect: str, limits: Limits, *, allowed: frozenset[str], enforcing: bool) -> None:
        self._limits, self._enforcing = limits, enforcing
        self._parser = sse.SseParser(limits.event_bytes, limits.events)
        self._reader = parts.Reader(dialect, limits, allowed, enforcing=enforcing)
        self._proposed: dict[int, tuple[parts.Piece, parts.Candidate]] = {}
        self._envelope: Mapping[str, Json] = {}
        self._finishes: dict[int, str] = {}
        self._seen: set[int] = set()
        self._ending = b""
        self._over = self._blocked = False
        self._head: dict[str, Json] = {}
        self._texts: list[str] = []
        self._text_room = MOST_TEXT

    @property
    def answer(self) -> Answer:
        return answer_of(self._head, tuple(reason for _, reason in sorted(self._finishes.items())), "".join(self._texts))

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
        yield Held(event.raw)
        call = self._reader.unreadable(ambiguous.code, detail)
        yield self._propose(call, parts.Piece({}, call), parts.Candidate(0, {}, "model"))
        self._seen.add(0)

    def _answered(self, event: sse.SseEvent, data: bytes, tree: dict[str, Json]) -> Iterator[Event]:
        top = self._reader.sieve.keep(tree, shape.ANSWER_KEYS, "")
        try:
            found = parts.candidates(self._reader, top)
        except parts.Misshapen as misshapen:
            yield self._break("protocol", str(misshapen))
            return
        self._envelope = {key: value for key, value in top.items() if key != "candidates"}
        self._head.update((key, value) for key, value in self._envelope.items() if value is not None)
        for candidate in found:
            if candidate.calls and (candidate.index in self._finishes or (candidate.cut and self._enforcing)):
                late = candidate.index in self._finishes
                detail = "a call came after its candidate had finished" if late else "the answer was cut while a call was being proposed"
                yield self._break("protocol" if late else "truncated", detail)
                return
        self._note_text(found)
        yield from self._pass(event, found, clean=top is tree and _plain(event, data))

    def _pass(self, event: sse.SseEvent, found: list[parts.Candidate], *, clean: bool) -> Iterator[Event]:
        calls = any(candidate.calls for candidate in found)
        verbatim = clean and not calls and all(candidate.clean for candidate in found)
        new = [c for c in found if c.finish and c.index not in self._finishes]
        self._seen.update(candidate.index for candidate in found)
        self._finishes.update((c.index, str(c.finish)) for c in new)
        block = self._envelope.get("promptFeedback")
        blocked = not found and isinstance(block, dict) and bool(block.get("blockReason"))
        self._blocked = self._blocked or blocked
        frame = b""
        if calls:
            yield Held(event.raw)
            yield from self._in_pieces(found)
            frame = self._whole_frame([c.holding([], last=True) for c in found if c.finish])
        elif not verbatim:
            frame = self._whole_frame([c.holding([piece.part for piece in c.pieces], last=True) for c in found])
        raw = b"" if calls else event.raw
        if new or blocked:
            self._ending = event.raw if verbatim else frame
            yield Ended(raw, new[-1].index if new else 0, self._ended())
        elif not calls:
            yield Forward(raw, None if verbatim else frame)
        elif self._envelope.get("usageMetadata") is not None and self._enforcing:
            yield Forward(b"", self._whole_frame([]))

    def _in_pieces(self, found: list[parts.Candidate]) -> Iterator[Event]:
        """The parts of an event with calls, each run of words and each call on its own, in order."""
        left = sum(len(candidate.calls) for candidate in found)
        for candidate in found:
            words: list[Mapping[str, Json]] = []
            for piece in candidate.pieces:
                if piece.call is None:
                    words.append(piece.part)
                    continue
                yield from self._words(candidate, words)
                words = []
                left -= 1
                yield self._propose(piece.call, piece, candidate, more=left > 0)
            yield from self._words(candidate, words)

    def _words(self, candidate: parts.Candidate, words: list[Mapping[str, Json]]) -> Iterator[Event]:
        if words and self._enforcing:
            yield Forward(b"", self._frame(candidate, words, last=False))

    def _propose(self, call: Call, piece: parts.Piece, candidate: parts.Candidate, *, more: bool = False) -> Event:
        self._proposed[call.index] = (piece, candidate)
        return Proposed(call, more=more)

    def _frame(self, candidate: parts.Candidate, said: list[Mapping[str, Json]], *, last: bool) -> bytes:
        return self._whole_frame([candidate.holding(said, last=last)], usage=False)

    def _whole_frame(self, found: list[dict[str, Json]], *, usage: bool = True) -> bytes:
        head = {key: value for key, value in self._envelope.items() if usage or key != "usageMetadata"}
        tree = {**({"candidates": found} if found else {}), **head}
        return sse.frame(strict_json.encode(tree))

    def _note_text(self, found: list[parts.Candidate]) -> None:
        for candidate in found:
            if self._text_room > 0 and (text := candidate.text()[: self._text_room]):
                self._text_room -= len(text)
                self._texts.append(text)


def _plain(event: sse.SseEvent, data: bytes) -> bool:
    """Whether the event reads the same to every reader of lines."""
    if b"\n" in data or not (data.isascii() or strict_json.one_line(data) == data):
        return False
    return event.raw in (b"data: " + data + b"\r\n\r\n", b"data: " + data + b"\n\n")


def answer_of(head: Mapping[str, Json], finish: tuple[str, ...], text: str) -> Answer:
    """What an answer says about itself."""
    name, model, usage = head.get("responseId"), head.get("modelVersion"), head.get("usageMetadata")
    blocked = head.get("promptFeedback")
    reason = blocked.get("blockReason") if isinstance(blocked, dict) else None
    return Answer(
        id=name if isinstance(name, str) else None,
        model=model if isinstance(model, str) else None,
        finish=finish or ((reason,) if isinstance(reason, str) else ()),
        usage=shape.read_usage(usage),
        usage_raw=None if usage is None else strict_json.encode(usage),
        text=text,
    )
