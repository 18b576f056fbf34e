"""Accounts: an invitation is good once, a password belongs to a person, the last administrator stays, in every store."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.errors import GatewayError
from gateway.installation import open_access_log, open_people
from gateway.state.people import Invitation, PersonRecord
from gateway.state.sqlite_access import SqlitePeople

NOW, DAY = 1_700_000_000_000_000, 86_400_000_000
KEPT = "scrypt:00:11"


@pytest.fixture
def people(kept):
    store = open_people(kept)
    yield store
    store.close()


def invitation(**more) -> Invitation:
    return Invitation(**{"roles": ("admin",), "expires_us": NOW + DAY, "by": "root", **more})


def ada(**more) -> PersonRecord:
    return PersonRecord(**{"id": "ada", "roles": ("approver",), "last4": "", "created_us": NOW, **more})


def test_whoever_uses_an_invitation_has_its_roles_a_password_and_no_token(people):
    token = people.invite(invitation(roles=("approver", "viewer-content"), teams=("red",)), NOW)
    assert people.invited(token, NOW).teams == ("red",)
    made = people.join(token, "ada", KEPT, NOW + 1)
    assert (made.roles, made.teams, made.last4, made.created_us) == (("approver", "viewer-content"), ("red",), "", NOW + 1)
    assert people.password("ada", NOW + 1) == (made, KEPT) == (people.named("ada"), KEPT)
    assert people.invited(token, NOW) is None


@pytest.mark.parametrize("how", ["used", "over", "never made"])
def test_an_invitation_that_is_not_good_makes_nobody(people, how):
    token = "made-up" if how == "never made" else people.invite(invitation(), NOW)
    if how == "used":
        people.join(token, "bob", KEPT, NOW)
    with pytest.raises(GatewayError, match="Ask an administrator for a new one"):
        people.join(token, "ada", KEPT, NOW + DAY if how == "over" else NOW)
    assert people.named("ada") is None


def test_of_many_who_use_an_invitation_at_once_one_gets_in(kept):
    stores = [open_people(kept) for _ in range(5)]
    token = stores[0].invite(invitation(), NOW)

    def came(n: int) -> bool:
        try:
            stores[n].join(token, f"p{n}", KEPT, NOW)
        except GatewayError:
            return False
        return True

    with ThreadPoolExecutor(5) as pool:
        assert sum(pool.map(came, range(5))) == 1
    assert len(stores[0].every()) == 1


def test_an_invitation_for_somebody_is_for_nobody_else_and_gives_them_no_other_roles(people):
    api = people.add(ada())
    token = people.invite(invitation(name="ada"), NOW)
    with pytest.raises(GatewayError, match="is for 'ada'"):
        people.join(token, "eve", KEPT, NOW)
    before = people.named("ada")
    after = people.join(token, "ada", KEPT, NOW + 5)
    assert (after.roles, after.created_us, after.last4) == (("approver",), NOW, before.last4)
    assert people.find(api, NOW + 6) == after


def test_nobody_takes_a_name_that_is_taken_and_anybody_one_that_was_removed(people):
    people.add(ada(roles=("viewer-metadata",)))
    token = people.invite(invitation(), NOW)
    with pytest.raises(GatewayError, match="choose another name"):
        people.join(token, "ada", KEPT, NOW)
    people.remove("ada", NOW + 1)
    assert people.join(token, "ada", KEPT, NOW + 2).roles == ("admin",)


@pytest.mark.parametrize("how", ["removed", "over"])
def test_who_is_let_in_anew_under_a_name_has_nothing_of_who_had_it(people, how):
    before = people.add(ada(expires_us=NOW + 1 if how == "over" else None))
    if how == "removed":
        people.remove("ada", NOW)
    own = people.invite(invitation(name="ada", roles=()), NOW)
    at = NOW + 1 if how == "over" else NOW
    with pytest.raises(GatewayError, match="that this invitation was for is gone"):
        people.join(own, "ada", KEPT, at)
    made = people.join(people.invite(invitation(name="ada", roles=("viewer-metadata",)), NOW), "ada", KEPT, at)
    assert (made.roles, made.last4, made.expires_us, made.created_us) == (("viewer-metadata",), "", None, at)
    assert people.find(before, at) is None


def test_when_somebody_is_in_no_invitation_of_a_start_is_left(people):
    first = [people.invite(invitation(first=True, expires_us=2**62), NOW) for _ in range(2)]
    other = people.invite(invitation(roles=("approver",)), NOW)
    assert people.invited(first[0], NOW + 400 * DAY).first
    assert not people.any_password(NOW)
    people.join(first[1], "ada", KEPT, NOW)
    assert [people.invited(each, NOW) is not None for each in (*first, other)] == [False, False, True]
    assert people.any_password(NOW)


def test_another_password_is_another_seal_and_a_removed_one_has_none(people, kept):
    one = people.join(people.invite(invitation(), NOW), "ada", KEPT, NOW)
    two = people.set_password("ada", "scrypt:22:33", NOW + 1, by="ada")
    assert one.seal != two.seal
    assert people.password("ada", NOW + 1) == (two, "scrypt:22:33")
    assert people.remove("ada", NOW + 2)
    assert (people.password("ada", NOW + 2), people.any_password(NOW + 2)) == (None, False)
    assert people.set_password("ada", KEPT, NOW + 3) is None
    people.add(ada(created_us=NOW + 4))
    assert (people.named("ada").seal, people.password("ada", NOW + 4)) == ("", None)


def test_somebody_whose_time_is_over_has_no_password(people):
    people.add(ada(expires_us=NOW + 10))
    people.set_password("ada", KEPT, NOW)
    assert [people.password("ada", NOW + at) is not None for at in (9, 10)] == [True, False]
    assert not people.any_password(NOW + 10)


def test_a_token_is_renewed_and_ended_and_the_password_stays(people):
    people.join(people.invite(invitation(), NOW), "ada", KEPT, NOW)
    first = people.renew_token("ada", NOW, by="ada")
    second = people.renew_token("ada", NOW + 1, by="ada")
    assert people.find(first, NOW + 1) is None
    assert people.find(second, NOW + 1).last4 == second[-4:]
    assert people.end_token("ada", NOW + 2)
    assert (people.find(second, NOW + 2), people.named("ada").last4) == (None, "")
    assert people.password("ada", NOW + 2) is not None
    assert (people.renew_token("eve", NOW), people.end_token("eve", NOW)) == (None, False)


@pytest.mark.parametrize("act", ["remove", "lower", "bind"])
def test_the_last_administrator_with_a_password_stays_where_that_is_wanted(people, act):
    people.join(people.invite(invitation(), NOW), "ada", KEPT, NOW)
    people.add(ada(id="token-only", roles=("admin",)))
    people.join(people.invite(invitation(teams=("red",)), NOW), "bound", KEPT, NOW)
    acts = {
        "remove": lambda: people.remove("ada", NOW, last_stays=True),
        "lower": lambda: people.change("ada", ("approver",), None, NOW, last_stays=True),
        "bind": lambda: people.change("ada", ("admin",), ("red",), NOW, last_stays=True),
    }
    with pytest.raises(GatewayError, match="'ada' is the last administrator"):
        acts[act]()
    assert people.named("ada").roles == ("admin",)
    assert people.named("ada").teams is None
    people.join(people.invite(invitation(), NOW), "bob", KEPT, NOW)
    assert acts[act]()


def test_what_becomes_of_an_account_is_on_record_without_a_secret(people, kept):
    people.join(people.invite(invitation(), NOW), "ada", KEPT, NOW)
    token = people.renew_token("ada", NOW, by="ada")
    people.set_password("ada", KEPT, NOW, by="ada")
    people.end_token("ada", NOW, by="root")
    log = open_access_log(kept)
    rows = log.unrecorded(10)
    assert [(each.what, each.who, each.why, each.roles) for each in rows] == [
        ("joined", "ada", "invited by root", ("admin",)),
        ("token", "ada", "", ("admin",)),
        ("password", "ada", "", ("admin",)),
        ("token-ended", "root", "", ("admin",)),
    ]
    assert not any(secret in str(rows) for secret in (KEPT, token.split("_")[2], people.named("ada").seal))
    log.close()


def test_an_account_of_an_earlier_version_moves_in_once_and_takes_nobodys_place(people):
    assert people.move_in(ada(), KEPT, "upgrade")
    seal = people.password("ada", NOW)[0].seal
    assert not people.move_in(ada(roles=("admin",)), "scrypt:99:99", "upgrade")
    assert (people.password("ada", NOW)[1], people.named("ada").roles, people.named("ada").seal) == (KEPT, ("approver",), seal)
    people.remove("ada", NOW)
    assert not people.move_in(ada(), KEPT, "upgrade")


def test_a_store_of_an_earlier_version_has_its_people_and_takes_passwords(tmp_path):
    path = tmp_path / "state.sqlite"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE people (name TEXT PRIMARY KEY, token TEXT NOT NULL UNIQUE, hash BLOB NOT NULL, record BLOB NOT NULL) STRICT")
    record = b'{"id":"ada","roles":["approver"],"last4":"abcd","created_us":1,"teams":null,"expires_us":null,"removed_us":null}'
    db.execute("INSERT INTO people VALUES ('ada', 'AAAAAAAA', x'00', ?)", (record,))
    db.commit()
    db.close()
    store = SqlitePeople(path, b"p" * 32)
    assert store.named("ada").last4 == "abcd"
    assert store.set_password("ada", KEPT, NOW) is not None
    assert store.password("ada", NOW)[1] == KEPT
    store.close()
