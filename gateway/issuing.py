"""Keys of agents, people of the admin plane and the teams of both, as they are asked for, made, changed and shown: what the commands and
the admin plane's routes do the same way.

What is asked for is checked here, so that neither way lets in what the other refuses; each change goes on record where it is stored
(`state/access.py`). A team is no thing of its own: it is there when a key or a person names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, get_args

import msgspec
from msgspec import Struct, field

from gateway.errors import GatewayError
from gateway.exchange import Storing
from gateway.people import bound
from gateway.people.names import person_name
from gateway.people.roles import ROLES, read_roles
from gateway.scope import ANYTHING, KeyScope
from gateway.state.keys import KeyRecord, Keys
from gateway.state.people import People, PersonRecord
from gateway.upstream_settings import DialectName

DAY_US: Final = 86_400_000_000
MOST_DAYS: Final = 36_500


class WrongField(ValueError):  # noqa: N818 - a field that is wrong
    """What cannot be had, and which field of what was asked for says so."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"'{name}': {message}")
        self.name, self.message = name, message


class KeyWish(Struct, frozen=True):
    """A key as it is asked for."""

    agent: str
    team: str | None = None
    user: str | None = None
    org: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    models: list[str] | None = None
    dialects: list[str] | None = None
    upstreams: list[str] | None = None
    expires_days: float | None = None
    store: Storing | None = None


class PersonWish(Struct, frozen=True):
    """Somebody as they are to be added."""

    person: str
    roles: list[str]
    teams: list[str] | None = None
    expires_days: float | None = None


def create_key(keys: Keys, wish: KeyWish, now_us: int, by: str) -> str:
    """The key, the only time it is seen. Raises WrongField."""
    _agent(wish.agent)
    for name in ("team", "user", "org"):
        _word(name, getattr(wish, name))
    if bound.WHOLE in (wish.team or ""):
        raise WrongField("team", "leave out *, which is for whole organisations: people are bound to organisation/*")
    if any(each in (wish.org or "") for each in ("/", bound.WHOLE)):
        raise WrongField("org", "leave out / and *: people are bound to organisation/team or organisation/*")
    for label in wish.labels:
        _word("labels", label)
    return keys.create(
        agent=wish.agent,
        now_us=now_us,
        team=wish.team,
        user=wish.user,
        labels=wish.labels,
        expires_us=_ends(wish.expires_days, now_us),
        store=wish.store,
        org=wish.org,
        scope=KeyScope(_dialects(wish.dialects), _names("models", wish.models), _names("upstreams", wish.upstreams)),
        by=by,
    )


def find_key(keys: Keys, key_id: str, now_us: int) -> dict[str, Any]:
    """With the live ones of its line beside it. Raises GatewayError('not_found')."""
    every = keys.every()
    found = next((each for each in every if each.id == key_id), None)
    if found is None:
        raise unknown_key(key_id)
    live = [each.id for each in every if each.line == found.line and each.id != found.id and each.active(now_us)]
    return shown_key(found, now_us) | {"live_beside": live}


def revoke_key(keys: Keys, key_id: str, now_us: int, by: str, why: str) -> None:
    """Raises GatewayError('not_found')."""
    if not keys.revoke(key_id, now_us, by=by, why=why):
        raise unknown_key(key_id)


def unknown_key(key_id: str) -> GatewayError:
    message = f"There is no key with the id '{key_id[:100]}'. 'tollhouse keys list' shows all."
    return GatewayError("not_found", "unknown_key", message)


def add_person(people: People, wish: PersonWish, now_us: int, by: str) -> tuple[PersonRecord, str]:
    """Them, and their token, the only time it is seen. Raises WrongField, and GatewayError for one who is there."""
    ends = _ends(wish.expires_days, now_us)
    new = PersonRecord(named_person(wish.person), held_roles(wish.roles), "", now_us, bound_teams(wish.teams), ends)
    return new, people.add(new, by)


def change_person(people: People, name: str, roles: Sequence[str], teams: Sequence[str] | None, now_us: int, by: str) -> dict[str, Any]:
    """Raises WrongField, GatewayError('not_found')."""
    held, theirs, known = held_roles(roles), bound_teams(teams), known_person(people, name)
    if not people.change(known, held, theirs, now_us, by):
        raise unknown_person(name)
    return {"person": known, "roles": list(held), "teams": theirs}


def remove_person(people: People, name: str, now_us: int, by: str, why: str) -> dict[str, Any]:
    """Raises GatewayError('not_found')."""
    known = known_person(people, name)
    if not people.remove(known, now_us, by=by, why=why):
        raise unknown_person(name)
    return {"person": known, "state": "removed"}


def named_person(name: str) -> str:
    """As it is written down. Raises WrongField."""
    try:
        return person_name(name)
    except ValueError as error:
        raise WrongField("person", str(error)) from error


