"""People with tokens: found by the whole token alone, changed and removed with effect from the next request, in every store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.errors import GatewayError
from gateway.installation import open_access_log, open_keys, open_people
from gateway.state.people import PersonRecord

NOW = 1_700_000_000_000_000


@pytest.fixture
def people(kept):
    store = open_people(kept)
    yield store
    store.close()


def ada(**more) -> PersonRecord:
    return PersonRecord(**{"id": "ada", "roles": ("viewer-content", "approver"), "last4": "", "created_us": NOW, **more})


def test_a_token_proves_its_person_with_roles_and_teams(people):
    token = people.add(ada(teams=("red", "blue")))
    found = people.find(token, NOW)
    assert token.startswith("thp_")
    assert found == ada(teams=("red", "blue"), last4=token[-4:])
    who = found.person()
    assert (who.id, who.may("decide-approvals"), who.may("erase"), who.sees(None, "red"), who.sees(None, "green"), who.shared) == (
        "ada", True, False, True, False, False,
    )  # fmt: skip


def test_whatever_is_not_the_whole_token_proves_nobody(people, kept):
    token = people.add(ada())
    key = open_keys(kept).create(agent="ada", now_us=NOW)
    wrong = token[:-1] + ("A" if token[-1] != "A" else "B")
    near = [wrong, token.upper(), token[4:], "th_" + token[4:], token + " ", token + "x", "thp_" + key[3:], key]
    near += ["", "thp_", "ada", "' OR 1=1--"]
    assert [people.find(each, NOW) for each in near] == [None] * len(near)
    assert open_keys(kept).find("th_" + token[4:], NOW) is None


def test_a_change_is_in_force_at_once_for_all_who_ask(people, kept):
    token, other = people.add(ada()), open_people(kept)
    assert other.find(token, NOW).teams is None
    assert people.change("ada", ("viewer-metadata",), ("red",), NOW)
    assert (other.find(token, NOW).roles, other.find(token, NOW).teams) == (("viewer-metadata",), ("red",))
    assert people.remove("ada", NOW)
    assert other.find(token, NOW) is None
    other.close()


def test_who_was_removed_stays_out_and_can_be_added_anew_with_another_token(people):
    first = people.add(ada())
    people.remove("ada", NOW)
    assert not people.remove("ada", NOW)
    assert not people.change("ada", ("admin",), None, NOW)
    second = people.add(ada(created_us=NOW + 1))
    assert people.find(first, NOW + 1) is None
    assert people.find(second, NOW + 1).id == "ada"
    assert [each.id for each in people.every()] == ["ada"]


def test_whose_time_is_over_is_there_no_more(people):
    first = people.add(ada(expires_us=NOW + 10))
    assert not people.change("ada", ("admin",), None, NOW + 10)
    assert people.renew_token("ada", NOW + 10) is None
    assert not people.end_token("ada", NOW + 10)
    assert people.set_password("ada", "scrypt:00:11", NOW + 10) is None
    second = people.add(ada(created_us=NOW + 10, roles=("admin",)))
    assert people.find(first, NOW + 10) is None
    assert people.find(second, NOW + 10).roles == ("admin",)
    with pytest.raises(GatewayError, match="'ada' is there already"):
        people.add(ada(created_us=NOW + 11))


def test_whose_time_is_over_can_be_removed(people):
    people.add(ada(expires_us=NOW + 10))
    assert people.remove("ada", NOW + 11)


def test_nobody_is_added_twice_and_nobody_unknown_is_changed(people):
    people.add(ada())
    with pytest.raises(GatewayError, match="'ada' is there already") as refusal:
        people.add(ada(roles=("admin",)))
    assert refusal.value.code == "person_exists"
    assert not people.change("bob", ("admin",), None, NOW)
    assert not people.remove("bob", NOW)
    assert people.every()[0].roles == ("viewer-content", "approver")


def test_of_many_who_add_somebody_at_once_one_does(kept):
    stores = [open_people(kept) for _ in range(5)]

    def added(store) -> str:
        try:
            return store.add(ada())
        except GatewayError as error:
            return error.code

    with ThreadPoolExecutor(5) as pool:
        came = list(pool.map(added, stores))
    assert len([each for each in came if each.startswith("thp_")]) == 1
    assert {each for each in came if not each.startswith("thp_")} <= {"person_exists", "state_busy"}


def test_a_token_ends_with_its_time(people):
    token = people.add(ada(expires_us=NOW + 10))
    assert [people.find(token, NOW + at) is not None for at in (0, 9, 10)] == [True, True, False]


def test_every_change_is_written_down_without_a_secret(people, kept):
    token = people.add(ada(), by="root")
    people.change("ada", ("admin",), ("red",), NOW + 1, by="root")
    people.remove("ada", NOW + 2, by="eve", why="left")
    log = open_access_log(kept)
    found = log.unrecorded(10)
    assert [(each.what, each.who, each.roles, each.teams, each.why) for each in found] == [
        ("created", "root", ("viewer-content", "approver"), None, ""),
        ("roles", "root", ("admin",), ("red",), ""),
        ("removed", "eve", ("admin",), ("red",), "left"),
    ]
    assert token.split("_")[2] not in str(found)
    log.close()
