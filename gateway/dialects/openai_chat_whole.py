"""A chat completion that comes in one piece: read as strictly as a stream, and given back to the very byte when nothing was withheld."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from gateway import strict_json
from gateway.answer import MOST_TEXT, Answer
from gateway.dialects import openai_chat_frames as frames
from gateway.dialects import openai_chat_shape as shape
from gateway.dialects.events import AS_PROPOSED, Broken, Limits, WholeAnswer
from gateway.dialects.openai_chat_calls import LEGACY, ChoiceCalls, note_unknown_keys, unreadable
from gateway.strict_json import Json
from gateway.verdict import Call, Finding


class _Choice(Struct, frozen=True):
    """One alternative, cleaned, without its calls."""

    rest: Mapping[str, Json]
    message: Mapping[str, Json]
    calls: tuple[Call, ...]


class _Tree(Struct, frozen=True):
    found: Json
    """The body as parsed, to see whether anything has to change."""
    top: Mapping[str, Json]
    choices: tuple[_Choice, ...]


class _Unusable(Exception):  # noqa: N818 - names what the body is
    """The body is no chat completion."""


def decode_answer(dialect: str, body: bytes, limits: Limits) -> WholeAnswer:
    try:
        found = strict_json.parse(body, exact_numbers=False)
    except strict_json.Ambiguous as ambiguous:
        if ambiguous.code == "malformed":
            return _broken(body, Broken("protocol", f"the answer is not JSON: {ambiguous.detail}"))
        return _without_meaning(body, ambiguous, limits)
    if not isinstance(found, dict):
        return _broken(body, Broken("protocol", "the answer is not a JSON object"))
    if error := shape.error_of(found):
        return _broken(body, Broken("provider_error", shape.error_detail(error), shape.error_json(error)))
    sieve = shape.Sieve(dialect, enforcing=True)
    try:
        return _decoded(body, found, sieve, limits)
    except _Unusable as unusable:
        return _broken(body, Broken("protocol", str(unusable)), tuple(sieve.findings))


def encode_answer(whole: WholeAnswer, withheld: Mapping[int, str], edited: Mapping[int, Call] = AS_PROPOSED) -> bytes:
    tree: _Tree = whole.tree
    rebuilt = {**tree.top, "choices": [_rebuilt(choice, withheld, edited) for choice in tree.choices]}
    return whole.body if rebuilt == tree.found else strict_json.encode(rebuilt)


def _broken(body: bytes, broken: Broken, findings: tuple[Finding, ...] = ()) -> WholeAnswer:
    return WholeAnswer(Answer(), (), body, None, findings, broken)


def _without_meaning(body: bytes, ambiguous: strict_json.Ambiguous, limits: Limits) -> WholeAnswer:
    """Readers disagree about this body: it stands as one proposal that nobody can read, in an answer with nothing else in it."""
    call = unreadable(ambiguous.code, f"the answer: {ambiguous.detail}").call(0, 0, limits)
    message = {"role": "assistant", "content": None}
    choice = _Choice({"index": 0, "message": message, "finish_reason": "stop"}, message, (call,))
    top = {"id": "", "object": "chat.completion", "created": 0, "model": "", "choices": []}
    return WholeAnswer(Answer(), (call,), body, _Tree(None, top, (choice,)))


def _decoded(body: bytes, found: dict[str, Json], sieve: shape.Sieve, limits: Limits) -> WholeAnswer:
    raw_choices = found.get("choices")
    if not isinstance(raw_choices, list) or not all(isinstance(choice, dict) for choice in raw_choices):
        raise _Unusable("`choices` is not a list of objects")
    choices: list[_Choice] = []
    for at, choice in enumerate(raw_choices):
        first = sum(len(c.calls) for c in choices)
        choices.append(_choice(choice, at, first, sieve, limits))
    calls = tuple(call for choice in choices for call in choice.calls)
    tree = _Tree(found, sieve.top(found), tuple(choices))
    return WholeAnswer(_answer(body, found, choices), calls, body, tree, tuple(sieve.findings), _cut(choices))


def _choice(found: dict[str, Json], at: int, first: int, sieve: shape.Sieve, limits: Limits) -> _Choice:
    path = f"choices[{at}]"
    message = found.get("message")
    if not isinstance(message, dict) or not isinstance(found.get("finish_reason"), str | None):
        raise _Unusable(f"`{path}` lacks a `message` object or its `finish_reason` is no string")
    if found.get("index", at) != at or type(found.get("index", at)) is not int:
        raise _Unusable(f"`{path}.index` is not its place in the list")
    rest = sieve.choice(found, "message", path)
    known = sieve.message(message, f"{path}.message")
    note_unknown_keys(sieve, known, f"{path}.message")
    odd = shape.unknown_words(known)
    calls = _gathered(known, odd, limits.calls - first, limits).whole(first, at, limits)
    dropped = {*odd} | {key for key in shape.CALL_KEYS if calls and known.get(key) is not None}
    return _Choice(rest, {k: v for k, v in known.items() if k not in dropped}, tuple(calls))


def _gathered(message: Mapping[str, Json], odd: tuple[str, ...], room: int, limits: Limits) -> ChoiceCalls:
    gathered = ChoiceCalls()
    if entries := message.get("tool_calls"):
        gathered.add_listed(entries, room, limits)
    if (legacy := message.get("function_call")) is not None:
        gathered.add_function_call(legacy, limits)
    if odd:
        gathered.spoil("unknown_type", shape.unknown_detail(odd))
    return gathered


def _cut(choices: list[_Choice]) -> Broken | None:
    if any(choice.calls and not shape.ends_calls(choice.rest.get("finish_reason")) for choice in choices):
        return Broken("truncated", "the answer was cut while a call was being proposed")
    return None


def _answer(body: bytes, found: Mapping[str, Json], choices: list[_Choice]) -> Answer:
    usage = found.get("usage")
    answer_id, model = found.get("id"), found.get("model")
    return Answer(
        id=answer_id if isinstance(answer_id, str) else None,
        model=model if isinstance(model, str) else None,
        finish=tuple(reason for choice in choices if (reason := choice.rest.get("finish_reason"))),
        usage=shape.read_usage(usage, found.get("service_tier")),
        usage_raw=None if usage is None else shape.usage_bytes(body),
        text="".join(shape.words(choice.message) for choice in choices)[:MOST_TEXT],
        thoughts=tuple([thoughts for choice in choices if (thoughts := shape.thoughts_of(choice.message))]),
    )


def _rebuilt(choice: _Choice, withheld: Mapping[int, str], edited: Mapping[int, Call]) -> dict[str, Json]:
    released = [call for call in choice.calls if call.index not in withheld]
    message = dict(choice.message)
    for call in choice.calls:
        if call.index in withheld:
            message["content"] = _with_text(message.get("content"), withheld[call.index])
        elif call.type == LEGACY:
            message.update(frames.written(edited.get(call.index, call)))
        else:
            message.setdefault("tool_calls", []).append(frames.written(edited.get(call.index, call)))
    reason = shape.outgoing_reason(
        choice.rest.get("finish_reason"),
        released=len(released),
        withheld=len(choice.calls) - len(released),
        legacy=any(call.type == LEGACY for call in released),
    )
    return {**choice.rest, "message": message, "finish_reason": reason}


def _with_text(content: Json, text: str) -> Json:
    if isinstance(content, list):
        return [*content, {"type": "text", "text": text}]
    return f"{content}\n\n{text}" if content else text
