"""Whose what is that providers keep."""

from __future__ import annotations

import threading

import msgspec
import pytest

from gateway.installation import open_belongings
from gateway.request import Owed, Tool
from gateway.state.belongings import Belonging

NOW = 1_700_000_000_000_000
DIALECT = "openai.responses"
MINE = Belonging(
    "response", "resp_1", '["bot", null, null]', "openai", NOW, (Owed("call_1", "function", "denied"),),
    (Tool("pay", "function", b'{"name":"pay"}', b'{"type":"object"}'),),
)  # fmt: skip


@pytest.fixture
def belongings(kept):
    store = open_belongings(kept)
    yield store
    store.close()


def test_what_is_kept_is_found_by_dialect_kind_and_id_alone(belongings):
    belongings.keep(DIALECT, [MINE])
    assert belongings.find(DIALECT, "response", "resp_1") == MINE
    for other in (("openai.chat", "response", "resp_1"), (DIALECT, "conversation", "resp_1"), (DIALECT, "response", "resp_2")):
        assert belongings.find(*other) is None


def test_another_process_finds_it(belongings, kept):
    belongings.keep(DIALECT, [MINE])
    other = open_belongings(kept)
    assert other.find(DIALECT, "response", "resp_1") == MINE
    other.close()


def test_keeping_it_again_changes_what_it_owes_and_nothing_else(belongings):
    belongings.keep(DIALECT, [MINE])
    belongings.keep(DIALECT, [msgspec.structs.replace(MINE, owed=(), upstream="elsewhere", created_us=1, settled=True)])
    assert belongings.find(DIALECT, "response", "resp_1") == msgspec.structs.replace(MINE, owed=(), settled=True)
    belongings.keep(DIALECT, [MINE])
    assert belongings.find(DIALECT, "response", "resp_1").settled


def test_an_id_never_changes_its_owner(belongings):
    belongings.keep(DIALECT, [MINE])
    belongings.keep(DIALECT, [msgspec.structs.replace(MINE, owner="other", owed=())])
    assert belongings.find(DIALECT, "response", "resp_1") == MINE


def test_only_the_first_settles(belongings):
    belongings.keep(DIALECT, [MINE])
    assert [belongings.settle(DIALECT, "response", "resp_1") for _ in range(3)] == [True, False, False]
    assert not belongings.settle(DIALECT, "response", "unknown")


def test_of_many_at_once_exactly_one_settles(kept, belongings):
    belongings.keep(DIALECT, [MINE])
    stores = [open_belongings(kept) for _ in range(4)]
    won = []
    threads = [
        threading.Thread(target=lambda s=store: won.append(s.settle(DIALECT, "response", "resp_1"))) for store in stores
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False, False, False, True]
    for store in stores:
        store.close()


def test_what_is_forgotten_is_gone(belongings):
    belongings.keep(DIALECT, [MINE])
    belongings.forget(DIALECT, "response", "resp_1")
    assert belongings.find(DIALECT, "response", "resp_1") is None
