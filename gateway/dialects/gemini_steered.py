"""The request again, after calls that were refused (the model's turn, and for each call an answer that says so), or after an answer that
must be written anew."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway import strict_json
from gateway.answer import Answer
from gateway.dialects import gemini_shape as shape
from gateway.request import Request
from gateway.strict_json import Json
from gateway.verdict import Call

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def steered(request: Request, answer: Answer, refused: Sequence[tuple[Call, str]]) -> bytes | None:
    """None for several candidates, where the request forces a call, and for a model that thought without signing it: it would want back
    what nobody has."""
    fields = _fields(request.body)
    tree = shape.spelled(msgspec.json.decode(request.body), "")
    unsigned = answer.usage is not None and bool(answer.usage.reasoning) and refused[0][0].signed is None
    if unsigned or _forces(tree) or any(call.choice or call.args is None or call.type != "function" for call, _ in refused):
        return None
    said: list[Json] = [{"text": answer.text}] if answer.text else []
    said += [{"functionCall": _called(call) | {"args": call.args}} | _signed(call) for call, _ in refused]
    told = [{"functionResponse": _called(call) | {"response": {"error": text}}} for call, text in refused]
    given = tree.get("contents")
    before = given if isinstance(given, list) else [given]
    contents = [*before, {"role": "model", "parts": said}, {"role": "user", "parts": told}]
    return msgspec.json.encode({**fields, "contents": msgspec.Raw(strict_json.encode(contents))})


def repaired(request: Request, answer: Answer, said: str) -> bytes | None:
    """The request again, with the answer that was given and what is wrong with it. None for several candidates."""
    fields = _fields(request.body)
    tree = shape.spelled(msgspec.json.decode(request.body), "")
    if shape.spelled(tree.get("generationConfig") or {}, "generationConfig").get("candidateCount") not in (None, 1):
        return None
    given = tree.get("contents")
    contents: list[Json] = [*(given if isinstance(given, list) else [given])]
    contents += [{"role": "model", "parts": [{"text": answer.text}]}] if answer.text else []
    contents.append({"role": "user", "parts": [{"text": said}]})
    return msgspec.json.encode({**fields, "contents": msgspec.Raw(strict_json.encode(contents))})


def _forces(tree: dict[str, Json]) -> bool:
    config = shape.spelled(tree.get("toolConfig") or {}, "toolConfig")
    calling = shape.spelled(config.get("functionCallingConfig") or {}, "toolConfig.functionCallingConfig")
    several = shape.spelled(tree.get("generationConfig") or {}, "generationConfig").get("candidateCount") not in (None, 1)
    return several or calling.get("mode") not in (None, "AUTO", "NONE", "MODE_UNSPECIFIED")


def _signed(call: Call) -> dict[str, Json]:
    return {} if call.signed is None else {"thoughtSignature": call.signed}


def _called(call: Call) -> dict[str, Json]:
    return {"name": call.name} | ({"id": call.id} if call.id else {})
