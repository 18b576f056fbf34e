"""How the pieces of a chat completion's tool calls become whole calls, or calls known to be unreadable.

A chat stream has no mark at the end of a single call and lets pieces of several calls interleave, so that a call is whole only when its
choice finishes. Until then `ChoiceCalls` gathers, by these rules:
1. A piece belongs to the call with its `index`. Indexes are plain integers that count up from 0 without gaps. Without an index a piece
   belongs to the call with its `id`. A piece with neither, or whose place is in doubt, spoils the choice: all its calls are denied, because
   a misplaced piece changes what another call means.
2. Name and id come once. A client that concatenates would read a second one as part of the first.
3. What was gathered is what is judged and what is delivered; upstream's own frames of a call never reach a judged client.

Whole answers use the same `CallParts`, one per list entry.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.dialects.events import Limits
from gateway.dialects.openai_chat_shape import SIGNED, Sieve, signature
from gateway.dialects.proposals import MAX_ID, NO_ARGUMENTS, arguments_of, clipped, id_problem, name_problem
from gateway.strict_json import Json
from gateway.verdict import Call

UNKNOWN = "unknown"
"""The name under which a proposal without a readable name is judged (and denied)."""

ENTRY_KEYS = frozenset({"index", "id", "type", "function", "custom"})
FUNCTION_KEYS = frozenset({"name", "arguments"})
CUSTOM_KEYS = frozenset({"name", "input"})
LEGACY = "function_call"
"""The `Call.type` of the older form, `function_call` beside `content`."""

_TEXT_KEY = {"function": "arguments", LEGACY: "arguments", "custom": "input"}


class CallParts:
    """One call as far as it has come. The first defect counts."""

    def __init__(self, kind: str | None = None) -> None:
        self.type = kind
        self.id: str | None = None
        self.name: str | None = None
        self.problem: str | None = None
        self.detail = ""
        self.signed: Json = None
        """What the provider wants back with the call, unread."""
        self.size = 0
        """Bytes held for this call, about."""
        self._texts: list[str] = []
        self._text_size = 0

    def fail(self, problem: str, detail: str) -> None:
        if self.problem is None:
            self.problem, self.detail = problem, detail

    def add_entry(self, entry: Mapping[str, Json], limits: Limits, *, id_is_address: bool = False) -> None:
        """One `tool_calls` item, or a piece of it."""
        self._add_id(entry.get("id"), id_is_address)
        self._add_type(entry)
        if self.signed is None and (signed := signature(entry)) is not None:
            self.signed = signed
            self.size += len(str(signed))
        for kind in ("function", "custom"):
            payload = entry.get(kind)
            if payload is None:
                continue
            if self.type == kind and isinstance(payload, dict):
                self.add_payload(payload, limits)
            else:
                self.fail("unknown_type", f"a `{kind}` part that does not fit the call's type")

    def add_payload(self, payload: Mapping[str, Json], limits: Limits) -> None:
        """A `function`, `custom` or legacy `function_call` object, or a piece of it."""
        self._add_name(payload.get("name"))
        text = payload.get(_TEXT_KEY[self.type or "function"])
        if isinstance(text, str):
            self._add_text(text, limits)
        elif text is not None:
            self.fail("type", f"the arguments are not a string but {type(text).__name__}")

    def _add_text(self, text: str, limits: Limits) -> None:
        size = len(text.encode())
        self.size += size
        self._text_size += size
        if self._text_size > limits.call_bytes:
            self.fail("hold_limit", f"the arguments are longer than {limits.call_bytes} bytes")
            self._texts.clear()
        elif self.problem is None:
            self._texts.append(text)

    def _add_id(self, value: Json, is_address: bool) -> None:
        if value is None or value == "":
            return
        if not isinstance(value, str):
            self.fail("bad_id", "the call's id is not a string")
        elif self.id is None:
            self.id = value
            self.size += len(value)
        elif value != self.id:
            self.fail("ambiguous_index", "two ids at one index")
        elif not is_address:
            self.fail("name_split", "the id came twice; a client would join the two")

    def _add_name(self, value: Json) -> None:
        if value is None or value == "":
            return
        if not isinstance(value, str):
            self.fail("bad_name", "the tool's name is not a string")
        elif self.name is None:
            self.name = value
            self.size += len(value)
        else:
            self.fail("name_split", "the name came in two pieces; a client would join them")

    def _add_type(self, entry: Mapping[str, Json]) -> None:
        given = entry.get("type")
        if given is None:
            given = self.type or ("custom" if "custom" in entry and "function" not in entry else "function")
        if given not in ("function", "custom"):
            self.fail("unknown_type", f"calls of type {clipped(given)} are not known")
        elif self.type not in (None, given):
            self.fail("unknown_type", "the call's type changed on the way")
        else:
            self.type = given

    def call(self, index: int, choice: int, limits: Limits) -> Call:
        """The whole call. With a problem it has no `args`; name and id are then fit to be shown."""
        self._check_words()
        text = "".join(self._texts)
        args = self._read(text, limits) if self.problem is None else None
        return Call(
            id=clipped(self.id or "", MAX_ID),
            name=clipped(self.name or UNKNOWN, 128),
            arguments=text if text or self.type == "custom" else NO_ARGUMENTS,
            args=None if self.problem else args,
            index=index,
            type=self.type or "function",
            problem=self.problem,
            detail=self.detail,
            choice=choice,
            signed=self.signed,
        )

    def _check_words(self) -> None:
        if name_problem(self.name):
            self.fail("bad_name", "the tool's name is missing or holds characters that no tool name has")
        if self.type != LEGACY and id_problem(self.id):
            self.fail("bad_id", "the call's id is missing or not plain ASCII")

    def _read(self, text: str, limits: Limits) -> Mapping[str, Json] | None:
        args, problem, detail = arguments_of(self.type or "function", text, limits)
        if problem is not None:
            self.fail(problem, detail)
        return args


class ChoiceCalls:
    """The calls of one choice of a stream."""

    def __init__(self) -> None:
        self._calls: list[CallParts] = []
        self._by_id: dict[str, CallParts] = {}
        self._legacy: CallParts | None = None
        self._spoiled: tuple[str, str] | None = None
        self._overfull = False

    @property
    def pending(self) -> bool:
        return bool(self._calls or self._legacy or self._spoiled or self._overfull)

    @property
    def is_legacy(self) -> bool:
        return self._legacy is not None and not self._calls

    def spoil(self, problem: str, detail: str) -> None:
        """No call of this choice can be trusted any more. The first reason counts."""
        if self._spoiled is None:
            self._spoiled = (problem, detail)

    @property
    def count(self) -> int:
        return len(self._calls) + (self._legacy is not None)

    @property
    def size(self) -> int:
        """Bytes held, about."""
        return sum(parts.size for parts in self._gathered())

    def add_tool_calls(self, entries: Json, room: int, limits: Limits) -> None:
        """The pieces in one delta; beyond `room` calls in this choice no further one is begun."""
        if not isinstance(entries, list):
            self.spoil("unknown_type", "`tool_calls` is not a list")
            return
        for entry in entries:
            if isinstance(entry, dict):
                self._add_entry(entry, room, limits)
            else:
                self.spoil("unknown_type", "an item of `tool_calls` is not an object")

    def add_listed(self, entries: Json, room: int, limits: Limits) -> None:
        """The calls of a whole answer: each item is one, its place in the list its only address."""
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            self.spoil("unknown_type", "`tool_calls` is not a list of objects")
            return
        self._overfull = len(entries) > room
        for entry in entries[:room]:
            parts = CallParts()
            parts.add_entry(entry, limits)
            self._calls.append(parts)

    def add_function_call(self, payload: Json, limits: Limits) -> None:
        if self._legacy is None:
            self._legacy = CallParts(LEGACY)
        if isinstance(payload, dict):
            self._legacy.add_payload(payload, limits)
        else:
            self._legacy.fail("unknown_type", "`function_call` is not an object")

    def whole(self, first: int, choice: int, limits: Limits) -> list[Call]:
        """The calls of the finished choice, numbered from `first`. Whatever cannot be placed is a call with a problem."""
        gathered = self._gathered()
        if self._legacy and self._calls:
            self.spoil("mixed_forms", "`tool_calls` and `function_call` in one choice; clients differ in which they run")
        fail_shared_ids(gathered)
        if self._spoiled:
            gathered = gathered or [CallParts()]
            for parts in gathered:
                parts.fail(*self._spoiled)
        if self._overfull:
            gathered.append(unreadable("call_limit", f"more than {limits.calls} calls in one answer"))
        return [parts.call(first + at, choice, limits) for at, parts in enumerate(gathered)]

    def _gathered(self) -> list[CallParts]:
        return [*self._calls, self._legacy] if self._legacy else list(self._calls)

    def _add_entry(self, entry: Mapping[str, Json], room: int, limits: Limits) -> None:
        parts = self._place(entry, room)
        if parts is None:
            return
        parts.add_entry(entry, limits, id_is_address=entry.get("index") is None)
        if parts.id is not None:
            self._by_id.setdefault(parts.id, parts)

    def _place(self, entry: Mapping[str, Json], room: int) -> CallParts | None:
        """The call this piece belongs to, a new one if it is the next; None when it has no place."""
        index, call_id = entry.get("index"), entry.get("id")
        if type(index) is int and 0 <= index < len(self._calls):
            return self._calls[index]
        if index is None and isinstance(call_id, str) and call_id in self._by_id:
            return self._by_id[call_id]
        if index is None and not (isinstance(call_id, str) and call_id):
            self.spoil("ambiguous_index", "a piece of a call has neither index nor id")
        elif index is not None and (type(index) is not int or index != len(self._calls)) and not self._overfull:
            self.spoil("bad_index", "an index that does not count up from 0")
        elif len(self._calls) >= room:
            self._overfull = True
        else:
            self._calls.append(CallParts())
            return self._calls[-1]
        return None


def unreadable(problem: str, detail: str) -> CallParts:
    """Stands for a proposal that nobody can attribute to a call."""
    parts = CallParts()
    parts.fail(problem, detail)
    return parts


def fail_shared_ids(calls: list[CallParts]) -> None:
    """Two calls under one id: a result or an approval could be bound to the wrong one, so that none of them passes."""
    ids = [parts.id for parts in calls if parts.id]
    if len(set(ids)) != len(ids):
        for parts in calls:
            parts.fail("duplicate_id", "two calls of this choice have the same id")


def note_unknown_keys(sieve: Sieve, message: Mapping[str, Json], path: str) -> None:
    """Findings for the keys of calls that are not delivered, because calls are written anew from known ones."""
    entries = message.get("tool_calls")
    for at, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            _note(sieve, entry, ENTRY_KEYS if signature(entry) is None else ENTRY_KEYS | {SIGNED}, f"{path}.tool_calls[{at}]")
            _note(sieve, entry.get("function"), FUNCTION_KEYS, f"{path}.tool_calls[{at}].function")
            _note(sieve, entry.get("custom"), CUSTOM_KEYS, f"{path}.tool_calls[{at}].custom")
    _note(sieve, message.get("function_call"), FUNCTION_KEYS, f"{path}.function_call")


def _note(sieve: Sieve, found: Json, known: frozenset[str], path: str) -> None:
    if isinstance(found, dict):
        sieve.note(found, known, path)
