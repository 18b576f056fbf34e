"""The model asked again because its calls were denied: the next round, when there is one (`steering` says whether).

The explanation of the denial is ready before the model is asked again, and is kept until another answer has begun to leave: an answer that
comes to nothing leaves the client with the explanation, not with an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import NamedTuple

import msgspec

from gateway import spending, steering
from gateway.answer import Answer
from gateway.answering.decisions import delivered
from gateway.answering.ending import spoilt
from gateway.answering.leaving import final, give_back
from gateway.continuity import keep
from gateway.errors import GatewayError
from gateway.request import Owed, Request
from gateway.stopping import refuse_stopped
from gateway.upstream.client import ProviderAnswer
from gateway.verdict import Finding
from gateway.visit import Head, Looking, Visit, Withheld


class Explained(NamedTuple):
    """A whole answer with the explanation in the place of its calls, as it would have left."""

    answer: Answer
    headers: Mapping[str, str]
    data: bytes
    owed: tuple[Owed, ...]
    withheld: Withheld | None
    output: Looking | None


class Rounds:
    """`next` is the request and the answer of the round that follows the running one."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self._open_answers: AsyncExitStack | None = None
        self.next: tuple[Request, ProviderAnswer] | None = None
        self._explained: Explained | None = None
        self._given_up = False

    def taken(self) -> tuple[Request, ProviderAnswer] | None:
        found, self.next = self.next, None
        return found

    async def begin(self, request: Request, said: Answer, headers: Mapping[str, str], data: bytes) -> bool:
        """Asks again, where a denial steers and the provider takes it; False leaves the explanation (`headers`, `data`) to be sent."""
        visit = self.visit
        body = steering.next_request(visit, request, said)
        if body is None or visit.again is None or visit.broken is not None:
            return False
        first_status = visit.x.upstream_status
        self._open_answers = self._open_answers or AsyncExitStack()
        try:
            await refuse_stopped(visit)  # by another request, or by a person, since this one began
            asked, upstream = await self._open_answers.enter_async_context(visit.again(body))
            problem = f"the provider answered {upstream.status} when it was asked again" if upstream.status >= 400 else ""
        except GatewayError as error:
            problem = f"the model could not be asked again: {error.code}"
        except BaseException:
            if visit.latest is not None and visit.latest.sent:  # what the answer to it takes belongs to a round of its own
                steering.begin_round(visit, said)
            raise
        if problem:
            self._not_steered(problem)
            visit.x.upstream_status = first_status
            return False
        self._explained = Explained(_as_it_would_leave(visit, said), headers, data, tuple(visit.owed), visit.withheld, visit.output)
        steering.begin_round(visit, said)
        self.next = asked, upstream
        return True

    async def close(self) -> None:
        """Lets go of the answers of all rounds but the first."""
        if self._open_answers is not None:
            await self._open_answers.aclose()

    def give_up(self, error: GatewayError) -> bool:
        """Whether the explanation can still be sent in the place of an answer that the provider broke off."""
        self._given_up = (
            error.kind in ("upstream", "upstream_timeout") and self._explained is not None and not self.visit.begun
        )
        if self._given_up:
            spoilt(self.visit, error)
            self._not_steered(f"the model was asked again, but its answer failed: {error.code}")
        return self._given_up

    async def explanation(self) -> Sequence[Head | bytes]:
        """The last round that ended well, explained, when the one after it was given up."""
        visit, explained = self.visit, self._explained
        if not self._given_up or explained is None:
            return ()
        await give_back(visit)
        visit.issued.clear()
        visit.flow = visit.gateway.redactor.flow()
        spending.fruitless(visit)
        steering.return_to(visit, explained.answer, explained.owed, explained.withheld)
        visit.output = explained.output
        if error := steering.error_of(visit, last=True):
            raise error
        await keep(visit)
        visit.x.state = delivered(visit)
        return await final(visit, 200, explained.headers, explained.data)

    def _not_steered(self, problem: str) -> None:
        self.visit.x.findings.append(Finding("policy", "not_steered", "warn", "round", problem))


def _as_it_would_leave(visit: Visit, said: Answer) -> Answer:
    """With the words that rules let through."""
    if visit.stream is None:
        return visit.x.answer
    screening = visit.screening
    return said if screening is None or not screening.differs else msgspec.structs.replace(said, text=screening.text)
