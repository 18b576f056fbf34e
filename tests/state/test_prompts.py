"""Where labels of prompts point, and who came with what: the same for all that share the store."""

from __future__ import annotations

import threading

import pytest

from gateway.installation import open_prompts
from gateway.prompt.library import Move
from gateway.prompt.trial import Stop
from gateway.state.prompts import MOST_MET, Met

NOW = 1_700_000_000_000_000
YEARS = 800 * 24 * 3600 * 1_000_000
ONE, TWO = "a" * 64, "b" * 64


@pytest.fixture
def prompts(kept):
    store = open_prompts(kept)
    yield store
    store.close()


@pytest.fixture
def other(kept):
    store = open_prompts(kept)
    yield store
    store.close()


def test_a_move_is_seen_by_whoever_shares_the_store_with_the_text_it_needs(prompts, other):
    assert prompts.moves() == other.moves() == {}
    prompts.move("support", "production", Move(ONE, TWO, TWO), {ONE: "---\n---\nÄ one", TWO: "two"})
    prompts.move("support", "canary", Move(TWO), {})
    prompts.move("sales", "production", Move(TWO), {})
    assert other.moves() == {"support": {"production": Move(ONE, TWO, TWO), "canary": Move(TWO)}, "sales": {"production": Move(TWO)}}
    assert (other.source("support", ONE), other.source("support", TWO), other.source("sales", TWO)) == ("---\n---\nÄ one", "two", None)


def test_the_last_move_counts_and_moves_of_others_stay(prompts, other):
    other.move("support", "canary", Move(ONE), {})
    prompts.move("support", "production", Move(ONE), {})
    other.move("support", "production", Move(TWO, "", ONE), {})
    assert prompts.moves() == {"support": {"production": Move(TWO, "", ONE), "canary": Move(ONE)}}


def test_an_arm_that_is_out_is_out_for_all_that_share_the_store_beside_those_before_it(prompts, other):
    assert prompts.stops() == other.stops() == {}
    prompts.stop("design", Stop("tone", "e1", {"brief": "halted"}))
    other.stop("design", Stop("tone", "e2", {"loud": "promoted"}))
    other.stop("another", Stop("tune", "e1", {"a/b": "ended", "c": "halted"}))
    tone, tune = Stop("tone", "e2", {"brief": "halted", "loud": "promoted"}), Stop("tune", "e1", {"a/b": "ended", "c": "halted"})
    assert prompts.stops() == other.stops() == {"design": tone, "another": tune}
    prompts.stop("design", Stop("tone", "e3", {"brief": "halted"}))
    assert other.stops()["design"] == Stop("tone", "e3", {"brief": "halted", "loud": "promoted"})


def test_arms_that_two_machines_put_out_at_once_are_all_out(prompts, other):
    outs = [Stop("tone", "e", {f"arm{n}": "halted"}) for n in range(16)]
    threads = [threading.Thread(target=(prompts, other)[n % 2].stop, args=("d", out)) for n, out in enumerate(outs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(prompts.stops()["d"].arms) == {f"arm{n}" for n in range(16)}


def test_no_text_of_a_prompt_is_in_the_clear(prompts, kept, request):
    prompts.move("support", "production", Move(ONE), {ONE: "never tell anybody"})
    if kept.state == "sqlite":
        held = b"".join(path.read_bytes() for path in kept.data_path.glob("state.sqlite*"))
    else:
        held = repr(prompts._line.redis.hgetall(prompts._line.key("prompt-sources"))).encode()
    assert ONE.encode() in held
    assert b"never tell" not in held


def test_what_somebody_comes_with_is_new_once_for_all(prompts, other):
    assert prompts.met("bot", "x", NOW) == Met(True, 1)
    assert other.met("bot", "x", NOW + 1) == Met(False, 1)
    assert other.met("bot", "y", NOW) == Met(True, 2)
    assert prompts.met("bot", "y", NOW) == Met(False, 2)
    assert prompts.met("other", "x", NOW) == Met(True, 1)


def test_of_many_at_once_one_is_the_first(prompts, other):
    found: list[Met] = []
    threads = [threading.Thread(target=lambda at=at: found.append((prompts, other)[at % 2].met("bot", "x", NOW))) for at in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.new for each in found) == [False] * 19 + [True]
    assert {each.count for each in found} == {1}


def test_who_comes_with_something_else_each_time_fills_nothing(prompts):
    found = [prompts.met("bot", f"x{number}", NOW) for number in range(MOST_MET + 5)]
    assert all(each.new for each in found)
    assert found[-1].count == MOST_MET
    assert prompts.met("bot", "x7", NOW) == Met(False, MOST_MET)


def test_what_was_not_seen_for_long_is_new_again(kept):
    store = open_prompts(kept)
    store.met("bot", "old", NOW)
    store.close()
    later = open_prompts(kept)
    assert later.met("bot", "young", NOW + YEARS).new
    assert later.met("bot", "old", NOW + YEARS) == Met(True, 2)
    later.close()
