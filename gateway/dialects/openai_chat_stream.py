"""A streamed chat completion: provider bytes to events, verdicts back to client bytes.

1. Each event is parsed once, strictly (or known to be the same as a parsed one but for its words: `openai_chat_words`). One that JSON
   readers disagree about is dropped whole and spoils every call not yet judged.
2. Words leave at once, as they came when the event is in plain form and holds known keys only; otherwise rewritten (`Forward.clean`).
3. Pieces of calls are held (`openai_chat_calls`). When their choice finishes, each is `Proposed`; then the finishing frame is `Ended`. What
   that frame says beside its finish leaves before the calls, as it stands in a whole answer.
4. What is delivered of a call is written anew (`openai_chat_frames`).
5. A piece of a call after its choice finished, anything after `[DONE]`, and an end before the finish break the stream.

Every wire byte is in the `raw` of one event. The parts of a chunk with several choices are events of their own, all but one without `raw`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from msgspec import Struct

from gateway import strict_json
from gateway.answer import MOST_TEXT, Answer, Usage
from gateway.dialects import openai_chat_frames as frames
from gateway.dialects import openai_chat_shape as shape
from gateway.dialects import sse
from gateway.dialects.events import Broken, Ended, Event, Forward, Held, Hidden, Limits, Proposed
from gateway.dialects.openai_chat_calls import note_unknown_keys
from gateway.dialects.openai_chat_errors import error_body
from gateway.dialects.openai_chat_words import Around, around
from gateway.errors import GatewayError
from gateway.strict_json import Json
from gateway.verdict import Call, Finding

_DONE = b"[DONE]"
_MOST_CHOICES = 128
_MOST_LESSONS = 8
"""How often a stream's form is learned anew: a chunk of another one costs more by it."""
_EMPTY_COMMENT = b":\n\n"
_plain_comment = re.compile(rb"\n|:[ -~]*\n\n").fullmatch


class _Piece(Struct, frozen=True):
    """One choice of one chunk."""

    raw: bytes
    verbatim: bool
    """Whether `raw` may leave as it is if nothing in the choice is left out."""
    chunk: Mapping[str, Json]
    found: Mapping[str, Json]
    number: int
    delta: Mapping[str, Json]
    reason: str | None


