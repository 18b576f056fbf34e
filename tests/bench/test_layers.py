"""The layers of the wire, measured for a moment: each answers as the provider does."""

from tests.bench import layers


def test_every_layer_answers_and_costs_something(monkeypatch):
    monkeypatch.setattr(layers, "RUNS", 1)
    monkeypatch.setattr(layers, "TRAFFIC", [s for s in layers.TRAFFIC if s.name in ("2 KB", "stream, burst")])
    found = layers.measured(0.3)
    assert found.keys() == layers.LAYERS.keys()
    assert all(us > 0 for figures in found.values() for us in figures.values())
    assert [len(figures) for figures in found.values()] == [1, 1, 2]
