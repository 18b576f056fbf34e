"""The closed tables against the installed `anthropic` package: what it knows stands in a table, and the
tables know no more.
"""

from __future__ import annotations

import typing
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from anthropic.types import beta
from anthropic.types.beta import (
    beta_raw_content_block_delta,
    beta_raw_message_delta_event,
    beta_raw_message_stream_event,
)

from gateway.dialects import anthropic_messages_types as known


def members(union: Any) -> list[Any]:
    if get_origin(union) is typing.Annotated:
        return members(get_args(union)[0])
    return [m for part in get_args(union) for m in members(part)] or [union]


def literals(annotation: Any) -> set[str]:
    if get_origin(annotation) is typing.Literal:
        return set(get_args(annotation))
    return {word for part in get_args(annotation) for word in literals(part)}


def keys(model: Any) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def by_type(union: Any) -> dict[str, set[str]]:
    return {word: keys(model) for model in members(union) for word in literals(model.model_fields["type"].annotation)}


TOOLS = {
    word: get_type_hints(tool)
    for tool in members(beta.BetaToolUnionParam)
    for word in literals(get_type_hints(tool)["type"])
}


def test_every_tool_type_of_the_sdk_is_sorted_and_no_other() -> None:
    sorted_types = {known.CUSTOM, *known.CLIENT_TOOLS, *known.TOOLSETS, *known.SERVER_TOOLS}
    assert sorted_types == set(TOOLS)
    assert not set(known.CLIENT_TOOLS) & set(known.SERVER_TOOLS)


@pytest.mark.parametrize("kind", known.CLIENT_TOOLS)
def test_a_client_tool_has_the_one_name_the_sdk_gives_it(kind: str) -> None:
    assert literals(TOOLS[kind]["name"]) == {known.CLIENT_TOOLS[kind]}


@pytest.mark.parametrize(
    ("kind", "configs"),
    [
        ("computer_toolset_20260801", beta.BetaComputerToolsetConfigsParam),
        ("browser_toolset_20260801", beta.BetaBrowserToolsetConfigsParam),
    ],
)
def test_a_toolset_has_the_members_of_the_sdk(kind: str, configs: Any) -> None:
    assert known.TOOLSETS[kind][1] == set(configs.__annotations__)


def test_every_server_tool_name_has_a_service() -> None:
    block = next(m for m in members(beta.BetaContentBlock) if m is beta.BetaServerToolUseBlock)
    assert literals(block.model_fields["name"].annotation) == set(known.SERVICE_OF_NAME)


def test_the_blocks_of_an_answer_have_the_keys_of_the_sdk() -> None:
    assert by_type(beta.BetaContentBlock) == known.BLOCK_KEYS


def test_every_block_is_either_the_clients_text_a_call_or_of_a_service() -> None:
    theirs = {
        "text",
        "thinking",
        "redacted_thinking",
        "compaction",
        "fallback",
        "tool_use",
        "server_tool_use",
    }
    assert set(known.BLOCK_KEYS) == theirs | set(known.SERVICE_OF_BLOCK)


def test_the_deltas_have_the_keys_of_the_sdk() -> None:
    assert by_type(beta_raw_content_block_delta.BetaRawContentBlockDelta) == known.DELTA_KEYS
    assert {delta for deltas in known.DELTAS_OF_BLOCK.values() for delta in deltas} == set(known.DELTA_KEYS)


def test_the_events_have_the_keys_of_the_sdk() -> None:
    ours = {kind: names for kind, names in known.EVENT_KEYS.items() if kind not in ("ping", "error")}
    assert by_type(beta_raw_message_stream_event.BetaRawMessageStreamEvent) == ours
    assert keys(beta.BetaMessage) == known.MESSAGE_KEYS
    assert keys(beta_raw_message_delta_event.Delta) == known.MESSAGE_DELTA_KEYS


def test_every_block_of_a_request_is_known() -> None:
    sent = {
        word
        for block in members(beta.BetaContentBlockParam)
        if not hasattr(block, "model_fields")
        for word in literals(get_type_hints(block)["type"])
    }
    assert sent | set(known.BLOCK_KEYS) == known.REQUEST_BLOCKS
