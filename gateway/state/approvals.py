"""What people are asked to approve and how they rule, and what a store of both does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

from gateway.exchange import Storing

ApprovalState = Literal["pending", "approved", "denied", "expired", "used"]
Scope = Literal["once", "session", "agent"]
"""How far an approval reaches: to one call, or to every call with the same values in the session or by the agent, for a time."""


class Bindings(Struct, frozen=True):
    """To which calls an approval may be given: one digest per scope. Equal digests are equal calls."""

    once: str
    session: str
    agent: str


class Approval(Struct, frozen=True, omit_defaults=True):
    """A call that a person must decide about, and what was decided. Times: µs since 1970 UTC."""

    id: str
    """`apr_…`"""
    created_us: int
    expires_us: int
    """When nobody can decide any more; once approved, when the approval ends."""
    bindings: Bindings
    agent: str
    session: str
    tool: str
    arguments: str
    """The argument text as proposed."""
    policy: str
    rule: str
    message: str
    """Why a person is asked."""
    decision: str
    """Id of the decision that asked first."""
    exchange: str
    policy_hash: str = ""
    team: str | None = None
    user: str | None = None
    """On whose behalf the agent asks, as its key says."""
    four_eyes: bool = False
    """Whoever decides must be another than `user`."""
    state: ApprovalState = "pending"
    decided_by: str | None = None
    decided_us: int | None = None
    reason: str = ""
    scope: Scope = "once"
    edited: str | None = None
    """Arguments that the person put in the place of the proposed ones."""
    used_us: int | None = None
    change: int = 1
    """Counts up with every change."""
    storing: Storing = "redacted"
    """What the book may keep of it. `session` is written so already; the rest is as it was said, for the person who decides."""
    org: str | None = None
    """The organisation the team belongs to."""


class Ruling(Struct, frozen=True):
    """What a person says about a pending approval."""

    approve: bool
    by: str
    at_us: int
    expires_us: int
    """Until when the approval can be used, or the denial is remembered."""
    reason: str = ""
    scope: Scope = "once"
    edited: str | None = None


class Approvals(Protocol):
    """What people were asked and what they said. Raises GatewayError('unavailable') when that cannot be read or written."""

    def ask(self, new: Approval, most: int) -> Approval:
        """What stands about the call of `new`, at `new.created_us`, in one step: an approval, consumed by this (state `used`; `approved`
        where it is remembered for more calls), a denial that is still remembered, one that is pending already, or else `new` itself, now
        pending. Raises GatewayError('unavailable', 'too_many_pending') when the agent has `most` pending ones."""

    def find(self, name: str) -> Approval | None: ...
    def every(self, state: ApprovalState | None = None, limit: int = 1000) -> list[Approval]:
        """Newest first."""

    def rule(self, name: str, ruling: Ruling) -> Approval:
        """The approval as decided. What is approved can still be denied until it was used. Raises GatewayError: `not_found`, or
        `bad_request` when it was decided already, has expired, or the one who decides is the one who asks."""

    def decided(self, names: Sequence[str]) -> list[Approval]:
        """Those of them that wait no longer."""

    def erase(self, tenant: str, user: str | None) -> int:
        """Forgets what was asked for this tenant (`identify.tenant`), or one user of it; how many. What waits is asked anew."""

    def expire(self, now_us: int) -> int:
        """Ends what nobody decided in time; how many. What ended long ago and is on record is forgotten."""

    def unrecorded(self, limit: int) -> list[Approval]:
        """Those that changed since they were last recorded, oldest first."""

    def recorded(self, approvals: Sequence[Approval]) -> None:
        """These are on record as they are here."""

    def untold(self, limit: int) -> list[Approval]:
        """Those that changed since people were last told of them, oldest first."""

    def told(self, approvals: Sequence[Approval]) -> None:
        """People were told of these as they are here, or that was given up."""

    def close(self) -> None: ...
