"""How often the looks come to the truth, where the truth is known: a sample of what `tollhouse experiments simulate` plays."""

from __future__ import annotations

import pytest
from scipy import stats

from gateway.errors import FileProblems
from gateway.rollout.simulating import Setting, play, tally, trial


def test_a_canary_five_points_worse_is_halted_and_an_equal_one_promoted():
    worse, equal = (tally(Setting(), worse_by, 60, 1) for worse_by in (0.05, 0.0))
    assert worse.share("halted") >= 0.9
    assert worse.share("promoted") == 0
    assert worse.sessions < 10_000
    assert equal.share("promoted") >= 0.85


def test_where_any_difference_counts_an_equal_canary_is_halted_no_more_often_than_the_risk_allows():
    """Two hundred plays; beyond the bound by chance once in a thousand runs of other seeds."""
    found = tally(Setting(matters=0.0, sessions=4000), 0.0, 200, 1)
    assert found.outcomes.get("halted", 0) <= stats.binom.isf(0.001, 200, 0.05)


def test_the_same_seed_plays_the_same():
    assert play(Setting(sessions=1000), 0.02, 5) == play(Setting(sessions=1000), 0.02, 5)


def test_figures_that_no_file_may_have_are_refused():
    with pytest.raises(FileProblems):
        trial(Setting(looks=11))
