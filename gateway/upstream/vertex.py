"""Google Vertex AI: Anthropic's models (rawPredict) and Google's, under the project that pays.

1. Proof is an access token, which google-auth gets for a service account, or for what it finds where the settings say
   `credentials: machine`. It is good for an hour and fetched again shortly before it ends (`machine`).
2. Anthropic's body goes without its model, which stands in the path, and with Vertex's version; Google's goes as it is.

Not here: other makers' models, an API key instead of a service account.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import quote

import httpx

from gateway import strict_json
from gateway.errors import StartError
from gateway.platform_settings import Vertex as Settings
from gateway.upstream.client import ProviderAnswer
from gateway.upstream.machine import Held, State
from gateway.upstream.post import Asked, Changes, Post, named

CLOUD: Final = "Google Vertex AI"
VERSION: Final = "vertex-2023-10-16"
SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_S: Final = 10.0
OF_ACCOUNT: Final = "No access token of Google Vertex AI was to be had. Look at the service account and its key"
OF_MACHINE: Final = (
    "No access token of Google Vertex AI was to be had by credentials of the gateway's machine. Give it a service account, a workload "
    "identity or GOOGLE_APPLICATION_CREDENTIALS (deploy/README.md, Credentials of the machine), or the upstream a key"
)
Request = Callable[..., Any]
_STATES: Final[dict[str, State]] = {"FRESH": "good", "STALE": "ending", "INVALID": "ended"}
_ACCOUNT: Final = ("client_email", "private_key", "token_uri")


class Vertex:
    provider = "gcp.vertex_ai"

    def __init__(self, settings: Settings, base_url: str, key: str | None) -> None:
        self._place = f"{base_url}/v1/projects/{quote(settings.project, safe='')}/locations/{settings.location}/publishers"
        self._token = Held(on_machine(), OF_MACHINE) if key is None else Held(_of_account(_account(key)), OF_ACCOUNT)

    async def post(self, asked: Asked) -> Post:
        url, body = self._anthropic(asked) if asked.dialect == "anthropic.messages" else self._gemini(asked)
        headers = {name: value for name, value in asked.headers.items() if name not in ("x-api-key", "x-goog-api-key")}
        token = await self._token.get()
        return Post(url, headers | {"authorization": f"Bearer {token}"}, body, (token,))

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


class Tokens:
    """Access tokens for what `credentials` gives."""

    def __init__(self, credentials: Callable[[Request], Any]) -> None:
        self._credentials = credentials
        self._found: Any = None

    def state(self) -> State:
        """google-auth has them renewed some minutes before they end."""
        return "ended" if self._found is None else _STATES[self._found.token_state.name]

    def find(self) -> str:
        with httpx.Client(trust_env=False, timeout=TOKEN_S) as client:
            request = _request(client)
            if self._found is None:
                self._found = self._credentials(request)
            self._found.refresh(request)
        return str(self._found.token)


def on_machine() -> Tokens:
    """By application default credentials: GOOGLE_APPLICATION_CREDENTIALS, gcloud's, the metadata server. Raises StartError without the
    library."""
    _installed()

    def credentials(request: Request) -> Any:
        """Without a scope at first: with one google-auth would ask elsewhere for a name of the project, which the settings say."""
        found, _ = importlib.import_module("google.auth").default(request=request)
        return importlib.import_module("google.auth.credentials").with_scopes_if_required(found, [SCOPE])

    return Tokens(credentials)


def _of_account(account: dict[str, Any]) -> Tokens:
    library = "google.oauth2.service_account"
    return Tokens(lambda _: importlib.import_module(library).Credentials.from_service_account_info(account, scopes=[SCOPE]))


def _request(client: httpx.Client) -> Request:
    """google-auth's way to ask, over the one HTTP library for such things here."""

    def asked(url: str, method: str = "GET", body: Any = None, headers: Any = None, timeout: float | None = None, **_: object) -> Any:
        try:
            answer = client.request(method, url, content=body, headers=headers, timeout=min(timeout or TOKEN_S, TOKEN_S))
        except httpx.HTTPError as error:
            raise importlib.import_module("google.auth.exceptions").TransportError(type(error).__name__) from error
        return SimpleNamespace(status=answer.status_code, headers=answer.headers, data=answer.content)

    return asked


def _account(key: str) -> dict[str, Any]:
    try:
        tree = strict_json.parse(key.encode())
    except strict_json.Ambiguous:
        tree = None
    if not isinstance(tree, dict) or any(not isinstance(tree.get(name), str) for name in _ACCOUNT):
        raise StartError(f"the key of a Vertex upstream must be a service account's JSON, with {', '.join(_ACCOUNT)}")
    _installed()
    return tree


def _installed() -> None:
    if importlib.util.find_spec("google") is None or importlib.util.find_spec("google.oauth2") is None:
        raise StartError("asking Google Vertex AI needs google-auth; run: pip install 'tollhouse[vertex]'")
