"""Figures beside what is wanted of them, as lines for people: `holds` or `misses`. For benches that run as scripts of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Goal(NamedTuple):
    """What a figure must not exceed, or with `at_least` must reach."""

    what: str
    bound: float
    unit: str
    at_least: bool = False

    def holds(self, measured: float) -> bool:
        return measured >= self.bound if self.at_least else measured <= self.bound


class Verdict(NamedTuple):
    goal: Goal
    measured: float
    beside: str = ""
    """What helps to judge the figure on a busy machine."""

    @property
    def holds(self) -> bool:
        return self.goal.holds(self.measured)

    def cells(self) -> tuple[str, str, str, str, str]:
        goal = self.goal
        wanted = f"{'>=' if goal.at_least else '<='} {goal.bound:,g} {goal.unit}"
        return goal.what, wanted, f"{self.measured:,g}", "holds" if self.holds else "MISSES", self.beside


def table(verdicts: Sequence[Verdict]) -> str:
    lines = [("", "wanted", "measured", "", ""), *(each.cells() for each in verdicts)]
    widths = [max(len(line[at]) for line in lines) for at in range(5)]
    return "\n".join(_line(line, widths) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    what, wanted, measured, verdict, beside = cells
    return f"{what:<{widths[0]}}  {wanted:>{widths[1]}}  {measured:>{widths[2]}}  {verdict:<{widths[3]}}  {beside}".rstrip()


def summary(verdicts: Iterable[Verdict]) -> str:
    missed = [each.goal.what.strip() for each in verdicts if not each.holds]
    return f"misses: {', '.join(missed)}" if missed else "everything that is wanted holds"


def machine() -> str:
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
