"""Content is encrypted per tenant and user, and gone when its key is."""

from __future__ import annotations

import base64
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config import Settings
from gateway.errors import GatewayError, JournalUnavailable, StartError
from gateway.exchange import Caller
from gateway.installation import open_vault
from gateway.key_source import KeySource
from gateway.sealing import CannotOpen
from gateway.state import sqlite_data_keys
from gateway.state.sqlite_data_keys import LIFE_US, SqliteDataKeys
from gateway.storage_settings import Encryption
from gateway.vault import CHECK_US, MARK, Master, TenantVault

ADA, BOB = Caller("bot", team="red", user="ada"), Caller("bot", team="red", user="bob")
BLUE = Caller("bot", team="blue")
AT = 1_790_000_000_000_000
FIRST, SECOND = b"1" * 32, b"2" * 32


class Now:
    def __init__(self) -> None:
        self.us = AT

    def __call__(self) -> int:
        return self.us


@pytest.fixture
def now():
    return Now()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data-keys.sqlite"


@pytest.fixture
def keys(path):
    store = SqliteDataKeys(path)
    yield store
    store.close()


@pytest.fixture
def vault(keys, now):
    return TenantVault(keys, Master([FIRST]), now)


def key_of(sealed: str) -> str:
    return sealed.removeprefix(MARK).partition(":")[0]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(), st.integers(0, 40))
def test_what_is_sealed_opens_for_its_row_and_is_nowhere_to_be_seen(vault, text, times):
    text *= times
    sealed = vault.sealer(ADA).seal(text, "call:1")
    assert sealed.startswith(MARK)
    assert vault.open(sealed, "call:1") == text
    with pytest.raises(CannotOpen):
        vault.open(sealed, "call:2")


def test_a_text_that_was_never_sealed_is_what_it_is(vault):
    assert vault.open("plain", "call:1") == "plain"


def test_each_tenant_and_each_user_has_a_key_of_its_own_which_stays(vault):
    scopes = [vault.sealer(caller).scope for caller in (ADA, BOB, BLUE, Caller("red"), ADA, Caller("other", team="red", user="ada"))]
    ada, bob, blue, agent, again, same_user = scopes
    assert len({ada, bob, blue, agent}) == 4
    assert ada == again == same_user


def test_workers_seal_under_the_same_key(path, keys, vault, now):
    other = TenantVault(SqliteDataKeys(path), Master([FIRST]), now)
    assert other.open(vault.sealer(ADA).seal("x", "r"), "r") == "x"
    assert other.sealer(ADA).scope == vault.sealer(ADA).scope


def test_a_long_text_is_packed(vault):
    assert len(vault.sealer(ADA).seal("the same again. " * 1000, "r")) < 1000


def test_an_erased_user_is_unreadable_and_the_others_of_the_tenant_are_not(vault, keys):
    ada, bob, blue = (vault.sealer(caller).seal("secret", "r") for caller in (ADA, BOB, BLUE))
    assert keys.erase("team:red", "ada", AT) == [key_of(ada)]
    assert [vault.open(each, "r") for each in (ada, bob, blue)] == [None, "secret", "secret"]
    assert keys.erase("team:red", None, AT) == [key_of(ada), key_of(bob)]
    assert [vault.open(each, "r") for each in (ada, bob, blue)] == [None, None, "secret"]


def test_an_organisations_team_is_another_tenant_than_one_of_its_name(vault, keys):
    acme, zeta = (Caller("bot", team="red", user="ada", org=org) for org in ("acme", "zeta"))
    said = [vault.sealer(caller).seal("secret", "r") for caller in (ADA, acme, zeta)]
    assert keys.erase("team:acme/red", None, AT) == [key_of(said[1])]
    assert [vault.open(each, "r") for each in said] == ["secret", None, "secret"]


def test_an_erasure_is_told_until_it_is_on_record(vault, keys):
    vault.sealer(ADA)
    gone = keys.erase("team:red", "ada", AT)
    assert keys.erase("team:red", "ada", AT + 1) == gone
    keys.noted(gone)
    assert keys.erase("team:red", "ada", AT + 2) == []


def test_nothing_of_a_dropped_key_is_left_in_its_file_or_log(vault, keys, path):
    vault.sealer(ADA)
    vault.sealer(BLUE)
    (wrapped, kept) = (key.wrapped for key in keys.every())
    files = lambda: b"".join(file.read_bytes() for file in path.parent.iterdir())  # noqa: E731
    assert wrapped[8:] in files()
    keys.erase("team:red", "ada", AT)
    assert wrapped[8:] not in files()
    assert kept[8:] in files()


