"""The bench of looks at answers, measured for a moment: each figure is there, and the cheap is cheaper than the dear."""

from tests.bench import validators


def test_every_figure_is_measured_and_has_a_use(monkeypatch):
    monkeypatch.setattr(validators, "RUNS", 20)
    found = validators.measured()
    assert all(us > 0 for us in found.values())
    assert validators.TARGETS.keys() <= found.keys()
