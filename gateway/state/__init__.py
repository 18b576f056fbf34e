"""SHELF: state that all workers share at once: virtual keys, whose what is that providers keep, what people approved, what limits have
counted, which calls were delivered, where labels of prompts point, the keys under which content is encrypted, answers to be given again,
and the people of the admin plane.

The embedded stores are in SQLite, for one machine: `sqlite` (`Keys`), `sqlite_belongings` (`Belongings`), `sqlite_approvals`
(`Approvals`), `sqlite_limits` (`Limits`), `sqlite_issued` (`Issued`), `sqlite_data_keys` (`DataKeys`), `sqlite_sessions` (`Sessions`),
`sqlite_prompts` (`Prompts`), `sqlite_access` (`People`, `AccessLog`) and `sqlite_sign_ins` (`SignIns`); `embedded` opens them. The same
in Redis or Valkey, for several machines: `redis_*`, opened by `remote`. All of them are asked synchronously; `asking` says whether at once
or in a thread. Answers alone have no file: they are in a worker's memory (`memory_answers`) or in Redis.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct, field

from gateway.exchange import Owed, StoredKind, Storing, Tool
from gateway.people.roles import Person, Role
from gateway.policy.limits import Charge
from gateway.prompt.library import Move, Moves
from gateway.prompt.trial import Stop, Stops
from gateway.scope import ANYTHING, KeyScope
from gateway.trace.people_rows import AccessRow


class KeyRecord(Struct, frozen=True):
    """A virtual key as it is stored: never the secret."""

    id: str
    agent: str
    last4: str
    created_us: int
    team: str | None = None
    user: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    expires_us: int | None = None
    revoked_us: int | None = None
    store: Storing | None = None
    """What is kept of its content; None = as the settings say."""
    org: str | None = None
    """The organisation the team belongs to."""
    scope: KeyScope = ANYTHING
    family: str = ""
    """Id of the first of the keys that were made in each other's place; empty for one that stands for itself."""

    @property
    def line(self) -> str:
        """The family, of which at most two are live."""
        return self.family or self.id

    def active(self, now_us: int) -> bool:
        return self.revoked_us is None and (self.expires_us is None or now_us < self.expires_us)


class Keys(Protocol):
    """Where virtual keys are kept. A revocation is effective everywhere within a second."""

    def find(self, token: str, now_us: int) -> KeyRecord | None:
        """The active key this token proves, or None: unknown, expired and revoked look the same."""

    def at_hand(self, token: str, now_us: int) -> bool:
        """Whether `find` answers without asking the store."""

    def any_created(self) -> bool:
        """Whether a key was ever made here, revoked ones included."""

    def any_active(self, now_us: int) -> bool: ...
    def create(
        self,
        *,
        agent: str,
        now_us: int,
        team: str | None,
        user: str | None,
        labels: Mapping[str, str],
        expires_us: int | None,
        store: Storing | None = None,
        org: str | None = None,
        scope: KeyScope = ANYTHING,
        by: str = "",
    ) -> str:
        """Makes a key and returns it: the only time it is seen."""

    def rotate(self, key_id: str, now_us: int, old_until_us: int, *, by: str = "", why: str = "") -> str:
        """A key in the place of another one, which lives on until then at the most; the new one lives as long as the old one was made for.
        Raises GatewayError: `not_found`, or `bad_request` for one that is not active, or where two are live already."""

    def revoke(self, key_id: str, now_us: int, *, by: str = "", why: str = "") -> bool:
        """False when there is no such key. The first time counts."""

    def every(self) -> list[KeyRecord]:
        """All keys, oldest first, revoked ones included."""

    def close(self) -> None: ...


class AccessLog(Protocol):
    """Changes of keys and people that are not on record yet. Raises GatewayError('unavailable')."""

    def unrecorded(self, limit: int) -> list[AccessRow]:
        """The oldest first."""

    def recorded(self, changes: Sequence[AccessRow]) -> None: ...
    def close(self) -> None: ...


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
    """Who may use the admin plane, by token and by password. A change is effective with the next request. `last_stays` refuses what would
    leave no administrator with a password. Raises GatewayError('unavailable')."""

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
        one who was removed is there no more."""

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


class Belonging(Struct, frozen=True):
    """A stored answer or conversation that a provider keeps for one caller."""

    kind: StoredKind
    id: str
    owner: str
    """`identify.owner` of the caller it was made for. It never changes."""
    upstream: str
    """Name of the upstream that keeps it."""
    created_us: int
    owed: tuple[Owed, ...] = ()
    """Withheld calls for whose results the provider waits."""
    tools: tuple[Tool, ...] = ()
    """What the request declared that the answer was made for."""
    settled: bool = False
    """Its cost is on record: whoever fetches it later spends nothing."""


class Belongings(Protocol):
    """What providers keep, and whose it is. Raises GatewayError('unavailable') when that cannot be read or written."""

    def find(self, dialect: str, kind: StoredKind, name: str) -> Belonging | None: ...
    def keep(self, dialect: str, belongings: Sequence[Belonging]) -> None:
        """Remembers them, or what they owe now; what is another caller's is left as it is."""

    def settle(self, dialect: str, kind: StoredKind, name: str) -> bool:
        """True for the first who says that its cost is on record."""

    def forget(self, dialect: str, kind: StoredKind, name: str) -> None: ...
    def close(self) -> None: ...


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


