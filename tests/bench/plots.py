"""Curves as one SVG picture, a panel each: written here, because a plotting library is larger than all that the bench needs of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT, LEFT, TOP = 360, 260, 60, 30
PANEL_W, PANEL_H = WIDTH - LEFT - 20, HEIGHT - TOP - 50
COLOURS = ("#1f5fa8", "#c2571a", "#2f8f4e", "#7a4fa3")


class Panel(NamedTuple):
    title: str
    along: str
    up: str
    lines: dict[str, Sequence[tuple[float, float]]]
    """Points of each line by its name; all lines share the places along."""


def svg(panels: Sequence[Panel]) -> str:
    drawn = "".join(f'<g transform="translate({at * WIDTH} 0)">{_panel(panel)}</g>' for at, panel in enumerate(panels))
    size = f'width="{WIDTH * len(panels)}" height="{HEIGHT}" viewBox="0 0 {WIDTH * len(panels)} {HEIGHT}"'
    style = 'font-family="sans-serif" font-size="11"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}><rect width="100%" height="100%" fill="white"/>{drawn}</svg>\n'


def _panel(panel: Panel) -> str:
    places = sorted({x for points in panel.lines.values() for x, _ in points})
    most = max((y for points in panel.lines.values() for _, y in points), default=0.0) or 1.0
    parts = [_text(LEFT, 18, panel.title, "start", bold=True), _text(LEFT + PANEL_W / 2, HEIGHT - 8, panel.along), _frame()]
    parts += [_text(_x(x, places), TOP + PANEL_H + 15, _short(x)) for x in places]
    parts += [_text(LEFT - 5, _y(share * most, most) + 4, _short(share * most), "end") for share in (0, 0.5, 1)]
    parts.append(f'<text transform="translate(12 {TOP + PANEL_H / 2}) rotate(-90)" text-anchor="middle">{escape(panel.up)}</text>')
    for at, (name, points) in enumerate(panel.lines.items()):
        parts.append(_line([(_x(x, places), _y(y, most)) for x, y in points], COLOURS[at % len(COLOURS)]))
        parts.append(_text(LEFT + 8, TOP + 14 + 14 * at, name, "start", colour=COLOURS[at % len(COLOURS)]))
    return "".join(parts)


def _x(value: float, places: Sequence[float]) -> float:
    """Places stand by their logarithm; nothing stands where a tenth of the least would."""
    least = min((place for place in places if place > 0), default=1.0)
    told = [math.log10(max(place, least / 10)) for place in (value, places[0], places[-1])]
    return LEFT + (PANEL_W * (told[0] - told[1]) / (told[2] - told[1]) if told[2] > told[1] else PANEL_W / 2)


def _y(value: float, most: float) -> float:
    return TOP + PANEL_H * (1 - value / most)


def _line(points: Sequence[tuple[float, float]], colour: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>{dots}'


def _frame() -> str:
    return f'<path d="M{LEFT} {TOP}V{TOP + PANEL_H}H{LEFT + PANEL_W}" fill="none" stroke="#888"/>'


def _text(x: float, y: float, text: str, anchor: str = "middle", *, bold: bool = False, colour: str = "#222") -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{weight}>{escape(text)}</text>'


def _short(value: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
