"""How seldom a process that serves looks for garbage."""

from __future__ import annotations

import json
import subprocess
import sys

SAID = """
import gc, json
from gateway.cycles import look_rarely
kept = [{} for _ in range(1000)]
look_rarely()
before = gc.get_stats()[0]["collections"]
more = [[] for _ in range(15_000)]
print(json.dumps([gc.isenabled(), gc.get_freeze_count() > 1000, gc.get_stats()[0]["collections"] - before]))
for _ in range(30_000):
    one = []
    one.append(one)
assert gc.get_stats()[0]["collected"] > 20_000
"""


def test_what_is_here_is_not_looked_through_again_and_what_comes_is_looked_at_now_and_then():
    done = subprocess.run([sys.executable, "-c", SAID], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [True, True, 0]