class Issued(Protocol):
    """Digests of calls that were delivered. Raises GatewayError('unavailable') when they cannot be read or written."""

    def keep(self, owner: str, digests: Sequence[bytes], now_us: int) -> None:
        """May wait for others and for the disk."""

    def keep_at_once(self, owner: str, digests: Sequence[bytes], now_us: int) -> bool:
        """False when it cannot be done without waiting: then nothing is written, and `keep` is to do it."""

    def known(self, owner: str, digests: Collection[bytes]) -> frozenset[bytes]: ...
    def known_at_once(self, owner: str, digests: Collection[bytes]) -> frozenset[bytes] | None:
        """None when it cannot be told without waiting: `known` can."""

    def seen(self, owner: str, digests: Collection[bytes]) -> frozenset[bytes]:
        """Those that this process is sure of without asking the store, in a moment."""

    def close(self) -> None: ...


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


class Taken(Struct, frozen=True):
    """What one charge took, to give it back by."""

    account: str
    amount: int
    at_us: int = 0
    id: int | None = None
    """None where nothing expires by itself."""


class Taking(Struct, frozen=True):
    """The answer to charges."""

    spent: tuple[int, ...]
    """How much was spent of each before."""
    taken: tuple[Taken, ...] = ()
    """Empty when one of them did not fit: then nothing was taken."""


class Lease(Struct, frozen=True):
    """Until when somebody says that what they took is in use; after that it is given back by whoever comes next."""

    id: int
    until_us: int


class Limits(Protocol):
    """What limits have counted. Raises GatewayError('unavailable') when that cannot be read or written. Times of leases are `steady_us`."""

    def take(self, charges: Sequence[Charge], now_us: int, lease: Lease | None = None) -> Taking:
        """Takes all of them when every one fits, otherwise nothing; atomic over all workers. On a lease, each account once."""

    def look(self, charges: Sequence[Charge], now_us: int) -> tuple[int, ...]: ...
    def reserved(self, charges: Sequence[Charge], now_us: int) -> tuple[int, ...]:
        """How much of what `look` tells is taken on leases: kept free for what still runs. Leases that nobody renewed end first."""

    def give_back(self, taken: Sequence[Taken]) -> None: ...
    def renew(self, leases: Sequence[int], until_us: int) -> None:
        """Those that are still there last until then."""

    def settle(self, lease: int, taken: Sequence[tuple[Charge, Taken]], amounts: Sequence[int], now_us: int) -> None:
        """Puts what was really used in the place of what was taken on the lease, whether that fits or not, and ends it. What the end of
        the lease has given back already is taken now."""

    def frees_us(self, charge: Charge, now_us: int) -> int | None:
        """When so much of a window will have passed that the charge fits, if nobody takes more; None when it never will."""

    def clear(self, charges: Sequence[Charge]) -> None:
        """Forgets what was taken, leases included."""

    def steady_us(self) -> int:
        """A time that is the same for all workers and that no setting of a clock moves. Near to the wall clock's when it was begun."""

    def close(self) -> None: ...


class Answers(Protocol):
    """Answers to be given again, by name, sealed or not. What was kept may be gone at any time. Raises GatewayError('unavailable')."""

    def find(self, name: str) -> bytes | None: ...
    def keep(self, name: str, data: bytes, ttl_us: int) -> None:
        """In the place of what had the name; what is too large for the bound on all of them is not kept."""

    def forget(self, name: str) -> None: ...
    def close(self) -> None: ...


class DataKey(Struct, frozen=True):
    """A key under which content is encrypted, wrapped by a master key."""

    id: str
    tenant: str
    user: str
    """Empty where the tenant's keys name none."""
    wrapped: bytes
    created_us: int


class DataKeys(Protocol):
    """Where data keys are kept. Raises GatewayError('unavailable') when they cannot be read or written."""

    def take(self, tenant: str, user: str, now_us: int, make: Callable[[], DataKey]) -> tuple[DataKey, int]:
        """The key for new content, and how often it may be used before it is taken again. `make` makes one where there is none."""

    def find(self, name: str) -> DataKey | None:
        """None when there is no such key, or no longer."""

    def erase(self, tenant: str, user: str | None, now_us: int) -> list[str]:
        """Drops the keys of a tenant, or of one user of it; ids of all that are gone and not on record as such."""

    def noted(self, names: Sequence[str]) -> None:
        """Their erasure is on record."""

    def every(self) -> list[DataKey]:
        """Those that are there, oldest first."""

    def rewrap(self, key: DataKey) -> None:
        """Puts a key back that was wrapped anew; one that was erased meanwhile stays erased."""

    def close(self) -> None: ...


class Met(Struct, frozen=True):
    """That somebody came with something."""

    new: bool
    """Whether it was the first time."""
    count: int
    """Of different things this one has come with by now."""


MOST_MET = 200
"""Different things of one that are remembered: who has more of them comes with another one each time."""


class Prompts(Protocol):
    """Which labels of kept prompts were moved, with the versions that they need, which arms of experiments are out, and who has come with
    which template before."""

    def moves(self) -> Moves: ...
    def move(self, name: str, label: str, to: Move, sources: Mapping[str, str]) -> None:
        """`sources`: version → text of its file, for machines that never had it."""

    def source(self, name: str, version: str) -> str | None:
        """The text of a version that a label was moved to."""

    def stops(self) -> Stops: ...
    def stop(self, design: str, out: Stop) -> None:
        """Its arms are out from now on, besides those that are out already."""

    def met(self, who: str, what: str, now_us: int) -> Met:
        """Notes that it happened. Of two that ask at once, one is the first. What is beyond `MOST_MET` is not noted."""

    def close(self) -> None: ...
