"""Known secrets taken out of everything that leaves or is written: provider keys by exact value, virtual keys by their form.

This is the wall behind the first one (keys are never put into records): an upstream may echo its key in an error, an agent may paste its
own into a message. Finding *unknown* secrets is a validator's work, not this one's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_VIRTUAL = re.compile(r"th_[0-9A-Za-z]{8}_[0-9A-Za-z]{43}")
_VIRTUAL_BYTES = re.compile(_VIRTUAL.pattern.encode())
_ESCAPED_BYTES = re.compile(rb"(\\+)u00(2[013-9a-fA-F]|5[0-9abd-fABD-F]|[3467][0-9a-fA-F])")
"""A printable character written as an escape of JSON, in however many layers of it; but not a quote or a backslash, which must stay one."""
_BEGUN_BYTES = re.compile(rb"t(?:h(?:_(?:[0-9A-Za-z]{0,8}|[0-9A-Za-z]{8}_[0-9A-Za-z]{0,42}))?)?\Z")
_BEGUN = re.compile(r"th_(?:[0-9A-Za-z]{1,8}|[0-9A-Za-z]{8}_[0-9A-Za-z]{0,42})\Z")
VIRTUAL_LENGTH = 55
LEAST = 4
LAYERS = 4
"""Of JSON in strings of JSON: a record holds messages, which hold arguments, which may hold JSON."""
PROVIDER_KEY = "[REDACTED:provider_key]"
VIRTUAL_KEY = "[REDACTED:virtual_key]"
MOST_LEARNED = 16
"""The last so many: an access token lasts an hour, and there are few accounts."""
MIN_LENGTH = 8
"""A shorter 'secret' would blank out ordinary words."""


def _written_out(escape: re.Match[bytes]) -> bytes:
    layers = escape[1]  # an odd one out ends a row of written backslashes, which stay
    return (layers[:-1] if len(layers) % 2 else b"") + bytes([int(escape[2], 16)])


class Flow:
    """The pieces of one answer on their way out. The end of a piece waits for the next one where it could be the beginning of a secret,
    so that none leaves in two parts; most pieces end with a line and nothing waits."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._waiting = b""

    def piece(self, data: bytes) -> bytes:
        """What of the answer may leave now."""
        data = self._redactor.data(self._waiting + data)
        waits = self._redactor.open_end(data)
        self._waiting = data[len(data) - waits :]
        return data[: len(data) - waits]

    def last(self, data: bytes) -> bytes:
        """The rest of the answer."""
        data, self._waiting = self._redactor.data(self._waiting + data), b""
        return data


class Redactor:
    """Replaces each of `secrets`, also where it is JSON-escaped, and every virtual key."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._given = frozenset(secrets)
        self._learned: tuple[str, ...] = ()
        self._know()

    def learn(self, secret: str) -> None:
        """Replaces this one too from now on: one that is good for a while and came when the gateway was running already."""
        if secret not in self._learned:
            self._learned = (*self._learned, secret)[-MOST_LEARNED:]
            self._know()

    def _know(self) -> None:
        self._secrets = sorted({s for s in (*self._given, *self._learned) if len(s) >= MIN_LENGTH}, key=len, reverse=True)
        self._bytes = [s.encode() for s in self._secrets]
        self.hints = ("th_", *sorted({s[:LEAST] for s in self._secrets}))
        """How secrets begin: a text without any of them holds none."""

    def text(self, value: str) -> str:
        for secret in self._secrets:
            if secret in value:
                value = value.replace(secret, PROVIDER_KEY)
        return _VIRTUAL.sub(VIRTUAL_KEY, value) if "th_" in value else value

    @property
    def longest(self) -> int:
        return max([VIRTUAL_LENGTH, *map(len, self._secrets)])

    def spans(self, value: str) -> list[tuple[int, int, str]]:
        """Where secrets stand, in order, each with what takes its place."""
        found = [(*match.span(), VIRTUAL_KEY) for match in _VIRTUAL.finditer(value)] if "th_" in value else []
        for secret in self._secrets:
            at = value.find(secret)
            while at >= 0:
                found.append((at, at + len(secret), PROVIDER_KEY))
                at = value.find(secret, at + 1)
        return sorted(found)

    def begun(self, value: str) -> int:
        """How many characters at the end of a text could be the beginning of a secret; 0 for fewer than `LEAST`, which tell nobody
        anything."""
        longest = 0
        for secret in self._secrets:
            at = value.find(secret[:LEAST], max(0, len(value) - len(secret) + 1))
            while at >= 0 and not secret.startswith(value[at:]):
                at = value.find(secret[:LEAST], at + 1)
            longest = max(longest, len(value) - at if at >= 0 else 0)
        begun = _BEGUN.search(value, max(0, len(value) - VIRTUAL_LENGTH)) if "th_" in value else None
        return max(longest, len(value) - begun.start()) if begun else longest

    def finds(self, value: str) -> bool:
        return any(secret in value for secret in self._secrets) or ("th_" in value and _VIRTUAL.search(value) is not None)

    def data(self, value: bytes) -> bytes:
        """JSON stays JSON; where a secret was written with escapes, other escapes of printable characters are written out with it."""
        clean = self._replaced(value)
        if b"\\u00" in clean and self._hidden(clean):
            return self._replaced(_ESCAPED_BYTES.sub(_written_out, clean))
        return clean

    def _hidden(self, value: bytes) -> bool:
        """Whether a secret is there once escapes are written out. Looking is cheap, writing them out so that JSON stays JSON is not."""
        for _ in range(LAYERS):
            if self.finds(value.decode("raw_unicode_escape", "replace")):
                return True
            outer, value = value, value.replace(rb"\\", b"\\")
            if value == outer:
                break
        return False

    def _replaced(self, value: bytes) -> bytes:
        for secret in self._bytes:
            if secret in value:
                value = value.replace(secret, PROVIDER_KEY.encode())
        return _VIRTUAL_BYTES.sub(VIRTUAL_KEY.encode(), value) if b"th_" in value else value

    def flow(self) -> Flow:
        return Flow(self)

    def open_end(self, value: bytes) -> int:
        """How many bytes at the end of `value` could be the beginning of something to be replaced. No key holds a line's end."""
        if value.endswith(b"\n"):
            return 0
        begun = _BEGUN_BYTES.search(value, max(0, len(value) - VIRTUAL_LENGTH))
        longest = len(value) - begun.start() if begun else 0
        for secret in self._bytes:
            for length in range(min(len(secret) - 1, len(value)), longest, -1):
                if value.endswith(secret[:length]):
                    longest = length
                    break
        return longest

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} secrets)"
