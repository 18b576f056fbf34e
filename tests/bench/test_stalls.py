"""The heartbeat inside a worker: it beats, and tells of what stops it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time

import pytest

from tests.bench import hostile, stalls
from tests.bench.processes import ROOT


def test_a_stop_of_the_loop_is_found_and_forgotten_once_told():
    async def stopped() -> list[float]:
        heart = stalls.Heart()
        heart.beat()
        await asyncio.sleep(0.05)
        time.sleep(0.3)
        await asyncio.sleep(0.05)
        return [heart.told()["ms"], heart.told()["ms"]]

    long, short = asyncio.run(stopped())
    assert long >= 300 > short


@pytest.mark.parametrize("shape", hostile.SHAPES)
def test_a_shape_fills_its_room_and_no_more(shape):
    sizes = {size: len(hostile.SHAPES[shape](size - 200)) for size in (20_000, 200_000)}
    assert all(0.85 * size < found <= size for size, found in sizes.items())


def test_every_shape_is_sent_and_answered():
    line = [sys.executable, "-m", "tests.bench.stalls", "--sizes", "0.05", "--rounds", "1", "--json"]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["stalls"]
    assert [row["shape"] for row in rows[1:]] == list(hostile.SHAPES)
    assert {row["answer"] for row in rows[1:]} == {"200", "400 invalid_json"}
    assert all(row["ms"] > 0 for row in rows)
