"""What stores of keys and people do the same way: what a change says, what a rotated key is, how tokens of people are made, what an
invitation does, and when a sign-in has ended.

Every change is written down in the step that makes it (`AccessLog`); a worker brings it into the journal and then takes it out
(`gateway.minutes`).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from gateway.clock import uuid7
from gateway.errors import GatewayError
from gateway.identify import base62, key_hash, split_token
from gateway.state.held_keys import Fresh
from gateway.state.keys import KeyRecord
from gateway.state.people import Invitation, PersonRecord
from gateway.state.sign_ins import SignIn
from gateway.trace.people_rows import AccessRow

MOST_LIVE = 2
PERSON = "thp"
IDLE_US = 12 * 3600 * 1_000_000
"""After so long without a request a sign-in has ended."""
SEEN_EVERY_US = 60 * 1_000_000
"""A request notes that its sign-in is used at most this often."""
NO_TOKEN = b""
"""In the place of a token's hash: no token has it."""
_encode = msgspec.json.Encoder().encode


class AccessLog(Protocol):
    """Changes of keys and people that are not on record yet. Raises GatewayError('unavailable')."""

    def unrecorded(self, limit: int) -> list[AccessRow]:
        """The oldest first."""

    def recorded(self, changes: Sequence[AccessRow]) -> None: ...
    def close(self) -> None: ...


def of_key(what: str, key: KeyRecord, at_us: int, by: str, why: str = "") -> AccessRow:
    return AccessRow(
        id=str(uuid7()),
        changed_us=at_us,
        who=by,
        kind="key",
        what=what,
        subject=key.id,
        created_us=key.created_us,
        expires_us=key.expires_us,
        agent=key.agent,
        org=key.org,
        team=key.team,
        user=key.user,
        scope=_encode(key.scope).decode(),
        store=key.store,
        family=key.line,
        why=why,
    )


def of_person(what: str, person: PersonRecord, at_us: int, by: str, why: str = "") -> AccessRow:
    return AccessRow(
        id=str(uuid7()),
        changed_us=at_us,
        who=by,
        kind="person",
        what=what,
        subject=person.id,
        created_us=person.created_us,
        expires_us=person.expires_us,
        roles=person.roles,
        teams=person.teams,
        why=why,
    )


class Rotated(NamedTuple):
    """The two keys of a rotation."""

    old: KeyRecord
    new: KeyRecord


def rotated(old: KeyRecord | None, alike: Sequence[KeyRecord], new: Fresh, now_us: int, old_until_us: int) -> Rotated:
    """`alike` are all keys of its line, itself included. Raises GatewayError."""
    if old is None:
        raise GatewayError("not_found", "unknown_key", "There is no key of that id; 'tollhouse keys list' shows all.")
    if not old.active(now_us):
        raise GatewayError("bad_request", "key_not_active", f"Key {old.id} is no longer valid; make a new one: tollhouse keys create")
    others = [key.id for key in alike if key.active(now_us) and key.id != old.id]
    if len(others) + 2 > MOST_LIVE:
        message = f"Key {old.id} was rotated already and both are live: revoke {others[0]} or {old.id} first, or wait until one has ended."
        raise GatewayError("bad_request", "two_live", message)
    lifetime = None if old.expires_us is None else now_us + old.expires_us - old.created_us
    ends = old_until_us if old.expires_us is None else min(old.expires_us, old_until_us)
    replaced = {"id": new.id, "last4": new.last4, "created_us": now_us, "expires_us": lifetime, "family": old.line}
    return Rotated(msgspec.structs.replace(old, expires_us=ends), msgspec.structs.replace(old, **replaced))


def person_token(pepper: bytes) -> Fresh:
    name, secret = base62(secrets.randbelow(62**8), 8), base62(secrets.randbits(256), 43)
    return Fresh(f"{PERSON}_{name}_{secret}", name, key_hash(pepper, secret), secret[-4:])


def without_token(pepper: bytes) -> Fresh:
    """For somebody who has none: a name in its place, and a hash that no token has."""
    return person_token(pepper)._replace(token="", hash=NO_TOKEN, last4="")


def told_of(invitation: Invitation | None) -> str:
    """Why somebody is let in, as it is written down."""
    by = invitation.by if invitation is not None else ""
    return f"invited by {by}" if by else "invited by the gateway's start"


def split_person_token(token: str) -> tuple[str, str] | None:
    """(token id, secret) of a well-formed one."""
    return split_token(PERSON, token)


def may_change(person: PersonRecord, what: str, now_us: int) -> bool:
    """Whether they are there for this change."""
    return person.removed_us is None if what == "removed" else person.active(now_us)


def there_already(name: str) -> GatewayError:
    message = f"'{name}' is there already; 'tollhouse people roles' changes what they may do, 'tollhouse people remove' ends their token."
    return _bad("person_exists", message)


def random_token() -> tuple[str, bytes]:
    """A token of an invitation or a sign-in, and its hash: it is long and random, so a fast one is enough."""
    token = secrets.token_urlsafe(32)
    return token, token_hash(token)


def token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def alive(sign_in: SignIn, now_us: int) -> bool:
    return sign_in.seen_us > now_us - IDLE_US and sign_in.until_us > now_us


def sealed_anew(person: PersonRecord) -> PersonRecord:
    """As they are once they have set a password."""
    return msgspec.structs.replace(person, seal=secrets.token_hex(8))


def joined(invitation: Invitation | None, before: PersonRecord | None, name: str, now_us: int) -> PersonRecord:
    """Whoever uses this invitation under this name; `before` is who has it now or had it. Raises GatewayError."""
    if invitation is None or invitation.expires_us <= now_us:
        raise _bad("invitation_ended", "This invitation was used, has ended or never was. Ask an administrator for a new one.")
    if invitation.name not in ("", name):
        raise _bad("not_yours", f"This invitation is for '{invitation.name}'; sign up under that name, or ask for one of your own.")
    here = before is not None and before.active(now_us)
    if here and not invitation.name:
        raise _bad("person_exists", f"There is an account '{name}' already; choose another name.")
    if here and before is not None:
        return sealed_anew(before)
    if not invitation.roles:
        raise _bad("account_gone", f"The account '{name}' that this invitation was for is gone. Ask an administrator for a new one.")
    return sealed_anew(PersonRecord(name, invitation.roles, "", now_us, invitation.teams))


def refuse_without_administrator(people: Iterable[PersonRecord], after: PersonRecord, now_us: int) -> None:
    """Raises GatewayError where `after`, in the place of who has that name, would be the last administrator's end."""
    before = [each for each in people if _administers(each, now_us)]
    if [each.id for each in before] == [after.id] and not _administers(after, now_us):
        raise _bad("last_administrator", f"'{after.id}' is the last administrator with a password; invite another one first.")


def _administers(person: PersonRecord, now_us: int) -> bool:
    return "admin" in person.roles and person.teams is None and bool(person.seal) and person.active(now_us)


def _bad(code: str, message: str) -> GatewayError:
    return GatewayError("bad_request", code, message)
