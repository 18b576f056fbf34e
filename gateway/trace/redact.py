"""Known secrets taken out of everything that leaves or is written: provider keys by exact value, virtual keys by their form.

This is the wall behind the first one (keys are never put into records): an upstream may echo its key in an error, an agent may paste its
own into a message. Finding *unknown* secrets is a validator's work, not this one's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_VIRTUAL = re.compile(r"th_[0-9A-Za-z]{8}_[0-9A-Za-z]{43}")
_VIRTUAL_BYTES = re.compile(_VIRTUAL.pattern.encode())
PROVIDER_KEY = "[REDACTED:provider_key]"
VIRTUAL_KEY = "[REDACTED:virtual_key]"
MIN_LENGTH = 8
"""A shorter 'secret' would blank out ordinary words."""


class Redactor:
    """Replaces each of `secrets`, also where it is JSON-escaped, and every virtual key."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = sorted({s for s in secrets if len(s) >= MIN_LENGTH}, key=len, reverse=True)
        self._bytes = [s.encode() for s in self._secrets]

    def text(self, value: str) -> str:
        for secret in self._secrets:
            if secret in value:
                value = value.replace(secret, PROVIDER_KEY)
        return _VIRTUAL.sub(VIRTUAL_KEY, value) if "th_" in value else value

    def finds(self, value: str) -> bool:
        return self.text(value) != value

    def data(self, value: bytes) -> bytes:
        for secret in self._bytes:
            if secret in value:
                value = value.replace(secret, PROVIDER_KEY.encode())
        return _VIRTUAL_BYTES.sub(VIRTUAL_KEY.encode(), value) if b"th_" in value else value

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} secrets)"
