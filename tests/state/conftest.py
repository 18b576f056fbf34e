"""Where an installation keeps its state: in a folder, and on a Redis server. What is opened twice is what two workers share."""

from __future__ import annotations

import pytest

from gateway.config import Settings


@pytest.fixture(params=["sqlite", "redis"])
def kept(request, tmp_path) -> Settings:
    """Tests that take this hold for every kind of store."""
    state = "sqlite" if request.param == "sqlite" else request.getfixturevalue("redis_server").url()
    return Settings(data=str(tmp_path / "data"), state=state)


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def anew(request, tmp_path_factory):
    """Makes a new place with each call: for tests that try many examples."""
    server = request.getfixturevalue("redis_server") if request.param == "redis" else None

    def made() -> Settings:
        return Settings(data=str(tmp_path_factory.mktemp("state")), state=server.url() if server else "sqlite")

    return made
