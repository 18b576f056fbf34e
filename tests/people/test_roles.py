"""Roles and rights: what each role may do, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.people.roles import HOLDS, RIGHTS, ROLES, Person, holders, read_roles

TABLE = {
    "public": {"viewer-metadata", "viewer-content", "policy-editor", "approver", "admin"},
    "see-metadata": {"viewer-metadata", "viewer-content", "policy-editor", "approver", "admin"},
    "see-content": {"viewer-content", "admin"},
    "see-approvals": {"viewer-content", "approver", "admin"},
    "ask-sql": {"viewer-content", "admin"},
    "give-feedback": {"viewer-content", "approver", "admin"},
    "decide-approvals": {"approver", "admin"},
    "edit-policies": {"policy-editor", "admin"},
    "edit-prompts": {"policy-editor", "admin"},
    "manage-costs": {"admin"},
    "manage-sessions": {"admin"},
    "export": {"viewer-content", "admin"},
    "copy-book": {"admin"},
    "erase": {"admin"},
    "manage-keys": {"admin"},
    "manage-people": {"admin"},
    "speak-for-agents": {"admin"},
}
SOME_ROLES = st.frozensets(st.sampled_from(ROLES))


@pytest.mark.parametrize("right", RIGHTS)
def test_a_right_belongs_to_these_roles_and_to_no_other(right) -> None:
    assert set(holders(right)) == TABLE[right]
    for role in ROLES:
        assert Person("p", "P", frozenset({role})).may(right) == (role in TABLE[right])


def test_every_role_and_every_right_is_in_the_table() -> None:
    assert set(HOLDS) == set(ROLES)
    assert set(TABLE) == set(RIGHTS)


@given(SOME_ROLES, SOME_ROLES, st.sampled_from(RIGHTS))
def test_more_roles_never_take_a_right_away_and_none_gives_what_no_role_has(some, more, right) -> None:
    assert Person("p", "P", some | more).may(right) == (Person("p", "P", some).may(right) or Person("p", "P", more).may(right))


def test_whoever_has_no_role_may_do_nothing() -> None:
    assert not any(Person("p", "P").may(right) for right in RIGHTS)


@given(st.none() | st.frozensets(st.sampled_from(["red", "blue", "Red", "red ", ""])), st.sampled_from([None, "red", "blue", "RED", ""]))
def test_a_person_sees_a_team_by_its_exact_name_and_what_has_no_team_only_unbound(teams, team) -> None:
    sees = Person("p", "P", teams=teams).sees(None, team)
    assert sees == (teams is None or (team is not None and team in teams))


def test_roles_are_read_by_their_exact_names() -> None:
    assert read_roles(["approver", "approver", "viewer-content"]) == {"approver", "viewer-content"}
    for wrong in (["Admin"], ["admin "], ["root"], ["approver", ""], []):
        with pytest.raises(ValueError, match="viewer-metadata, viewer-content, policy-editor, approver, admin"):
            read_roles(wrong)
