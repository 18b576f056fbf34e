"""The layers of the wire, measured for a moment: each answers as the provider does."""

from tests.bench import layers
from tests.bench.measure import Scenario


def test_every_layer_answers_and_costs_something(monkeypatch):
    monkeypatch.setattr(layers, "RUNS", 1)
    monkeypatch.setattr(layers, "TRAFFIC", [Scenario("2 KB", "plain", connections=4), Scenario("stream, burst", "burst", connections=4)])
    found = layers.measured(1.0)
    assert found.keys() == layers.LAYERS.keys()
    assert all(us > 0 for figures in found.values() for us in figures.values())
    assert [len(figures) for figures in found.values()] == [1, 1, 2]
