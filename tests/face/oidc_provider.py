"""An OpenID provider for tests, a process of its own: `python oidc_provider.py` prints its address, then answers until it is ended.

It has a login page with a form, an authorization endpoint that remembers what was asked, a token endpoint that holds a client to all of it
(PKCE, client's secret, redirect address, one use of a code), and its keys. `/twist` makes its next ID token or answer a wrong one.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import secrets
import time
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

CLIENT, SECRET = "pages of tollhouse", "s:e%c/r+et"
KEY, ANOTHER = rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 2048)
PEOPLE = {"ada": ["ops"], "eve": ["readers"], "nobody": [], "root": ["ops"]}
FORM = '<form method="post" action="/authorize?{}"><input name="user" aria-label="user"><button>In</button></form>'
LOGIN = '<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>Issuer</title>' + FORM + "</html>"


class Handler(http.server.BaseHTTPRequestHandler):
    codes: ClassVar[dict[str, dict[str, str]]] = {}
    twist: ClassVar[dict[str, Any]] = {}

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, dict(parse_qsl(urlsplit(self.path).query))
        if path == "/jwks":
            jwk = RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
            self.say(200, {"keys": [{**jwk, "kid": "one", "use": "sig", "alg": "RS256"}]})
        elif path == "/twist":
            type(self).twist = json.loads(query["as"])
            self.say(200, {})
        elif path == "/authorize":
            self.send(200, LOGIN.format(urlencode(query).replace("&", "&amp;")).encode(), "text/html")
        else:
            self.say(404, {})

    def do_POST(self) -> None:
        form = dict(parse_qsl(self.rfile.read(int(self.headers["content-length"])).decode()))
        if urlsplit(self.path).path == "/authorize":
            self.authorize(dict(parse_qsl(urlsplit(self.path).query)), form["user"])
        else:
            self.token(form)

    def authorize(self, query: dict[str, str], user: str) -> None:
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT
        assert query["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self.codes[code] = {**query, "user": user}
        back = {"code": code, "state": query["state"], "iss": self.issuer}
        self.send_response(303)
        self.send_header("location", f"{query['redirect_uri']}?{urlencode({**back, **self.twist.get('back', {})})}")
        self.end_headers()

    def token(self, form: dict[str, str]) -> None:
        asked = self.codes.pop(form.get("code", ""), None)
        scheme, _, sent = self.headers.get("authorization", "").partition(" ")
        known = [unquote(part) for part in base64.b64decode(sent).decode().split(":")] if scheme == "Basic" else []
        if known != [CLIENT, SECRET]:
            return self.say(401, {"error": "invalid_client"})
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if asked is None or asked["redirect_uri"] != form["redirect_uri"] or asked["code_challenge"] != challenge:
            return self.say(400, {"error": "invalid_grant"})
        if "answer" in self.twist:
            return self.say(*self.twist["answer"])
        return self.say(200, {"access_token": "opaque", "token_type": "Bearer", "id_token": self.id_token(asked)})

    def id_token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": CLIENT, "sub": f"id of {asked['user']}", "iat": now, "exp": now + 300, "nonce": asked["nonce"],
            "preferred_username": asked["user"], "groups": PEOPLE.get(asked["user"], []), **self.twist.get("claims", {}),
        }  # fmt: skip
        key = ANOTHER if self.twist.get("key") else KEY
        return jwt.encode({name: value for name, value in claims.items() if value is not None}, key, "RS256", {"kid": "one"})

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def say(self, status: int, value: object) -> None:
        self.send(status, json.dumps(value).encode(), "application/json")

    def send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
