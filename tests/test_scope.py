"""What a key may be used for: closed lists, exact names, and models by globs."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.scope import ANYTHING, KeyScope, refuse_dialect, refuse_model, refuse_upstream

NAMES = st.text("ab-.GPT45/\n* ", max_size=8)


def refused(check, *values, **named) -> bool:
    try:
        check(*values, **named)
    except GatewayError as error:
        return (error.kind, error.code) == ("refused", "outside_key_scope") and "tollhouse keys create" in error.message
    return False


@given(NAMES, st.booleans())
def test_what_a_scope_does_not_name_is_not_bounded(name, read):
    assert not refused(refuse_dialect, ANYTHING, name)
    assert not refused(refuse_upstream, ANYTHING, name)
    assert not refused(refuse_model, ANYTHING, name, read=read)


@given(st.lists(NAMES, max_size=3), NAMES)
def test_dialects_and_upstreams_are_closed_lists_of_exact_names(names, name):
    assert refused(refuse_dialect, KeyScope(dialects=tuple(names)), name) == (name not in names)
    assert refused(refuse_upstream, KeyScope(upstreams=tuple(names)), name) == (name not in names)


@given(st.lists(st.text("ab4-*?", max_size=5), max_size=3), st.text("ab4-", min_size=1, max_size=6))
def test_models_match_as_globs_do_and_in_no_other_way(globs, model):
    assert refused(refuse_model, KeyScope(models=tuple(globs)), model, read=True) == (
        not any(fnmatch.fnmatchcase(model, glob) for glob in globs)
    )


ALIKE = [" gpt-5", "GPT-5", "openai/gpt-5", "gpt-5 ", "gpt-5\n", "gpt-5\x00", "gpt_5", "\ngpt-5", "gpt-[5]", "gpt-5x"]


@pytest.mark.parametrize("model", ALIKE)
def test_a_model_that_is_only_alike_is_another(model):
    assert refused(refuse_model, KeyScope(models=("gpt-5", "gpt-[5-9]")), model, read=True)


def test_a_glob_ends_at_no_line_break():
    assert refused(refuse_model, KeyScope(models=("gpt-*",)), "gpt-5\nclaude", read=True)
    assert not refused(refuse_model, KeyScope(models=("gpt-*",)), "gpt-5-mini", read=True)


def test_no_model_is_bounded_only_where_nobody_has_read_the_request():
    bound = KeyScope(models=("gpt-*",))
    assert not refused(refuse_model, bound, "", read=True)
    assert refused(refuse_model, bound, "", read=False)
    assert not refused(refuse_model, ANYTHING, "", read=False)
    assert refused(refuse_model, KeyScope(models=()), "gpt-5", read=True)


def test_the_refusal_names_what_the_key_is_for_and_the_field():
    with pytest.raises(GatewayError, match=r"'claude-5'; it is for gpt-\*, o9") as refusal:
        refuse_model(KeyScope(models=("gpt-*", "o9")), "claude-5", read=True)
    assert refusal.value.param == "model"
    with pytest.raises(GatewayError, match="upstream 'eu'; it is for us") as refusal:
        refuse_upstream(KeyScope(upstreams=("us",)), "eu")
    assert refusal.value.param is None
