"""Signed tokens (JWT) of issuers that the settings name: whom they prove.

1. A token is three parts in base64url, at most `MOST` characters. Its issuer is found by `iss`, its key by `kid` among that issuer's own;
   what its header says of keys elsewhere (`jku`, `jwk`, `x5u`) is not looked at.
2. The signature is checked by PyJWT under one of the algorithms of the settings. `exp`, `iat`, `iss`, `aud` and `sub` must be there; an
   extension that must be understood (`crit`) is not.
3. Claims mean what the settings say: what is not there, or is no text of one line, proves nobody.
4. A token is good until it ends: it cannot be revoked. Issuers keep them short; somebody who was put out there gets no new one.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jwt
from jwt.exceptions import PyJWTError

from gateway.people.issuers import AGENT, AgentClaims, Claim, Issuer, PeopleClaims
from gateway.people.key_sets import KeySet
from gateway.people.known import Known, person_of
from gateway.people.names import RESERVED
from gateway.people.roles import Person

MOST = 16 * 1024
HELD_S = 30.0
MOST_HELD = 4096
NEEDED = ("exp", "iat", "iss", "aud", "sub")
_FORM = re.compile(r"[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{16,}")
_TYPES = frozenset({None, "JWT", "jwt", "at+jwt", "application/at+jwt"})
_PERSON = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+:|-]{0,99}")


class Agent(NamedTuple):
    """What a token proves of an agent."""

    key_id: str
    agent: str
    team: str | None
    user: str | None
    org: str | None


class _Proven(NamedTuple):
    claims: Mapping[str, Any]
    issuer: Issuer
    until: float
    generation: int


def looks_like_one(token: str) -> bool:
    return len(token) <= MOST and _FORM.fullmatch(token) is not None


def _one_spelling(token: str) -> bool:
    """Bits of the last characters that mean nothing are zero: a token has one form, so that none is held twice."""
    return all(len(part) % 4 != 1 and urlsafe_b64encode(_bytes(part)).rstrip(b"=").decode() == part for part in token.split("."))


def _bytes(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


class Passes:
    """`issuers` of the settings. From any thread."""

    def __init__(
        self, issuers: Sequence[Issuer], key_set: Callable[[Issuer], KeySet] = KeySet, now: Callable[[], float] = time.time
    ) -> None:
        self._issuers = {issuer.issuer: (issuer, key_set(issuer)) for issuer in issuers}
        self._now = now
        self._held: dict[str, _Proven] = {}

    @property
    def for_agents(self) -> bool:
        return any(issuer.agents is not None for issuer, _ in self._issuers.values())

    def takes(self, token: str) -> bool:
        """Whether it has the form of a signed token: then it is one, or nobody's."""
        return looks_like_one(token)

    def at_hand(self, token: str) -> bool:
        """Whether this token is answered without asking anybody."""
        return self._still(token) is not None

    def agent(self, token: str) -> Agent | None:
        """None for a token that proves no agent. Raises GatewayError where nobody can tell."""
        found = self._claims(token)
        return None if found is None or found.issuer.agents is None else _agent(found.issuer.name, found.issuer.agents, found.claims)

    def person(self, token: str) -> Person | None:
        """The same for a person of the admin plane."""
        found = self._claims(token) if looks_like_one(token) else None
        known = None if found is None or found.issuer.people is None else who(found.issuer.people, found.claims)
        return None if known is None or found is None or found.issuer.people is None else person_of(found.issuer.people, known)

    def claims(self, token: str) -> Mapping[str, Any] | None:
        """What a good token says, whatever it is for. Raises GatewayError where nobody can tell."""
        found = self._claims(token) if looks_like_one(token) else None
        return None if found is None else found.claims

    def _claims(self, token: str) -> _Proven | None:
        held = self._still(token)
        if held is not None:
            return held
        self._held.pop(token, None)
        found = self._checked(token) if looks_like_one(token) and _one_spelling(token) else None
        if found is not None:
            if len(self._held) >= MOST_HELD:
                self._held.clear()
            self._held[token] = found
        return found

    def _still(self, token: str) -> _Proven | None:
        held = self._held.get(token)
        if held is None or self._now() >= held.until or self._now() < held.until - HELD_S:
            return None
        keys = self._issuers[held.issuer.issuer][1]
        return held if keys.generation == held.generation and keys.at_hand() else None

    def _checked(self, token: str) -> _Proven | None:
        try:
            head = jwt.get_unverified_header(token)
            said = jwt.decode(token, options={"verify_signature": False}).get("iss")
        except (PyJWTError, ValueError, RecursionError):
            return None
        issuer, keys = self._issuers.get(said, (None, None)) if isinstance(said, str) else (None, None)
        if issuer is None or keys is None or not _may_be(head, issuer):
            return None
        key = keys.find(head["kid"], head["alg"])
        claims = None if key is None else _decoded(token, key, head["alg"], issuer)
        if claims is None:
            return None
        return _Proven(claims, issuer, min(self._now() + HELD_S, float(claims["exp"]) + issuer.leeway), keys.generation)


