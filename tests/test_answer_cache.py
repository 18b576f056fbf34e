"""Answers that are kept: read again as they were, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.answer_cache import AnswerCache, Entry
from gateway.cache_settings import Cache
from gateway.exchange import Caller
from gateway.state.memory_answers import MemoryAnswers
from gateway.state.sqlite_data_keys import SqliteDataKeys
from gateway.vault import Master, TenantVault

ADA, BOB = (Caller("bot", "k", team="red", user=user) for user in ("ada", "bob"))
TOLD = {"x-gateway-dropped-fields": "seed"}
ENTRY = Entry("ex1", "openai", "text/event-stream", b"data: \xff\x00\n\n", "anthropic.messages", ("seed",), TOLD)


@pytest.fixture
def vault(tmp_path: Path) -> TenantVault:
    return TenantVault(SqliteDataKeys(tmp_path / "keys.sqlite"), Master([b"m" * 32]))


@pytest.mark.parametrize("sealed", [False, True])
def test_an_answer_is_found_as_it_was_kept_under_its_own_name(vault: TenantVault, sealed: bool) -> None:
    store = MemoryAnswers(100_000)
    cache = AnswerCache(Cache(), store, vault if sealed else None, b"k")
    cache.keep("name", ENTRY, ADA)
    assert (cache.find("name"), cache.find("other")) == (ENTRY, None)
    assert (b"event-stream" in (store.find("name") or b"")) is not sealed
    cache.forget("name")
    assert cache.find("name") is None


def test_a_sealed_answer_opens_under_no_other_name_and_with_no_other_master_key(vault: TenantVault, tmp_path: Path) -> None:
    store = MemoryAnswers(100_000)
    cache = AnswerCache(Cache(), store, vault, b"k")
    cache.keep("name", ENTRY, ADA)
    store.keep("moved", store.find("name") or b"", 10**9)
    assert cache.find("moved") is None
    other = TenantVault(vault.keys, Master([b"o" * 32]))
    assert AnswerCache(Cache(), store, other, b"k").find("name") is None


def test_what_was_sealed_under_a_key_that_is_gone_is_gone_and_what_others_have_stays(vault: TenantVault) -> None:
    cache = AnswerCache(Cache(), MemoryAnswers(100_000), vault, b"k")
    cache.keep("hers", ENTRY, ADA)
    cache.keep("his", ENTRY, BOB)
    vault.keys.erase("team:red", "ada", 1)
    assert (cache.find("hers"), cache.find("his")) == (None, ENTRY)


NO_ENTRIES = [b"", b"\xff", b"{}", b'["ex","p","m"]', b'["ex","p","m","AA==","",[],{},"",null,"more"]', b"enc:1:dk0:AA=="]


@pytest.mark.parametrize("data", NO_ENTRIES)
def test_what_another_version_has_kept_is_not_found(data: bytes) -> None:
    store = MemoryAnswers(100_000)
    store.keep("name", data, 10**9)
    assert AnswerCache(Cache(), store, None, b"k").find("name") is None
