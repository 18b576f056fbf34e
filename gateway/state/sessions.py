"""Sessions in which calls were denied and agents that are paused, and what a store of them does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct


class Denial(Struct, frozen=True):
    """An enforced denial, for the count of its session."""

    owner: str
    """`identify.owner` of the caller."""
    session: str
    agent: str
    team: str | None
    user: str | None
    at_us: int
    policy: str
    rule: str
    exchange: str
    decision: str
    org: str | None = None


EVERY_SESSION = ""
"""Stands for all sessions of an agent: no request has a session of that name."""


def whole(agent: str) -> str:
    """The owner under which an agent is stopped as a whole; no caller's (`identify.owner`) reads so."""
    return f"agent {agent}"


class Session(Struct, frozen=True):
    """A session in which calls were denied, or an agent (`whole`, `EVERY_SESSION`) that a person has paused."""

    owner: str
    session: str
    agent: str
    team: str | None
    user: str | None
    denials: int
    """Since it began or was resumed."""
    state: Literal["open", "stopped", "resumed"]
    changed_us: int
    policy: str
    """Whose rule stopped it, by which decision of which exchange."""
    rule: str
    exchange: str
    decision: str
    changed_by: str
    """The person who resumed it, or who paused the agent."""
    change: int
    """Counts up with every stop and every resumption."""
    why: str = ""
    """What that person said."""
    org: str | None = None


class Sessions(Protocol):
    """Which sessions are stopped. Raises GatewayError('unavailable') when that cannot be read or written."""

    def stopped(self, owner: str, session: str, agent: str | None = None) -> Session | None:
        """Also when the whole agent is paused, where one is named."""

    def denied(self, of: Denial, *, most: int | None) -> Session | None:
        """Counts it; the session when this denial stopped it, because it was the `most`th or a later one."""

    def every(self, limit: int = 1000) -> list[Session]:
        """Those that are stopped, newest first."""

    def pause(self, agent: str, *, by: str, why: str, at_us: int) -> bool:
        """Stops every session of an agent, whoever its callers are. False when it is paused already."""

    def resume(self, owner: str, session: str, *, by: str, at_us: int, why: str = "") -> bool:
        """False when it is not stopped. Its count begins anew."""

    def unrecorded(self, limit: int) -> list[Session]:
        """Those that changed since they were last recorded, oldest first."""

    def recorded(self, sessions: Sequence[Session]) -> None:
        """These are on record as they are here."""

    def close(self) -> None: ...
