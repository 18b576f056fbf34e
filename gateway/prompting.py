"""Puts a kept prompt into a request that names one. From here on there is only the rendered request: policies judge it, the provider gets
it, the book keeps it.

A prompt is for a conversation: named in the body of another request it is an error; a header, which a client sets once for all that it
asks, is passed over there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from gateway import identify, strict_json
from gateway.errors import GatewayError
from gateway.exchange import Rendered
from gateway.prompt.fingerprint import Fingerprint
from gateway.prompt.kept import Kept
from gateway.prompt.library import Named
from gateway.prompt.pins import differences
from gateway.prompt.reference import FIELD, HEADER, VARIABLES, Reference, in_body, in_header, mentioned, of_header
from gateway.prompt.trial import Arm, Trial
from gateway.request import Instruction, Operation, Request
from gateway.strict_json import Json
from gateway.verdict import Finding
from gateway.visit import Visit

Reader = Callable[[bytes], Request]
"""Reads a body of this exchange."""


def prompted(visit: Visit, operation: Operation, body: bytes, reader: Reader) -> bytes:
    """The body as the rest of the way sees it. Raises GatewayError."""
    field = mentioned(body)
    named = visit.incoming.named
    header = in_header(visit.incoming.headers) if operation == "chat" and (HEADER in named or VARIABLES in named) else None
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
        return _filled(visit, of_header(header, _json(_variables(visit), VARIABLES)), body, reader)
    return _filled(visit, in_body(_json(field or b"", FIELD)), body, reader)


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


def _filled(visit: Visit, reference: Reference, body: bytes, reader: Reader) -> bytes:
    named = reference.named
    trial = _trial(visit, named)
    arm = None if trial is None else trial.arm(_unit(visit, trial, reference, body, reader))
    kept = visit.gateway.prompts.find(named) if arm is None else arm.kept
    values, said = _said(kept, reference)
    x = visit.x
    x.rendered = Rendered(kept.name, kept.version, named.label, values)
    if trial is None or arm is None:
        return visit.incoming.dialect.prompted(body, said)
    x.rendered = msgspec.structs.replace(x.rendered, experiment=trial.name, arm=arm.name, edition=trial.edition)
    return visit.incoming.dialect.prompted(body, _insisting(said, arm))


def _said(kept: Kept, reference: Reference) -> tuple[dict[str, Json], Instruction]:
    """The values of all variables, and the prompt filled with them."""
    values = kept.values(reference.variables)
    return values, Instruction(kept.text(values), kept.head.model, kept.head.parameters.said())


def _insisting(said: Instruction, arm: Arm) -> Instruction:
    over = {*arm.parameters, *(["model"] if arm.model else [])}
    return Instruction(said.text, arm.model or said.model, {**said.parameters, **arm.parameters}, frozenset(over))


def _trial(visit: Visit, named: Named) -> Trial | None:
    """The experiment that the request takes part in. Where the path names the model, an arm cannot."""
    found = visit.gateway.prompts.trial(named)
    if found is None or not found.begun(visit.x.started_us):
        return None
    in_path = visit.incoming.endpoint is not None and bool(visit.incoming.endpoint.subject)
    return None if in_path and found.names_models else found


def _unit(visit: Visit, trial: Trial, reference: Reference, body: bytes, reader: Reader) -> str:
    """Whose session it is. One that nobody names is worked out from what the request would be with the control: the same at every turn,
    whatever its arm says."""
    named, caller = visit.incoming.named, visit.x.caller
    session, _ = identify.session(named, None, caller.key_id)
    if not session:
        _, said = _said(trial.control.kept, reference)
        request = reader(visit.incoming.dialect.prompted(body, said))
        session, _ = identify.session(named, request, caller.key_id)
    return json.dumps([identify.owner(caller), session])


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
