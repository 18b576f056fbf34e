"""What the installed openai SDK declares, as JSON: fields of requests, and the kinds of items, events and tools with their keys."""

import json
import typing

import openai
from openai.types import chat, responses
from openai.types.chat import (
    chat_completion,
    chat_completion_chunk,
    chat_completion_content_part_param,
    chat_completion_tool_union_param,
    completion_create_params,
)
from openai.types.conversations import conversation_create_params
from openai.types.responses import (
    input_token_count_params,
    response_compact_params,
    response_create_params,
    response_input_item_param,
    tool_param,
)


def fields(*types):
    return sorted({name for each in types for name in each.__required_keys__ | each.__optional_keys__})


def members(union):
    if typing.get_origin(union) is typing.Annotated:
        union = typing.get_args(union)[0]
    inner = typing.get_args(union)
    return [one for each in inner for one in members(each)] if inner and not hasattr(union, "__annotations__") else [union]


def kinds(union):
    """Every `type` of a union's members and the keys it may have, as they are sent."""
    found = {}
    for member in members(union):
        if hasattr(member, "model_fields"):
            hints = {info.alias or name: info.annotation for name, info in member.model_fields.items()}
        elif hasattr(member, "__annotations__"):
            hints = typing.get_type_hints(member)
        else:
            continue
        for kind in literals(hints.get("type")):
            found.setdefault(kind, set()).update(hints)
    return {kind: sorted(names) for kind, names in found.items()}


def literals(hint):
    if typing.get_origin(hint) is typing.Literal:
        return list(typing.get_args(hint))
    return [one for inner in typing.get_args(hint) for one in literals(inner)]


def keys(model):
    return sorted(info.alias or name for name, info in model.model_fields.items())


def told():
    asked, created = completion_create_params, response_create_params
    return {
        "version": openai.__version__,
        "fields": {
            "chat": fields(asked.CompletionCreateParamsBase, asked.CompletionCreateParamsStreaming),
            "create": fields(created.ResponseCreateParamsBase, created.ResponseCreateParamsStreaming),
            "compact": fields(response_compact_params.ResponseCompactParams),
            "count": fields(input_token_count_params.InputTokenCountParams),
            "conversation": fields(conversation_create_params.ConversationCreateParams),
        },
        "answer": sorted({*keys(chat.ChatCompletion), *keys(chat.ChatCompletionChunk)}),
        "choice": sorted({*keys(chat_completion.Choice), *keys(chat_completion_chunk.Choice)} - {"message", "delta"}),
        "message": sorted({*keys(chat.ChatCompletionMessage), *keys(chat_completion_chunk.ChoiceDelta)}),
        "parts": kinds(chat_completion_content_part_param.ChatCompletionContentPartParam),
        "functions": kinds(chat_completion_tool_union_param.ChatCompletionToolUnionParam),
        "response": keys(responses.Response),
        "items": kinds(responses.ResponseOutputItem),
        "input": kinds(response_input_item_param.ResponseInputItemParam),
        "events": kinds(responses.ResponseStreamEvent),
        "tools": kinds(tool_param.ToolParam),
    }


print(json.dumps(told()))
