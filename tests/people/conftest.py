"""An issuer: a server of its own that serves public keys, and signs what a test wants."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gateway.people.issuers import Issuer

PRIVATE = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "another": rsa.generate_private_key(65537, 2048),
    "short": rsa.generate_private_key(65537, 1024),
}
_AS_JWK = {"RS256": RSAAlgorithm, "another": RSAAlgorithm, "short": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}


class Signer:
    """`answer` is what is served: (status, headers, body); what is asked is counted."""

    ISSUER, AUDIENCE = "https://login.example.org/", "tollhouse"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.publish(self.jwk("RS256"), self.jwk("ES256"), self.jwk("EdDSA"))
        signer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                signer.asked.append(self.path)
                status, headers, body = signer.answer
                self.send_response(status)
                for name, value in {"content-length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/jwks"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def jwk(self, which: str, kid: str | None = None, **more: Any) -> dict[str, Any]:
        return {**_AS_JWK[which].to_jwk(PRIVATE[which].public_key(), as_dict=True), "kid": kid or f"{which} key", **more}

    def publish(self, *keys: Any) -> None:
        self.answer: tuple[int, dict[str, str], bytes] = (200, {}, json.dumps({"keys": keys}).encode())

    def claims(self, **more: Any) -> dict[str, Any]:
        now = int(time.time())
        told = {"iss": self.ISSUER, "aud": self.AUDIENCE, "sub": "ada", "iat": now, "exp": now + 300, "azp": "client-1", "groups": ["ops"]}
        return {name: value for name, value in {**told, **more}.items() if value is not ...}

    def token(self, which: str = "RS256", head: dict[str, Any] | None = None, algorithm: str | None = None, **more: Any) -> str:
        head = {"kid": f"{which} key", **(head or {})}
        named = {name: value for name, value in head.items() if value is not ...}
        said = json.dumps(self.claims(**more)).encode()
        return jwt.PyJWS().encode(said, PRIVATE[which], algorithm or which, headers=named)

    def issuer(self, **more: Any) -> Issuer:
        agents = {"agent": "azp", "team": "team", "user": "sub"}
        people = {"groups": "groups", "roles": {"ops": ["admin"], "readers": ["viewer-metadata"], "deciders": ["approver"]}}
        return Issuer.model_validate(
            {"name": "corp", "issuer": self.ISSUER, "audience": self.AUDIENCE, "keys": self.url, "agents": agents, "people": people, **more}
        )

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def signer() -> Iterator[Signer]:
    signer = Signer()
    yield signer
    signer.close()


@pytest.fixture(scope="module")
def steady_signer() -> Iterator[Signer]:
    """One that nothing is changed of."""
    signer = Signer()
    yield signer
    signer.close()


@pytest.fixture(scope="session")
def private() -> dict[str, Any]:
    return PRIVATE
