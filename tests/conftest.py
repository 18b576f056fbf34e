"""What all tests share: a data plane with its provider, Redis servers; how examples are drawn, whom clients trust, and in which order files
are run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import certifi
import hypothesis
import pytest

from gateway.clock import Clock
from gateway.config import Settings
from tests.data_plane import Running
from tests.own_coverage import OwnCoverage
from tests.provider import PROVIDER_KEY, Provider
from tests.redis_server import RedisServer

if "TOLLHOUSE_EXAMPLES" not in os.environ:  # the same examples each time; whoever asks for a number of them gets new ones
    hypothesis.settings.register_profile("steady", derandomize=True, deadline=None)  # a busy machine is no failure
    hypothesis.settings.load_profile("steady")

AUTHORITY = str(Path(__file__).with_name("authority.pem"))
"""The one authority that tests and what they start trust. Each client of httpx reads those of the machine anew, over a hundred, which takes
it 25 ms of CPU, and here nearly all is said without TLS."""
certifi.where = lambda: AUTHORITY
os.environ["SSL_CERT_FILE"] = AUTHORITY

LONG_FILES = (
    "web/test_tenants.py", "processes/test_prompt_labels.py", "clients/test_frameworks.py",
    "clients/test_current_sdks.py", "faults/test_power_loss.py", "adversarial/test_no_call_slips_through.py",
    "bench/test_harness.py", "stores/test_lake_writers.py", "faults/test_the_gateway_survives_kill.py",
    "faults/test_every_write_may_fail.py", "policy/test_against_the_reference.py",
    "processes/test_limits_over_workers.py", "processes/test_prompts.py", "processes/test_budgets.py",
    "stores/test_duckdb.py", "stores/test_ducklake.py", "stores/test_lake_upkeep.py",
    "faults/test_journal_and_book_survive_kill.py", "processes/test_export.py", "processes/test_starting.py", "processes/test_stopping.py",
)  # fmt: skip
"""Files of few tests that take long: they are begun first, lest one of them keep a core busy when all else is done."""


class Shared(pytest.Dir):
    """The folder of all tests, for one of several processes that look through it at the same time: each begins elsewhere, and finds
    compiled what the others went through before. Else each compiles everything."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        found = list(super().collect())
        begin = len(found) * int(os.environ["PYTEST_XDIST_WORKER"][2:]) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        return found[begin:] + found[:begin]


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    here = path == Path(__file__).parent
    return Shared.from_parent(parent, path=path) if here and "PYTEST_XDIST_WORKER" in os.environ else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones, and the rest by name."""
    places = {name: at for at, name in enumerate(LONG_FILES)}
    here = Path(__file__).parent
    names = {path: path.relative_to(here).as_posix() for path in {item.path for item in items}}
    items.sort(key=lambda item: (places.get(names[item.path], len(places)), names[item.path]))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Three for two cores: a third of the time a test waits for a sync, a process or a deadline."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + (cores + 1) // 2


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """`COVERAGE_PROCESS_START` in the environment (`.ci/run` puts it there) has this process measured, not those that tests start. By now
    the processes that share the tests have begun, each measured like this one."""
    if os.environ.pop("COVERAGE_PROCESS_START", None):
        session.config.pluginmanager.register(OwnCoverage(sys.modules["coverage"].Coverage.current()))


@pytest.fixture(scope="session")
def redis_servers() -> type[RedisServer]:
    """For tests that set one up themselves."""
    return RedisServer


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory) -> Iterator[RedisServer]:
    """Shared by tests that leave it running."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture
def own_redis_server(tmp_path) -> Iterator[RedisServer]:
    """For tests that kill it or empty it."""
    server = RedisServer(tmp_path)
    yield server
    server.kill()


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    yield provider
    provider.stop()


@pytest.fixture
def start(tmp_path, provider, monkeypatch) -> Iterator[Callable[..., Running]]:
    """`start(policies={...}, **settings)`: a data plane in front of `provider`, in both dialects."""
    running: list[Running] = []
    monkeypatch.setenv("CANARY_KEY", PROVIDER_KEY)

    def begin(policies: dict[str, str] | None = None, clock: Clock | None = None, **changes) -> Running:
        key = {"env": "CANARY_KEY"}
        upstreams = {
            "openai": {"dialect": "openai.chat", "base_url": provider.base_url, "key": key},
            "anthropic": {"dialect": "anthropic.messages", "base_url": provider.base_url, "key": key},
        }
        data = str(tmp_path / f"data{len(running)}")
        settings = Settings.model_validate(
            {"data": data, "upstreams": upstreams, "policies": "p" if policies else None, **changes}
        )
        encoded = {name: text.encode() for name, text in policies.items()} if policies is not None else None
        running.append(Running(settings, encoded, clock))
        return running[-1]

    yield begin
    for each in running:
        each.stop()
