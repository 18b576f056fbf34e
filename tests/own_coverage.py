"""Which branches of the pure modules their own tests reach."""

from __future__ import annotations

import functools
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.recent import Recent

OWN_TESTS = (
    "dialects", "policy", "prompt", "screening", "shell", "trace", "validators",
    "test_cost.py", "test_errors.py", "test_holdback.py", "test_identify.py", "test_judge.py", "test_reckoning.py",
    "test_stated_cost.py", "test_strict_json.py",
)  # fmt: skip
"""Those of the pure modules, which alone have to reach every branch of them."""


CACHED = type(functools.cache(len))


class OwnCoverage:
    """Has the branches of the pure modules measured, and only while their own tests run: what others reach there counts for nothing, and
    costs nothing. Those that are marked `unmeasured` count for nothing either: measured, they take two to three times as long."""

    def __init__(self, measuring: Any) -> None:
        self._measuring, self._on = measuring, False
        for name in measuring.get_option("run:source_pkgs"):  # here, lest another test be the first to import it
            module = importlib.import_module(name)
            for found in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{name}."):
                importlib.import_module(found.name)
        measuring.stop()  # tests that are collected are not run

    def pytest_sessionfinish(self) -> None:
        """Here, and not when the interpreter ends: a thread that a test left behind may keep it from that."""
        self._measuring.stop()
        self._measuring.save()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        own = item.path.relative_to(Path(__file__).parent).parts[0] in OWN_TESTS and not item.get_closest_marker("unmeasured")
        if own != self._on:
            (self._measuring.start if own else self._measuring.stop)()
            self._on = own
            if own:
                _forget()
        return (yield)


def _forget() -> None:
    """What modules remember, lest what another test asked for first be counted as never run."""
    for module in [each for name, each in sys.modules.items() if name.startswith("gateway.")]:
        for value in list(vars(module).values()):
            if isinstance(value, Recent):
                value.forget()
            elif isinstance(value, CACHED):
                value.cache_clear()
