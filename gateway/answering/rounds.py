"""The model asked again because its calls were denied: the next round, when there is one (`steering` says whether)."""

from __future__ import annotations

from contextlib import AsyncExitStack

from gateway import steering
from gateway.errors import GatewayError
from gateway.exchange import Answer, Finding, Request
from gateway.upstream.client import ProviderAnswer
from gateway.visit import Visit


class Rounds:
    """`next` is the request and the answer of the round that follows the running one."""

    def __init__(self, visit: Visit, open_answers: AsyncExitStack) -> None:
        self._visit, self._open_answers = visit, open_answers
        self.next: tuple[Request, ProviderAnswer] | None = None

    def taken(self) -> tuple[Request, ProviderAnswer] | None:
        found, self.next = self.next, None
        return found

    async def begin(self, request: Request, said: Answer) -> bool:
        """Asks again, where a denial steers and the provider takes it; False leaves the explanation to be sent."""
        visit = self._visit
        body = steering.next_request(visit, request, said)
        if body is None or visit.again is None or visit.broken is not None:
            return False
        first_status = visit.x.upstream_status
        try:
            asked, upstream = await self._open_answers.enter_async_context(visit.again(body))
            problem = f"the provider answered {upstream.status} when it was asked again" if upstream.status >= 400 else ""
        except GatewayError as error:
            problem = f"the model could not be asked again: {error.code}"
        if problem:
            visit.x.findings.append(Finding("policy", "not_steered", "warn", "round", problem))
            visit.x.upstream_status = first_status
            return False
        steering.begin_round(visit, said)
        self.next = asked, upstream
        return True
