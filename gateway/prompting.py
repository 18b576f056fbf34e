"""Puts a kept prompt into a request that names one. From here on there is only the rendered request: policies judge it, the provider gets
it, the book keeps it.

A prompt is for a conversation: named in the body of another request it is an error; a header, which a client sets once for all that it
asks, is passed over there.
"""

from __future__ import annotations

from typing import Any

from gateway import strict_json
from gateway.errors import GatewayError
from gateway.exchange import Finding, Instruction, Json, Operation, Rendered, Request
from gateway.prompt.fingerprint import Fingerprint
from gateway.prompt.pins import differences
from gateway.prompt.reference import FIELD, VARIABLES, Reference, in_body, in_header, mentioned, of_header
from gateway.visit import Visit


def prompted(visit: Visit, operation: Operation, body: bytes) -> bytes:
    """The body as the rest of the way sees it. Raises GatewayError."""
    field = mentioned(body)
    header = in_header(visit.incoming.headers) if operation == "chat" else None
    if field is None and header is None:
        return body
    if operation != "chat":
        raise _bad("A prompt can be named where a model is asked for an answer, not here. Leave `prompt` out.")
    tree = _json(body, "body", exact=False)
    if not isinstance(tree, dict):  # whoever reads the request says so
        return body
    if header is not None and tree.get(FIELD) is not None:
        raise _bad("The request names a prompt in a header and has a `prompt` in its body. Send one of them.")
    if header is not None:
        return _filled(visit, of_header(header, _json(_variables(visit), VARIABLES)), body)
    return _filled(visit, in_body(_json(field or b"", FIELD)), body)


def compare(visit: Visit, request: Request, found: Fingerprint) -> None:
    """What is not as the agent was approved is a finding; raises GatewayError where that is to be refused."""
    x = visit.x
    pinned = visit.gateway.prompts.pins.agents.get(x.caller.agent)
    others = list(differences(pinned, request, found, kept=x.rendered is not None)) if pinned is not None else []
    if pinned is None or not others:
        return
    denied = pinned.on_change == "deny"
    for each in others:
        x.findings.append(
            Finding("pins", each.code, "error" if denied else "warn", each.path, each.said, "refused" if denied else "none")
        )
    if denied:
        message = (
            f"This request is not as the agent '{x.caller.agent}' was approved, so it was not sent ({others[0].path}: {others[0].said}). "
            "Send what was approved, or have the change approved where prompts are kept (pins.yaml)."
        )
        raise GatewayError("refused", "not_as_approved", message, param=others[0].path)


def _filled(visit: Visit, reference: Reference, body: bytes) -> bytes:
    kept = visit.gateway.prompts.find(reference.named)
    values = kept.values(reference.variables)
    text = kept.text(values)
    filled = visit.incoming.dialect.prompted(body, Instruction(text, kept.head.model, kept.head.parameters.said()))
    visit.x.rendered = Rendered(kept.name, kept.version, reference.named.label, values)
    return filled


def _variables(visit: Visit) -> bytes:
    """Header values are bytes; JSON in them is UTF-8."""
    return visit.incoming.named.get(VARIABLES, "{}").encode("latin-1")


def _json(text: bytes, place: str, *, exact: bool = True) -> Any:
    try:
        found: Json = strict_json.parse(text, depth=128, exact_numbers=exact)
    except strict_json.Ambiguous as ambiguous:
        message = f"The {place} is not JSON with one meaning: {ambiguous.detail}. Send one UTF-8 JSON object, each key once."
        raise GatewayError("bad_request", "invalid_json", message) from None
    return found


def _bad(message: str) -> GatewayError:
    return GatewayError("bad_request", "invalid_prompt", message, param="prompt")
