"""A circuit breaker: what fails is left alone for a while, then tried with one request.

1. Closed, every request passes. So many failures one after the other, or a share of failures in a window, open it.
2. Open, none passes, for the time that is set. Then it is half open: exactly one request passes, the probe.
3. The probe closes it or opens it anew. A probe that comes to nothing (its client left) makes room for another one.
4. An answer that has begun is a success; where it then comes to nothing, it is a failure that follows those before it. That of a probe
   opens the breaker anew, unless another answer has begun in the meantime.
5. What began under an earlier state says nothing about this one: a pass belongs to the state that gave it.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gateway.route_settings import BreakerSettings
from gateway.routes.window import Window

State = Literal["closed", "open", "half_open"]


class Pass(Struct, frozen=True):
    """Leave to ask once. It is used by saying how it went, or that nobody knows."""

    era: int
    probe: bool = False


class Breaker:
    """That of one target."""

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._window = Window(settings.window)
        self._open_us = int(settings.open * 1_000_000)
        self._era = self._failures = self._failures_before = 0
        self._latest: Pass | None = None
        self._opened_us: int | None = None
        self._probing = False

    def state(self, now_us: int) -> State:
        if self._opened_us is None:
            return "closed"
        return "open" if now_us < self._opened_us + self._open_us else "half_open"

    def admits(self, now_us: int) -> bool:
        """Whether `take` would give a pass."""
        return self._opened_us is None or (self.state(now_us) == "half_open" and not self._probing)

    def opens_in_us(self, now_us: int) -> int:
        """Until it may be tried; 0 when it may now or somebody is trying."""
        return 0 if self._opened_us is None else max(0, self._opened_us + self._open_us - now_us)

    def take(self, now_us: int) -> Pass | None:
        if not self.admits(now_us):
            return None
        self._probing = self._opened_us is not None
        return Pass(self._era, self._probing)

    def succeeded(self, given: Pass, now_us: int) -> None:
        if given.era != self._era:
            return
        if given.probe:
            self._turn(None)
        self._latest, self._failures_before, self._failures = given, self._failures, 0
        self._window.add(now_us, first=1)

    def failed(self, given: Pass, now_us: int) -> None:
        if given.era != self._era:
            return
        self._failures += 1
        self._window.add(now_us, first=1, second=1)
        if given.probe or self._too_many(now_us):
            self._turn(now_us)

    def spoilt(self, given: Pass, now_us: int) -> None:
        """What had succeeded came to nothing."""
        if given.probe and given is self._latest:
            self._turn(now_us)
        if given.era != self._era:
            return
        self._failures = max(self._failures, self._failures_before if self._latest is given else 0) + 1
        self._window.add(now_us, second=1)
        if self._too_many(now_us):
            self._turn(now_us)

    def abandoned(self, given: Pass) -> None:
        """Nobody knows how it went."""
        if given.era == self._era and given.probe:
            self._probing = False

    def _too_many(self, now_us: int) -> bool:
        settings = self._settings
        asked, failed = self._window.sums(now_us)
        return self._failures >= settings.failures or (asked >= settings.of and failed >= settings.share * asked)

    def _turn(self, opened_us: int | None) -> None:
        self._era += 1
        self._opened_us, self._probing, self._failures, self._latest = opened_us, False, 0, None
        self._window.clear()
