"""Whose what is that providers keep, in SQLite: what is forgotten when, and a file that is harmed."""

from __future__ import annotations

import sqlite3

import msgspec
import pytest

from gateway.errors import GatewayError
from gateway.request import Owed, Tool
from gateway.state.belongings import Belonging
from gateway.state.sqlite_belongings import KEPT_US, SWEEP_EVERY, SqliteBelongings

NOW = 1_700_000_000_000_000
DIALECT = "openai.responses"
MINE = Belonging(
    "response", "resp_1", '["bot", null, null]', "openai", NOW, (Owed("call_1", "function", "denied"),),
    (Tool("pay", "function", b'{"name":"pay"}', b'{"type":"object"}'),),
)  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "state.sqlite"


@pytest.fixture
def belongings(path):
    store = SqliteBelongings(path)
    yield store
    store.close()


def test_answers_end_when_the_provider_forgets_them_and_conversations_do_not(belongings):
    conversation = msgspec.structs.replace(MINE, kind="conversation", id="conv_1")
    belongings.keep(DIALECT, [MINE])
    belongings.keep(DIALECT, [conversation])
    later = msgspec.structs.replace(MINE, id="resp_2", created_us=NOW + KEPT_US + 1)
    for _ in range(SWEEP_EVERY):
        belongings.keep(DIALECT, [later])
    assert belongings.find(DIALECT, "response", "resp_1") is None
    assert belongings.find(DIALECT, "conversation", "conv_1") == conversation
    assert belongings.find(DIALECT, "response", "resp_2") == later


def test_a_store_that_cannot_be_used_is_an_error_and_not_an_unknown_id(belongings, path):
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE belongings")
    for act in (
        lambda: belongings.find(DIALECT, "response", "resp_1"),
        lambda: belongings.keep(DIALECT, [MINE]),
        lambda: belongings.settle(DIALECT, "response", "resp_1"),
    ):
        with pytest.raises(GatewayError) as caught:
            act()
        assert (caught.value.kind, caught.value.code) == ("unavailable", "state_unavailable")
