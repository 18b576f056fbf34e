"""How calls wait for a person, as people write it."""

from __future__ import annotations

import pytest

from gateway.approval_settings import Approvals

TEN_YEARS = 10 * 365 * 86_400


@pytest.mark.parametrize("name", ["expires", "remember"])
def test_a_decision_ends_within_ten_years_and_not_at_once(name):
    assert getattr(Approvals.model_validate({name: TEN_YEARS}), name) == TEN_YEARS
    for wrong in (0, -1, TEN_YEARS + 1, 1e300):  # what is later than stores can count would fail with the first question
        with pytest.raises(ValueError, match="than"):
            Approvals.model_validate({name: wrong})
