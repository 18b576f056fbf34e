"""What a judged client gets of a streamed response: events in one numbering, calls written from what was judged, and a last event that
holds exactly the items that were delivered.

Also the memory of a stream: its items with every copy of what they say, until it is known whether the copies agree.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct, field

from gateway import strict_json
from gateway.answer import MOST_TEXT, Answer
from gateway.dialects import openai_responses_items as items
from gateway.dialects import openai_responses_shape as shape
from gateway.dialects import sse
from gateway.dialects.events import Limits
from gateway.dialects.openai_chat_errors import error_object
from gateway.dialects.openai_chat_shape import Sieve
from gateway.dialects.proposals import failed, with_shared_ids_failed
from gateway.errors import GatewayError
from gateway.strict_json import Json
from gateway.verdict import Call

EMPTY_COMMENT = b":\n\n"
plain_comment = re.compile(rb"\n|:[ -~]*\n\n").fullmatch
_TEXTS = {"function_call": ("arguments", "function_call_arguments"), "custom_tool_call": ("input", "custom_tool_call_input")}
"""Calls whose text is streamed: its key, and the stem of its events."""


_SAID = frozenset({"response.output_text.delta", "response.refusal.delta"})


class Words:
    """What the messages of a stream say: in pieces, and in the copies of these (text done, part done, item done). Some client reads a copy:
    where one says what no piece has said, that counts too."""

    def __init__(self) -> None:
        self._said: list[str] = []
        self._room = MOST_TEXT

    @property
    def text(self) -> str:
        return "".join(self._said)

    @property
    def pieces(self) -> int:
        return len(self._said)

    def hear(self, piece: Piece, item: Item) -> None:
        """An event of an item."""
        delta = piece.tree.get("delta")
        if delta is None:
            part = piece.tree.get("part")
            if item.kind == "message":
                self._copy(_words_of(piece.tree if part is None else part), item)
        elif piece.kind in _SAID and isinstance(delta, str) and self._room > 0:
            self._said.append(delta[: self._room])
            self._room -= len(self._said[-1])

    def hear_whole(self, item: Item, *copies: Json) -> None:
        """Copies of an item that nothing more is said of."""
        for copy in copies if item.kind == "message" else ():
            parts = copy.get("content") if isinstance(copy, dict) else None
            self._copy("".join(map(_words_of, parts)) if isinstance(parts, list) else "", item)

    def _copy(self, text: str, item: Item) -> None:
        """Instead of the pieces of its item where it has all of them in it, as when a stream is fetched from its middle on; else beside."""
        said = "".join(self._said[item.began :])
        text = text[: self._room + len(said)]
        if text in said or text in self.text:
            return
        if said in text:
            del self._said[item.began :]
            self._room += len(said)
        self._said.append(text[: self._room])
        self._room -= len(self._said[-1])


def _words_of(part: Json) -> str:
    text = part.get("refusal", part.get("text")) if isinstance(part, dict) else None
    return text if isinstance(text, str) else ""


class Piece(Struct, frozen=True):
    """One event of the stream."""

    raw: bytes
    kind: str
    tree: Mapping[str, Json]
    plain: bool
    """Every reader of lines reads `raw` alike, and it says exactly `tree`."""

    @classmethod
    def read(cls, event: sse.SseEvent, data: bytes, kind: str, tree: Mapping[str, Json]) -> Piece:
        lines = data.isascii() or strict_json.one_line(data) == data
        return cls(event.raw, kind, tree, b"\n" not in data and lines and event.raw == sse.frame(data, kind))

    def kept(self, sieve: Sieve, keys: frozenset[str]) -> Piece:
        """With its known keys only."""
        tree = sieve.keep(self.tree, keys, self.kind)
        return self if tree is self.tree else msgspec.structs.replace(self, tree=tree, plain=False)

    def with_value(self, key: str, value: Json) -> Piece:
        if value is self.tree.get(key):
            return self
        return msgspec.structs.replace(self, tree={**self.tree, key: value}, plain=False)


class Item:
    """One item of the answer as far as it has come."""

    def __init__(self, added: Mapping[str, Json], *, called: bool, began: int = 0) -> None:
        self.added = added
        self.began = began
        """How many pieces of words came before it."""
        kind = added.get("type")
        self.kind = kind if isinstance(kind, str) else ""
        self.called = called
        self.done: Mapping[str, Json] | None = None
        self.pieces: list[Piece] = []
        """Events that are held, in order."""
        self.dropped: set[tuple[str, int]] = set()
        """Places of parts that are left out."""
        self._deltas: list[str] = []
        self._commands: dict[Json, list[str]] = {}
        """Those of a shell by their places, in pieces."""
        self._size = 0
        self._copies: list[Json] = []
        self._problem: tuple[str, str] | None = None

    def hear(self, piece: Piece, limits: Limits) -> None:
        """An event of a call: a piece of its text, or a copy of all of it."""
        key = _TEXTS[self.kind][0] if self.kind in _TEXTS else "arguments"
        if self.kind == "shell_call":
            self._hear_command(piece, limits)
        elif piece.kind.endswith(".delta"):
            self._add(piece.tree.get("delta"), limits, self._deltas)
        elif key in piece.tree:
            self._copies.append(piece.tree[key])
            if piece.tree.get("name") is not None:
                self._copy_of_name(piece.tree["name"])

    def whole(self, final: Json, *, expected: bool) -> tuple[Mapping[str, Json], tuple[str, str] | None]:
        """The call's item, and what is wrong with it. `final`: its copy in the last event; `expected`: there must be one."""
        item = self.done or (final if isinstance(final, dict) and final.get("type") == self.kind else None)
        if item is None:
            return self.added, self._problem or ("truncated", "the call was never finished")
        if self._problem is None and not self._agree(item, final, expected):
            self._problem = ("copies_differ", "the stream tells the call in two ways")
        return item, self._problem

    def _hear_command(self, piece: Piece, limits: Limits) -> None:
        """A command begins (with what there is of it), goes on, or is told once more."""
        place, done = piece.tree.get("command_index"), piece.kind.endswith(".done")
        if type(place) is not int:
            self._problem = self._problem or ("type", "a command's place is no whole number")
            return
        said = self._commands.setdefault(place, [])
        if not (done and said):
            self._add(piece.tree.get("delta" if piece.kind.endswith(".delta") else "command"), limits, said)
        elif piece.tree.get("command") != "".join(said):
            self._problem = self._problem or ("copies_differ", "the stream tells a command in two ways")

    def _add(self, delta: Json, limits: Limits, said: list[str]) -> None:
        if not isinstance(delta, str):
            self._problem = self._problem or ("type", "a piece of the arguments is not a string")
            return
        self._size += len(delta.encode("utf-8", "surrogatepass"))
        if self._size > limits.call_bytes:
            self._problem = self._problem or ("hold_limit", f"the arguments are longer than {limits.call_bytes} bytes")
            said.clear()
        else:
            said.append(delta)

    def _copy_of_name(self, name: Json) -> None:
        if name != self.added.get("name"):
            self._problem = self._problem or ("copies_differ", "the stream names the tool in two ways")

    def _agree(self, item: Mapping[str, Json], final: Json, expected: bool) -> bool:
        if final is None and expected:
            return False
        if final is not None and not (isinstance(final, dict) and items.same_call(final, item)):
            return False
        key = _TEXTS[self.kind][0] if self.kind in _TEXTS else None
        if key is None:
            return not self._deltas and items.begins(items.told(self.added), item) and self._commands_agree(item.get("action"))
        text = item.get(key)
        told = {k: v for k, v in items.told(self.added).items() if k != key or v != ""}
        said = "".join(self._deltas)
        return (
            all(item.get(name) == value for name, value in told.items())
            and (not said or said == text)
            and all(copy == text for copy in self._copies)
        )


    def _commands_agree(self, action: Json) -> bool:
        commands = action.get("commands") if isinstance(action, dict) else None
        told = [(place, "".join(said)) for place, said in sorted(self._commands.items())]
        return not told or (isinstance(commands, list) and told == list(enumerate(commands)))


