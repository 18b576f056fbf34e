"""A chart from the answer to a question, by columns that the address names: line, bar, heat, histogram. Pure.

A column of numbers is one of which every value reads as one (money comes as text); what is not known stays a gap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from gateway.face import charts
from gateway.stores import Answer

KINDS = ("", "line", "bar", "heat", "histogram")
MOST_POINTS, MOST_CELLS, BINS = 5000, 60, 20
Wanted = Mapping[str, str]


class PlotProblem(ValueError):  # noqa: N818 - is shown to people, not raised at programs
    """Why there is no such chart, and what to choose instead."""


def plot(answer: Answer, wanted: Wanted) -> Markup | None:
    """`wanted`: `chart` and the columns `x`, `y`, `z`. None where no chart is asked for. Raises PlotProblem."""
    kind = wanted.get("chart", "")
    if kind not in KINDS:
        raise PlotProblem(f"a chart is {', '.join(KINDS[1:])}; '{kind[:40]}' is not one")
    if not kind:
        return None
    if len(answer.rows) > MOST_POINTS:
        raise PlotProblem(f"a chart is of at most {MOST_POINTS} rows; these are {len(answer.rows)}: aggregate, or use LIMIT")
    return _DRAW[kind](answer, wanted)


def suits(answer: Answer) -> dict[str, list[str]]:
    """Columns that can be chosen: every one to name things, and those of numbers to measure them."""
    once = [name for name in answer.columns if answer.columns.count(name) == 1]
    return {"every": list(answer.columns), "numbers": [name for name in once if _is_numeric(_column(answer, name))]}


def _line(answer: Answer, wanted: Wanted) -> Markup:
    x, y = _named(answer, wanted, "x"), _named(answer, wanted, "y")
    more = [wanted["z"]] if wanted.get("z") else []
    series = {name: _numbers(answer, name) for name in (y, *more)}
    return charts.line(f"{' and '.join(series)} by {x}", _labels(answer, x), series)


def _bar(answer: Answer, wanted: Wanted) -> Markup:
    x, y = _named(answer, wanted, "x"), _named(answer, wanted, "y")
    return charts.bar(f"{y} by {x}", _labels(answer, x), _numbers(answer, y))


def _heat(answer: Answer, wanted: Wanted) -> Markup:
    x, y, z = (_named(answer, wanted, each) for each in ("x", "y", "z"))
    across, down, values = _labels(answer, x), _labels(answer, y), _numbers(answer, z)
    columns, rows = list(dict.fromkeys(across)), list(dict.fromkeys(down))
    if max(len(columns), len(rows)) > MOST_CELLS:
        raise PlotProblem(f"a heat map has at most {MOST_CELLS} columns and rows; choose columns with fewer values, or round them")
    cells = dict(zip(zip(down, across, strict=True), values, strict=True))
    if len(cells) < len(values):
        raise PlotProblem(f"'{x}' and '{y}' together must name one value each; group by both of them")
    return charts.heat(f"{z} by {y} and {x}", rows, columns, [[cells.get((row, column)) for column in columns] for row in rows])


def _histogram(answer: Answer, wanted: Wanted) -> Markup:
    y = _named(answer, wanted, "y")
    known = [float(value) for value in _numbers(answer, y) if value is not None]
    if not known:
        raise PlotProblem(f"nothing is known of '{y}' in this answer")
    low, high = min(known), max(known)
    if low == high:
        return charts.histogram(y, [low, high], [len(known)])
    edges = [low + (high - low) * n / BINS for n in range(BINS + 1)]
    if not all(math.isfinite(edge) for edge in edges) or edges[0] == edges[1]:
        raise PlotProblem(f"the values of '{y}' are too far apart, or too near to each other, to be counted in {BINS} steps")
    counts = [0] * BINS
    for value in known:
        counts[min(BINS - 1, int((value - low) / (high - low) * BINS))] += 1
    return charts.histogram(y, edges, counts)


def _named(answer: Answer, wanted: Wanted, which: str) -> str:
    name = wanted.get(which, "")
    if answer.columns.count(name) != 1:
        said = "names more than one column; give each a name with AS" if name in answer.columns else "names no column of this answer"
        raise PlotProblem(f"'{which}={name[:60]}' {said}; there are {', '.join(answer.columns)}")
    return name


def _column(answer: Answer, name: str) -> list[Any]:
    at = answer.columns.index(name)
    return [row[at] for row in answer.rows]


def _labels(answer: Answer, name: str) -> list[str]:
    return ["unknown" if value is None else str(value).removesuffix(".000000Z").replace("T", " ") for value in _column(answer, name)]


def _numbers(answer: Answer, name: str) -> list[charts.Value]:
    if answer.columns.count(name) != 1:
        raise PlotProblem(f"'{name[:60]}' is not one column of this answer; there are {', '.join(answer.columns)}")
    values = _column(answer, name)
    if not _is_numeric(values):
        raise PlotProblem(f"the column '{name}' does not hold numbers; choose another")
    return [None if value is None else float(value) for value in values]


def _is_numeric(values: Sequence[Any]) -> bool:
    return any(value is not None for value in values) and all(value is None or _reads_as_number(value) for value in values)


def _reads_as_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return False
    try:
        return math.isfinite(float(value)) and (not isinstance(value, str) or value == value.strip())
    except (ValueError, OverflowError):
        return False


_DRAW = {"line": _line, "bar": _bar, "heat": _heat, "histogram": _histogram}
