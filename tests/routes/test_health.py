"""What a worker has seen of a route's targets."""

from __future__ import annotations

from gateway.route_settings import Route
from gateway.routes.health import Moment, RouteHealth
from gateway.routes.outcomes import of_fault, of_status

S = 1_000_000


def made(**more) -> RouteHealth:
    targets = [{"upstream": "a", "model": "m", "region": "eu"}, {"upstream": "b", "priority": 1}]
    return RouteHealth(Route(models=["*"], targets=targets, breaker={"failures": 2, "open": 10}, **more))


def failing(health: RouteHealth, at: int, failure, now_s: int, asked_for_s=None) -> None:
    given = health.begun(at, now_s * S)
    assert given is not None
    health.failed(at, given, failure, asked_for_s, Moment(now_s * S, 1000 * S + now_s * S))


def test_failures_stand_in_the_report_and_open_the_breaker():
    health = made()
    failing(health, 0, of_status(503, {}), 1)
    failing(health, 0, of_fault("upstream_reset", sent=True), 2)
    assert health.begun(0, 3 * S) is None
    first, second = health.report(Moment(5 * S, 1005 * S))
    assert first == {
        "target": "a/m/eu", "priority": 0, "weight": 1, "state": "open", "opens_in_s": 7.0, "rests_s": 0.0, "attempts": 2, "failures": 2,
        "last_fault": "upstream_reset", "last_fault_s_ago": 3.0, "first_byte_ms": None,
    }  # fmt: skip
    assert (second["target"], second["state"], second["attempts"], second["last_fault"]) == ("b", "closed", 0, None)
    assert health.choose([0, 1], [], "", 0.0, 5 * S) == 1
    assert health.choose([0], [], "", 0.0, 5 * S) is None
    assert health.opens_in_us([0, 1], 5 * S) == 0
    assert health.opens_in_us([0], 5 * S) == 7 * S


def test_what_is_no_fault_of_the_target_counts_for_nothing():
    health = made()
    for _ in range(5):
        failing(health, 0, of_fault("untranslatable", sent=False), 1)
    assert health.report(Moment(S, S))[0]["failures"] == 0
    assert health.report(Moment(S, S))[0]["state"] == "closed"


def test_a_pause_that_was_asked_for_is_kept_where_another_can_be_asked():
    health = made()
    failing(health, 0, of_status(429, {}), 1, asked_for_s=30.0)
    failing(health, 1, of_status(429, {}), 1, asked_for_s=5.0)
    assert health.choose([0, 1], [], "", 0.0, 4 * S) == 0
    assert health.choose([0, 1], [], "", 0.0, 7 * S) == 1
    told = health.report(Moment(7 * S, 7 * S))
    assert [(each["state"], each["rests_s"]) for each in told] == [("resting", 24.0), ("closed", 0.0)]


def test_a_target_without_a_key_is_chosen_by_nobody():
    health = made()
    health.targets[0].usable = False
    assert health.choose([0, 1], [], "", 0.0, 0) == 1
    assert health.report(Moment(0, 0))[0]["state"] == "no_key"
    assert health.opens_in_us([0], 0) == 0


def test_the_time_to_the_first_byte_is_smoothed():
    health = made()
    for first_byte in (100_000, 200_000):
        health.answered(0, health.begun(0, 0), first_byte, 0)
    assert health.report(Moment(0, 0))[0]["first_byte_ms"] == 120.0


def test_a_request_that_nobody_waits_for_any_more_frees_its_probe():
    health = made()
    failing(health, 0, of_status(500, {}), 0)
    failing(health, 0, of_status(500, {}), 0)
    health.abandoned(0, health.begun(0, 10 * S))
    assert health.begun(0, 10 * S).probe


def test_a_session_sticks_only_where_the_route_says_so_and_there_is_one():
    assert made(sticky=True).sticks("s")
    assert not made(sticky=True).sticks("")
    assert not made().sticks("s")
    spread = {made(sticky=True).choose([0], [], f"s{n}", 0.9, 0) for n in range(5)}
    assert spread == {0}
