"""Answers that bring no calls: names of models, numbers of tokens, vectors.

They pass the gate unjudged because there is nothing in them to judge, so it is proven of each that it is what its operation answers: JSON
of one meaning, in the expected shape, and nothing that an agent would take for a call.
"""

from __future__ import annotations

from gateway import strict_json
from gateway.answer import Answer, Usage
from gateway.errors import GatewayError
from gateway.request import Message, Request
from gateway.strict_json import Json

CARRIERS = frozenset({"choices", "content", "output", "candidates", "tool_calls", "function_call"})
"""Top-level keys of answers that can hold calls."""


def read(body: bytes, request: Request) -> Answer:
    """What such an answer says about itself. Raises GatewayError('upstream') for anything else."""
    tree = parse(body)
    if CARRIERS.intersection(tree):
        raise wrong(request, "it has the form of an answer with calls")
    match request.operation:
        case "count_tokens":
            return _counted(tree, request)
        case "embeddings":
            return _embedded(tree, request)
        case "models":
            return _listed(tree, request)
    raise wrong(request, "nothing here reads such an answer")


def models_request(dialect: str) -> Request:
    """GET …/models: nothing is said, nothing need be judged."""
    return Request(dialect, "", stream=False, messages=(), tools=(), body=b"", operation="models")


def said(raw: bytes, value: Json) -> Message:
    """What is embedded, as the record keeps it; token numbers have no text."""
    texts = [value] if isinstance(value, str) else [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
    return Message("user", raw, "\n".join(texts))


def parse(body: bytes) -> dict[str, Json]:
    """An answer's one JSON object. Raises GatewayError('upstream') when it has not exactly one meaning."""
    try:
        tree = strict_json.parse(body, exact_numbers=False)
    except strict_json.Ambiguous as ambiguous:
        message = f"The provider's answer is not JSON with one meaning: {ambiguous.detail}."
        raise GatewayError("upstream", "upstream_shape", message) from None
    if not isinstance(tree, dict):
        raise GatewayError("upstream", "upstream_shape", "The provider's answer is not a JSON object.")
    return tree


def _counted(tree: dict[str, Json], request: Request) -> Answer:
    if type(tree.get("input_tokens")) is not int:
        raise wrong(request, "`input_tokens` is not a whole number")
    return Answer(model=request.model)


def _embedded(tree: dict[str, Json], request: Request) -> Answer:
    if not isinstance(tree.get("data"), list):
        raise wrong(request, "`data` is not a list")
    usage, model = tree.get("usage"), tree.get("model")
    tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    counted = Usage(input=tokens, output=0) if type(tokens) is int and tokens >= 0 else None
    return Answer(model=model if isinstance(model, str) else None, usage=counted)


def _listed(tree: dict[str, Json], request: Request) -> Answer:
    names = tree.get("data")
    if not isinstance(names, list) or not all(isinstance(each, dict) and isinstance(each.get("id"), str) for each in names):
        raise wrong(request, "`data` is not a list of models")
    return Answer()


def wrong(request: Request, why: str) -> GatewayError:
    """The refusal of an answer that is not what its operation answers."""
    message = f"The provider's answer is not what '{request.operation}' answers: {why}."
    return GatewayError("upstream", "upstream_shape", message)