def test_after_an_erasure_new_content_has_a_new_key_within_a_second(vault, keys, now):
    before = vault.sealer(ADA).scope
    keys.erase("team:red", "ada", AT)
    assert vault.sealer(ADA).scope == before
    now.us += CHECK_US
    sealer = vault.sealer(ADA)
    assert sealer.scope != before
    assert vault.open(sealer.seal("new", "r"), "r") == "new"


def test_a_key_is_followed_by_another_after_a_month_and_still_opens(vault, now, keys):
    old = vault.sealer(ADA).seal("old", "r")
    now.us += LIFE_US
    fresh = TenantVault(keys, Master([FIRST]), now)
    assert fresh.sealer(ADA).scope != key_of(old)
    assert fresh.open(old, "r") == "old"


def test_no_key_seals_more_often_than_it_may_whatever_runs(monkeypatch, vault, keys, now):
    monkeypatch.setattr(sqlite_data_keys, "BLOCK", 3)
    monkeypatch.setattr(sqlite_data_keys, "MOST_USES", 6)
    vaults = [vault, TenantVault(keys, Master([FIRST]), now)]
    used = [key_of(vaults[turn % 2].sealer(ADA).seal("x", "r")) for turn in range(20)]
    assert max(used.count(key) for key in used) == 6


def test_many_tenants_do_not_fill_the_memory(monkeypatch, vault):
    monkeypatch.setattr("gateway.vault.HELD", 2)
    scopes = {vault.sealer(Caller(f"a{n}")).scope for n in range(5)}
    assert len(scopes) == 5
    assert vault.sealer(Caller("a4")).scope in scopes


def test_a_new_master_key_comes_first_and_the_old_one_goes_once_all_is_wrapped_anew(vault, keys, now):
    sealed = vault.sealer(ADA).seal("x", "r")
    both = TenantVault(keys, Master([SECOND, FIRST]), now)
    assert both.open(sealed, "r") == "x"
    assert (both.rewrap(), both.rewrap()) == (1, 0)
    assert TenantVault(keys, Master([SECOND]), now).open(sealed, "r") == "x"
    with pytest.raises(CannotOpen):
        vault.open(sealed, "r")


def test_an_erased_key_is_not_brought_back_by_wrapping_anew(vault, keys):
    vault.sealer(ADA)
    (key,) = keys.every()
    keys.erase("team:red", "ada", AT)
    keys.rewrap(key)
    assert keys.find(key.id) is None


def test_where_no_master_key_fits_nothing_is_written(vault, keys, now):
    vault.sealer(ADA)
    with pytest.raises(JournalUnavailable, match="no master key opens"):
        TenantVault(keys, Master([SECOND]), now).sealer(ADA)


def test_where_the_store_is_gone_nothing_is_written_and_nothing_is_read(vault, keys):
    sealed = vault.sealer(ADA).seal("x", "r")
    keys.close()
    with pytest.raises(JournalUnavailable, match="cannot be encrypted"):
        vault.sealer(BLUE)
    with pytest.raises(GatewayError, match="neither encrypted nor read"):
        vault.open(sealed, "r")


@pytest.mark.parametrize("damage", [lambda s: s[:-4] + "!!!!", lambda s: s[:40], lambda s: s[:-8] + "AAAAAAA="])
def test_a_damaged_text_opens_nothing(vault, damage):
    with pytest.raises(CannotOpen):
        vault.open(damage(vault.sealer(ADA).seal("x" * 50, "r")), "r")


def line(key: bytes) -> str:
    return base64.b64encode(key).decode()


@pytest.mark.parametrize("text", ["", "short", line(b"x" * 31), line(FIRST) + "\nnonsense!"])
def test_a_master_key_that_is_none_is_said_at_the_start_and_never_shown(text):
    with pytest.raises(StartError, match="head -c 32") as told:
        Master.of(Encryption(keys=KeySource(env="MASTER")), {"MASTER": text})
    assert not text or text not in str(told.value)


def test_master_keys_come_from_a_file_that_others_cannot_read(tmp_path, monkeypatch):
    file = tmp_path / "master"
    file.write_text(f"{line(SECOND)}\n{line(FIRST)}\n")
    settings = Settings(data=str(tmp_path / "data"), encryption=Encryption(keys=KeySource(file=str(file))))
    file.chmod(0o640)
    with pytest.raises(StartError, match="chmod 600"):
        open_vault(settings)
    file.chmod(0o600)
    vault = open_vault(settings)
    assert vault.open(vault.sealer(ADA).seal("x", "r"), "r") == "x"
    assert os.stat(tmp_path / "data" / "data-keys.sqlite").st_mode & 0o077 == 0
    assert open_vault(Settings(data=str(tmp_path / "data"))) is None
