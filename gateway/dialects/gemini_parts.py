"""How the parts of a candidate are read: words, calls, and what the provider did by itself.

A function call comes whole, in one part. It is judged by its arguments as they will be delivered and written again from them; the thought
signature beside it belongs to it, and goes or stays with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from gateway import strict_json
from gateway.dialects import gemini_shape as shape
from gateway.dialects.events import Limits
from gateway.dialects.openai_chat_shape import Sieve
from gateway.dialects.proposals import (
    MAX_ID,
    NO_ARGUMENTS,
    clipped,
    failed,
    id_problem,
    name_problem,
    read_arguments,
    with_shared_ids_failed,
)
from gateway.strict_json import Json
from gateway.verdict import Call

UNKNOWN = "unknown"


class Piece(Struct):
    """A part in its place: words that may leave, or a call."""

    part: Mapping[str, Json]
    call: Call | None = None


class Reader:
    """Reads the parts of one answer. `allowed`: names of the provider's tools that were admitted with the request."""

    def __init__(self, dialect: str, limits: Limits, allowed: frozenset[str], *, enforcing: bool) -> None:
        self.sieve = Sieve(dialect, enforcing=enforcing)
        self.calls = 0
        self._limits, self._allowed = limits, allowed
        self._size = 0

    def pieces(self, parts: list[Json], candidate: int) -> list[Piece]:
        """All but the calls beyond one too many: that one says for all of them that there were too many."""
        read = (self._piece(part, candidate) for part in parts)
        return [piece for piece in read if piece.call is None or piece.call.index <= self._limits.calls]

    def unreadable(self, code: str, detail: str, candidate: int = 0) -> Call:
        """Stands for something that may be a call and that nobody can read."""
        return self._call({}, UNKNOWN, NO_ARGUMENTS, None, (code, detail), candidate)

    def _piece(self, part: Json, candidate: int) -> Piece:
        if not isinstance(part, dict):
            return Piece({}, self.unreadable("unknown_type", shape.odd_detail(part), candidate))
        known = self.sieve.keep(part, shape.PART_KEYS, "part")
        kinds = shape.payload(known)
        if len(kinds) > 1 and ("functionCall" in kinds or not shape.SERVICES.keys().isdisjoint(kinds)):
            return Piece({}, self.unreadable("mixed_forms", "a part holds a call and something else", candidate))
        if "functionCall" in kinds:
            return self._function_call(known, candidate)
        service = next((kind for kind in kinds if kind in shape.SERVICES), None)
        if service is not None and not self._was_asked_for(shape.SERVICES[service]):
            detail = f"the provider reports `{service}` although the request asked for no such tool"
            problem = ("executed_upstream", detail)
            return Piece({}, self._call({}, shape.SERVICES[service], NO_ARGUMENTS, None, problem, candidate))
        if (known is not part and not kinds) or not isinstance(known.get("text", ""), str):
            return Piece({}, self.unreadable("unknown_type", shape.odd_detail(part), candidate))
        return Piece({kind: self._payload(kind, value) for kind, value in known.items()} if kinds else known)

    def _payload(self, kind: str, value: Json) -> Json:
        keys = shape.PAYLOADS.get(kind)
        return self.sieve.keep(value, keys, f"part.{kind}") if keys and isinstance(value, dict) else value

    def _was_asked_for(self, service: str) -> bool:
        return bool(self._allowed) if service == "google.tool" else service in self._allowed

    def _function_call(self, part: Mapping[str, Json], candidate: int) -> Piece:
        found = part["functionCall"]
        if not isinstance(found, dict):
            return Piece({}, self.unreadable("unknown_type", "`functionCall` is not an object", candidate))
        name, args = found.get("name"), found.get("args")
        problem = self._form(found)
        if not isinstance(args, dict | None):
            problem = problem or ("type", "the arguments are not a JSON object")
        text = strict_json.encode(args).decode() if isinstance(args, dict) else NO_ARGUMENTS
        values, code, detail = read_arguments(text, self._limits)
        problem = problem or self._bounds(text) or ((code, detail) if code else None)
        self.sieve.note(found, shape.PAYLOADS["functionCall"], "part.functionCall")
        call = self._call(found, name if isinstance(name, str) else UNKNOWN, text, values, problem, candidate, part.get("thoughtSignature"))
        return Piece(part, call)

    def _form(self, found: Mapping[str, Json]) -> tuple[str, str] | None:
        call_id = found.get("id")
        if name_problem(found.get("name")):
            return "bad_name", "the tool's name is missing or holds characters that no tool name has"
        if call_id not in (None, "") and id_problem(call_id):
            return "bad_id", "the call's id is not plain ASCII"
        if found.get("partialArgs") is not None or found.get("willContinue"):
            return "unknown_type", "arguments that come in pieces are not read here"
        return None

    def _bounds(self, text: str) -> tuple[str, str] | None:
        self._size += len(text)
        if self._size > self._limits.hold_bytes:
            return "hold_limit", f"the calls of this answer are longer than {self._limits.hold_bytes} bytes"
        return None

    def _call(
        self,
        found: Mapping[str, Json],
        name: str,
        text: str,
        args: Mapping[str, Json] | None,
        problem: tuple[str, str] | None,
        candidate: int,
        signed: Json = None,
    ) -> Call:
        index, self.calls = self.calls, self.calls + 1
        if index >= self._limits.calls:
            problem = ("call_limit", f"more than {self._limits.calls} calls in one answer")
        call_id = found.get("id")
        code, detail = problem or (None, "")
        return Call(
            id=clipped(call_id, MAX_ID) if isinstance(call_id, str) else "",
            name=clipped(name, 128),
            arguments=text,
            args=None if code else args,
            index=index,
            problem=code,
            detail=detail,
            choice=candidate,
            signed=signed,
        )