class Entry(Struct):
    """What becomes of one item, in its place."""

    item: Mapping[str, Json]
    """Its final form, known keys only; of a call as the provider wrote it."""
    pieces: list[Piece] = field(default_factory=list)
    """Events that were held."""
    call: Call | None = None
    carried: list[Entry] = field(default_factory=list)
    """Reasoning that goes or stays with the call."""


class Writer:
    """One stream to one client."""

    def __init__(self) -> None:
        self.delivered: list[Mapping[str, Json]] = []
        self.kept: dict[str, str] = {}
        """Ids of delivered items, each with the gateway's own text where the provider does not know it."""
        self._next: int | None = None
        self._numbers: bool | None = None

    def begin(self, number: Json) -> None:
        """The first event decides whether events are numbered, and from where."""
        if self._numbers is None:
            self._numbers = type(number) is int
            self._next = number if self._numbers else None

    def passed(self, piece: Piece) -> bytes | None:
        """An event that leaves at once; None = its own bytes."""
        number = piece.tree.get("sequence_number")
        fits = number == self._next if self._numbers else number is None
        if piece.plain and fits:
            self._count()
            return None
        return self._written(piece.kind, dict(piece.tree))

    def sent(self, item: Mapping[str, Json]) -> None:
        """An item whose events have all left."""
        self._keep(item, "")

    def held(self, entry: Entry) -> bytes:
        """The events of an item that were held back, in its place now."""
        place = len(self.delivered)
        trees = [
            {**piece.tree, "output_index": place} if "output_index" in piece.tree else dict(piece.tree) for piece in entry.pieces
        ]
        frames = [self._written(piece.kind, tree) for piece, tree in zip(entry.pieces, trees, strict=True)]
        self._keep(entry.item, "")
        return b"".join(frames)

    def call(self, entry: Entry, call: Call) -> bytes:
        """A released call, after the reasoning that led to it."""
        before = b"".join(self.held(carried) for carried in entry.carried)
        item = items.written(entry.item, call)
        return before + self._run(item, *_TEXTS.get(call.type, ("", "")))

    def explanation(self, call: Call, text: str) -> bytes:
        """A message in the place of a withheld call; the reasoning that led to it stays behind."""
        name = f"msg_{hashlib.sha256(f'{call.id}/{call.index}/{text}'.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
        item = items.explanation(name, text)
        part = item["content"][0]
        place = {"item_id": name, "output_index": len(self.delivered), "content_index": 0}
        run = [
            (shape.ADDED, {"output_index": place["output_index"], "item": {**item, "status": "in_progress", "content": []}}),
            ("response.content_part.added", {**place, "part": {**part, "text": ""}}),
            ("response.output_text.delta", {**place, "delta": text, "logprobs": []}),
            ("response.output_text.done", {**place, "text": text, "logprobs": []}),
            ("response.content_part.done", {**place, "part": part}),
            (shape.DONE, {"output_index": place["output_index"], "item": item}),
        ]
        self._keep(item, text)
        return b"".join(self._written(kind, {"type": kind, **more}) for kind, more in run)

    def last(self, piece: Piece, response: Mapping[str, Json]) -> bytes:
        """The event that ends the response, with what was delivered."""
        told = response if response.get("output", []) == self.delivered else {**response, "output": self.delivered}
        frame = self.passed(piece.with_value("response", told))
        return piece.raw if frame is None else frame

    def error(self, error: GatewayError) -> bytes:
        """Both forms in one: the event as the API defines it, with the `error` for which the SDKs raise."""
        return self._error(error_object(error))

    def provider_error(self, error: Json) -> bytes:
        found = error if isinstance(error, dict) else {"message": error}
        known = {key: found[key] for key in ("message", "type", "param", "code") if isinstance(found.get(key), str)}
        return self._error({"message": "the provider reported an error", "code": None, "param": None} | known)

    def _error(self, error: Mapping[str, Json]) -> bytes:
        told = {key: error.get(key) for key in ("code", "message", "param")}
        return self._written("error", {"type": "error", **told, "error": dict(error)})

    def _run(self, item: Mapping[str, Json], key: str, stem: str) -> bytes:
        place = len(self.delivered)
        started = {**item, "status": "in_progress"} if "status" in item else dict(item)
        run: list[tuple[str, dict[str, Json]]] = [(shape.ADDED, {"item": started})]
        if key:
            started[key] = ""
            about = {"item_id": item.get("id", "")}
            name = {"name": item.get("name")} if key == "arguments" else {}
            run.append((f"response.{stem}.delta", {**about, "delta": item[key]}))
            run.append((f"response.{stem}.done", {**about, **name, key: item[key]}))
        run.append((shape.DONE, {"item": item}))
        self._keep(item, "")
        return b"".join(self._written(kind, {"type": kind, "output_index": place, **more}) for kind, more in run)

    def _keep(self, item: Mapping[str, Json], text: str) -> None:
        self.delivered.append(item)
        if isinstance(item.get("id"), str):
            self.kept[item["id"]] = text

    def _written(self, kind: str, tree: dict[str, Json]) -> bytes:
        if self._numbers:
            tree["sequence_number"] = self._next
            self._count()
        else:
            tree.pop("sequence_number", None)
        return sse.frame(strict_json.encode(tree), kind)

    def _count(self) -> None:
        if self._next is not None:
            self._next += 1


