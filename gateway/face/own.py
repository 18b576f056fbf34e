"""The house as somebody sees it who is bound to teams: every way to what happened leads to what is theirs, and to nothing else.

1. Pages ask the same questions of it. What a page forgets to ask narrowly it does not see, and a way that is not here is closed.
2. Rows are narrowed where they lie (`stores.sight`); approvals, stopped sessions and the tail by the organisation and team that stand in
   them (`people.bound`). What has neither is nobody's who is bound to teams; but that an agent is paused is seen by those for whom it came:
   it is refused, and told why.
3. How the installation is doing is told in one word: what is wrong names files, segments and other things of everybody's.
4. Budgets count for more people than a team; those that are counted by team are shown (`pages.cost`). Policies, prompts and experiments
   are everybody's: their pages are closed, and an exchange shows the rules that spoke without their texts (`policy_texts`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial

from gateway.errors import GatewayError
from gateway.face.page import House, Stops, unavailable
from gateway.people.roles import Person
from gateway.state.sessions import EVERY_SESSION, Session
from gateway.stores import Refused
from gateway.web.admin import Status, Subscription
from gateway.web.answers import Fetch
from gateway.web.approvals import OwnApprovals
from gateway.web.tail import OwnLines

ALL = 1_000_000
_AGENTS = "SELECT DISTINCT agent FROM exchange_sums"
_ABOUT_EVERYBODY = "This is about everybody, and you see what belongs to your teams. Ask somebody who is not bound to teams."


def house_of(house: House, person: Person) -> House:
    """The whole house for who is not bound to teams."""
    if person.teams is None:
        return house
    fetch = partial(house.fetch, teams=person.teams)
    return dataclasses.replace(
        house,
        teams=person.teams,
        fetch=fetch,
        reader=house.reader.of(person.teams),
        status=lambda: _in_a_word(house.status()),
        subscribe=_own_lines(house.subscribe, person.teams),
        approvals=OwnApprovals(house.approvals, person),
        sessions=OwnSessions(house.sessions, person, fetch),
        labels=None,
        rulings=None,
    )


def refusal() -> GatewayError:
    return GatewayError("refused", "bound_to_teams", _ABOUT_EVERYBODY)


class OwnSessions:
    """Stopped sessions of a person's teams, and which of their agents are paused."""

    def __init__(self, sessions: Stops, who: Person, fetch: Fetch) -> None:
        self._sessions, self._who, self._fetch = sessions, who, fetch

    def every(self, limit: int = 1000) -> list[Session]:
        """Raises GatewayError."""
        found = self._sessions.every(ALL)
        agents = self._agents() if any(each.session == EVERY_SESSION for each in found) else frozenset()
        return [each for each in found if self._sees(each) or (each.session == EVERY_SESSION and each.agent in agents)][:limit]

    def resume(self, owner: str, session: str, *, by: str, at_us: int, why: str = "") -> bool:
        """Also False where it is another team's."""
        theirs = any(self._sees(each) for each in self._sessions.every(ALL) if (each.owner, each.session) == (owner, session))
        return theirs and self._sessions.resume(owner, session, by=by, at_us=at_us, why=why)

    def pause(self, agent: str, *, by: str, why: str, at_us: int) -> bool:
        """A pause holds for all who come under the name. Raises GatewayError."""
        raise refusal()

    def _agents(self) -> frozenset[str]:
        """Those that came for them."""
        try:
            return frozenset(str(row["agent"]) for row in self._fetch(_AGENTS, {}))
        except Refused as refused:
            raise unavailable(refused) from refused

    def _sees(self, stopped: Session) -> bool:
        return stopped.session != EVERY_SESSION and self._who.sees(stopped.org, stopped.team)


class OwnTail:
    """The lines of a tail that teams may see."""

    def __init__(self, tail: Subscription, teams: frozenset[str]) -> None:
        self._tail, self._own = tail, OwnLines(teams)
        self._ready: list[bytes] = []

    async def next_line(self) -> bytes | None:
        while not self._ready:
            line = await self._tail.next_line()
            if line is None:
                return None
            self._ready = self._own.of(line)[::-1]
        return self._ready.pop()

    def close(self) -> None:
        self._tail.close()


def _own_lines(subscribe: Callable[[], Subscription], teams: frozenset[str]) -> Callable[[], Subscription]:
    return lambda: OwnTail(subscribe(), teams)


def _in_a_word(status: Status) -> Status:
    return Status(ready=status.ready, lag_bytes=0, records=0, ledger=status.ledger)