def written(piece: Piece, call: Call) -> dict[str, Json]:
    """A released call's part, made from what was judged."""
    function: dict[str, Json] = {"name": call.name, "args": call.args}
    if call.id:
        function["id"] = call.id
    kept = {key: value for key, value in piece.part.items() if key in shape.MODIFIERS}
    return {**kept, "functionCall": function}


class Candidate(Struct):
    """One alternative of an answer or chunk, taken apart."""

    index: int
    rest: Mapping[str, Json]
    """Its keys but for the content."""
    role: Json
    pieces: list[Piece] = field(default_factory=list)
    clean: bool = True
    """Nothing had to be left out."""
    content: Mapping[str, Json] | None = None
    """As it came, known keys only."""

    @property
    def calls(self) -> list[Call]:
        return [piece.call for piece in self.pieces if piece.call is not None]

    @property
    def finish(self) -> str | None:
        reason = self.rest.get("finishReason")
        return reason if isinstance(reason, str) and reason else None

    @property
    def queries(self) -> frozenset[str]:
        return shape.queries_of(self.rest.get("groundingMetadata"))

    @property
    def fees(self) -> frozenset[str]:
        return shape.fees_of(self.rest.get("groundingMetadata"))

    @property
    def cut(self) -> bool:
        """Whether a call in it may not be whole."""
        return bool(self.calls) and self.finish is not None and self.finish not in shape.WHOLE_CALLS

    def text(self) -> str:
        """What it says, thoughts left out."""
        said = (piece.part.get("text") for piece in self.pieces if piece.call is None and not piece.part.get("thought"))
        return "".join(text for text in said if isinstance(text, str))

    def holding(self, parts: list[Mapping[str, Json]], *, last: bool) -> dict[str, Json]:
        """The candidate with these parts; only the last piece of it carries what is said of the whole."""
        head = self.rest if last else {"index": self.index}
        content = {"parts": parts} | ({"role": self.role} if self.role is not None else {})
        return {**({"content": content} if parts or not last else {}), **head}


def finally_judged(found: Iterable[Candidate], problem: tuple[str, str] | None = None) -> int:
    """The calls of an answer that is known whole: those that share an id fail, and all of them for a `problem` of the answer. How many
    there are."""
    pieces = [piece for candidate in found for piece in candidate.pieces if piece.call is not None]
    calls = with_shared_ids_failed(piece.call for piece in pieces if piece.call is not None)
    for piece, call in zip(pieces, calls, strict=True):
        piece.call = call if problem is None or call.problem else failed(call, *problem)
    return len(pieces)


class Misshapen(Exception):  # noqa: N818 - names what an answer is
    """Not an answer of this dialect."""


def candidates(reader: Reader, tree: Mapping[str, Json]) -> list[Candidate]:
    """Raises Misshapen."""
    listed = tree.get("candidates") or []
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise Misshapen("`candidates` is not a list of objects")
    found = [_candidate(reader, one, at) for at, one in enumerate(listed)]
    if len({one.index for one in found}) != len(found):
        raise Misshapen("two candidates have one index")
    return found


def _candidate(reader: Reader, found: dict[str, Json], at: int) -> Candidate:
    known = reader.sieve.keep(found, shape.CANDIDATE_KEYS, f"candidates[{at}]")
    index, content = known.get("index", at), known.get("content")
    if type(index) is not int or not 0 <= index < 128 or not isinstance(known.get("finishReason"), str | None):
        raise Misshapen("a candidate's index or finish reason is of the wrong type")
    rest = {key: value for key, value in known.items() if key != "content"}
    if content is None:
        return Candidate(index, rest, None, [], known is found)
    if not isinstance(content, dict) or not isinstance(content.get("parts"), list | None):
        raise Misshapen("a candidate's content is of the wrong type")
    clean = reader.sieve.keep(content, shape.CONTENT_KEYS, f"candidates[{at}].content")
    parts = content.get("parts") or []
    pieces = reader.pieces(parts, index)
    untouched = known is found and clean is content and [piece.part for piece in pieces] == parts  # calls' parts stand as they came
    return Candidate(index, rest, clean.get("role"), pieces, untouched, clean)
