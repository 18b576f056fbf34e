"""Google Vertex AI: Anthropic's models (rawPredict) and Google's, under the project that pays.

1. Proof is an access token, which google-auth gets for a service account and which is good for an hour. It is fetched in a thread, by one
   request for all that wait, and again shortly before it ends.
2. Anthropic's body goes without its model, which stands in the path, and with Vertex's version; Google's goes as it is.

Not here: other makers' models, credentials of the machine (metadata server, workload identity), an API key instead of a service account.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import quote

import httpx

from gateway import strict_json
from gateway.errors import GatewayError, StartError
from gateway.platform_settings import Vertex as Settings
from gateway.upstream.client import ProviderAnswer
from gateway.upstream.post import Asked, Changes, Post, named

CLOUD: Final = "Google Vertex AI"
VERSION: Final = "vertex-2023-10-16"
SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_S: Final = 10.0
_ACCOUNT: Final = ("client_email", "private_key", "token_uri")


class Vertex:
    provider = "gcp.vertex_ai"

    def __init__(self, settings: Settings, base_url: str, key: str) -> None:
        self._place = f"{base_url}/v1/projects/{quote(settings.project, safe='')}/locations/{settings.location}/publishers"
        self._account = _account(key)
        self._credentials: Any = None
        self._refreshing = asyncio.Lock()

    async def post(self, asked: Asked) -> Post:
        url, body = self._anthropic(asked) if asked.dialect == "anthropic.messages" else self._gemini(asked)
        headers = {name: value for name, value in asked.headers.items() if name not in ("x-api-key", "x-goog-api-key")}
        token = await self._token()
        return Post(url, headers | {"authorization": f"Bearer {token}"}, body, proof=token)

    def opened(self, answer: ProviderAnswer, dialect: str) -> ProviderAnswer:
        return answer

    def _anthropic(self, asked: Asked) -> tuple[str, bytes]:
        path = asked.path.partition("?")[0]
        if asked.method == "POST" and path == "/messages/count_tokens":
            return f"{self._place}/anthropic/models/count-tokens:rawPredict", Changes(given={"anthropic_version": VERSION}).of(asked.body)
        if asked.method != "POST" or path != "/messages":
            raise asked.refusal(CLOUD)
        verb = "streamRawPredict" if asked.stream else "rawPredict"
        url = f"{self._place}/anthropic/models/{quote(named(asked.model, CLOUD), safe='@')}:{verb}"
        return url, Changes(("model",), {"anthropic_version": VERSION}).of(asked.body)

    def _gemini(self, asked: Asked) -> tuple[str, bytes]:
        path, _, query = asked.path.partition("?")
        verb = path.rpartition(":")[2]
        if asked.method != "POST" or verb not in ("generateContent", "streamGenerateContent", "countTokens"):
            raise asked.refusal(CLOUD)
        model = named(asked.model.removeprefix("models/"), CLOUD)
        url = f"{self._place}/google/models/{quote(model, safe='')}:{verb}"
        return f"{url}?{query}" if query else url, asked.body

    async def _token(self) -> str:
        async with self._refreshing:
            if self._credentials is None or not self._credentials.valid:
                try:
                    await asyncio.to_thread(self._refresh)
                except Exception as error:
                    if type(error).__module__.partition(".")[0] not in ("google", "httpx"):
                        raise
                    message = f"No access token of {CLOUD} was to be had ({type(error).__name__}). Look at the service account and its key."
                    raise GatewayError("upstream", "upstream_auth", message) from error
        return str(self._credentials.token)

    def _refresh(self) -> None:
        library = importlib.import_module("google.oauth2.service_account")
        if self._credentials is None:
            self._credentials = library.Credentials.from_service_account_info(self._account, scopes=[SCOPE])
        with httpx.Client(trust_env=False, timeout=TOKEN_S) as client:
            self._credentials.refresh(lambda **asked: _fetched(client, **asked))


def _fetched(client: httpx.Client, url: str, method: str = "GET", body: bytes | None = None, headers: Any = None, **_: object) -> Any:
    """google-auth's way to ask, over the one HTTP library for such things here."""
    answer = client.request(method, url, content=body, headers=headers)
    return SimpleNamespace(status=answer.status_code, headers=answer.headers, data=answer.content)


def _account(key: str) -> dict[str, Any]:
    try:
        tree = strict_json.parse(key.encode())
    except strict_json.Ambiguous:
        tree = None
    if not isinstance(tree, dict) or any(not isinstance(tree.get(name), str) for name in _ACCOUNT):
        raise StartError(f"the key of a Vertex upstream must be a service account's JSON, with {', '.join(_ACCOUNT)}")
    if importlib.util.find_spec("google") is None or importlib.util.find_spec("google.oauth2") is None:
        raise StartError("asking Google Vertex AI needs google-auth; run: pip install 'tollhouse[vertex]'")
    return tree
