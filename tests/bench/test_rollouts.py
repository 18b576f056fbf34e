"""A sample of `python -m tests.bench.rollouts`: through gateway, book and SQL a much worse canary is halted, an equal one promoted."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from gateway.rollout.simulating import Setting

SETTING = Setting(sessions=160, matters=0.3, looks=2)


@pytest.fixture(scope="module")
def rollouts():
    spec = importlib.util.spec_from_file_location("rollouts", Path(__file__).with_name("rollouts.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize("worse", [True, False], ids=["worse", "equal"])
def test_the_book_finds_out_which_prompt_is_worse_and_acts_on_it(rollouts, worse):
    ran = rollouts.run(SETTING, worse=worse, seed=1, points=60)
    assert rollouts.as_promised(ran), ran
    assert ran.sessions <= SETTING.sessions