class ChatStream:
    def __init__(self, dialect: str, limits: Limits, *, wants_usage: bool, enforcing: bool) -> None:
        self._limits = limits
        self._wants_usage = wants_usage
        self._enforcing = enforcing
        self._parser = sse.SseParser(limits.event_bytes, limits.events)
        self._sieve = shape.Sieve(dialect, enforcing=enforcing)
        self._envelope = frames.Envelope()
        self._choices: dict[int, frames.Choice] = {}
        self._endings: dict[int, frames.Ending] = {}
        self._spoiled: tuple[str, str] | None = None
        self._spoil_told = False
        self._proposed = 0
        self._done = False
        self._over = False
        self._usage: Usage | None = None
        self._usage_raw: bytes | None = None
        self._tier: Json = None
        self._texts: list[str] = []
        self._text_room = MOST_TEXT
        self.spoken = False
        self._around: Around | None = None
        self._learning = _MOST_LESSONS

    @property
    def answer(self) -> Answer:
        return Answer(
            id=self._envelope.fields.get("id"),
            model=self._envelope.fields.get("model"),
            finish=tuple(c.finish for _, c in sorted(self._choices.items()) if c.finish),
            usage=self._usage,
            usage_raw=self._usage_raw,
            text="".join(self._texts),
        )

    @property
    def findings(self) -> list[Finding]:
        return self._sieve.findings

    def feed(self, chunk: bytes) -> Iterator[Event]:
        try:
            yield from () if self._over else self._fed(chunk)
        except sse.Oversize as oversize:
            yield self._break("protocol", str(oversize))

    def _fed(self, chunk: bytes) -> Iterator[Event]:
        if not self._parser.between:
            begun, chunk = self._parser.completed(chunk)
            if begun is None:
                return
            yield from self._one(begun)
        at = 0
        while not self._over:
            if self._around is not None and not self._done:
                run, at = self._run(chunk, at, self._around)
                if run is not None:
                    yield run
                if at == len(chunk):
                    return
            if (plain := self._parser.plain(chunk, at)) is None:
                break
            at += len(plain.raw)
            yield from self._one(plain)
        for event in () if self._over else self._parser.feed(chunk[at:]):
            yield from self._one(event)
            if self._over:
                return

    def close(self) -> Iterator[Event]:
        if self._over:
            return
        self._over = True
        if not self._ended():
            yield Broken("truncated", "the provider's stream ended before the answer did")
        elif rest := self._parser.rest:
            yield Held(rest)

    def release(self, call: Call) -> bytes:
        return frames.released(self._envelope, self._choices[call.choice], call)

    def explain(self, call: Call, text: str) -> bytes:
        return frames.explained(self._envelope, self._choices[call.choice], call, text)

    def ended(self, event: Ended, released: int, withheld: int) -> bytes:
        return frames.finished(self._choices[event.choice], self._endings[event.choice], released, withheld)

    def error(self, error: GatewayError) -> bytes:
        return sse.frame(error_body(error))

    def _ended(self) -> bool:
        return self._done or self._all_finished()

    def _all_finished(self) -> bool:
        return bool(self._choices) and all(state.finish for state in self._choices.values())

    def _break(self, code: str, detail: str) -> Broken:
        self._over = True
        return Broken(code, detail)

    # Events

    def _run(self, chunk: bytes, at: int, known: Around) -> tuple[Forward | None, int]:
        """Event after event like one that was read before, what most of a stream is made of, as the one that they could have been; and
        where they end."""
        match, room = known.event.match, self._parser.room(chunk)
        begin, words = at, list[bytes]()
        while len(words) < room and (found := match(chunk, at)) is not None:
            words.append(found[1])
            at = found.end()
        if not words:
            return None, at
        self._parser.passed(len(words))
        text, choice = b"".join(words).decode(), self._choices[known.choice]
        choice.spoke = choice.spoke or text != ""
        self._note_text(text)
        self.spoken = True
        return Forward(chunk[begin:at], None, (known.choice, {"content": text})), at

    def _one(self, event: sse.SseEvent) -> Iterator[Event]:
        words = self._more_words(event)
        if words is None:
            yield from self._read(event)
        else:
            yield words

    def _read(self, event: sse.SseEvent) -> Iterator[Event]:
        if event.data is None:
            yield Forward(event.raw, None if _plain_comment(event.raw) else _EMPTY_COMMENT)
        elif self._done:
            yield self._break("protocol", "something follows the end of the stream")
        elif event.data == _DONE:
            yield self._read_done(event)
        else:
            yield from self._read_json(event, event.data)

    def _more_words(self, event: sse.SseEvent) -> Forward | None:
        """A chunk like one that was read before, with other words."""
        known, data = self._around, event.data
        if known is None or data is None or self._done or (words := known.words(data)) is None:
            return None
        if event.raw != b"data: " + data + b"\n\n":
            return None
        return self._told(event.raw, known.choice, {"content": words})

    def _read_done(self, event: sse.SseEvent) -> Event:
        unjudged_spoil = self._spoiled is not None and not self._spoil_told
        if unjudged_spoil or any(state.calls.pending and not state.finish for state in self._choices.values()):
            return self._break("truncated", "the stream was declared done before a proposed call was")
        self._done = True
        plain = sse.frame(_DONE)
        return Forward(event.raw, None if event.raw == plain else plain)

    def _read_json(self, event: sse.SseEvent, data: bytes) -> Iterator[Event]:
        try:
            tree = strict_json.parse(data, exact_numbers=False)
        except strict_json.Ambiguous as ambiguous:
            yield self._unreadable(event, ambiguous)
            return
        if not isinstance(tree, dict):
            yield self._break("protocol", "an event is not a JSON object")
        elif event.event == "error" or shape.error_of(tree):
            yield self._provider_error(event, shape.error_of(tree) or tree)
        elif plain := self._plain_words(event, data, tree):
            yield plain
        else:
            yield from self._read_chunk(event, data, tree)

    def _plain_words(self, event: sse.SseEvent, data: bytes, tree: dict[str, Json]) -> Forward | None:
        """The commonest chunk by far without detours: words of one running choice, nothing to leave out. None for any other."""
        found = shape.only_words(tree)
        if found is None:
            return None
        number, words = found
        if number not in self._choices or not _is_plain(event, data):
            return None
        if self._learning and words.get("content"):
            self._learning -= 1
            self._around = around(data, tree, number, words) or self._around
        return self._told(event.raw, number, words)

    def _told(self, raw: bytes, number: int, words: Mapping[str, Json]) -> Forward:
        self._choices[number].heard(words)
        self._note_text(shape.words(words))
        self.spoken = True
        return Forward(raw, None, (number, words))

    def _unreadable(self, event: sse.SseEvent, ambiguous: strict_json.Ambiguous) -> Event:
        if ambiguous.code == "malformed" or self._all_finished():
            return self._break("protocol", f"an event cannot be read in one way: {ambiguous.detail}")
        if self._spoiled is None:
            self._spoiled = (ambiguous.code, f"an event of the stream: {ambiguous.detail}")
        return Held(event.raw)

    def _provider_error(self, event: sse.SseEvent, error: Json) -> Event:
        self._over = True
        raw = sse.frame(shape.error_json(error)) if self._enforcing else event.raw
        return Broken("provider_error", shape.error_detail(error), raw)

    def _read_chunk(self, event: sse.SseEvent, data: bytes, tree: dict[str, Json]) -> Iterator[Event]:
        choices = tree.get("choices") or []
        if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
            yield self._break("protocol", "`choices` is not a list of objects")
            return
        self._envelope.note(tree)
        chunk, usage_hidden = self._sieve.top(tree), self._note_usage(tree, data)
        if usage_hidden:
            chunk = {k: v for k, v in chunk.items() if k != "usage"}
        verbatim = chunk is tree and _is_plain(event, data)
        if len(choices) == 1:
            yield from self._read_choice(event.raw, verbatim, chunk, choices[0])
        elif choices:
            yield from self._read_choices(event.raw, chunk, choices)
        elif usage_hidden:
            yield Hidden(event.raw)
        else:
            yield Forward(event.raw, None if verbatim else sse.frame(strict_json.encode(chunk)))

    def _note_usage(self, tree: Mapping[str, Json], data: bytes) -> bool:
        """Remembers the usage block, if there is one; True when the client must not see it."""
        usage, self._tier = tree.get("usage"), tree.get("service_tier") or self._tier
        if usage is None:
            return False
        self._usage = shape.read_usage(usage, self._tier)
        self._usage_raw = shape.usage_bytes(data)
        return not self._wants_usage

    # One choice of a chunk

    def _read_choices(self, raw: bytes, chunk: Mapping[str, Json], choices: list[dict[str, Json]]) -> Iterator[Event]:
        if any(shape.carries_call(found.get("delta")) for found in choices):
            yield Held(raw)
            raw = b""
        for found in choices:
            if not self._over:
                yield from self._read_choice(raw, False, chunk, found)
                raw = b""

    def _read_choice(self, raw: bytes, verbatim: bool, chunk: Mapping[str, Json], found: dict[str, Json]) -> Iterator[Event]:
        number, delta, reason = found.get("index", 0), found.get("delta"), found.get("finish_reason") or None
        if type(number) is not int or not 0 <= number < _MOST_CHOICES:
            yield self._break("protocol", "a choice's index is not a small whole number")
        elif not isinstance(delta, dict | None) or not isinstance(reason, str | None):
            yield self._break("protocol", "a choice's `delta` or `finish_reason` is of the wrong type")
        else:
            state = self._choices.setdefault(number, frames.Choice())
            yield from self._read_delta(state, _Piece(raw, verbatim, chunk, found, number, delta or {}, reason))

    def _read_delta(self, state: frames.Choice, piece: _Piece) -> Iterator[Event]:
        path = f"choices[{piece.number}]"
        rest = self._sieve.choice(piece.found, "delta", path)
        words = self._sieve.message(piece.delta, f"{path}.delta")
        carries_call = shape.carries_call(words)
        odd = shape.unknown_words(words)
        if (carries_call or odd) and state.finish:
            yield self._break("protocol", "a piece of a call came after its choice had finished")
            return
        if odd:
            state.calls.spoil("unknown_type", shape.unknown_detail(odd))
            words = {k: v for k, v in words.items() if k not in odd}
        if carries_call:
            words = self._gather(state, words, f"{path}.delta")
            if sum(s.calls.size for s in self._choices.values()) > self._limits.hold_bytes:
                yield from self._overflow(state, piece.number)
                return
        untouched = rest is piece.found and words is piece.delta
        yield from self._pass_on(state, piece, {**rest, "delta": words}, words, untouched and piece.verbatim)

    def _gather(self, state: frames.Choice, delta: Mapping[str, Json], path: str) -> Mapping[str, Json]:
        """Takes the pieces of calls out of a delta; returns the words left."""
        entries, legacy = delta.get("tool_calls"), delta.get("function_call")
        if entries:
            elsewhere = sum(s.calls.count for s in self._choices.values()) - state.calls.count
            state.calls.add_tool_calls(entries, self._limits.calls - elsewhere, self._limits)
        if legacy is not None:
            state.calls.add_function_call(legacy, self._limits)
        note_unknown_keys(self._sieve, delta, path)
        return {k: v for k, v in delta.items() if k not in shape.CALL_KEYS}

    def _overflow(self, state: frames.Choice, number: int) -> Iterator[Event]:
        detail = f"the calls of this answer are longer than {self._limits.hold_bytes} bytes"
        state.calls.spoil("hold_limit", detail)
        yield from self._propose(state, number)
        yield self._break("hold_limit", detail)

    def _pass_on(
        self, state: frames.Choice, piece: _Piece, choice: dict[str, Json], words: Mapping[str, Json], verbatim: bool
    ) -> Iterator[Event]:
        self._note_text(shape.words(words))
        self.spoken = self.spoken or any(value for key, value in words.items() if key != "role")
        if piece.reason and not state.finish:
            yield from self._finish(state, piece, choice, verbatim)
            state.heard(words)
        elif piece.reason:  # said again: the reason already sent stands
            yield Forward(piece.raw, frames.rewritten(piece.chunk, {**choice, "finish_reason": None}))
        elif verbatim:
            state.heard(words)
            yield Forward(piece.raw, None, (piece.number, words))
        elif words is not piece.delta and not any(v for k, v in words.items() if k != "role"):
            yield Held(piece.raw)
        else:
            state.heard(words)
            yield Forward(piece.raw, frames.rewritten(piece.chunk, choice), (piece.number, words))

    def _note_text(self, text: str) -> None:
        if self._text_room > 0 and text:
            self._texts.append(text[: self._text_room])
            self._text_room -= len(text)

    def _finish(self, state: frames.Choice, piece: _Piece, choice: dict[str, Json], verbatim: bool) -> Iterator[Event]:
        state.finish = piece.reason
        if (state.calls.pending or self._spoiled) and not shape.ends_calls(piece.reason):
            detail = "the answer was cut while a call was being proposed"
            if self._enforcing:
                yield self._break("truncated", detail)
                return
            state.calls.spoil("truncated", detail)
        if self._enforcing and (state.calls.pending or self._spoiled) and any(choice["delta"].values()):
            yield Forward(b"", frames.words_alone(piece.chunk, choice), (piece.number, choice["delta"]))
            state.heard(choice["delta"])
            choice, verbatim = frames.wordless(choice), False
        yield from self._propose(state, piece.number)
        self._endings[piece.number] = frames.Ending(piece.chunk, choice, piece.raw if verbatim else None)
        yield Ended(piece.raw, piece.number, self._all_finished())

    def _propose(self, state: frames.Choice, number: int) -> Iterator[Event]:
        if self._spoiled and (state.calls.count or not self._spoil_told):
            self._spoil_told = True
            state.calls.spoil(*self._spoiled)
        calls = state.calls.whole(self._proposed, number, self._limits)
        self._proposed += len(calls)
        for at, call in enumerate(calls, 1):
            yield Proposed(call, more=at < len(calls))


def _is_plain(event: sse.SseEvent, data: bytes) -> bool:
    """Whether the event reads the same to every reader of lines: one `data` line, LF, no separator inside that some split at."""
    return b"\n" not in data and event.raw == b"data: " + data + b"\n\n" and (data.isascii() or strict_json.one_line(data) == data)
