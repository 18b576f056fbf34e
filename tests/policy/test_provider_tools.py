"""Tools that the provider runs are granted by name, never by accident."""

from __future__ import annotations

import pytest

from gateway.exchange import Caller
from gateway.policy import Facts, evaluate, load
from gateway.verdict import Call


def released(grants: str, tool: str, more: str = "") -> bool:
    policies = load({"p.yaml": f"policy: 1\nid: p\nagents: ['*']\n{grants}{more}".encode()})
    facts = Facts(Call("", tool, "{}", {}, 0, type="server"), Caller("bot"), "anthropic.messages", "m")
    return evaluate(policies, facts).released


@pytest.mark.parametrize("tool", ["openai.web_search", "anthropic.code_execution", "google.search"])
@pytest.mark.parametrize("grants", ["allow: ['*']\n", "allow: ['*.*', '?*']\n", "default: allow\n", "allow: [web_search]\n"])
def test_no_wildcard_and_no_default_grants_them(tool, grants):
    assert not released(grants, tool)


@pytest.mark.parametrize("grants", ["allow: [anthropic.web_search]\n", "allow: ['*', anthropic.*]\n", "allow: ['anthropic.web_*']\n"])
def test_a_grant_that_names_the_provider_does(grants):
    assert released(grants, "anthropic.web_search")


def test_shadow_says_what_enforcing_would_refuse():
    policies = load({"p.yaml": b"policy: 1\nid: p\nagents: ['*']\nmode: shadow\ndefault: allow\n"})
    verdict = evaluate(policies, Facts(Call("", "openai.mcp", "{}", {}, 0), Caller("bot"), "openai.chat", "m"))
    assert (verdict.released, verdict.would) == (True, "deny")


def test_a_client_s_own_tool_is_granted_as_before():
    assert released("allow: ['*']\n", "search")
    assert released("default: allow\n", "search")
