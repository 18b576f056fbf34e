"""What running requests hold is renewed by one timer, for as long as any of them runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway import leases
from gateway.leases import LEASE_US, Leases
from gateway.policy.limits import Charge
from gateway.state.asking import at_once
from gateway.state.limits import Lease
from gateway.state.sqlite_limits import SqliteLimits
from tests.patience import until_meanwhile

OF = Charge("budget", "b", "money", ("all", ""), 1, 9, 0)


@pytest.fixture
def limits(tmp_path: Path) -> Any:
    store = SqliteLimits(tmp_path / "state.sqlite")
    yield store
    store.close()


@pytest.fixture(autouse=True)
def short_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT_S", 0.02)


def ends(limits: SqliteLimits) -> dict[int, int]:
    return dict(limits._db.execute("SELECT lease, until_us FROM limit_leases").fetchall())


def test_every_lease_that_is_held_is_renewed_and_a_dropped_one_is_not(limits: SqliteLimits) -> None:
    now = limits.steady_us()
    for lease in (1, 2):
        limits.take([OF], now, Lease(lease, now))

    async def run() -> Leases:
        held = Leases()
        held.add(1, limits, at_once)
        held.add(2, limits, at_once)
        held.drop(2)
        await until_meanwhile(lambda: ends(limits)[1] >= now + LEASE_US)
        held.drop(1)
        return held

    held = asyncio.run(run())
    found = ends(limits)
    assert now + LEASE_US <= found[1] <= limits.steady_us() + LEASE_US
    assert found[2] == now
    assert held._timer is None


def test_two_stores_are_renewed_each_by_itself(limits: SqliteLimits, tmp_path: Path) -> None:
    other = SqliteLimits(tmp_path / "other.sqlite")
    now = limits.steady_us()
    limits.take([OF], now, Lease(1, now))
    other.take([OF], now, Lease(2, now))

    async def run() -> None:
        held = Leases()
        held.add(1, limits, at_once)
        held.add(2, other, at_once)
        await held.renew()
        held.drop(1)
        held.drop(2)

    asyncio.run(run())
    assert min(ends(limits)[1], ends(other)[2]) >= now + LEASE_US
    other.close()


def test_a_store_that_cannot_be_asked_is_asked_again_at_the_next_beat(
    limits: SqliteLimits, caplog: pytest.LogCaptureFixture
) -> None:
    now = limits.steady_us()
    limits.take([OF], now, Lease(1, now))
    limits._db.execute("ALTER TABLE limit_leases RENAME TO away")

    async def run() -> None:
        held = Leases()
        held.add(1, limits, at_once)
        await until_meanwhile(lambda: caplog.records)
        limits._db.execute("ALTER TABLE away RENAME TO limit_leases")
        await until_meanwhile(lambda: ends(limits)[1] > now)
        held.drop(1)

    asyncio.run(run())
    assert "may be given to others" in caplog.text
    assert ends(limits)[1] > now
