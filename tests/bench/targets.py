"""The gateway's targets, and what was measured beside each. On another machine the ratios to the bare relay say more than µs do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

OURS = "tollhouse"


class Target(NamedTuple):
    what: str
    most: float
    unit: str
    measured: Callable[[dict[str, Any]], float | None]


def _figure(scenario: str, name: str, subject: str = OURS) -> Callable[[dict[str, Any]], float | None]:
    return lambda report: report["scenarios"].get(scenario, {}).get(subject, {}).get(name)


def _added(name: str) -> Callable[[dict[str, Any]], float | None]:
    def added(report: dict[str, Any]) -> float | None:
        ours, direct = (_figure("one at a time", name, subject)(report) for subject in (OURS, "direct"))
        return None if ours is None or direct is None else (ours - direct) / 1000

    return added


def _of(group: str, name: str, scale: float = 1.0) -> Callable[[dict[str, Any]], float | None]:
    def found(report: dict[str, Any]) -> float | None:
        value = report[group].get(OURS, {}).get(name)
        return None if value is None else value * scale

    return found


def _per_10000(report: dict[str, Any]) -> float | None:
    """Memory of 10,000 held streams; of fewer, what they came to each."""
    seen = report["held"].get(OURS)
    return None if not seen or "failed" in seen else (seen["before_mib"] + seen["kib_each"] * 10_000 / 1024) / 1024


TARGETS = (
    Target("2 KB request, workers", 200, "µs CPU", _figure("2 KB", "workers_us")),
    Target("2 KB request, workers and book", 315, "µs CPU", _figure("2 KB", "cpu_us")),
    Target("60 KB request, workers", 450, "µs CPU", _figure("60 KB", "workers_us")),
    Target("tool call, workers", 450, "µs CPU", _figure("tool call", "workers_us")),
    Target("added to a request alone, median", 1.5, "ms", _added("p50_us")),
    Target("added to a request alone, p99", 6, "ms", _added("p99_us")),
    Target("event of a burst, workers", 6, "µs CPU", _figure("stream, burst", "workers_us")),
    Target("event of a paced stream, workers", 40, "µs CPU", _figure("stream, paced", "workers_us")),
    Target("10,000 streams held, workers", 1.2, "GiB", _per_10000),
    Target("worker before the first request", 80, "MiB", _of("idle", "workers_mib")),
    Target("book before the first request", 300, "MiB", _of("idle", "book_mib")),
    Target("cold start until ready", 2, "s", _of("cold", "seconds")),
)


class Rival(NamedTuple):
    """Another gateway, and how many times its requests per second and core are wanted of this one."""

    name: str
    least: float


RIVALS = (Rival("tensorzero", 1), Rival("portkey", 5), Rival("litellm", 28))
BESIDE = ("2 KB", "60 KB", "tool call")
"""Where requests are counted."""


def per_core(report: dict[str, Any], scenario: str, subject: str) -> float | None:
    """Requests per second of CPU time, whichever of a subject's processes spend it."""
    took = _figure(scenario, "cpu_us", subject)(report)
    return 1e6 / took if took else None


def times(report: dict[str, Any], scenario: str, rival: str) -> float | None:
    """Ours per core, in theirs."""
    ours, theirs = (per_core(report, scenario, subject) for subject in (OURS, rival))
    return ours / theirs if ours and theirs else None


class Bound(NamedTuple):
    """What a short run in CI fails on: CPU of the gateway's workers for a request or an event, as a multiple of what a bare relay takes for
    a request of 2 KB in the same minute."""

    scenario: str
    most: float


BOUNDS = (Bound("2 KB", 150), Bound("tool call", 300), Bound("stream, burst", 3))
"""Two to three times what is usual: a busy machine must not fail them."""


def ratio(report: dict[str, Any], scenario: str) -> float | None:
    ours, floor = _figure(scenario, "workers_us")(report), _figure("2 KB", "workers_us", "relay")(report)
    return None if ours is None or not floor else ours / floor


def regressions(report: dict[str, Any]) -> list[str]:
    found = []
    for bound in BOUNDS:
        times = ratio(report, bound.scenario)
        if times is None:
            found.append(f"{bound.scenario}: not measured: {report['scenarios'].get(bound.scenario)}")
        elif times > bound.most:
            found.append(
                f"{bound.scenario}: {times:.1f} times the CPU of a bare relay's request, at most {bound.most:g} are allowed; "
                "run the same on the last good commit, and profile a worker under this load"
            )
    return found
