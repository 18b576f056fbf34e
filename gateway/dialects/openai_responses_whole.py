"""A response that comes in one piece: asked for, fetched, or a conversation made shorter. Read as strictly as a stream, and given back to
the very byte when nothing was withheld."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from gateway import strict_json
from gateway.answer import MOST_TEXT, Answer
from gateway.dialects import openai_responses_items as items
from gateway.dialects import openai_responses_shape as shape
from gateway.dialects.events import AS_PROPOSED, Broken, Limits, WholeAnswer
from gateway.dialects.openai_chat_shape import Sieve, error_detail
from gateway.dialects.openai_responses_frames import Entry, Writer, answer_of, numbered
from gateway.dialects.proposals import clipped
from gateway.request import Request
from gateway.strict_json import Json
from gateway.verdict import Call, Finding

_GOING_ON = ("queued", "in_progress")


class _Tree(Struct, frozen=True):
    found: Mapping[str, Json]
    """The body as parsed, to see whether anything has to change."""
    top: Mapping[str, Json]
    entries: tuple[Entry, ...]
    calls: tuple[Call, ...]


class _Reader:
    """One answer's items, cleaned; `odd` is what may be a call and cannot be read."""

    def __init__(self, dialect: str, allowed: frozenset[str], limits: Limits) -> None:
        self.sieve = Sieve(dialect, enforcing=True)
        self.odd: tuple[str, str] | None = None
        self.texts: list[str] = []
        self._allowed, self._limits = allowed, limits

    def entry(self, found: Json) -> Entry:
        if not isinstance(found, dict):
            return Entry({}, call=items.read_call({}, 0, self._limits, ("unknown_type", "an item that is no object")))
        if items.is_call(found, self._allowed):
            kind = found.get("type")
            known = shape.CALL_ITEMS.get(kind) if isinstance(kind, str) else None
            self.sieve.note(found, known or frozenset(found), f"output.{clipped(kind)}")
            return Entry(found, call=items.read_call(found, 0, self._limits))
        return Entry(self._clean(found))

    def _clean(self, found: Mapping[str, Json]) -> Mapping[str, Json]:
        kind = found.get("type")
        kept = self.sieve.keep(found, shape.item_keys(kind) or frozenset(), f"output.{clipped(kind)}")
        for key in ("content", "summary") if kind in ("message", "reasoning") else ():
            parts = kept.get(key)
            if isinstance(parts, list):
                clean = [part for part in (self._part(part, kind == "message") for part in parts) if part is not None]
                kept = kept if clean == parts else {**kept, key: clean}
            elif parts is not None:
                self.odd = self.odd or ("unknown_type", f"a {kind} whose {key} is no list of parts")
                kept = {**kept, key: []}
        return kept

    def _part(self, part: Json, spoken: bool) -> Mapping[str, Json] | None:
        kind = part.get("type") if isinstance(part, dict) else None
        if not isinstance(kind, str) or kind not in shape.PART_KEYS or not shape.only_texts(part):
            self.odd = self.odd or ("unknown_type", f"parts of type {clipped(kind)} are not known")
            return None
        text = part.get("refusal" if kind == "refusal" else "text")
        if spoken and text is not None:
            self.texts.append(text)
        return self.sieve.keep(part, shape.PART_KEYS[kind], f"part.{kind}")


def decode_answer(dialect: str, body: bytes, request: Request, limits: Limits) -> WholeAnswer:
    try:
        found = strict_json.parse(body, depth=limits.depth + 16, exact_numbers=False)
    except strict_json.Ambiguous as ambiguous:
        return _ambiguous(body, ambiguous, limits)
    if not isinstance(found, dict):
        return _broken(body, "protocol", "the answer is not a JSON object")
    error = found.get("error")
    if error and request.operation != "retrieve":
        return WholeAnswer(Answer(), (), body, None, (), Broken("provider_error", error_detail(error)))
    if not isinstance(found.get("output"), list):
        return _broken(body, "protocol", "the answer has no list of output items")
    return _decoded(dialect, body, found, request, limits)


def encode_answer(whole: WholeAnswer, withheld: Mapping[int, str], edited: Mapping[int, Call] = AS_PROPOSED) -> bytes:
    tree: _Tree = whole.tree
    writer, waiting = Writer(), list[Entry]()
    for entry in tree.entries:
        if entry.call is not None and entry.call.index in withheld:
            waiting.clear()
            writer.explanation(entry.call, withheld[entry.call.index])
        elif entry.item.get("type") == "reasoning":
            waiting.append(entry)
        else:
            _deliver(writer, waiting)
            writer.sent(entry.item if entry.call is None else items.written(entry.item, edited.get(entry.call.index, entry.call)))
    _deliver(writer, waiting)
    whole.answer.items.update(writer.kept)
    rebuilt = {**tree.top, "output": writer.delivered}
    return whole.body if rebuilt == tree.found else strict_json.encode(rebuilt)


def _deliver(writer: Writer, waiting: list[Entry]) -> None:
    for entry in waiting:
        writer.sent(entry.item)
    waiting.clear()


def _broken(body: bytes, code: str, detail: str, findings: tuple[Finding, ...] = ()) -> WholeAnswer:
    return WholeAnswer(Answer(), (), body, None, findings, Broken(code, detail))


def _ambiguous(body: bytes, ambiguous: strict_json.Ambiguous, limits: Limits) -> WholeAnswer:
    """Readers disagree about this body: it stands as one proposal that nobody can read, in an answer with nothing else in it."""
    if ambiguous.code == "malformed":
        return _broken(body, "protocol", f"the answer is not JSON: {ambiguous.detail}")
    call = items.read_call({}, 0, limits, (ambiguous.code, f"the answer: {ambiguous.detail}"))
    top = {"id": "", "object": "response", "created_at": 0, "model": "", "status": "completed", "error": None, "output": []}
    return WholeAnswer(Answer(), (call,), body, _Tree({}, top, (Entry({}, call=call),), (call,)))


def _decoded(dialect: str, body: bytes, found: dict[str, Json], request: Request, limits: Limits) -> WholeAnswer:
    reader = _Reader(dialect, items.services(request), limits)
    entries = [reader.entry(item) for item in found["output"]]
    if reader.odd:
        entries.append(Entry({}, call=items.read_call({}, 0, limits, reader.odd)))
    entries = numbered(entries, limits)
    calls = tuple(entry.call for entry in entries if entry.call is not None)
    top = reader.sieve.keep(found, shape.RESPONSE_KEYS, "")
    tree = _Tree(found, top, tuple(entries), calls)
    answer = answer_of(found, "".join(reader.texts)[:MOST_TEXT], {})
    return WholeAnswer(answer, calls, body, tree, tuple(reader.sieve.findings), _cut(found, request, calls))


def _cut(found: Mapping[str, Json], request: Request, calls: tuple[Call, ...]) -> Broken | None:
    """A response that ended otherwise than well while a call was being proposed. One that is fetched may still be at work."""
    status = found.get("status", "completed")
    if not calls or status == "completed" or (request.operation == "retrieve" and status in _GOING_ON):
        return None
    return Broken("truncated", "the answer was cut while a call was being proposed")
