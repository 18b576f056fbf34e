"""Passwords as they are kept: scrypt (RFC 7914) from the standard library, with OWASP's parameters (N=2^17, r=8, p=1: 128 MiB, some 0.3 s).

Few are checked at once, or signing in would be a way to take the memory of the process that writes the book.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading

SHORTEST, LONGEST = 12, 200
_N, _R, _P = 2**17, 8, 1
_MEMORY = 160 * 1024 * 1024
_at_once = threading.Semaphore(2)


def kept(password: str) -> str:
    """`scrypt:salt:key`, in hex."""
    salt = secrets.token_bytes(16)
    return f"scrypt:{salt.hex()}:{_key(password, salt).hex()}"


def fits(password: str, stored: str) -> bool:
    """Takes as long whether it fits or not, also for `stored` that fits nothing."""
    _, _, rest = stored.partition(":")
    salt, _, key = rest.partition(":")
    found = _key(password[:LONGEST], bytes.fromhex(salt) or b"nobody")
    return hmac.compare_digest(found.hex(), key)


def weakness(password: str, name: str) -> str | None:
    """Why this may not be a password (NIST SP 800-63B: length, not recipes), or None."""
    if not SHORTEST <= len(password) <= LONGEST:
        return f"A password has {SHORTEST} to {LONGEST} characters; several words in a row are good."
    if len(set(password)) < 5 or password.casefold() == name.casefold():
        return "That would be guessed at once; take several words in a row."
    return None


def _key(password: str, salt: bytes) -> bytes:
    with _at_once:
        return hashlib.scrypt(password.encode("utf-8", "surrogatepass"), salt=salt, n=_N, r=_R, p=_P, maxmem=_MEMORY)
