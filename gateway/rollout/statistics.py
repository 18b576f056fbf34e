"""Means of two groups compared, and how much of the risk each look may use up.

1. Groups are compared by Welch's test: session means with variances of their own. It needs only counts, means and deviations, and takes
   means for normal, which they are with `LEAST` sessions or more, unless a few sessions weigh more than all others together.
2. Who looks five times at 5 % each is wrong far more often than in 5 %. So the risk is spent over the looks (Lan and DeMets, 1983): up to a
   share t of the sessions, t times the risk. The bound of each look is the one at which just the risk newly spent is taken by differences
   that are chance and were in no earlier look beyond its bound. Looks may come earlier or later than planned; only what they were counts.
3. The bounds come from the recursion of Armitage, McPherson and Rowe (1969): the density of the running sum among those still going on is
   carried from look to look on a grid.

Intervals are as wide as the bounds: all looks' intervals together hold the truth with the promised probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

from msgspec import Struct

from gateway import extras

LEAST: Final = 30
"""Sessions of each group, before these nothing is said."""
EXTRA: Final = "experiments"
WHAT: Final = "comparing groups"
_GRID: Final = 801
_FAR: Final = 9.0
"""Standard deviations beyond which nothing is."""


def numpy() -> Any:
    """Raises StartError where the extra is not installed."""
    return extras.load("numpy", EXTRA, WHAT)


def _scipy(part: str) -> Any:
    return extras.load(f"scipy.{part}", EXTRA, WHAT)


class Group(Struct, frozen=True):
    """What is known of one arm's sessions."""

    count: int
    mean: float = 0.0
    deviation: float = 0.0
    """Of a sample: divided by one less than the count."""

    def filled(self, sessions: int, value: float) -> Group:
        """With `value` for those of so many sessions of which nothing is known."""
        absent = sessions - self.count
        if absent <= 0:
            return self
        mean = (self.count * self.mean + absent * value) / sessions
        squares = max(self.count - 1, 0) * self.deviation**2 + self.count * self.mean**2 + absent * value**2
        variance = max(0.0, squares - sessions * mean**2) / (sessions - 1) if sessions > 1 else 0.0
        return Group(sessions, mean, variance**0.5)


class Comparison(Struct, frozen=True):
    """How much more the arm has than the control."""

    difference: float
    low: float
    high: float
    """The interval, each side of which is beyond the truth with the probability asked for."""
    p_more: float
    """How probable so great a difference is where there is none."""
    p_less: float


def compare(control: Group, arm: Group, level: float) -> Comparison | None:
    """None where there are too few sessions to say anything. `level`: of one side."""
    stats = _scipy("stats")

    if min(control.count, arm.count) < LEAST:
        return None
    difference = arm.mean - control.mean
    parts = [group.deviation**2 / group.count for group in (control, arm)]
    error = sum(parts) ** 0.5
    if error == 0.0:  # every session of a group had the same value
        return Comparison(difference, difference, difference, float(difference <= 0), float(difference >= 0))
    freedom = sum(parts) ** 2 / sum(part**2 / (group.count - 1) for part, group in zip(parts, (control, arm), strict=True))
    more = stats.ttest_ind_from_stats(
        arm.mean, arm.deviation, arm.count, control.mean, control.deviation, control.count, equal_var=False, alternative="greater"
    )
    reach = float(stats.t.isf(level, freedom)) * error
    return Comparison(difference, difference - reach, difference + reach, float(more.pvalue), 1 - float(more.pvalue))


def evenness(counts: Sequence[int], weights: Sequence[float]) -> float:
    """How probable counts that far from the weights are, were sessions drawn as the weights say."""
    stats = _scipy("stats")

    whole, parts = sum(counts), sum(weights)
    return float(stats.chisquare(counts, [whole * weight / parts for weight in weights]).pvalue) if whole else 1.0


@lru_cache(maxsize=1024)
def level(shares: tuple[float, ...], risk: float) -> float:
    """The probability of one side under which a difference counts at the last of these looks. `shares`: of all sessions, at each look so
    far, ascending; what is over 1 is 1."""
    stats = _scipy("stats")

    return float(stats.norm.sf(_bounds(shares, risk)[-1]))


def _bounds(shares: Sequence[float], risk: float) -> list[float]:
    """Of the test statistic at each look (rules 2 and 3)."""
    optimize = _scipy("optimize")

    bounds: list[float] = []
    before, reached = _Going(None, None), 0.0
    for share in (min(each, 1.0) for each in shares):
        step = share - reached
        if step <= 0:  # nothing new: nothing can count
            bounds.append(_FAR)
            continue
        bound = optimize.brentq(partial(_excess, before, share, step**0.5, risk * step), -_FAR, _FAR)
        bounds.append(float(bound))
        before, reached = _carried(before, share, step**0.5, bound), share
    return bounds


class _Going(NamedTuple):
    """Density of the running sum among those that no look has stopped; None before the first look."""

    grid: Any
    density: Any


def _excess(before: _Going, share: float, deviation: float, spent: float, bound: float) -> float:
    """Probability of a sum that is beyond the bound for the first time, less what may be spent."""
    stats = _scipy("stats")

    if before.grid is None:
        return float(stats.norm.sf(bound)) - spent
    return float(_integral(before.grid, before.density * stats.norm.sf((bound * share**0.5 - before.grid) / deviation))) - spent


def _carried(before: _Going, share: float, deviation: float, bound: float) -> _Going:
    """One look later."""
    np, stats = numpy(), _scipy("stats")

    fresh = np.linspace(-_FAR * share**0.5, bound * share**0.5, _GRID)
    if before.grid is None:
        return _Going(fresh, stats.norm.pdf(fresh / deviation) / deviation)
    kernel = stats.norm.pdf((fresh[:, None] - before.grid[None, :]) / deviation) / deviation
    return _Going(fresh, _integral(before.grid, kernel * before.density[None, :]))


def _integral(grid: Any, values: Any) -> Any:
    integrate = _scipy("integrate")

    return integrate.simpson(values, x=grid)
