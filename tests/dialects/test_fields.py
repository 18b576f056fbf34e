from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx
import pytest
from anthropic.types import message_create_params as anthropic_params
from anthropic.types.beta import message_create_params as anthropic_beta_params

from gateway.dialects import fields
from gateway.dialects.fields import FieldTable

HEADERS_NOT_BODY = {"betas", "user_profile_id", "workspace_id"}
"""Parameters that the anthropic SDK sends as headers."""


def declared(*types: Any) -> set[str]:
    return {name for t in types for name in t.__required_keys__ | t.__optional_keys__}


ANTHROPIC = declared(
    anthropic_params.MessageCreateParamsBase,
    anthropic_params.MessageCreateParamsStreaming,
    anthropic_beta_params.MessageCreateParamsBase,
    anthropic_beta_params.MessageCreateParamsStreaming,
)
TABLES = {"openai": fields.OPENAI_CHAT, "anthropic": fields.ANTHROPIC_MESSAGES}


def listed(table: FieldTable) -> frozenset[str]:
    return table.judged | table.inert | table.powerful


def test_every_field_of_the_anthropic_sdk_is_in_a_list() -> None:
    assert len(ANTHROPIC) > 20
    assert fields.ANTHROPIC_MESSAGES.unjudged(sorted(ANTHROPIC - HEADERS_NOT_BODY), frozenset()) == ()


def test_the_anthropic_table_holds_nothing_but_fields_of_this_or_an_older_sdk() -> None:
    assert listed(fields.ANTHROPIC_MESSAGES) - ANTHROPIC == {"temperature", "top_k", "top_p", "output_format"}


def test_the_fields_called_headers_are_never_in_an_anthropic_body() -> None:
    seen: list[httpx.Request] = []

    def answer(request: Any) -> Any:
        seen.append(request)
        return transports.Response(200, json={})

    transports: Any = pytest.importorskip("httpx2")
    client = anthropic.Anthropic(api_key="k", http_client=transports.Client(transport=transports.MockTransport(answer)))
    client.beta.messages.create(
        model="m", max_tokens=1, messages=[], betas=["a"], user_profile_id="u", workspace_id="w"  # type: ignore[call-overload]
    )  # fmt: skip
    assert HEADERS_NOT_BODY.isdisjoint(json.loads(seen[0].content))


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_no_field_is_in_two_lists(table: FieldTable) -> None:
    assert len(listed(table)) == len(table.judged) + len(table.inert) + len(table.powerful)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize(
    "name", ["api_base", "base_url", "api_key", "custom_llm_provider", "extra_headers", "mock_response", "Tools", "tools ", "", "MODEL"]
)
def test_a_field_in_no_list_is_unjudged_unless_allowed_by_exactly_its_name(table: FieldTable, name: str) -> None:
    assert table.unjudged(["model", name], frozenset()) == (name,)
    assert table.unjudged(["model", name], frozenset({name})) == ()
    assert table.unjudged(["model", name], frozenset({name + "x"})) == (name,)


def test_unjudged_names_keep_their_order() -> None:
    assert fields.OPENAI_CHAT.unjudged(["z", "model", "a"], frozenset()) == ("z", "a")


@pytest.mark.parametrize("off", [None, False])
@pytest.mark.parametrize("on", [True, 1, 0, "", {}, []])
def test_a_powerful_field_counts_when_it_switches_something_on(on: Any, off: Any) -> None:
    table = fields.OPENAI_CHAT
    assert table.in_effect({"store": off, "seed": on}, frozenset()) == ()
    assert table.in_effect({"store": on}, frozenset()) == ("store",)
    assert table.in_effect({"store": on}, frozenset({"store"})) == ()


def test_what_makes_the_provider_fetch_store_or_delegate_is_powerful() -> None:
    assert {"store", "web_search_options"} <= fields.OPENAI_CHAT.powerful
    assert {"mcp_servers", "container", "thread", "fallbacks"} <= fields.ANTHROPIC_MESSAGES.powerful
