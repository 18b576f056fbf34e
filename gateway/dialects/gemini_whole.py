"""A generateContent answer in one piece: read as strictly as a stream, and given back to the very byte when nothing was withheld."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from gateway import strict_json
from gateway.answer import MOST_TEXT, Answer
from gateway.dialects import gemini_parts as parts
from gateway.dialects import gemini_shape as shape
from gateway.dialects.events import AS_PROPOSED, Broken, Limits, WholeAnswer
from gateway.dialects.gemini_stream import answer_of
from gateway.dialects.openai_chat_shape import error_detail, error_of
from gateway.strict_json import Json
from gateway.verdict import Call, Finding


class _Tree(Struct, frozen=True):
    found: Mapping[str, Json]
    """The body as parsed, to see whether anything has to change."""
    top: Mapping[str, Json]
    candidates: tuple[parts.Candidate, ...]


def decode_answer(dialect: str, body: bytes, allowed: frozenset[str], limits: Limits) -> WholeAnswer:
    reader = parts.Reader(dialect, limits, allowed, enforcing=True)
    try:
        found = strict_json.parse(body, depth=limits.depth + 16, exact_numbers=False)
    except strict_json.Ambiguous as ambiguous:
        return _ambiguous(body, ambiguous, reader)
    if not isinstance(found, dict):
        return _broken(body, "protocol", "the answer is not a JSON object; streams are read as server-sent events only")
    if error := error_of(found):
        return _broken(body, "provider_error", error_detail(error))
    top = reader.sieve.keep(found, shape.ANSWER_KEYS, "")
    try:
        listed = parts.candidates(reader, top)
    except parts.Misshapen as misshapen:
        return _broken(body, "protocol", str(misshapen), tuple(reader.sieve.findings))
    parts.finally_judged(listed)
    calls = tuple(call for candidate in listed for call in candidate.calls)
    finish = tuple(candidate.finish for candidate in listed if candidate.finish)
    fees = frozenset().union(*(candidate.fees for candidate in listed))
    searches = len({(candidate.index, query) for candidate in listed for query in candidate.queries})
    answer = answer_of(found, finish, "".join(candidate.text() for candidate in listed)[:MOST_TEXT], searches, fees)
    cut = any(candidate.cut for candidate in listed)
    broken = Broken("truncated", "the answer was cut while a call was being proposed") if cut else None
    return WholeAnswer(answer, calls, body, _Tree(found, top, tuple(listed)), tuple(reader.sieve.findings), broken)


def encode_answer(whole: WholeAnswer, withheld: Mapping[int, str], edited: Mapping[int, Call] = AS_PROPOSED) -> bytes:
    tree: _Tree = whole.tree
    rebuilt = dict(tree.top)
    if tree.candidates:
        rebuilt["candidates"] = [_rebuilt(candidate, withheld, edited) for candidate in tree.candidates]
    return whole.body if rebuilt == tree.found else strict_json.encode(rebuilt)


def _rebuilt(candidate: parts.Candidate, withheld: Mapping[int, str], edited: Mapping[int, Call]) -> dict[str, Json]:
    said: list[Mapping[str, Json]] = []
    for piece in candidate.pieces:
        if piece.call is None:
            said.append(piece.part)
        elif piece.call.index in withheld:
            said.append({"text": withheld[piece.call.index]})
        else:
            said.append(parts.written(piece, edited.get(piece.call.index, piece.call)))
    if candidate.clean and candidate.content is not None:
        return {**candidate.rest, "content": {**candidate.content, **({"parts": said} if said or "parts" in candidate.content else {})}}
    return candidate.holding(said, last=True)


def _broken(body: bytes, code: str, detail: str, findings: tuple[Finding, ...] = ()) -> WholeAnswer:
    return WholeAnswer(Answer(), (), body, None, findings, Broken(code, detail))


def _ambiguous(body: bytes, ambiguous: strict_json.Ambiguous, reader: parts.Reader) -> WholeAnswer:
    """Readers disagree about this body: it stands as one proposal that nobody can read, in an answer with nothing else in it."""
    if ambiguous.code == "malformed":
        return _broken(body, "protocol", f"the answer is not JSON: {ambiguous.detail}")
    call = reader.unreadable(ambiguous.code, f"the answer: {ambiguous.detail}")
    candidate = parts.Candidate(0, {"index": 0, "finishReason": "STOP"}, "model", [parts.Piece({}, call)], clean=False)
    return WholeAnswer(Answer(), (call,), body, _Tree({}, {}, (candidate,)))