def numbered(entries: Iterable[Entry], limits: Limits) -> list[Entry]:
    """Calls get their places among the calls; shared ids and too many calls fail them."""
    listed = _within(list(entries), limits.calls)
    calls = with_shared_ids_failed(entry.call for entry in listed if entry.call is not None)
    rest = iter(calls)
    count = 0
    for entry in listed:
        if entry.call is None:
            continue
        call = msgspec.structs.replace(next(rest), index=count)
        count += 1
        if count > limits.calls:
            call = failed(call, "call_limit", f"more than {limits.calls} calls in one answer")
        entry.call = call
    return listed


def _within(entries: list[Entry], most: int) -> list[Entry]:
    """All but the calls beyond one too many: that one says for all of them that there were too many."""
    places = [at for at, entry in enumerate(entries) if entry.call is not None]
    beyond = frozenset(places[most + 1 :])
    return [entry for at, entry in enumerate(entries) if at not in beyond]


def answer_of(response: Mapping[str, Json], text: str, kept: Mapping[str, str]) -> Answer:
    """What a response says about itself."""
    answer_id, model, usage = response.get("id"), response.get("model"), response.get("usage")
    status, cut = response.get("status"), response.get("incomplete_details")
    reason = cut.get("reason") if isinstance(cut, dict) else None
    finish = reason if isinstance(reason, str) else status
    return Answer(
        id=answer_id if isinstance(answer_id, str) else None,
        model=model if isinstance(model, str) else None,
        finish=(finish,) if isinstance(finish, str) else (),
        usage=shape.read_usage(response),
        usage_raw=None if usage is None else strict_json.encode(usage),
        text=text,
        items=dict(kept),
    )
