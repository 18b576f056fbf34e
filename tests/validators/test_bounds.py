"""What a text must be to be looked at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.validators.bounds import at_most, utf8
from gateway.validators.validator import Unjudged


@given(st.text(max_size=20), st.integers(0, 20))
def test_a_text_is_looked_at_up_to_its_limit_and_not_beyond(text, most):
    if len(text) <= most:
        assert at_most(text, most) == text
    else:
        with pytest.raises(Unjudged, match=f"has {len(text)} characters; this is judged up to {most}"):
            at_most(text, most)


@given(st.text())
def test_a_text_has_a_form_in_utf8_or_is_not_judged(text):
    assert utf8(text).decode() == text
    with pytest.raises(Unjudged, match="surrogate"):
        utf8(f"{text}\udc80")
