"""Charts: what they say to those who see and to those who hear, that no text becomes an element, that what is unknown is no zero."""

from __future__ import annotations

import re

import html5lib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.face import charts
from gateway.face.charts import Span

HOSTILE = '"><script>alert(1)</script><b onmouseover=x>\u202e'
VALUES = st.lists(st.none() | st.floats(0, 1e12, allow_nan=False), min_size=1, max_size=40)


def drawn(names):
    """One of each, with these for names."""
    values = [float(n + 1) for n in range(len(names))]
    return {
        "line": charts.line(names[0], names, {names[0]: values, names[-1] + "2": values}),
        "bar": charts.bar(names[0], names, values),
        "histogram": charts.histogram(names[0], [*values, 99.0], [3] * len(values)),
        "stacked": charts.stacked(names[0], names, dict.fromkeys([*names, *"345678"], values)),
        "heat": charts.heat(names[0], names, names, [values] * len(names)),
        "waterfall": charts.waterfall(names[0], [Span(name, n, 2.0, names[0]) for n, name in enumerate(names)]),
    }


def elements(markup):
    """Every element with the names of its attributes, in order."""
    tree = html5lib.parseFragment(str(markup), namespaceHTMLElements=False)
    return [(each.tag, sorted(each.attrib)) for each in tree.iter() if isinstance(each.tag, str)]


@pytest.mark.parametrize("kind", drawn(["a"]))
def test_hostile_names_make_no_element_and_no_attribute(kind) -> None:
    assert elements(drawn([HOSTILE, "b"])[kind]) == elements(drawn(["a", "b"])[kind])
    assert "\u202e" not in drawn([HOSTILE])[kind]


@pytest.mark.parametrize("kind", drawn(["a"]))
def test_each_has_a_name_a_description_and_the_table_behind_it(kind) -> None:
    text = str(drawn(["first", "second"])[kind])
    assert re.search(r'<svg role="img" [^>]*><title>first</title><desc>[^<]+</desc>', text)
    assert text.index("<details>") < text.index("<table>")
    assert ("2 – 99" if kind == "histogram" else "second") in text.partition("<table>")[2]


@pytest.mark.parametrize("kind", drawn(["a"]))
def test_none_is_styled_inline(kind) -> None:
    assert "style" not in str(drawn(["a", "b"])[kind])


def test_what_is_unknown_is_a_gap_in_a_line_and_said_so_in_the_table() -> None:
    text = str(charts.line("cost", ["a", "b", "c", "d", "e"], {"cost": [1, 2, None, 4, 5]}))
    assert text.count('class="line"') == 2
    assert text.count("unknown") == 1


def test_a_point_between_gaps_is_drawn() -> None:
    text = str(charts.line("cost", ["a", "b", "c"], {"cost": [None, 2, None]}))
    assert text.count('class="line"') == 1


def test_a_chart_of_nothing_says_that_nothing_is_known() -> None:
    assert "nothing is known" in str(charts.line("cost", ["a"], {"cost": [None]}))
    assert "nothing is known" in str(charts.bar("cost", [], []))
    assert "<svg" in str(charts.waterfall("empty", []))
    assert "unknown" in str(charts.bar("cost", ["a"], [None]))
    assert 'class="heat"' not in str(charts.heat("none", ["r"], ["c"], [[None]]))


def test_more_bars_than_can_be_seen_are_in_the_table_alone() -> None:
    text = str(charts.bar("many", [f"n{n:03}" for n in range(50)], [1] * 50))
    assert text.count('class="bar"') == charts.MOST_BARS
    assert "n049" in text.partition("<table>")[2]


def test_a_span_may_be_of_another_colour_and_of_no_class_of_somebodys_own() -> None:
    text = str(charts.waterfall("w", [Span("a", 0, 1, "bad"), Span("b", 0, 1, "evil")]))
    assert 'class="bad"' in text
    assert "evil" not in text


@given(VALUES)
def test_nothing_is_drawn_outside_of_the_picture(values) -> None:
    text = str(charts.line("x", [str(n) for n in range(len(values))], {"x": values}))
    for path in re.findall(r' d="([^"]+)"', text):
        numbers = [float(each) for each in re.findall(r"-?[0-9.]+", path)]
        assert all(-3 <= x <= charts.WIDTH + 3 for x in numbers[::2])
        assert all(0 <= y <= charts.HEIGHT for y in numbers[1::2])


@given(st.floats(1e-6, 1e12))
def test_the_scale_ends_in_a_round_number_not_far_above(value) -> None:
    top = charts._ceiling([value, None, 0])
    assert value <= top * (1 + 1e-9)
    assert top <= value * 2.5 * (1 + 1e-9)


@given(st.lists(st.lists(st.none() | st.floats(0, 1e9, allow_nan=False), min_size=3, max_size=3), min_size=1, max_size=12))
def test_a_stacked_bar_is_as_high_as_its_parts_together_and_no_higher_than_the_picture(values) -> None:
    text = str(charts.stacked("t", ["a", "b", "c"], {f"s{n}": each for n, each in enumerate(values)}))
    bars: dict[str, list[tuple[float, float]]] = {}
    for x, y, height in re.findall(r'<rect class="s\d" x="([\d.]+)" y="([\d.-]+)" width="[\d.]+" height="([\d.]+)"', text):
        if height != "9":
            bars.setdefault(x, []).append((float(y), float(height)))
    for parts in bars.values():
        assert all(y >= 16 - 0.02 and y + height <= charts.HEIGHT - 24 + 0.02 for y, height in parts)
        assert sum(height for _, height in parts) == pytest.approx(176 - min(y for y, _ in parts), abs=0.05)
    assert text.count('<tr><th scope="row">') == 3


def test_after_six_parts_the_rest_is_one_and_the_table_has_them_all() -> None:
    text = str(charts.stacked("t", ["a"], {f"part {n}": [1.0] for n in range(9)}))
    assert "3 others" in text
    assert 'class="s6"' in text
    assert 'class="s7"' not in text
    assert all(f"part {n}</th>" in text for n in range(9))


def test_a_table_that_may_be_moved_sideways_is_reached_by_the_keyboard() -> None:
    names = [str(n) for n in range(24)]
    assert 'class="scroll" tabindex="0"' in str(charts.heat("wide", ["r"], names, [[1.0] * 24]))
    assert "tabindex" not in str(charts.heat("narrow", ["r"], names[:3], [[1.0] * 3]))


def test_no_label_below_a_line_leaves_the_picture() -> None:
    for count in range(1, 40):
        labels = [f"09-{n:02} 23:42" for n in range(count)]
        drawing = str(charts.line("cost", labels, {"cost": [1.0] * count}))
        below = re.findall(r'<text x="([0-9.]+)" y="194[^>]*text-anchor="(start|end)"[^>]*>([^<]+)', drawing)
        assert below
        assert all(float(x) + (len(label) * 6 if anchor == "start" else 0) <= 640 for x, anchor, label in below)
