"""Signing in by an issuer in a browser: OpenID Connect's authorization code with PKCE (OpenID Connect Core 1.0, 3.1; RFC 7636; RFC 9700).

1. A browser is sent to the issuer with a fresh `state`, `nonce` and challenge. What they were goes with the browser in a cookie, signed
   with a key of the installation, so that any gateway which shares the secret can go on; it is good for ten minutes.
2. What comes back must have the cookie's `state`, and the issuer's name where it says one (RFC 9207). The code is exchanged at the URL of
   the settings, with the verifier, from here: nothing that came by the browser proves anybody.
3. The ID token is checked as every other token of the issuer (`passes`), for this client, and must have the cookie's `nonce`.

Two requests and one token, whose signature and claims PyJWT checks: there is no client library between. Not here: cookies and pages
(`gateway.face.by_issuer`), user-info requests, refresh tokens, signing out at the issuer.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from gateway.errors import GatewayError
from gateway.people.issuers import BrowserSignIn, Issuer
from gateway.people.known import Known, person_of
from gateway.people.passes import Passes, who
from gateway.people.reaching import Got, post

FLOW_US = 600 * 1_000_000
_ERRORS = frozenset({"access_denied", "login_required", "interaction_required", "consent_required", "temporarily_unavailable"})
"""What an issuer may say that is the person's or the issuer's affair; anything else is the settings'."""


class Flow(Struct, frozen=True):
    """What a browser that was sent away brings back in its cookie."""

    issuer: str
    state: str
    nonce: str
    verifier: str
    onward: str
    """The page that was wanted."""
    until_us: int


class CodeFlow:
    """Of one issuer. `back` is the address that the issuer sends browsers to; `key` signs cookies."""

    def __init__(self, issuer: Issuer, secret: str | None, key: bytes, send: Callable[..., Got] = post) -> None:
        if issuer.sign_in is None or issuer.people is None:
            raise ValueError(f"the issuer {issuer.name} lets nobody sign in")
        self.issuer, self._how, self._people = issuer, issuer.sign_in, issuer.people
        self._secret, self._key, self._send = secret, key, send
        self._passes = Passes([issuer.model_copy(update={"audience": self._how.client})])

    def begin(self, onward: str, back: str, now_us: int) -> tuple[str, str]:
        """Where to send the browser, and the cookie to give it."""
        flow = Flow(self.issuer.name, _random(), _random(), _random(), onward, now_us + FLOW_US)
        challenge = _text(hashlib.sha256(flow.verifier.encode()).digest())
        asked = {
            "response_type": "code",
            "client_id": self._how.client,
            "redirect_uri": back,
            "scope": " ".join(self._how.scopes),
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        joint = "&" if urlsplit(self._how.authorize).query else "?"
        return f"{self._how.authorize}{joint}{urlencode(asked)}", self._signed(flow)

    def finish(self, cookie: str, said: Mapping[str, str], back: str, now_us: int) -> tuple[Known, str]:
        """Who has signed in, and the page that was wanted. `said` is the query of the address that the browser came back to. May block.
        Raises GatewayError."""
        flow = self._flow(cookie, now_us)
        if flow is None or not hmac.compare_digest(said.get("state", "").encode(), flow.state.encode()):
            raise _no("sign_in_over", "This sign-in was begun in another browser, or more than ten minutes ago. Begin it again.")
        if said.get("iss", self.issuer.issuer) != self.issuer.issuer:
            raise _no("sign_in_failed", "Another issuer has answered than was asked. Begin again; if it stays so, ask an administrator.")
        if "error" in said:
            raise self._refused(said["error"])
        claims = self._passes.claims(self._id_token(said.get("code", ""), flow, back))
        known = None if claims is None or not self._for_us(claims, flow) else who(self._people, claims)
        if claims is None or known is None or person_of(self._people, known) is None:
            raise self._nobody(known)
        return known, flow.onward

    def _id_token(self, code: str, flow: Flow, back: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": back,
            "client_id": self._how.client,
            "code_verifier": flow.verifier,
        }
        try:
            got = self._send(self._how.token, *_proving(self._how, self._secret, form))
        except OSError as error:
            message = f"The issuer '{self.issuer.name}' cannot be asked just now ({error}). Try again shortly."
            raise GatewayError("unavailable", "issuer_unavailable", message, retry_after=10) from error
        told = _read(got.body)
        token = told.get("id_token")
        if got.status != 200 or not isinstance(token, str):
            raise self._refused(str(told.get("error", f"status {got.status} without an ID token")))
        return token

    def _for_us(self, claims: Mapping[str, Any], flow: Flow) -> bool:
        """Asked for by this browser just now, and for this client alone."""
        nonce, audience = claims.get("nonce"), claims["aud"]
        several = isinstance(audience, list) and len(audience) > 1
        party = claims.get("azp", None if several else self._how.client)
        return isinstance(nonce, str) and hmac.compare_digest(nonce.encode(), flow.nonce.encode()) and party == self._how.client

    def _refused(self, error: str) -> GatewayError:
        if error in _ERRORS:
            return _no("sign_in_refused", f"The issuer '{self.issuer.name}' did not let you in ({error}). Begin again, or ask who runs it.")
        message = f"The issuer '{self.issuer.name}' refused this gateway ({error[:80]}). Have an administrator look at its 'sign_in'."
        return _no("sign_in_failed", message)

    def _nobody(self, known: Known | None) -> GatewayError:
        if known is None:
            message = f"What the issuer '{self.issuer.name}' signed proves nobody. Have an administrator look at its 'people' and 'client'."
            return _no("sign_in_failed", message)
        return _no("no_role", f"You are '{known.name}', and none of your groups has a role here. Ask an administrator for one.")

    def _signed(self, flow: Flow) -> str:
        body = msgspec.json.encode(flow)
        return f"{_text(body)}.{_text(self._mark(body))}"

    def _flow(self, cookie: str, now_us: int) -> Flow | None:
        try:
            body, mark = (urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in cookie.split("."))
        except ValueError:
            return None
        if not hmac.compare_digest(mark, self._mark(body)):
            return None
        flow = msgspec.json.decode(body, type=Flow)
        return flow if flow.issuer == self.issuer.name and now_us < flow.until_us else None

    def _mark(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, hashlib.sha256)


def _proving(how: BrowserSignIn, secret: str | None, form: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Form and headers with what proves the client (RFC 6749, 2.3.1)."""
    if secret is None:
        return form, {}
    if how.secret_in == "form":  # noqa: S105 - a place, not a secret
        return {**form, "client_secret": secret}, {}
    both = f"{quote(how.client, safe='')}:{quote(secret, safe='')}"
    return form, {"authorization": f"Basic {b64encode(both.encode()).decode()}"}


def _read(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _random() -> str:
    return secrets.token_urlsafe(32)


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _no(code: str, message: str) -> GatewayError:
    return GatewayError("authentication", code, message)
