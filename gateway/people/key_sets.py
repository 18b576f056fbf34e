"""Public keys of issuers (JWKS): fetched, held, fetched anew when they change, and good for a bounded time while the issuer is away.

1. A set is fetched when it is needed and older than `FRESH_S`, and when a token names a key that is not in it: issuers rotate. Whoever
   makes up names of keys causes no more than one fetch in `PAUSE_S`.
2. A fetch that fails leaves the last set in its place until `offline` seconds after it was fetched. Then nobody can be told from anybody:
   GatewayError, and nobody gets in.
3. No redirects, no proxies of the environment, a bounded body. Of keys: only public ones for signatures that have a name of their own; RSA
   of 2048 bits and more.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from gateway.errors import GatewayError
from gateway.people.issuers import Issuer
from gateway.people.reaching import fetch

log = logging.getLogger("gateway.people")

FRESH_S = 300.0
PAUSE_S = 10.0
LEAST_RSA_BITS = 2048
_PUBLIC = frozenset({"RSA", "EC", "OKP"})
_PRIVATE = frozenset({"d", "p", "q", "k"})
Keys = Mapping[str, Mapping[str, Any]]
"""By `kid`."""


class KeySet:
    """The keys of one issuer. From any thread; whoever finds them stale waits for the fetch."""

    def __init__(self, issuer: Issuer, get: Callable[[str], bytes] = fetch, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer, self._get, self._clock = issuer, get, clock
        self._keys: Keys = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._lock = threading.Lock()
        self.generation = 0
        """Another one whenever the keys are others."""

    def at_hand(self) -> bool:
        """Whether `find` of a key that is known asks nobody."""
        return self._age() < FRESH_S

    def find(self, name: str, algorithm: str) -> PyJWK | None:
        """The public key of this name; None where there is none. Raises GatewayError where nobody can tell."""
        with self._lock:
            if self._age() >= FRESH_S or name not in self._keys:
                self._renew()
            if self._age() >= max(self._issuer.offline, FRESH_S):
                raise GatewayError("unavailable", "issuer_unavailable", _AWAY.format(self._issuer.name), retry_after=10)
            found = self._keys.get(name)
        return None if found is None else _usable(found, algorithm)

    def _age(self) -> float:
        return float("inf") if self._fetched_at is None else self._clock() - self._fetched_at

    def _renew(self) -> None:
        now = self._clock()
        if self._tried_at is not None and now - self._tried_at < PAUSE_S:
            return
        self._tried_at = now
        try:
            keys = read(self._get(self._issuer.keys))
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            log.warning("the keys of the issuer %s could not be fetched: %s", self._issuer.name, error)
            return
        self.generation += keys != self._keys
        self._keys, self._fetched_at = keys, now


def read(body: bytes) -> Keys:
    """Keys that a signature can be checked with, by name; a name that comes twice names none. Raises ValueError or MsgspecError."""
    listed = msgspec.json.decode(body, type=dict[str, Any]).get("keys")
    if not isinstance(listed, list):
        raise ValueError("it holds no list of keys")  # noqa: TRY004 - what came is wrong, not our code
    named = [each for each in listed if isinstance(each, dict) and isinstance(each.get("kid"), str) and each["kid"]]
    times = Counter(each["kid"] for each in named)
    return {each["kid"]: each for each in named if times[each["kid"]] == 1 and _for_signatures(each)}


def _for_signatures(key: Mapping[str, Any]) -> bool:
    return key.get("kty") in _PUBLIC and key.get("use", "sig") == "sig" and not _PRIVATE & key.keys()


def _usable(key: Mapping[str, Any], algorithm: str) -> PyJWK | None:
    """For this algorithm alone, whatever the key would do for others."""
    if key.get("alg", algorithm) != algorithm:
        return None
    try:
        found = PyJWK(dict(key), algorithm)
    except PyJWTError:
        return None
    if isinstance(found.key, RSAPublicKey) and found.key.key_size < LEAST_RSA_BITS:
        return None
    return found


_AWAY = "The keys of the issuer '{}' cannot be fetched, so nobody can tell whether this token is good. Try again shortly."
