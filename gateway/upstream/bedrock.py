"""Amazon Bedrock: Anthropic's models through InvokeModel, which takes Anthropic's own body, and all models through Converse, into which
Chat Completions are translated.

1. Signed with Signature Version 4 by botocore, over exactly the bytes that are sent. A key without a colon is a Bedrock API key and travels
   as a bearer token. Only where the settings say `credentials: machine` botocore looks for credentials (`machine`).
2. A stream is framed by Amazon (`application/vnd.amazon.eventstream`), each frame with its checksums. An event in it is Anthropic's, as
   base64, or Converse's, which is passed on as one of Server-Sent Events: `{its name: what it says}`. What does not add up, and a frame
   that does not end, ends the answer.
3. Refusals get Anthropic's form, which translations read too.

Not here: what Converse's words mean (`converse`, `litellm_adapter`); counting tokens; batches.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import importlib
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from gateway import strict_json
from gateway.dialects import sse
from gateway.errors import GatewayError, StartError
from gateway.platform_settings import CONVERSE
from gateway.platform_settings import Bedrock as Settings
from gateway.upstream.client import ProviderAnswer
from gateway.upstream.machine import Held, State
from gateway.upstream.post import Asked, Changes, Post, named

CLOUD: Final = "Amazon Bedrock"
NONE: Final = (
    "No credentials for Amazon Bedrock were found on the machine of the gateway. Give it a role, a profile or a web identity "
    "(deploy/README.md, Credentials of the machine), or the upstream a key"
)
VERSION: Final = "bedrock-2023-05-31"
EVENTS: Final = "application/vnd.amazon.eventstream"
METRICS: Final = "amazon-bedrock-invocationMetrics"
"""What Amazon adds to Anthropic's last event: times and counts that stand elsewhere."""
_LIBRARIES: Final = ("botocore.auth", "botocore.awsrequest", "botocore.credentials", "botocore.eventstream")
_ERRORS: Final = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error", 408: "timeout_error",
    413: "request_too_large", 424: "api_error", 429: "rate_limit_error", 503: "overloaded_error", 529: "overloaded_error",
}  # fmt: skip
_EXCEPTIONS: Final = {
    "throttlingException": "rate_limit_error", "validationException": "invalid_request_error", "modelTimeoutException": "timeout_error",
    "serviceUnavailableException": "overloaded_error",
}  # fmt: skip


class Bedrock:
    provider = "aws.bedrock"

    def __init__(self, settings: Settings, base_url: str, key: str | None) -> None:
        self._region, self._base_url = settings.region, base_url
        self._machine = Held(OnMachine(), NONE) if key is None else None
        self._parts = () if key is None else _parts(key)

    async def post(self, asked: Asked) -> Post:
        verb, body = (asked.path, asked.body) if asked.dialect == CONVERSE else self._invoked(asked)
        url = f"{self._base_url}/model/{quote(named(asked.model, CLOUD), safe='')}{verb}"
        headers = {"content-type": "application/json", "accept": EVENTS if asked.stream else "application/json"}
        await _loaded()
        parts = self._parts if self._machine is None else await self._machine.get()
        proofs = () if self._machine is None else parts[1:]
        return Post(url, headers | self._proof(parts, url, body), body, proofs)

    def opened(self, answer: ProviderAnswer, dialect: str) -> ProviderAnswer:
        return BedrockAnswer(answer, _converse_event if dialect == CONVERSE else _event)

    def _invoked(self, asked: Asked) -> tuple[str, bytes]:
        if asked.dialect != "anthropic.messages" or asked.method != "POST" or asked.path.partition("?")[0] != "/messages":
            raise asked.refusal(CLOUD)
        betas = [word.strip() for word in asked.headers.get("anthropic-beta", "").split(",") if word.strip()]
        given = {"anthropic_version": VERSION} | ({"anthropic_beta": betas} if betas else {})
        return "/invoke-with-response-stream" if asked.stream else "/invoke", Changes(("model", "stream"), given).of(asked.body)

    def _proof(self, parts: tuple[str, ...], url: str, body: bytes) -> dict[str, str]:
        if len(parts) == 1:
            return {"authorization": f"Bearer {parts[0]}"}
        auth, requests, credentials, _ = (sys.modules[name] for name in _LIBRARIES)
        request = requests.AWSRequest("POST", url, data=body, headers={"content-type": "application/json"})
        auth.SigV4Auth(credentials.Credentials(*parts), "bedrock", self._region).add_auth(request)
        return {name.lower(): value for name, value in request.headers.items()}


