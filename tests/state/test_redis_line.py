"""A server that is killed, started again, hangs, is emptied or refuses: unavailable, never open, and used again as soon as it answers."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from gateway.config import Settings
from gateway.errors import GatewayError
from gateway.installation import open_belongings, open_issued, open_keys, open_limits, open_sessions, state_problem
from gateway.policy.limits import Charge
from gateway.state.belongings import Belonging
from gateway.state.sessions import Denial
from gateway.state.sqlite_issued import KEPT_US
from tests.patience import until

NOW = 1_700_000_000_000_000
HOUR = 3600 * 1_000_000
ONE = Charge("p", "l", "calls", ("user", "ada"), 1, 10**6, HOUR)


@pytest.fixture
def settings(tmp_path, own_redis_server):
    return Settings(data=str(tmp_path / "data"), state=own_redis_server.url())


def unavailable(use) -> None:
    with pytest.raises(GatewayError) as caught:
        use()
    assert (caught.value.kind, caught.value.code, caught.value.retry_after) == ("unavailable", "state_unavailable", 5)
    assert caught.value.message.endswith("Try again shortly.")


def awaited(use):
    """What it gives once it does not raise any more."""
    return until(lambda: [use()], what="it is available", despite=GatewayError)[0]


def test_a_server_that_is_gone_is_unavailable_and_one_that_comes_back_is_used_again(settings, own_redis_server):
    keys, limits, sessions = open_keys(settings), open_limits(settings), open_sessions(settings)
    token = keys.create(agent="a", now_us=NOW)
    assert limits.take([ONE], NOW).taken
    assert state_problem(settings)() is None
    own_redis_server.kill()
    for use in (
        lambda: keys.find(token, NOW),
        keys.every,
        lambda: limits.take([ONE], NOW),
        lambda: limits.look([ONE], NOW),
        lambda: sessions.stopped("o", "s"),
        lambda: sessions.denied(Denial("o", "s", "a", None, None, NOW, "p", "r", "x", "d"), most=1),
    ):
        unavailable(use)
    assert "cannot be used" in state_problem(settings)()
    own_redis_server.start()
    assert awaited(lambda: limits.take([ONE], NOW)).spent == (0,)
    assert state_problem(settings)() is None


def test_a_server_that_hangs_is_waited_for_once_and_then_not_for_a_while(settings, own_redis_server, monkeypatch):
    patience = 4.0
    monkeypatch.setattr("gateway.state.redis_line.PAUSE_S", 60)
    monkeypatch.setattr("gateway.state.redis_line.PATIENCE_S", patience)
    limits = open_limits(settings)
    limits.take([ONE], NOW)
    own_redis_server.process.send_signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        unavailable(lambda: limits.take([ONE], NOW))
        assert patience / 2 < time.monotonic() - begun < 5 * patience
        begun = time.monotonic()
        unavailable(lambda: limits.take([ONE], NOW))
        assert time.monotonic() - begun < patience / 2
    finally:
        own_redis_server.process.send_signal(signal.SIGCONT)
    limits._line._silent_until = 0.0
    assert awaited(lambda: limits.look([ONE], NOW))[0] in (1, 2)  # what was asked while it hung may have been done


def test_of_what_many_take_while_the_server_is_killed_and_started_none_is_more_than_it_says(settings, own_redis_server):
    """Whoever got an answer took one; whoever got none may have. After the restart nothing is left, and counting goes on."""
    limits, told, failed, stop = open_limits(settings), [], [], threading.Event()

    def load() -> None:
        while not stop.is_set():
            try:
                told.append(limits.take([ONE], NOW).spent[0])
            except GatewayError as error:
                failed.append(error.code)
                time.sleep(0.01)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    own_redis_server.kill()
    before = len(told)
    time.sleep(0.3)
    own_redis_server.start()
    until(lambda: len(told) >= before + 200, what=lambda: (before, len(told)))
    stop.set()
    for thread in threads:
        thread.join()
    assert set(failed) == {"state_unavailable"}
    assert len(told) > before + 100, "it was not used again"
    assert told.count(0) == 2, "each life of the server begins with nothing counted, once"
    assert limits.look([ONE], NOW)[0] >= max(told[before + 4 :]) + 1


def test_an_emptied_server_knows_no_key_any_more_and_counts_anew(settings, own_redis_server):
    keys, limits, issued = open_keys(settings), open_limits(settings), open_issued(settings)
    token = keys.create(agent="a", now_us=NOW)
    assert keys.find(token, NOW) is not None
    issued.keep("ada", [b"a"], NOW)
    of_session = Charge("p", "s", "calls", ("a", None, "s"), 1, 9, 0)
    taken = limits.take([ONE, of_session], NOW).taken
    with open_keys(settings)._line.asking("") as redis:
        redis.flushall()
    assert keys.find(token, NOW + 10**6) is None
    assert open_issued(settings).known("ada", [b"a"]) == frozenset()
    assert limits.look([ONE, of_session], NOW) == (0, 0)
    limits.give_back(taken)
    assert limits.look([ONE, of_session], NOW) == (0, 0)
    assert limits.take([ONE], NOW + 5).taken
    limits.give_back(taken[:1])
    assert limits.look([ONE], NOW + 5) == (1,), "what was taken in another life is not given back in this one"
    assert limits.take([ONE], NOW + 5).spent == (1,)


def test_a_server_that_forgot_its_scripts_is_told_them_again(settings, own_redis_server):
    limits = open_limits(settings)
    limits.take([ONE], NOW)
    with open_keys(settings)._line.asking("") as redis:
        redis.script_flush()
    assert limits.take([ONE], NOW).spent == (1,)


def test_a_server_without_room_takes_nothing(settings, own_redis_server):
    limits = open_limits(settings)
    assert limits.take([ONE], NOW).taken
    with open_keys(settings)._line.asking("") as redis:
        redis.config_set("maxmemory", "1")
        unavailable(lambda: limits.take([ONE], NOW))
        redis.config_set("maxmemory", "0")
    assert limits.look([ONE], NOW) == (1,)


def test_installations_with_other_prefixes_see_nothing_of_each_other(tmp_path, redis_server):
    here, there = (Settings(data=str(tmp_path), state=redis_server.url()) for _ in range(2))
    token = open_keys(here).create(agent="a", now_us=NOW)
    open_limits(here).take([ONE], NOW)
    assert open_keys(there).find(token, NOW) is None
    assert open_limits(there).look([ONE], NOW) == (0,)


def test_an_answer_ends_a_while_after_it_was_made_and_a_conversation_after_it_was_last_gone_on_with(tmp_path, redis_server):
    store = open_belongings(Settings(data=str(tmp_path), state=redis_server.url()))
    both = [Belonging(kind, "x", "ada", "up", NOW) for kind in ("response", "conversation")]
    store.keep("d", both)
    with store._line.asking("") as redis:
        names = [store._name("d", each.kind, each.id) for each in both]
        assert [redis.pttl(name) // 1000 for name in names] == pytest.approx([31 * 86400, 400 * 86400], abs=60)
        for name in names:
            redis.pexpire(name, 5000)
        store.keep("d", both)
        assert [redis.pttl(name) > 5000 for name in names] == [False, True]


def test_what_was_said_lately_is_not_forgotten_sooner_by_a_clock_that_is_behind(tmp_path, redis_server):
    store = open_issued(Settings(data=str(tmp_path), state=redis_server.url()))
    store.keep("ada", [b"a"], NOW)
    store.keep("ada", [b"a"], NOW - KEPT_US - 1)
    store.keep("ada", [b"b"], NOW)
    assert store.known("ada", [b"a", b"b"]) == {b"a", b"b"}


def test_changes_are_handed_to_one_machine_at_a_time_and_to_another_when_it_gets_nothing_done(tmp_path, redis_server, monkeypatch):
    monkeypatch.setattr("gateway.state.redis_lease.TURN_MS", 2000)
    settings = Settings(data=str(tmp_path), state=redis_server.url())
    one, two = open_sessions(settings), open_sessions(settings)
    one.denied(Denial("o", "s", "a", None, None, NOW, "p", "r", "x", "d"), most=1)
    [found] = one.unrecorded(9)
    assert two.unrecorded(9) == []
    assert one.unrecorded(9) == [found]
    time.sleep(2.1)
    assert two.unrecorded(9) == [found]
    assert one.unrecorded(9) == []
    two.recorded([found])
    for _ in range(6):  # nothing to do is something done
        time.sleep(0.5)
        assert one.unrecorded(9) == two.unrecorded(9) == []
    two.resume("o", "s", by="eve", at_us=NOW)
    assert one.unrecorded(9) == []
    assert [each.state for each in two.unrecorded(9)] == ["resumed"]


def test_whatever_is_written_ends_by_itself_or_is_meant_to_last(tmp_path, redis_server):
    """Only keys, stops and what waits for its record have no end."""
    settings = Settings(data=str(tmp_path), state=redis_server.url())
    limits, sessions, issued = open_limits(settings), open_sessions(settings), open_issued(settings)
    limits.give_back(limits.take([ONE, Charge("p", "s", "calls", ("a", None, "s"), 1, 9, 0)], NOW).taken)
    issued.keep("ada", [b"a"], NOW)
    sessions.denied(Denial("o", "open", "a", None, None, NOW, "p", "r", "x", "d"), most=5)
    sessions.denied(Denial("o", "held", "a", None, None, NOW, "p", "r", "x", "d"), most=1)
    sessions.denied(Denial("o", "over", "a", None, None, NOW, "p", "r", "x", "d"), most=1)
    sessions.resume("o", "over", by="eve", at_us=NOW)
    sessions.recorded(sessions.unrecorded(10))
    line = limits._line
    with line.asking("") as redis:
        lasting = {name.decode() for name in redis.scan_iter(f"{line.key('')}*") if redis.pttl(name) < 0}
    assert lasting == {line.key("sessions", "stopped"), sessions._name("o", "held")}