def known_person(people: People, name: str) -> str:
    """As it was given where somebody is called so: an earlier version took capital letters."""
    return name if people.named(name) is not None else name.strip().casefold()


def unknown_person(name: str) -> GatewayError:
    message = f"There is nobody called '{name[:100]}' here. 'tollhouse people list' shows all."
    return GatewayError("not_found", "unknown_person", message)


def teams(keys: Keys, people: People, now_us: int) -> list[dict[str, Any]]:
    """Every team that a live key or somebody here names, as people are bound to it (`acme/*` is all of `acme`): how many keys, whose
    agents, and who sees it."""
    live = [key for key in keys.every() if key.active(now_us)]
    people_bound = [each for each in people.every() if each.teams and each.active(now_us)]
    named = {bound.parts(team) for each in people_bound for team in each.teams or ()}
    names = {(key.org or "", key.team) for key in live if key.team} | named
    return [_team(org, team, live, people_bound) for org, team in sorted(names)]


def _team(org: str, team: str, live: Sequence[KeyRecord], people_bound: Sequence[PersonRecord]) -> dict[str, Any]:
    name = bound.name_of(org, team)
    keys = [key for key in live if bound.sees((name,), key.org, key.team)]
    return {
        "team": name,
        "org": org or None,
        "agents": sorted({key.agent for key in keys}),
        "keys": len(keys),
        "people": sorted(each.id for each in people_bound if bound.sees(each.teams or (), org or None, team)),
    }


def shown_key(record: KeyRecord, now_us: int) -> dict[str, Any]:
    """Never the secret."""
    state = "active" if record.active(now_us) else "revoked" if record.revoked_us is not None else "expired"
    return {
        "id": record.id,
        "agent": record.agent,
        "org": record.org,
        "team": record.team,
        "user": record.user,
        "labels": dict(record.labels),
        "scope": msgspec.to_builtins(record.scope) if record.scope != ANYTHING else None,
        "store": record.store,
        "last4": record.last4,
        "created": moment_of(record.created_us),
        "expires": moment_of(record.expires_us),
        "revoked": moment_of(record.revoked_us),
        "family": record.line,
        "state": state,
    }


def shown_person(who: PersonRecord, now_us: int) -> dict[str, Any]:
    """Never the token."""
    state = "active" if who.active(now_us) else "removed" if who.removed_us is not None else "expired"
    return {
        "person": who.id,
        "roles": list(who.roles),
        "teams": None if who.teams is None else list(who.teams),
        "last4": who.last4,
        "password": bool(who.seal),
        "created": moment_of(who.created_us),
        "expires": moment_of(who.expires_us),
        "removed": moment_of(who.removed_us),
        "state": state,
    }


def moment_of(at_us: int | None) -> str | None:
    return None if at_us is None else datetime.fromtimestamp(at_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def held_roles(given: Sequence[str]) -> tuple[Any, ...]:
    """Raises WrongField."""
    try:
        held = read_roles(given)
    except ValueError as error:
        raise WrongField("role", str(error)) from error
    return tuple(role for role in ROLES if role in held)


def bound_teams(given: Sequence[str] | None) -> tuple[str, ...] | None:
    """None: they see all. Raises WrongField."""
    try:
        return tuple(dict.fromkeys(map(bound.checked, given))) if given else None
    except ValueError as error:
        raise WrongField("team", str(error)) from error


def _ends(days: float | None, now_us: int) -> int | None:
    if days is None:
        return None
    if not 0 <= days <= MOST_DAYS:
        raise WrongField("expires_days", f"from 0 to {MOST_DAYS}")
    return now_us + int(days * DAY_US)


def _agent(agent: str) -> None:
    if not agent or len(agent) > 128 or not all(c.isascii() and (c.isalnum() or c in "-_.:/@") for c in agent):
        raise WrongField("agent", "use 1 to 128 letters, digits and - _ . : / @")


def _word(name: str, text: str | None) -> None:
    """One line that hides nothing: what people are bound to must not look like something else."""
    if text is not None and (not text.strip() or text != text.strip() or len(text) > 128 or not text.isprintable()):
        raise WrongField(name, "use 1 to 128 characters on one line, without blanks around")


def _dialects(given: list[str] | None) -> tuple[str, ...] | None:
    known = get_args(DialectName)
    for each in given or ():
        if each not in known:
            raise WrongField("dialect", f"'{each[:40]}' is no dialect; there are {', '.join(known)}")
    return _names("dialect", given)


def _names(name: str, given: list[str] | None) -> tuple[str, ...] | None:
    if any(not each for each in given or ()):
        raise WrongField(name, "a name is empty")
    return tuple(given) if given else None
