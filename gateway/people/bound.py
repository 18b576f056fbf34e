"""What somebody may be bound to, as it is written, and what they see then: one answer for rows, approvals, stopped sessions and live lines.
Pure.

1. `payments` is the team of that name whose keys name no organisation; `acme/payments` the team of the organisation `acme`; `acme/*` all
   that is of `acme`, with a team or without.
2. The first `/` ends the organisation's name, so an organisation whose own name holds one is nobody's who is bound. A team's may: `/a/b` is
   the team `a/b` of no organisation.
3. What names neither team nor organisation is nobody's who is bound.

The same in SQL: `gateway.stores.sight`.
"""

from __future__ import annotations

from collections.abc import Collection

WHOLE = "*"
"""In the place of a team: all of its organisation."""


def name_of(org: str | None, team: str) -> str:
    """As somebody is bound to it."""
    return f"{org or ''}/{team}" if org or "/" in team else team


def shown(org: str | None, team: str | None) -> str:
    """As somebody is bound to it; empty where the key names neither."""
    return name_of(org, team or "") if org or team else ""


def parts(bound: str) -> tuple[str, str]:
    """(organisation, team); no organisation is empty."""
    org, slash, team = bound.partition("/")
    return (org, team) if slash else ("", bound)


def sees(bound: Collection[str], org: str | None, team: str | None) -> bool:
    """Whether they see what belongs to a key of this organisation and team."""
    theirs = {parts(each) for each in bound}
    return (bool(org) and (org, WHOLE) in theirs) or (team is not None and (org or "", team) in theirs)


def checked(bound: str) -> str:
    """As it was given. Raises ValueError."""
    org, team = parts(bound)
    if not bound.strip() or bound != bound.strip() or not bound.isprintable():
        raise ValueError("a team is written as on its keys (tollhouse keys list), without blanks around")
    starred = WHOLE in org or (WHOLE in team and (team != WHOLE or not org))
    if not team or org != org.strip() or team != team.strip() or starred:
        raise ValueError(
            "write team (of keys without an organisation), organisation/team, or organisation/* for all of one"
        )
    return bound
