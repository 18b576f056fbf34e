"""Whether another attempt is right, and how long to wait before it.

1. Never more attempts than the route says, and none that the failure rules out.
2. What may have been carried out is asked again only where the settings say so, and never where the provider keeps something of it or goes
   on working by itself.
3. Another target is asked at once. The same one is asked again only when no other is left, after a wait that doubles, in part left to
   chance, and never shorter than the provider asks for; who asks for longer than the longest wait is not asked again.
4. Asking the same one again has a budget: a share of the route's requests in a window, so that retries never make a storm of a fault.
"""

from __future__ import annotations

from gateway.request import Request
from gateway.route_settings import Retries
from gateway.routes.outcomes import Failure
from gateway.routes.window import Window


def may_repeat(failure: Failure, retries: Retries, request: Request) -> bool:
    """Rule 2."""
    return not failure.unsure or (retries.sent and not lasting(request))


def lasting(request: Request) -> bool:
    """Asking twice does more than costing twice."""
    return bool(request.stores or request.background or request.server_tools) or request.operation in ("create", "delete", "pass_through")


def wait_s(retries: Retries, repeats: int, asked_for: float | None, draw: float) -> float | None:
    """Before the target that was asked `repeats` times already. None: not again."""
    backoff: float = min(retries.longest, retries.wait * 2 ** (repeats - 1))
    backoff *= 1 - retries.jitter * draw
    if asked_for is None:
        return backoff
    return None if asked_for > retries.longest else max(backoff, asked_for)


class RetryBudget:
    """Rule 4, for one route."""

    def __init__(self, retries: Retries) -> None:
        self._retries = retries
        self._window = Window(retries.window)

    def request(self, now_us: int) -> None:
        self._window.add(now_us, first=1)

    def take(self, now_us: int) -> bool:
        """Whether there is room for one more; it is then taken."""
        requests, repeated = self._window.sums(now_us)
        if repeated >= max(self._retries.least, int(self._retries.share * requests)):
            return False
        self._window.add(now_us, second=1)
        return True