def _may_be(head: Mapping[str, Any], issuer: Issuer) -> bool:
    named = isinstance(head.get("kid"), str) and isinstance(head.get("typ"), str | None)
    return named and head.get("alg") in issuer.algorithms and head.get("typ") in _TYPES and not {"crit", "b64"} & head.keys()


def _decoded(token: str, key: jwt.PyJWK, algorithm: str, issuer: Issuer) -> Mapping[str, Any] | None:
    options: Any = {"require": list(NEEDED), "strict_aud": False}
    try:
        claims: dict[str, Any] = jwt.decode(
            token, key, [algorithm], options=options, audience=issuer.audience, issuer=issuer.issuer, leeway=issuer.leeway
        )
    except (PyJWTError, ValueError, TypeError, RecursionError, OverflowError):
        return None
    return claims if isinstance(claims["exp"], int | float) and not isinstance(claims["exp"], bool) else None


def _agent(name: str, of: AgentClaims, claims: Mapping[str, Any]) -> Agent | None:
    called = _text(claims, of.agent)
    called = called if of.names is None or called is None else of.names.get(called)
    said = [None if claim is None else _text(claims, claim) for claim in (of.team, of.user, of.org)]
    missing = any(claim is not None and value is None for claim, value in zip((of.team, of.user, of.org), said, strict=True))
    if called is None or missing or not AGENT.fullmatch(called):
        return None
    return Agent(_key_id(name, claims["sub"], called, *said), called, *said)


def _key_id(name: str, *of: str | None) -> str:
    """One for each subject and what it proves: what is kept or counted for a key is nobody else's."""
    return f"jwt:{name}:{hashlib.sha256(json.dumps(of).encode()).hexdigest()[:16]}"


def who(of: PeopleClaims, claims: Mapping[str, Any]) -> Known | None:
    name, groups = _text(claims, of.name), tuple(group for group in _texts(claims, of.groups) if group in of.roles)
    if name is None or name in RESERVED or not _PERSON.fullmatch(name):
        return None
    return Known(name, groups, () if of.teams is None else tuple(_texts(claims, of.teams)))


def _text(claims: Mapping[str, Any], claim: Claim) -> str | None:
    """One line that hides nothing."""
    found = _at(claims, claim)
    fits = isinstance(found, str) and found == found.strip() and 0 < len(found) <= 128 and found.isprintable()
    return found if fits else None


def _texts(claims: Mapping[str, Any], claim: Claim) -> list[str]:
    found = _at(claims, claim)
    return [each for each in (found if isinstance(found, list) else [found]) if isinstance(each, str) and each]


def _at(claims: Mapping[str, Any], claim: Claim) -> Any:
    found: Any = claims
    for name in [claim] if isinstance(claim, str) else claim:
        found = found.get(name) if isinstance(found, dict) else None
    return found
