"""`tollhouse approvals`: what is refused before a gateway is asked."""

from __future__ import annotations

import pytest

from gateway.cli.approvals import app


@pytest.mark.parametrize(
    ("arguments", "option", "there"),
    [
        (["approve", "apr_1", "--for", "everybody"], "--for", ("once", "session", "agent")),
        (["edit", "apr_1", "{}", "--for", "Agent"], "--for", ("once", "session", "agent")),
        (["list", "--state", "waiting"], "--state", ("pending", "approved", "denied", "expired", "used", "all")),
    ],
)
def test_a_word_that_is_none_of_an_option_s_is_a_usage_error_that_says_which_there_are(commands, arguments, option, there):
    done = commands(app)(*arguments)
    assert (done.exit_code, option in done.output) == (2, True)
    assert [word for word in there if f"'{word}'" not in done.output] == []
