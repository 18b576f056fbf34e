"""Answers kept to be given again, each under its name, sealed where content is encrypted: under the data key of the caller whose answer it
was, so that erasing that caller's content makes it unreadable here too. When what is kept and given is in `gateway/caching.py`.
"""

from __future__ import annotations

from typing import Protocol

import msgspec
from msgspec import Struct

from gateway.cache_settings import Cache
from gateway.exchange import Caller
from gateway.sealing import CannotOpen
from gateway.state.answers import Answers
from gateway.trace.hand import Sealer


class Opener(Protocol):
    """What encrypts content, and reads it again."""

    def sealer(self, caller: Caller) -> Sealer: ...
    def open(self, text: str, about: str) -> str | None: ...


class Entry(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An answer as the provider gave it, in the client's dialect."""

    exchange: str
    """Whose answer it was."""
    provider: str
    media_type: str
    body: bytes
    translated: str = ""
    dropped: tuple[str, ...] = ()
    headers: dict[str, str] = {}
    """What the gateway told the client of the translation."""
    place: str = ""
    """As in `Bookkeeping.served_by`."""
    model: str | None = None
    """What the target that gave it calls the model, where that is not what the request calls it."""


_entry = msgspec.json.Decoder(Entry).decode


class AnswerCache:
    """`vault` is None where content is not encrypted; `key` is what names are made with."""

    def __init__(self, settings: Cache, answers: Answers, vault: Opener | None, key: bytes) -> None:
        self.settings, self.key = settings, key
        self._answers, self._vault = answers, vault

    def find(self, name: str) -> Entry | None:
        """None also for what was sealed under a key that was dropped since. Raises GatewayError."""
        found = self._answers.find(name)
        if found is None:
            return None
        try:
            text = found.decode()
            opened = text if self._vault is None else self._vault.open(text, _about(name))
            return None if opened is None else _entry(opened)
        except (CannotOpen, msgspec.DecodeError, UnicodeDecodeError):  # of a master key that is gone, or of another version
            return None

    def keep(self, name: str, entry: Entry, caller: Caller) -> None:
        """Raises GatewayError, JournalUnavailable."""
        text = msgspec.json.encode(entry).decode()
        sealed = text if self._vault is None else self._vault.sealer(caller).seal(text, _about(name))
        self._answers.keep(name, sealed.encode(), self.settings.ttl_us)

    def forget(self, name: str) -> None:
        """Raises GatewayError."""
        self._answers.forget(name)


def _about(name: str) -> str:
    return f"answer:{name}"
