"""The bench of validators has each of them, on a text that it passes."""

import pytest

from gateway.validators import VALIDATORS
from tests.bench.shelf import WORKS, measured


def test_every_validator_is_measured():
    assert {one.name for one in WORKS} == {one.name for one in VALIDATORS.values() if one.asks is None}  # others ask a model, afterwards


@pytest.mark.parametrize("one", WORKS, ids=lambda one: one.name)
def test_a_text_of_two_kilobytes_passes_and_takes_time(one):
    assert 1500 < len(one.text) < 4096
    assert measured(one, runs=1) > 0
