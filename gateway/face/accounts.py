"""People's accounts and the browsers that are signed in: what the pages do with them. They lie in the state store (`People`, `SignIns`), so
that every gateway which shares it knows the same ones.

1. There is no default password. Whoever has an invitation (a token that is good once, for a time) sets one; while nobody has one, the
   gateway makes an invitation for an administrator at its start and prints it.
2. A sign-in is a token in a cookie; only its hash is kept. It ends after 12 hours without a request, after 7 days in any case, when its
   owner or an administrator ends it, when the person is removed, and when they set another password.
3. Whoever signs in by an issuer has the roles of the groups that it told, as the settings of now say, and no account here; a name that
   somebody has here is theirs alone. Their sign-in ends when the settings say, and when the issuer is taken out of them.
4. The last administrator cannot be taken away here; the command line of this machine can.
5. Who they are is asked with every request: other roles hold with the next one.

Times are microseconds since 1970 UTC. Every method may block.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import Struct

from gateway.errors import GatewayError
from gateway.people import passwords
from gateway.people.issuers import PeopleClaims
from gateway.people.known import Known, person_of
from gateway.people.names import person_name
from gateway.people.roles import Person, Role
from gateway.state.people import Invitation, People, PersonRecord
from gateway.state.sign_ins import SignIn, SignIns

LIFE_US = 7 * 24 * 3600 * 1_000_000
INVITED_US = 3 * 24 * 3600 * 1_000_000
FOR_EVER_US = 2**62
NOTHING_KEPT = "scrypt::"
"""In the place of a password for who has none: it takes as long to find that nothing fits."""


class Account(Struct, frozen=True):
    name: str
    roles: tuple[Role, ...]
    teams: tuple[str, ...] | None
    created_us: int
    expires_us: int | None
    password: bool
    token: str
    """The last characters of theirs; empty: they have none."""
    sessions: int


class Session(Struct, frozen=True):
    """One browser, as it is shown."""

    id: str
    name: str
    begun_us: int
    seen_us: int
    until_us: int
    address: str
    browser: str
    issuer: str


class Accounts:
    """`issuers` by which people sign in, by their names: what their claims mean."""

    def __init__(self, people: People, sign_ins: SignIns, issuers: Mapping[str, PeopleClaims] | None = None) -> None:
        self._people, self._sign_ins, self._issuers = people, sign_ins, issuers or {}

    def any(self, now_us: int) -> bool:
        return self._people.any_password(now_us)

    def invite_the_first(self, now_us: int) -> str:
        return self._people.invite(Invitation(("admin",), FOR_EVER_US, first=True), now_us)

    def invite(self, roles: tuple[Role, ...], name: str, by: str, now_us: int) -> str:
        """The token. `name`: whose account it shall be; empty = whoever comes chooses. Raises GatewayError."""
        wanted = _named(name) if name.strip() else ""
        here = self._people.named(wanted) if wanted else None
        if not roles and (here is None or not here.active(now_us)):
            raise _bad("Choose at least one role for somebody who is not here yet.")
        return self._people.invite(Invitation(roles, now_us + INVITED_US, name=wanted, by=by), now_us)

    def invited(self, token: str, now_us: int) -> bool:
        """Whether it is good for an account."""
        return self._people.invited(token, now_us) is not None

    def join(self, token: str, name: str, password: str, now_us: int) -> PersonRecord:
        """Uses an invitation up. Raises GatewayError."""
        name = _named(name)
        if weak := passwords.weakness(password, name):
            raise _bad(weak)
        kept = passwords.kept(password) if self.invited(token, now_us) else NOTHING_KEPT
        return self._people.join(token, name, kept, now_us)

    def check(self, name: str, password: str, now_us: int) -> PersonRecord | None:
        """None when the two do not fit together."""
        found = self._people.password(name.strip().casefold(), now_us)
        fits = passwords.fits(password, found[1] if found else NOTHING_KEPT)
        return found[0] if found is not None and fits else None

    def change_password(self, name: str, password: str, session: str, now_us: int) -> str:
        """The token of this browser's new sign-in: every other one ends. Raises GatewayError."""
        if weak := passwords.weakness(password, name):
            raise _bad(weak)
        before = next((each for each in self._sign_ins.every(now_us) if each.id == session), None)
        person = self._people.set_password(name, passwords.kept(password), now_us, by=name)
        if person is None or before is None:
            raise _unknown(name)
        for each in self._sign_ins.every(now_us):
            if each.name == name:
                self._sign_ins.end(each.id)
        return self.begin(person, now_us, before.address, before.browser)

    def begin(self, person: PersonRecord, now_us: int, address: str, browser: str) -> str:
        """The token of a new sign-in by password."""
        new = SignIn(_new_id(), person.id, now_us, now_us, now_us + LIFE_US, address[:60], browser[:200], person.seal)
        return self._sign_ins.begin(new)

    def begin_by_issuer(self, issuer: str, known: Known, now_us: int, lasts_us: int, address: str, browser: str) -> str:
        """The token of a new sign-in of somebody whom an issuer knows. Raises GatewayError for a name that somebody has here."""
        if self._taken(known.name, now_us):
            message = (
                f"There is an account '{known.name}' of this gateway's own, and nobody can tell whether it is yours: sign in with its "
                "password, or have an administrator remove it."
            )
            raise GatewayError("refused", "name_taken", message)
        named = (_new_id(), known.name, now_us, now_us, now_us + min(lasts_us, LIFE_US), address[:60], browser[:200])
        return self._sign_ins.begin(SignIn(*named, issuer=issuer, groups=known.groups, teams=known.teams))

    def _taken(self, name: str, now_us: int) -> bool:
        found = [self._people.named(each) for each in {name, name.casefold()}]
        return any(each is not None and each.active(now_us) for each in found)

    def whose(self, token: str, now_us: int) -> tuple[Person, str] | None:
        """Who is signed in with this, and the sign-in's id."""
        found = self._sign_ins.find(token, now_us)
        person = None if found is None else self._behind(found, now_us, self._people.named)
        return None if found is None or person is None else (person, found.id)

    def _behind(self, sign_in: SignIn, now_us: int, named: Callable[[str], PersonRecord | None]) -> Person | None:
        """Who it is now; None when they are let in no longer."""
        record = named(sign_in.name)
        if sign_in.issuer:
            claims, taken = self._issuers.get(sign_in.issuer), record or named(sign_in.name.casefold())
            theirs = taken is None or not taken.active(now_us)
            return person_of(claims, Known(sign_in.name, sign_in.groups, sign_in.teams)) if claims is not None and theirs else None
        if record is None or not record.active(now_us) or not record.seal or record.seal != sign_in.seal:
            return None
        return record.person()

    def end(self, session: str, name: str | None = None) -> None:
        """Of this person only, where one is named."""
        self._sign_ins.end(session, name)

    def sessions(self, now_us: int, name: str | None = None) -> list[Session]:
        people = {each.id: each for each in self._people.every()}
        found = [each for each in self._sign_ins.every(now_us) if name in (None, each.name)]
        return [_shown(each) for each in found if self._behind(each, now_us, people.get) is not None]

    def every(self, now_us: int) -> list[Account]:
        signed_in = [each.name for each in self.sessions(now_us)]
        return [_account(each, signed_in) for each in self._people.every() if each.active(now_us)]

    def own(self, name: str) -> PersonRecord | None:
        return self._people.named(name)

    def renew_token(self, name: str, by: str, now_us: int) -> str:
        """Raises GatewayError."""
        token = self._people.renew_token(name, now_us, by)
        if token is None:
            raise _unknown(name)
        return token

    def end_token(self, name: str, by: str, now_us: int) -> None:
        if not self._people.end_token(name, now_us, by):
            raise _unknown(name)

    def give_roles(self, name: str, roles: tuple[Role, ...], by: str, now_us: int) -> None:
        """Their teams stay. Raises GatewayError, also for the last administrator."""
        before = self._people.named(name)
        if not roles:
            raise _bad("Choose at least one role; to let somebody in no longer, remove them.")
        if before is None or not self._people.change(name, roles, before.teams, now_us, by, last_stays=True):
            raise _unknown(name)

    def remove(self, name: str, by: str, now_us: int) -> None:
        """Raises GatewayError, also for the last administrator."""
        if not self._people.remove(name, now_us, by=by, last_stays=True):
            raise _unknown(name)


def _new_id() -> str:
    return secrets.token_hex(8)


def _shown(sign_in: SignIn) -> Session:
    return msgspec.convert(sign_in, Session, from_attributes=True)


def _account(person: PersonRecord, signed_in: Sequence[str]) -> Account:
    held = (person.id, person.roles, person.teams, person.created_us, person.expires_us)
    return Account(*held, bool(person.seal), person.last4, signed_in.count(person.id))


def _named(text: str) -> str:
    try:
        return person_name(text)
    except ValueError as error:
        raise _bad(f"This cannot be a name: {error}.") from error


def _unknown(name: str) -> GatewayError:
    return GatewayError("not_found", "unknown_account", f"There is no account '{name[:100]}'; it may be gone already.")


def _bad(message: str) -> GatewayError:
    return GatewayError("bad_request", "bad_request", message)
