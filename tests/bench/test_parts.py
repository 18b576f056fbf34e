"""The parts' bench and the pictures of curves."""

from __future__ import annotations

import json
import subprocess
import sys
from xml.etree import ElementTree as ET

from tests.bench import plots
from tests.bench.processes import ROOT


def test_every_part_is_measured_and_told_with_the_machine():
    line = [sys.executable, "-m", "tests.bench.parts", "--seconds", "0.005", "--json"]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    told = {part["name"].split(",")[0].split()[0] for part in found["parts"]}
    assert told == {"decode", "judge", "search", "fingerprint", "encode", "journal"}
    assert all(part["us"] > 0 for part in found["parts"])
    assert {"commit", "load_before", "load_after"} <= found["environment"].keys()


def test_a_picture_holds_each_point_and_says_what_it_is():
    lines = {"workers <1>": [(0, 5.0), (100, 10.0), (10_000, 20.0)], "book": [(0, 1.0), (100, 1.0), (10_000, 1.0)]}
    panels = [plots.Panel("a & b", "rows", "µs", lines), plots.Panel("one", "x", "y", {"l": [(1, 0.0)]})]
    drawn = ET.fromstring(plots.svg(panels))
    texts = {element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert {"a & b", "rows", "µs", "workers <1>", "book", "0", "100", "10k", "20"} <= texts
    dots = [(float(dot.get("cx")), float(dot.get("cy"))) for dot in drawn.iter("{http://www.w3.org/2000/svg}circle")]
    assert len(dots) == 7
    assert [x for x, _ in dots[:3]] == sorted(x for x, _ in dots[:3])
    assert [y for _, y in dots[:3]] == sorted((y for _, y in dots[:3]), reverse=True)
    assert all(0 <= x <= plots.WIDTH and 0 <= y <= plots.HEIGHT for x, y in dots)
