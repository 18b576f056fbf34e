"""Charts as SVG, made on the server: line, bar, stacked, heat, histogram, waterfall. Pure.

Each is a `figure`: an image with a name and a description for those who hear it, and the table that it was drawn from, folded away below.
Nothing in it is styled inline (the pages forbid that), so colours are classes and sizes are attributes. What is not known (None) is a gap,
never a zero. Names may be hostile: all text goes through `Markup.format`, which escapes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from math import ceil, floor, log10

from markupsafe import Markup
from msgspec import Struct

from gateway.visible import visible

Value = float | int | None
Show = Callable[[float], str]
WIDTH, HEIGHT = 640, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 8, 16, 24
_ROW = 20
_LETTER = 6.5
"""Width of one in a label."""
MOST_LABELS = 8
MOST_BARS = 30
MOST_STACKED = 6
WIDE = 8
"""Columns of a table that may not fit: what is moved sideways must be reached without a mouse."""
_BY_KEYBOARD = Markup(' tabindex="0" role="region" aria-label="The table behind the chart"')


class Span(Struct, frozen=True):
    """One row of a waterfall: times in microseconds from its beginning."""

    name: str
    start: float
    length: float
    kind: str = ""
    """A CSS class of its bar: `bar2`, `bad`."""


def plain(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.3g}"


def line(title: str, labels: Sequence[str], series: Mapping[str, Sequence[Value]], show: Show = plain) -> Markup:
    """One line for each of at most two series over the same labels."""
    top = _ceiling(value for values in series.values() for value in values)
    across = _across(len(labels))
    drawn = [_path(values, across, top, "line" if n == 0 else "line2", area=n == 0) for n, values in enumerate(series.values())]
    inside = [_axes(labels, across, top, show), *drawn, _legend([*series])]
    described = "; ".join(f"{name}: {_summary(labels, values, show)}" for name, values in series.items())
    return _figure(title, described, inside, HEIGHT, _table(["", *series], zip(labels, *series.values(), strict=True), show))


def bar(title: str, labels: Sequence[str], values: Sequence[Value], show: Show = plain) -> Markup:
    """Horizontal bars, in the order given; the first thirty are drawn, all are in the table."""
    drawn = list(zip(labels, values, strict=True))[:MOST_BARS]
    top = _ceiling(value for _, value in drawn)
    inside = []
    for n, (label, value) in enumerate(drawn):
        width = 0.0 if value is None else max(0.0, value) / top * (WIDTH - 270)
        inside.append(_text(190, n * _ROW + 14, _short(label, 30), "end", "label"))
        inside.append(Markup('<rect class="bar" x="200" y="{}" width="{}" height="14"/>').format(n * _ROW + 3, _n(width)))
        inside.append(_text(206 + width, n * _ROW + 14, "unknown" if value is None else show(value)))
    described = _summary(labels, values, show)
    return _figure(title, described, inside, max(1, len(drawn)) * _ROW + 4, _table(["", title], zip(labels, values, strict=True), show))


def stacked(title: str, labels: Sequence[str], series: Mapping[str, Sequence[Value]], show: Show = plain) -> Markup:
    """Upright bars over the labels, in each a part for each of the series; after six of them one more tells what the rest come to. What is
    not known adds nothing to a bar, and is named in the table."""
    drawn = _first_and_rest(series)
    heights = [sum(max(0.0, values[n] or 0.0) for values in drawn.values()) for n in range(len(labels))]
    top, step = _ceiling(heights), (WIDTH - _LEFT - _RIGHT) / max(1, len(labels))
    inside = [_axes(labels, [_LEFT + (n + 0.5) * step for n in range(len(labels))], top, show)]
    for n in range(len(labels)):
        below = 0.0
        for kind, values in enumerate(drawn.values()):
            inside.append(_part(_LEFT + n * step, step, below, max(0.0, values[n] or 0.0), top, kind))
            below += max(0.0, values[n] or 0.0)
    described = "; ".join(f"{name}: {_summary(labels, values, show)}" for name, values in drawn.items())
    table = _table(["", *series], zip(labels, *series.values(), strict=True), show)
    return _figure(title, described, [*inside, _stack_legend([*drawn])], HEIGHT + _ROW * ceil(len(drawn) / 3), table)


def histogram(title: str, edges: Sequence[float], counts: Sequence[int], show: Show = plain) -> Markup:
    """`edges` are one more than `counts`."""
    top = _ceiling(counts)
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(counts))
    labels = [f"{show(low)} – {show(high)}" for low, high in pairwise(edges)]
    inside = [_axes([show(edge) for edge in edges[:-1]], [_LEFT + n * step + step / 2 for n in range(len(counts))], top, plain)]
    for n, value in enumerate(counts):
        y = _y(value, top)
        rect = Markup('<rect class="bar" x="{}" y="{}" width="{}" height="{}"/>')
        inside.append(rect.format(_n(_LEFT + n * step + 1), _n(y), _n(max(1, step - 2)), _n(HEIGHT - _BOTTOM - y)))
    described = _summary(labels, counts, plain)
    return _figure(title, described, inside, HEIGHT, _table(["from – to", "count"], zip(labels, counts, strict=True), plain))


def heat(title: str, rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[Value]], show: Show = plain) -> Markup:
    """`values[row][column]`; the darker the more."""
    top = _ceiling(value for row in values for value in row)
    step = (WIDTH - 130) / max(1, len(columns))
    inside = []
    for r, (name, row) in enumerate(zip(rows, values, strict=True)):
        inside.append(_text(120, r * _ROW + 34, _short(name, 18), "end", "label"))
        for c, value in enumerate(row):
            if value is not None:
                cell = Markup('<rect class="heat" x="{}" y="{}" width="{}" height="18" fill-opacity="{}"/>')
                dark = 0.06 + 0.94 * max(0.0, value) / top
                inside.append(cell.format(_n(130 + c * step), r * _ROW + 20, _n(max(1, step - 1)), _n(dark)))
    every = max(1, ceil(len(columns) / 12))
    inside += [_text(130 + (n + 0.5) * step, 13, _short(name, 12)) for n, name in enumerate(columns) if n % every == 0]
    names = [f"{row} {column}" for row in rows for column in columns]
    described = _summary(names, [value for row in values for value in row], show)
    table = _table(["", *columns], ([name, *row] for name, row in zip(rows, values, strict=True)), show)
    return _figure(title, described, inside, len(rows) * _ROW + 24, table)


def waterfall(title: str, spans: Sequence[Span], show: Show = plain) -> Markup:
    """What happened after what, and for how long."""
    end = max((span.start + span.length for span in spans), default=0) or 1
    inside = []
    for n, span in enumerate(spans):
        x = 200 + span.start / end * (WIDTH - 290)
        width = max(1.5, span.length / end * (WIDTH - 290))
        inside.append(_text(190, n * _ROW + 14, _short(span.name, 30), "end", "label"))
        kind = span.kind if span.kind in {"bar2", "bad"} else "bar"
        inside.append(Markup('<rect class="{}" x="{}" y="{}" width="{}" height="14"/>').format(kind, _n(x), n * _ROW + 3, _n(width)))
        inside.append(_text(x + width + 5, n * _ROW + 14, show(span.length)))
    described = "; ".join(f"{span.name} at {show(span.start)} for {show(span.length)}" for span in spans[:20])
    table = _table(["", "begins", "takes"], ((span.name, span.start, span.length) for span in spans), show)
    return _figure(title, described, inside, max(1, len(spans)) * _ROW + 4, table)


def _figure(title: str, described: str, inside: Sequence[Markup], height: float, table: Markup) -> Markup:
    head = Markup('<svg role="img" viewBox="0 0 {} {}" preserveAspectRatio="xMinYMin meet"><title>{}</title><desc>{}</desc>')
    foot = Markup("</svg><figcaption>{}<details><summary>As a table</summary>{}</details></figcaption></figure>")
    begin, end = head.format(WIDTH, _n(height), visible(title), visible(described)), foot.format(visible(title), table)
    return Markup("").join([Markup("<figure>"), begin, *inside, end])


def _table(head: Sequence[str], rows: Iterable[Sequence[str | Value]], show: Show) -> Markup:
    first, *rest = head
    numbers = [Markup('<th scope="col" class="number">{}</th>').format(visible(name)) for name in rest]
    columns = Markup("").join([Markup('<th scope="col">{}</th>').format(visible(first)), *numbers])
    body = Markup("").join(_table_row(row, show) for row in rows)
    reached = _BY_KEYBOARD if len(head) > WIDE else Markup("")
    text = Markup('<div class="scroll"{}><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>')
    return text.format(reached, columns, body)


def _table_row(row: Sequence[str | Value], show: Show) -> Markup:
    first, *rest = row
    cells = [Markup('<td class="number">{}</td>').format("unknown" if value is None else show(float(value))) for value in rest]
    return Markup('<tr><th scope="row">{}</th>{}</tr>').format(visible(str(first)), Markup("").join(cells))


def _axes(labels: Sequence[str], across: Sequence[float], top: float, show: Show) -> Markup:
    drawn = []
    for part in (0.0, 0.5, 1.0):
        y = _y(top * part, top)
        drawn.append(Markup('<line class="axis" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(_LEFT, _n(y), WIDTH - _RIGHT, _n(y)))
        drawn.append(_text(_LEFT - 6, y + 4, show(top * part), "end"))
    every = max(1, ceil(len(labels) / MOST_LABELS))
    drawn += [_below(across[n], _short(label, 14)) for n, label in enumerate(labels) if n % every == 0]
    return Markup("").join(drawn)


def _below(x: float, label: str) -> Markup:
    """A label under its place; one that would leave the picture ends at its edge."""
    fits = x + len(label) * _LETTER <= WIDTH
    return _text(x if fits else WIDTH, HEIGHT - 6, label, "start" if fits else "end")


def _legend(names: Sequence[str]) -> Markup:
    """Which line is which, where there are two."""
    kinds = ("bar", "bar2")
    drawn = []
    for n, name in enumerate(names if len(names) > 1 else ()):
        x = _LEFT + 8 + n * 170
        drawn.append(Markup('<rect class="{}" x="{}" y="{}" width="9" height="9"/>').format(kinds[min(n, 1)], x, 1))
        drawn.append(_text(x + 14, 9, _short(name, 26), "", "label"))
    return Markup("").join(drawn)


def _first_and_rest(series: Mapping[str, Sequence[Value]]) -> dict[str, Sequence[Value]]:
    names = [*series]
    drawn = {name: series[name] for name in names[:MOST_STACKED]}
    if rest := names[MOST_STACKED:]:
        columns = zip(*(series[name] for name in rest), strict=True)
        drawn[f"{len(rest)} others"] = [sum(value or 0.0 for value in values) for values in columns]
    return drawn


def _part(x: float, wide: float, below: float, value: float, top: float, kind: int) -> Markup:
    """Of a stacked bar; nothing where there is nothing to see."""
    if value <= 0:
        return Markup("")
    y, end = _y(below + value, top), _y(below, top)
    rect = Markup('<rect class="s{}" x="{}" y="{}" width="{}" height="{}"/>')
    return rect.format(kind, _n(x + 1), _n(y), _n(max(1.0, wide - 2)), _n(end - y))


def _stack_legend(names: Sequence[str]) -> Markup:
    """Below the chart, three in a row."""
    drawn = []
    for n, name in enumerate(names):
        x, y = _LEFT + n % 3 * 195, HEIGHT + n // 3 * _ROW
        drawn.append(Markup('<rect class="s{}" x="{}" y="{}" width="9" height="9"/>').format(n, x, y + 4))
        drawn.append(_text(x + 14, y + 13, _short(name, 28), "", "label"))
    return Markup("").join(drawn)


def _path(values: Sequence[Value], across: Sequence[float], top: float, kind: str, *, area: bool) -> Markup:
    """Broken where nothing is known; a point that stands alone is a short line."""
    drawn = []
    for run in _runs(values):
        points = [(across[n], _y(values[n] or 0.0, top)) for n in run]
        if len(points) == 1:
            points = [(points[0][0] - 2, points[0][1]), (points[0][0] + 2, points[0][1])]
        path = " L".join(f"{_n(x)} {_n(y)}" for x, y in points)
        if area:
            floor_y = _n(HEIGHT - _BOTTOM)
            closed = f"M{_n(points[0][0])} {floor_y} L{path} L{_n(points[-1][0])} {floor_y} Z"
            drawn.append(Markup('<path class="area" d="{}"/>').format(closed))
        drawn.append(Markup('<path class="{}" d="M{}"/>').format(kind, path))
    return Markup("").join(drawn)


_LEAST = 1e-300
"""What is smaller has no round number above it that a float can hold."""


def _runs(values: Sequence[Value]) -> list[list[int]]:
    runs: list[list[int]] = [[]]
    for n, value in enumerate(values):
        if value is not None:
            runs[-1].append(n)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _across(count: int) -> list[float]:
    wide = WIDTH - _LEFT - _RIGHT
    return [_LEFT + wide * (n / (count - 1) if count > 1 else 0.5) for n in range(count)]


def _y(value: float, top: float) -> float:
    return _TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - max(0.0, value) / top)


def _ceiling(values: Iterable[Value]) -> float:
    """A round number that none is above; 1 where all are as good as zero, or unknown."""
    most = max((value for value in values if value is not None), default=0)
    if most < _LEAST:
        return 1.0
    unit = 10.0 ** floor(log10(most))
    return next((step * unit for step in (1, 2, 5, 10) if step * unit >= most), 10 * unit)


def _summary(labels: Sequence[str], values: Sequence[Value], show: Show) -> str:
    known = [(value, label) for label, value in zip(labels, values, strict=True) if value is not None]
    if not known:
        return "nothing is known"
    least, most = min(known), max(known)
    return f"{len(known)} values, least {show(float(least[0]))} ({least[1]}), most {show(float(most[0]))} ({most[1]})"


def _text(x: float, y: float, text: str, anchor: str = "", kind: str = "") -> Markup:
    named = [Markup(' {}="{}"').format(name, value) for name, value in (("text-anchor", anchor), ("class", kind)) if value]
    return Markup('<text x="{}" y="{}"{}>{}</text>').format(_n(x), _n(y), Markup("").join(named), visible(text))


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _n(value: float) -> str:
    """A coordinate, to a tenth of a point (a hundredth where it matters, as for opacities)."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
