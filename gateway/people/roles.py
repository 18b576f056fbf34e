"""Which role holds which right, and what a person is. Pure: no I/O, no clock.

1. A right is one thing that can be done on the admin plane. Every route there needs exactly one of them, named where it is registered.
2. A role is a set of rights, a person has roles. What no role gives is not given: there is no right to take a right away.
3. A person may be bound to teams. A route that does not narrow its answer to teams is closed to them, whatever their roles say.

Not here: how somebody proves who they are (`gateway.web.doors`), what teams they may be bound to (`gateway.people.bound`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from msgspec import Struct

from gateway.people import bound

Role = Literal["viewer-metadata", "viewer-content", "policy-editor", "approver", "admin"]
Right = Literal[
    "public",  # to know that the gateway is alive: nobody is asked who they are
    "see-metadata",  # what happened, when, by whom, at what cost: without a word of what was said
    "see-content",  # what was said, proposed and answered
    "see-approvals",  # what waits for a person, with its arguments
    "ask-sql",  # questions in one's own words
    "give-feedback",  # a judgement on what an agent did
    "decide-approvals",
    "edit-policies",
    "edit-prompts",  # labels of kept prompts, arms of experiments
    "manage-costs",  # reset a budget, revise prices that were recorded
    "manage-sessions",  # resume what a denial has stopped
    "export",  # content in bulk
    "copy-book",  # a snapshot of everything
    "erase",
    "manage-keys",
    "manage-people",
    "speak-for-agents",  # the workers', who have proven an agent's key
]
ROLES: tuple[Role, ...] = get_args(Role)
RIGHTS: tuple[Right, ...] = get_args(Right)

_METADATA: frozenset[Right] = frozenset({"public", "see-metadata"})
HOLDS: Mapping[Role, frozenset[Right]] = {
    "viewer-metadata": _METADATA,
    "viewer-content": _METADATA | {"see-content", "see-approvals", "ask-sql", "give-feedback", "export"},
    "policy-editor": _METADATA | {"edit-policies", "edit-prompts"},
    "approver": _METADATA | {"see-approvals", "decide-approvals", "give-feedback"},
    "admin": frozenset(RIGHTS),
}
"""The whole table. A policy editor does not decide approvals, an approver does not edit what asks for them."""


class Person(Struct, frozen=True):
    """Somebody the admin plane knows."""

    id: str
    """Stable, and what the book writes down."""
    name: str
    roles: frozenset[Role] = frozenset()
    teams: frozenset[str] | None = None
    """Whose exchanges they see, as `bound` reads it; None: everybody's. Empty: nobody's."""
    shared: bool = False
    """A credential that several people may hold: who acts is what they say of themselves."""

    def may(self, right: Right) -> bool:
        return any(right in HOLDS[role] for role in self.roles)

    def sees(self, org: str | None, team: str | None) -> bool:
        """What belongs to a key of this organisation and team."""
        return self.teams is None or bound.sees(self.teams, org, team)


def holders(right: Right) -> tuple[Role, ...]:
    """The roles that hold it, the least powerful first."""
    return tuple(role for role in ROLES if right in HOLDS[role])


def read_roles(names: Iterable[str]) -> frozenset[Role]:
    """Raises ValueError for a role there is not, and where none is named."""
    found = list(names)
    known: dict[str, Role] = {role: role for role in ROLES}
    for name in found:
        if name not in known:
            raise ValueError(f"there is no role '{name[:40]}'; there are {', '.join(ROLES)}")
    if not found:
        raise ValueError(f"name at least one role: {', '.join(ROLES)}")
    return frozenset(known[name] for name in found)
