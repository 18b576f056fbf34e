"""Browsers that are signed in to the admin plane, and what a store of them does."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class SignIn(Struct, frozen=True):
    """One browser that is signed in."""

    id: str
    name: str
    begun_us: int
    seen_us: int
    until_us: int
    """When it ends, whatever is done with it."""
    address: str
    browser: str
    seal: str = ""
    """The person's, when it began with a password."""
    issuer: str = ""
    """Who said who it is, when it began without one: what follows is what its token said."""
    groups: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()


class SignIns(Protocol):
    """Browsers that are signed in, found by the token in their cookie, of which a hash is kept. Whether the person is still let in,
    `People` say. Raises GatewayError('unavailable')."""

    def begin(self, new: SignIn) -> str:
        """Its token, the only time it is seen."""

    def find(self, token: str, now_us: int) -> SignIn | None:
        """One that has not ended (`access.alive`); that it was used is noted."""

    def end(self, name: str, of: str | None = None) -> bool:
        """The one with this id, of this person only where one is named. False when there is none."""

    def every(self, now_us: int) -> list[SignIn]:
        """The one that was used last first."""

    def close(self) -> None: ...
