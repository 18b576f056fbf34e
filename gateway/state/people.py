"""The people of the admin plane and invitations to them, and what a store of both does."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from gateway.people.roles import Person, Role


class PersonRecord(Struct, frozen=True):
    """Somebody who may use the admin plane; never a secret."""

    id: str
    """As it is written down: a name or an address, chosen when they were added."""
    roles: tuple[Role, ...]
    last4: str
    """Of their token; empty: they have none."""
    created_us: int
    teams: tuple[str, ...] | None = None
    """None: not bound to teams."""
    expires_us: int | None = None
    removed_us: int | None = None
    seal: str = ""
    """Another one with each password they set; empty: they have none. Who signed in by password is in while this is the same."""

    def active(self, now_us: int) -> bool:
        return self.removed_us is None and (self.expires_us is None or now_us < self.expires_us)

    def person(self) -> Person:
        return Person(self.id, self.id, frozenset(self.roles), None if self.teams is None else frozenset(self.teams))


class Invitation(Struct, frozen=True):
    """What a token is good for that makes an account or gives it another password, once."""

    roles: tuple[Role, ...]
    expires_us: int
    teams: tuple[str, ...] | None = None
    name: str = ""
    """Whose account it is; empty: whoever comes chooses a name. Who is there already keeps their own roles and teams."""
    by: str = ""
    first: bool = False
    """The gateway's own, for the first administrator: none of them is left when anybody has used an invitation."""


class People(Protocol):
    """Who may use the admin plane, by token and by password. A change is effective with the next request. Whose time is over is there no
    more, but can be removed. `last_stays` refuses what would leave no administrator with a password. Raises GatewayError('unavailable')."""

    def find(self, token: str, now_us: int) -> PersonRecord | None:
        """The person this token proves, or None: unknown, ended and removed look the same."""

    def named(self, name: str) -> PersonRecord | None:
        """Also one who was removed."""

    def password(self, name: str, now_us: int) -> tuple[PersonRecord, str] | None:
        """As it is kept (`gateway.people.passwords`), of somebody who is active and has one."""

    def any_password(self, now_us: int) -> bool:
        """Whether anybody who is active can sign in."""

    def add(self, new: PersonRecord, by: str = "") -> str:
        """Their token, the only time it is seen (`last4` of `new` is not read). Raises GatewayError('bad_request') for one who is there;
        one who was removed, or whose time is over, is there no more."""

    def renew_token(self, name: str, now_us: int, by: str = "") -> str | None:
        """A token in the place of theirs; None when there is no such person."""

    def end_token(self, name: str, now_us: int, by: str = "") -> bool: ...
    def set_password(self, name: str, kept: str, now_us: int, by: str = "") -> PersonRecord | None:
        """Ends every sign-in with the one before. None when there is no such person."""

    def invite(self, new: Invitation, now_us: int) -> str:
        """Its token, the only time it is seen."""

    def invited(self, token: str, now_us: int) -> Invitation | None: ...
    def join(self, token: str, name: str, kept: str, now_us: int) -> PersonRecord:
        """Uses an invitation up, in one step. Raises GatewayError('bad_request') for one that is not good, or not for this name."""

    def change(
        self, name: str, roles: tuple[Role, ...], teams: tuple[str, ...] | None, now_us: int, by: str = "", *, last_stays: bool = False
    ) -> bool:
        """False when there is no such person."""

    def remove(self, name: str, now_us: int, *, by: str = "", why: str = "", last_stays: bool = False) -> bool: ...
    def move_in(self, person: PersonRecord, kept: str, by: str) -> bool:
        """An account of an earlier version, with its password. False when somebody of that name is or was here: nothing is changed."""

    def every(self) -> list[PersonRecord]:
        """Oldest first, those who were removed included."""

    def close(self) -> None: ...
