"""Puts a kept prompt into a request that names one. From here on there is only the rendered request: policies judge it, the provider gets
it, the book keeps it.

A prompt is for a conversation: named in the body of another request it is an error; a header, which a client sets once for all that it
asks, is passed over there.
"""

from __future__ import annotations

import hashlib
from typing import Any

from gateway.dialects import strict_json
from gateway.errors import GatewayError
from gateway.exchange import Instruction, Json, Operation, Rendered
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


def _filled(visit: Visit, reference: Reference, body: bytes) -> bytes:
    kept = visit.gateway.prompts.find(reference.named)
    values = kept.values(reference.variables)
    text = kept.text(values)
    filled = visit.incoming.dialect.prompted(body, Instruction(text, kept.head.model, kept.head.parameters.said()))
    digest = hashlib.sha256(text.encode()).hexdigest()
    visit.x.rendered = Rendered(kept.name, kept.version, reference.named.label, values, digest)
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
