"""What is known of a person by an issuer's word, and who that is: apart from `passes`, which brings in what checks signatures."""

from __future__ import annotations

from typing import NamedTuple

from gateway.people.issuers import PeopleClaims
from gateway.people.roles import Person, Role


class Known(NamedTuple):
    """What a token says of a person, as far as the settings ask for it."""

    name: str
    groups: tuple[str, ...]
    """Those that have a role."""
    teams: tuple[str, ...]


def person_of(of: PeopleClaims, known: Known) -> Person | None:
    """None for who has no role."""
    roles: frozenset[Role] = frozenset(role for group in known.groups for role in of.roles.get(group, ()))
    return Person(known.name, known.name, roles, None if of.teams is None else frozenset(known.teams)) if roles else None
