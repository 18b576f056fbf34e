"""What a message or result of a Responses request says beside its words: names of files, why a person approved."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.dialects.request_texts import dicts
from gateway.dialects.texts import PLAIN, Slot, fields
from gateway.strict_json import Json

_SILENT = frozenset({
    "type", "id", "call_id", "approval_request_id", "status", "phase", "detail", "format", "cache_control", "prompt_cache_breakpoint",
    "name", "namespace", "caller", "created_by", "execution", "environment", "fingerprint", "tools", "acknowledged_safety_checks",
})  # fmt: skip
_OF_ITEM = frozenset({"role", "content", "output", "result"})
_OF_PART = frozenset({
    "text", "refusal", "image_url", "input_audio", "file_id", "file_data", "file_url", "encrypted_content", "annotations", "logprobs",
})  # fmt: skip


def beside(item: dict[str, Json], content: Json) -> Iterator[Slot]:
    """`content`: the part of it that holds its words."""
    yield from fields(item, _OF_ITEM | _SILENT, _SILENT)
    for part in dicts(content):
        if not part.keys() <= PLAIN:
            yield from fields(part, _OF_PART | _SILENT, _SILENT)
