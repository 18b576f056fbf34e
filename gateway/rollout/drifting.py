"""Drift: whether what comes of a prompt version in the last days is what came of it in the weeks before.

The prompt is the same one, so what drifts is around it: the model behind a name, the traffic, the tools. Each measure is compared by a
test of SciPy (two-sample Kolmogorov-Smirnov for spans and amounts, Fisher's for shares, chi-squared for mixes), and what all tests of a run
found is corrected for their number (Benjamini-Hochberg). That alone is not called drift: answers of one session resemble each other, so
that tests see differences which are none, and with many answers they see ones too small to matter. The difference must also be as large as
`EFFECTS` says.

The same tests compare two versions with each other. Decides nothing. The samples are the saved query `prompt_samples`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from statistics import quantiles
from typing import Any, Final, Literal

from msgspec import Struct

from gateway import extras

SURE: Final = 0.01
"""A corrected p value below it is no chance."""
FEWEST_EXPECTED: Final = 5.0
"""Answers of a kind, in either window, for which a chi-squared test holds; rarer kinds count as one."""
EFFECTS: Final[Mapping[str, float]] = {"distribution": 0.2, "share": 0.05, "mix": 0.1}
"""From where on a difference matters: the largest distance of two cumulative distributions, of two shares, of two mixes (half the sum of
the differences of their shares)."""
Kind = Literal["distribution", "share", "mix"]
MEASURES: Final[Mapping[str, Kind]] = {
    "output_tokens": "distribution", "cost": "distribution", "duration_us": "distribution", "refused": "share", "withheld": "share",
    "findings": "share", "tools": "mix", "models": "mix",
}  # fmt: skip
Row = Mapping[str, Any]


class Compared(Struct):
    """One measure in both windows."""

    measure: str
    kind: Kind
    before: Any
    """Quantiles (10 %, 50 %, 90 %), a share, or shares by name."""
    now: Any
    effect: float
    p: float
    """Corrected for the number of tests, once all are known."""
    drifted: bool = False


class Drift(Struct):
    """One version of one prompt."""

    prompt: str
    version: str
    kept: bool
    baseline: int
    answers: int
    verdict: Literal["drift", "steady", "too few"]
    measures: list[Compared]


def judged(rows: Sequence[Row], least: int) -> list[Drift]:
    """Of rows of the saved query: one for each version and window."""
    rows = sorted(rows, key=_version)
    found = [_of_one_version(list(mine), least) for _, mine in groupby(rows, key=_version)]
    _judge(found)
    return sorted(found, key=lambda each: (-each.answers, each.prompt, each.version))


def compared(before: Row, now: Row, least: int) -> Drift:
    """Two versions, of which a row each is given, as if the second came after the first."""
    about = {name: now[name] for name in ("prompt", "version", "kept")}
    found = _of_one_version([{**before, **about, "late": False}, {**now, "late": True}], least)
    _judge([found])
    return found


def _version(row: Row) -> tuple[str, str, bool]:
    return row["prompt"], row["version"], row["kept"]


def _of_one_version(windows: Sequence[Row], least: int) -> Drift:
    by_time = {row["late"]: row for row in windows}
    now, before = by_time.get(True), by_time.get(False)
    counts = [0 if row is None else row["answers"] for row in (before, now)]
    enough = before is not None and now is not None and min(counts) >= least
    measures = list(_compared(before, now, least)) if enough and before is not None and now is not None else []
    prompt, version, kept = _version(windows[0])
    return Drift(prompt, version, kept, counts[0], counts[1], "steady" if measures else "too few", measures)


def _compared(before: Row, now: Row, least: int) -> Iterator[Compared]:
    for measure, kind in MEASURES.items():
        made = _COMPARE[kind](measure, before, now, least)
        if made is not None:
            yield made


def _judge(found: Sequence[Drift]) -> None:
    """Whether each difference is one, all tests of the run taken together."""
    measures = [measure for each in found for measure in each.measures]
    if not measures:
        return
    stats = _statistics()
    for measure, p in zip(measures, stats.false_discovery_control([each.p for each in measures]), strict=True):
        measure.p = float(p)
        measure.drifted = measure.p < SURE and measure.effect >= EFFECTS[measure.kind]
    for each in found:
        if any(measure.drifted for measure in each.measures):
            each.verdict = "drift"


def _statistics() -> Any:
    """Raises StartError where the library is not installed."""
    return extras.load("scipy.stats", "experiments", "comparing")


# -- one measure -------------------------------------------------------------------------------------------


def _distributions(measure: str, before: Row, now: Row, least: int) -> Compared | None:
    """None where it is known of too few answers, such as the cost of a model without a price."""
    stats = _statistics()
    one, other = (json.loads(row[measure] or "[]") for row in (before, now))
    if min(len(one), len(other)) < min(least, before["drawn"], now["drawn"]):
        return None
    tested = stats.ks_2samp(one, other, method="asymp")
    return Compared(measure, "distribution", _quantiles(one), _quantiles(other), float(tested.statistic), float(tested.pvalue))


def _quantiles(values: Sequence[float]) -> list[float]:
    tenths = quantiles(values, n=10, method="inclusive")
    return [tenths[0], tenths[4], tenths[8]]


def _shares(measure: str, before: Row, now: Row, least: int) -> Compared | None:
    stats = _statistics()
    counts = [(row[measure], row["drawn"] - row[measure]) for row in (before, now)]
    one, other = (yes / (yes + no) for yes, no in counts)
    return Compared(measure, "share", one, other, abs(one - other), float(stats.fisher_exact(counts).pvalue))


def _mixes(measure: str, before: Row, now: Row, least: int) -> Compared | None:
    one, other = ({each["name"] or "none": each["n"] for each in json.loads(row[measure])} for row in (before, now))
    table = _table(one, other)
    if len(table[0]) < 2:  # nothing to choose from
        return Compared(measure, "mix", _parts(one), _parts(other), 0.0, 1.0)
    stats = _statistics()
    shares = [[each / sum(row) for each in row] for row in table]
    effect = sum(abs(a - b) for a, b in zip(*shares, strict=True)) / 2
    return Compared(measure, "mix", _parts(one), _parts(other), effect, float(stats.chi2_contingency(table).pvalue))


def _table(one: Mapping[str, int], other: Mapping[str, int]) -> list[list[int]]:
    """Counts by kind, of both; what is expected too rarely is counted together."""
    totals = sum(one.values()), sum(other.values())
    least = FEWEST_EXPECTED * sum(totals) / max(min(totals), 1)
    kinds = sorted({*one, *other})
    often = [kind for kind in kinds if one.get(kind, 0) + other.get(kind, 0) >= least]
    rest = [sum(mix.get(kind, 0) for kind in kinds if kind not in often) for mix in (one, other)]
    columns = [[mix.get(kind, 0) for mix in (one, other)] for kind in often] + ([rest] if sum(rest) else [])
    return [list(row) for row in zip(*columns, strict=True)]


def _parts(mix: Mapping[str, int]) -> dict[str, float]:
    return {name: round(n / sum(mix.values()), 4) for name, n in mix.items()}


_COMPARE: Final[Mapping[Kind, Callable[[str, Row, Row, int], Compared | None]]] = {
    "distribution": _distributions, "share": _shares, "mix": _mixes,
}  # fmt: skip
