"""What a provider that keeps the conversation waits for: a result for each call that was withheld, put before what is new.

Without one it refuses the next request ("No tool output found for function call …"). And where a client names, by its id, a text that the
gateway had put in the place of a call, the text itself is sent: the provider never saw it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from gateway import strict_json
from gateway.dialects.openai_responses_items import explanation
from gateway.errors import GatewayError
from gateway.request import Owed, Request
from gateway.strict_json import Json

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def with_answers(request: Request, owed: Sequence[Owed]) -> bytes:
    """The request's bytes; with what is owed in front of its input, and the gateway's own texts in the place of their ids."""
    if not owed:
        return request.body
    fields = _fields(request.body)
    given = msgspec.json.decode(fields["input"]) if "input" in fields else []
    listed = [{"type": "message", "role": "user", "content": given}] if isinstance(given, str) else list(given or ())
    texts = {each.call_id: each.text for each in owed if each.type == "item"}
    known = _answered(listed)
    results = [_result(each) for each in owed if each.type != "item" and each.call_id not in known]
    items = [*results, *(_spelled_out(item, texts) for item in listed)]
    return msgspec.json.encode({**fields, "input": msgspec.Raw(strict_json.encode(items))})


def _spelled_out(item: Json, texts: Mapping[str, str]) -> Json:
    if isinstance(item, dict) and item.get("type") == "item_reference" and item.get("id") in texts:
        return {key: value for key, value in explanation(item["id"], texts[item["id"]]).items() if key not in ("id", "status")}
    return item


def _answered(items: Iterable[Json]) -> frozenset[str]:
    """Calls that the client answers itself."""
    names = ("call_id", "approval_request_id")
    return frozenset(
        item[name]
        for item in items
        if isinstance(item, dict) and str(item.get("type")).endswith(("_output", "_response"))
        for name in names
        if isinstance(item.get(name), str)
    )


def _result(owed: Owed) -> dict[str, Json]:
    if owed.type == "mcp_approval_request":
        return {"type": "mcp_approval_response", "approval_request_id": owed.call_id, "approve": False, "reason": owed.text}
    if owed.type == "computer_call":
        message = (
            "A computer call of this conversation was withheld, and its result would have to be a screenshot. "
            "Send the whole conversation without what the provider keeps of it."
        )
        raise GatewayError("refused", "cannot_continue", message, param="previous_response_id")
    told = {"type": f"{owed.type}_output", "call_id": owed.call_id}
    match owed.type:
        case "shell_call":
            outcome = {"type": "exit", "exit_code": 1}
            return {**told, "output": [{"stdout": "", "stderr": owed.text, "outcome": outcome}]}
        case "apply_patch_call":
            return {**told, "status": "failed", "output": owed.text}
        case "local_shell_call":
            return {"type": "local_shell_call_output", "id": owed.call_id, "output": owed.text}
        case "tool_search_call":
            return {"type": "tool_search_output", "call_id": owed.call_id, "execution": "client", "status": "completed", "tools": []}
        case "custom_tool_call":
            return {**told, "output": owed.text}
    return {"type": "function_call_output", "call_id": owed.call_id, "output": owed.text}
