"""A face over a real ledger and real state, reached over HTTP as a browser reaches it, and by a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.stores.duckdb import Ledger
from tests.face.house import PASSWORD, House
from tests.face.issuer import Issuer
from tests.face.tab import CHROMIUM, Tab
from tests.face.worker import Worker
from tests.serving import served_at


@pytest.fixture(autouse=True)
def _quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same function with less work; `test_passwords.py` looks at the real one."""
    monkeypatch.setattr("gateway.people.passwords._N", 2**4)


@pytest.fixture(scope="session")
def _empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """Opening one takes a second: who writes nothing into it shares it."""
    opened = Ledger(tmp_path_factory.mktemp("empty") / "ledger.duckdb")
    yield opened
    opened.close()


@pytest.fixture
def build(tmp_path: Path, _empty: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., House]]:
    """With settings of its own; its ledger stays empty."""
    made: list[House] = []

    def built(more: Mapping[str, Any] | None = None, **face: Any) -> House:
        made.append(House(tmp_path, _empty, monkeypatch, more, **face))
        return made[-1]

    yield built
    for each in made:
        each.close()


@pytest.fixture
def build_shared(
    tmp_path: Path, _empty: Ledger, monkeypatch: pytest.MonkeyPatch, redis_server: Any
) -> Iterator[Callable[..., list[House]]]:
    """Two gateways that share their state on a server, and the installation's secret."""
    made: list[House] = []

    def built(**more: Any) -> list[House]:
        url, secret = redis_server.url(), b"s" * 32
        for name in ("one", "other"):
            (tmp_path / name).mkdir(mode=0o700)
            (tmp_path / name / "secret").write_bytes(secret)
            (tmp_path / name / "secret").chmod(0o600)
            made.append(House(tmp_path / name, _empty, monkeypatch, {"state": url, **more}))
        return made

    yield built
    for each in made:
        each.close()


@pytest.fixture
def worker(house: House) -> Iterator[Worker]:
    """Of `house`."""
    made = Worker(house.folder)
    yield made
    made.close()


@pytest.fixture(scope="module")
def worker_lived_in(lived_in: House) -> Iterator[Worker]:
    """Of `lived_in`."""
    made = Worker(lived_in.folder)
    yield made
    made.close()


@pytest.fixture(scope="module")
def _issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.close()


@pytest.fixture
def issuer(_issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> Issuer:
    monkeypatch.setenv("ISSUER_SECRET", "s:e%c/r+et")
    _issuer.twist()
    return _issuer


@pytest.fixture
def house(build: Callable[..., House]) -> House:
    """Nothing has happened yet, and nobody has an account."""
    return build()


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One for all tests of a file, which fill its book."""
    folder = tmp_path_factory.mktemp("lived-in")
    ledger = Ledger(folder / "ledger.duckdb")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("gateway.people.passwords._N", 2**4)
        opened = House(folder, ledger, monkeypatch)
        yield opened
        opened.close()
    ledger.close()


@pytest.fixture
def serving() -> Callable[[Any], Any]:
    """Puts an application at an address of its own."""
    return served_at


@pytest.fixture(scope="module")
def served(lived_in):
    """The face at an address of its own."""
    with served_at(lived_in.app) as at:
        yield lived_in, at


@pytest.fixture
def tab(tmp_path):
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: apt-get install chromium-headless-shell")
    opened = Tab(tmp_path / "profile")
    yield opened
    opened.close()


@pytest.fixture
def entered(served, tab):
    """The same, and the tab is signed in: the first one makes the account."""
    house, at = served
    if house.invitation:
        tab.go(f"{at}/ui/begin?token={house.invitation}")
        tab.submit("main form", name="ada", password=PASSWORD, again=PASSWORD)
    else:
        tab.go(f"{at}/ui/login")
        tab.submit("main form", name="ada", password=PASSWORD)
    return house, at
