"""What tests of validators share: a limit on time that counts only this process's own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    began = time.process_time()
    yield
    assert time.process_time() - began < seconds


@pytest.fixture
def cpu_at_most():
    """`with cpu_at_most(2):` fails when what is inside takes more seconds of this process: others on the machine do not count."""

    def limited(seconds: float) -> AbstractContextManager[None]:
        return _at_most(seconds)

    return limited
