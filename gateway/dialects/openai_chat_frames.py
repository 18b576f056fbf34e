"""What a judged client gets instead of the provider's own frames: released calls, explanations, finishing frames.

Written in the envelope (id, model, created, …) of the provider's chunks, so that a client sees one stream. Calls are numbered again from 0
in each choice, because the ones withheld leave no gap behind.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from gateway import strict_json
from gateway.dialects import openai_chat_shape as shape
from gateway.dialects import sse
from gateway.dialects.openai_chat_calls import LEGACY, ChoiceCalls
from gateway.strict_json import Json
from gateway.verdict import Call

_ENVELOPE = ("id", "object", "created", "model", "system_fingerprint", "service_tier")
_REASONS_OF_OTHERS = ("native_finish_reason", "stop_reason")


class Choice:
    """What is remembered of one alternative of the answer."""

    def __init__(self) -> None:
        self.calls = ChoiceCalls()
        self.finish: str | None = None
        self.opened = False  # a role was delivered
        self.spoke = False  # words were delivered
        self.delivered = 0  # calls delivered

    def heard(self, words: Mapping[str, Json]) -> None:
        self.opened = self.opened or bool(words.get("role"))
        self.spoke = self.spoke or bool(words.get("content"))


class Ending(Struct, frozen=True):
    """The chunk that finishes a choice, cleaned; `verbatim` is the provider's own frame when nothing had to be cleaned."""

    chunk: Mapping[str, Json]
    choice: Mapping[str, Json]
    verbatim: bytes | None


class Envelope:
    """The fields that all chunks of one stream share."""

    def __init__(self) -> None:
        self.fields: dict[str, Json] = {}

    def note(self, chunk: Mapping[str, Json]) -> None:
        """The first chunk that names a field decides."""
        if len(self.fields) == len(_ENVELOPE):
            return
        for key in _ENVELOPE:
            value = chunk.get(key)
            if type(value) is (int if key == "created" else str):
                self.fields.setdefault(key, value)

    def frame(self, number: int, delta: Mapping[str, Json]) -> bytes:
        head = {"id": "", "object": "chat.completion.chunk", "created": 0, "model": ""} | self.fields
        choice = {"index": number, "delta": delta, "finish_reason": None}
        return sse.frame(strict_json.encode({**head, "choices": [choice]}))


def released(envelope: Envelope, state: Choice, call: Call) -> bytes:
    delta: dict[str, Json] = {} if state.opened else {"role": "assistant", "content": None}
    state.opened = True
    if call.type == LEGACY:
        delta["function_call"] = written(call)[LEGACY]
    else:
        delta["tool_calls"] = [{"index": state.delivered, **written(call)}]
    state.delivered += 1
    return envelope.frame(call.choice, delta)


def explained(envelope: Envelope, state: Choice, call: Call, text: str) -> bytes:
    delta: dict[str, Json] = {} if state.opened else {"role": "assistant"}
    delta["content"] = f"\n\n{text}" if state.spoke else text
    state.heard({"role": "assistant", "content": text})
    return envelope.frame(call.choice, delta)


def finished(state: Choice, ending: Ending, released: int, withheld: int) -> bytes:
    reason = shape.outgoing_reason(state.finish, released=released, withheld=withheld, legacy=state.calls.is_legacy)
    if ending.verbatim is not None and reason == state.finish:
        return ending.verbatim
    choice = {**ending.choice, "finish_reason": reason}
    if reason != state.finish:
        choice = {k: v for k, v in choice.items() if k not in _REASONS_OF_OTHERS}
    return rewritten(ending.chunk, choice)


def words_alone(chunk: Mapping[str, Json], choice: Mapping[str, Json]) -> bytes:
    """What a finishing chunk says, without its finish and without what is said of the whole answer."""
    said = {key: value for key, value in choice.items() if key not in _REASONS_OF_OTHERS}
    return rewritten({key: value for key, value in chunk.items() if key != "usage"}, {**said, "finish_reason": None})


def wordless(choice: Mapping[str, Json]) -> dict[str, Json]:
    """The rest of that chunk."""
    return {**{key: value for key, value in choice.items() if key != "logprobs"}, "delta": {}}


def rewritten(chunk: Mapping[str, Json], choice: Mapping[str, Json]) -> bytes:
    return sse.frame(strict_json.encode({**chunk, "choices": [choice]}))


def written(call: Call) -> dict[str, Json]:
    """The call as it stands in a message, made from nothing but what was judged and the signature that belongs to it."""
    function = {"name": call.name, "arguments": call.arguments}
    if call.type == LEGACY:
        return {LEGACY: function}
    signed = {} if call.signed is None else {shape.SIGNED: call.signed}
    if call.type == "custom":
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}, **signed}
    return {"id": call.id, "type": "function", "function": function, **signed}
