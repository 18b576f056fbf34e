"""Which top-level request fields a gate must read, may ignore, or must not let through without a grant.

One table per dialect, in three lists. A field in no list is something nobody here has thought about: it is refused while a policy enforces.
The lists cover every field of the official SDKs' request types (the tests compare) plus fields that older SDK versions still send.
To admit a field for one installation, `allow_fields` in the configuration names it; to admit it for all, put it in a list here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from gateway.strict_json import Json


class FieldTable(Struct, frozen=True):
    judged: frozenset[str]
    """Read and judged by the dialect's decoder."""
    inert: frozenset[str]
    """Forwarded untouched: sampling, caching, labels."""
    powerful: frozenset[str]
    """Makes the provider act, fetch, store, delegate or bill another: needs a grant."""

    def unjudged(self, names: Iterable[str], allow: frozenset[str]) -> tuple[str, ...]:
        """The names in no list and not allowed, in the order given. Names count exactly: `Tools` is not `tools`."""
        return tuple(n for n in names if not self._listed(n) and n not in allow)

    def in_effect(self, body: Mapping[str, Json], allow: frozenset[str]) -> tuple[str, ...]:
        """The powerful fields that the body switches on, without those allowed: null and false switch nothing on."""
        return tuple(n for n, v in body.items() if n in self.powerful and n not in allow and v is not None and v is not False)

    def _listed(self, name: str) -> bool:
        return name in self.judged or name in self.inert or name in self.powerful


OPENAI_CHAT = FieldTable(
    judged=frozenset({
        "function_call", "functions", "max_completion_tokens", "max_tokens", "messages", "model", "n",
        "parallel_tool_calls", "safety_identifier", "stream", "stream_options", "temperature", "tool_choice", "tools", "user",
    }),
    inert=frozenset({
        "audio", "frequency_penalty", "logit_bias", "logprobs", "metadata", "modalities", "moderation", "prediction",
        "presence_penalty", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning_effort",
        "response_format", "seed", "service_tier", "stop", "top_logprobs", "top_p", "verbosity",
    }),
    powerful=frozenset({"store", "web_search_options"}),
)  # fmt: skip

OPENAI_RESPONSES = FieldTable(
    judged=frozenset({
        "background", "conversation", "input", "instructions", "max_output_tokens", "max_tool_calls", "metadata", "model",
        "parallel_tool_calls", "previous_response_id", "safety_identifier", "store", "stream", "temperature", "tool_choice", "tools",
        "user",
    }),
    inert=frozenset({
        "background_options", "client_metadata", "context_management", "image", "include", "moderation", "prompt_cache_key",
        "prompt_cache_options", "prompt_cache_retention", "reasoning", "service_tier", "stream_options", "text", "top_logprobs", "top_p",
        "truncation",
    }),
    powerful=frozenset({"access_programs", "prompt"}),
)  # fmt: skip

OPENAI_COMPACT = FieldTable(
    judged=frozenset({"input", "instructions", "model", "previous_response_id"}),
    inert=frozenset({"image", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "service_tier"}),
    powerful=frozenset(),
)

OPENAI_INPUT_TOKENS = FieldTable(
    judged=frozenset({
        "conversation", "input", "instructions", "model", "parallel_tool_calls", "previous_response_id", "tool_choice", "tools",
    }),
    inert=frozenset({"personality", "reasoning", "text", "truncation"}),
    powerful=frozenset(),
)  # fmt: skip

OPENAI_CONVERSATIONS = FieldTable(judged=frozenset({"items", "metadata"}), inert=frozenset(), powerful=frozenset())

OPENAI_EMBEDDINGS = FieldTable(
    judged=frozenset({"input", "model", "user"}),
    inert=frozenset({"dimensions", "encoding_format"}),
    powerful=frozenset(),
)

ANTHROPIC_MESSAGES = FieldTable(
    judged=frozenset({
        "max_tokens", "messages", "metadata", "model", "stream", "system", "temperature", "tool_choice", "tools",
    }),
    inert=frozenset({
        "cache_control", "compaction", "context_management", "diagnostics", "fallback_credit_token", "inference_geo",
        "output_config", "output_format", "service_tier", "speed", "stop_sequences", "thinking", "top_k", "top_p",
    }),
    powerful=frozenset({"billing_policy", "container", "fallbacks", "mcp_servers", "thread"}),
)  # fmt: skip