class OnMachine:
    """Where botocore looks, in its order: environment, profile and what it names, container, instance. Access key id, secret, and token
    where it is one of a session."""

    def __init__(self) -> None:
        self._found: Any = None

    def state(self) -> State:
        """Only what is good for a while can be renewed; botocore does so a quarter of an hour before it ends."""
        needed = getattr(self._found, "refresh_needed", None)
        if needed is None:
            return "good"
        return "ended" if needed(0) else "ending" if needed() else "good"

    def find(self) -> tuple[str, ...]:
        if self._found is None:
            self._found = importlib.import_module("botocore.session").Session().get_credentials()
        if self._found is None:
            raise LookupError("none")
        found = self._found.get_frozen_credentials()
        return tuple(part for part in (found.access_key, found.secret_key, found.token) if part)


def _parts(key: str) -> tuple[str, ...]:
    parts = key.split(":")
    if not all(parts) or len(parts) > 3 or not key.isascii() or any(character.isspace() for character in key):
        raise StartError("the key of a Bedrock upstream must be ACCESS_KEY_ID:SECRET, or with :SESSION_TOKEN behind it, or an API key")
    return tuple(parts)


_whole: Final[set[str]] = set()
"""Libraries that are loaded to their end: what another thread is still loading is among the modules already."""


async def _loaded() -> None:
    """Some 100 ms, the first time."""
    for name in _LIBRARIES:
        if name not in _whole:
            await asyncio.to_thread(importlib.import_module, name)
            _whole.add(name)


class BedrockAnswer:
    """Without Amazon's framing. Same face as `client.UpstreamAnswer`."""

    def __init__(self, answer: ProviderAnswer, event: Callable[[Mapping[str, Any], bytes], bytes]) -> None:
        """`event` says a frame as an event that is read here."""
        self._answer, self.status, self.headers, self._event = answer, answer.status, dict(answer.headers), event
        if "x-amzn-requestid" in self.headers:
            self.headers.setdefault("request-id", self.headers["x-amzn-requestid"])

    @property
    def media_type(self) -> str:
        said = self._answer.media_type
        return "application/json" if self.status >= 400 else "text/event-stream" if said == EVENTS else said

    @property
    def charset(self) -> str | None:
        return self._answer.charset

    async def read(self, limit: int) -> bytes:
        body = await self._answer.read(limit)
        return body if self.status < 400 else _refusal(_ERRORS.get(self.status, "api_error"), body)

    async def chunks(self) -> AsyncIterator[bytes]:
        if self._answer.media_type != EVENTS:
            async for piece in self._answer.chunks():
                yield piece
            return
        library = sys.modules["botocore.eventstream"]
        buffer, unread = library.EventStreamBuffer(), 0
        async for piece in self._answer.chunks():
            buffer.add_data(piece)
            unread += len(piece)
            try:
                frames = list(buffer)
                said = b"".join(self._event(frame.headers, frame.payload) for frame in frames)
            except (library.ParserError, binascii.Error, ValueError, KeyError, TypeError) as error:
                message = f"{CLOUD}'s stream could not be read ({type(error).__name__}), so nothing more of it was passed on."
                raise GatewayError("upstream", "protocol", message) from error
            unread -= sum(frame.prelude.total_length for frame in frames)
            if said:
                yield said
        if unread:
            raise GatewayError("upstream", "upstream_reset", f"{CLOUD}'s stream broke off inside a frame.")


def _event(headers: Mapping[str, Any], payload: bytes) -> bytes:
    """A frame as Anthropic would have sent its event; nothing of frames that hold none."""
    if headers.get(":message-type") != "event":
        return _exception(headers, payload)
    if headers.get(":event-type") != "chunk":
        return b""
    data = base64.b64decode(strict_json.parse(payload)["bytes"], validate=True)
    tree = strict_json.parse(data)
    if METRICS in tree:
        data = Changes((METRICS,)).of(data)
    return sse.frame(strict_json.one_line(data), str(tree["type"]))


def _converse_event(headers: Mapping[str, Any], payload: bytes) -> bytes:
    """A frame of Converse."""
    if headers.get(":message-type") != "event":
        return _exception(headers, payload)
    return sse.frame(msgspec.json.encode({str(headers[":event-type"]): msgspec.Raw(strict_json.one_line(payload))}))


def _exception(headers: Mapping[str, Any], payload: bytes) -> bytes:
    name = str(headers.get(":exception-type") or headers.get(":error-code") or "")
    words = payload or msgspec.json.encode({"message": str(headers.get(":error-message", ""))})
    return sse.frame(_refusal(_EXCEPTIONS.get(name, "api_error"), words), "error")


def _refusal(kind: str, body: bytes) -> bytes:
    """Anthropic's form, around Amazon's words."""
    try:
        tree = strict_json.parse(body)
    except strict_json.Ambiguous:
        tree = None
    words = tree.get("message") or tree.get("Message") if isinstance(tree, dict) else None
    said = words if isinstance(words, str) and words else f"{CLOUD} refused without readable words."
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": said}})
