"""The closed shape of Google's generateContent: which fields, parts and keys exist, in which spelling.

Requests may spell a field `generationConfig` or `generation_config`, as the API's JSON mapping allows, but not both. Answers are spelled
one way; a key spelled another way, or of no known kind, may be a call to a client that folds it, so that it is left out. A test reflects
over the installed `google-genai` package and fails when it knows a field that these tables lack.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import msgspec

from gateway.answer import UNCOUNTED, Usage
from gateway.dialects.fields import FieldTable
from gateway.dialects.openai_chat_shape import beyond_of, count_of, rest_of, tier_of
from gateway.dialects.proposals import clipped
from gateway.errors import GatewayError
from gateway.strict_json import Json

GENERATE = FieldTable(
    judged=frozenset({"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "model"}),
    inert=frozenset({"safetySettings", "labels", "serviceTier"}),
    powerful=frozenset({"cachedContent", "store", "continuationToken"}),
)
COUNT = FieldTable(
    judged=GENERATE.judged | {"generateContentRequest"}, inert=GENERATE.inert, powerful=GENERATE.powerful
)
EMBED = FieldTable(
    judged=frozenset({"content", "requests", "model"}),
    inert=frozenset({
        "taskType", "title", "outputDimensionality", "embedContentConfig", "autoTruncate", "mimeType", "audioTrackExtraction",
    }),
    powerful=frozenset(),
)  # fmt: skip
GENERATION_KEYS = frozenset({
    "audioTimestamp", "audioTranscriptionConfig", "candidateCount", "enableAffectiveDialog", "enableEnhancedCivicAnswers",
    "frequencyPenalty", "imageConfig", "logprobs", "maxOutputTokens", "mediaResolution", "modelSelectionConfig", "presencePenalty",
    "responseFormat", "responseJsonSchema", "responseLogprobs", "responseMimeType", "responseModalities", "responseSchema",
    "routingConfig", "seed", "speechConfig", "stopSequences", "temperature", "thinkingConfig", "topK", "topP", "translationConfig",
})  # fmt: skip
TOOL_CONFIG_KEYS = frozenset({"functionCallingConfig", "retrievalConfig", "includeServerSideToolInvocations"})
CALLING_KEYS = frozenset({"mode", "allowedFunctionNames"})
"""Not `streamFunctionCallArguments`: arguments in pieces are not read here."""

SERVER_TOOLS: Mapping[str, str] = {
    "googleSearch": "google.search",
    "googleSearchRetrieval": "google.search",
    "enterpriseWebSearch": "google.enterprise_web_search",
    "exaAiSearch": "google.exa_ai_search",
    "parallelAiSearch": "google.parallel_ai_search",
    "urlContext": "google.url_context",
    "codeExecution": "google.code_execution",
    "googleMaps": "google.maps",
    "fileSearch": "google.file_search",
    "retrieval": "google.retrieval",
    "mcpServers": "google.mcp",
}
"""Tools that the provider runs, and what policies grant them as."""
COMPUTER = frozenset({
    "open_web_browser", "wait_5_seconds", "go_back", "go_forward", "search", "navigate", "click_at", "hover_at", "type_text_at",
    "key_combination", "scroll_document", "scroll_at", "drag_and_drop",
})  # fmt: skip
"""Names of the calls that `computerUse` makes: the client runs them."""

PAYLOADS: Mapping[str, frozenset[str]] = {
    "text": frozenset(),
    "inlineData": frozenset({"data", "mimeType", "displayName"}),
    "fileData": frozenset({"fileUri", "mimeType", "displayName"}),
    "functionCall": frozenset({"id", "name", "args"}),
    "functionResponse": frozenset({"id", "name", "response", "parts", "scheduling", "willContinue"}),
    "executableCode": frozenset({"code", "id", "language"}),
    "codeExecutionResult": frozenset({"id", "outcome", "output"}),
    "toolCall": frozenset({"id", "toolType", "args"}),
    "toolResponse": frozenset({"id", "toolType", "response"}),
    "audioTranscription": frozenset(),
}
"""What a part holds, one of these, and the keys of each; an empty set is not looked into."""
MODIFIERS = frozenset({
    "audioMetadata", "documentMetadata", "mediaProcessing", "mediaResolution", "partMetadata", "speechMetadata", "spreadsheetMetadata",
    "thought", "thoughtSignature", "videoMetadata",
})  # fmt: skip
PART_KEYS = MODIFIERS | frozenset(PAYLOADS)
SERVICES: Mapping[str, str] = {
    "executableCode": "google.code_execution",
    "codeExecutionResult": "google.code_execution",
    "toolCall": "google.tool",
    "toolResponse": "google.tool",
}
"""Parts that report what the provider did by itself."""

CANDIDATE_KEYS = frozenset({
    "avgLogprobs", "citationMetadata", "content", "continuationToken", "finishMessage", "finishReason", "groundingAttributions",
    "groundingMetadata", "index", "logprobsResult", "safetyRatings", "tokenCount", "urlContextMetadata",
})  # fmt: skip
CONTENT_KEYS = frozenset({"parts", "role"})
ANSWER_KEYS = frozenset({"candidates", "createTime", "modelStatus", "modelVersion", "promptFeedback", "responseId", "usageMetadata"})
WHOLE_CALLS = frozenset({"STOP", "FINISH_REASON_UNSPECIFIED", "TOO_MANY_TOOL_CALLS", "ESCALATION"})
"""Finish reasons beside which a call is whole."""

_snake = re.compile(r"_([a-z0-9])")


def bad(code: str, message: str, path: str | None = None) -> GatewayError:
    return GatewayError("bad_request", code, message, param=path)


def spelled(value: Json, path: str) -> dict[str, Json]:
    """An object with its keys in camel case. Raises for one that is none, or that spells a field twice."""
    if not isinstance(value, dict):
        raise bad("invalid_type", f"`{path}` must be a JSON object.", path)
    found = {_snake.sub(lambda m: m[1].upper(), key): inner for key, inner in value.items()}
    if len(found) != len(value):
        raise bad("ambiguous_field", f"`{path}` spells a field in two ways. Use one of them.", path)
    return found


def payload(part: Mapping[str, Json]) -> list[str]:
    """What the part holds: one kind, unless it is odd."""
    return [kind for kind in PAYLOADS if part.get(kind) is not None]


def odd_detail(part: Json) -> str:
    names = ", ".join(sorted(clipped(key, 30) for key in part)[:4]) if isinstance(part, dict) else type(part).__name__
    return f"a part of an unknown kind ({names})"


def read_usage(raw: Json, searches: int | None = None, fees: Collection[str] = ()) -> Usage | None:
    """Google counts cached tokens within the prompt, and thoughts apart from the candidates; details split each count by modality. `fees`:
    what else it charges for, as its grounding says."""
    if not isinstance(raw, dict):
        return None
    prompt, cached = count_of(raw, "promptTokenCount"), count_of(raw, "cachedContentTokenCount")
    tools, read, kept = count_of(raw, "toolUsePromptTokenCount"), raw.get("promptTokensDetails"), raw.get("cacheTokensDetails")
    kept_sound, sound = _modality(kept, "AUDIO"), _modality(read, "AUDIO")
    fresh_sound = rest_of(sound, kept_sound)
    image = rest_of(_modality(read, "IMAGE"), _modality(kept, "IMAGE"))
    given = rest_of(prompt, cached, fresh_sound, image) if kept is not None or not (sound and cached) else None
    written = count_of(raw, "candidatesTokenCount") if "candidatesTokenCount" in raw else (0 if prompt is not None else None)
    spoken, drawn, filmed = (_modality(raw.get("candidatesTokensDetails"), kind) for kind in ("AUDIO", "IMAGE", "VIDEO"))
    thought = count_of(raw, "thoughtsTokenCount")
    beyond = beyond_of(raw.get("totalTokenCount"), prompt, None if written is None else written + (thought or 0) + (tools or 0))
    return Usage(
        input=given if given is None or tools is None else given + tools,
        cache_read=rest_of(cached, kept_sound),
        output=rest_of(written, spoken, drawn),
        reasoning=thought,
        audio_input=fresh_sound,
        audio_cache_read=kept_sound,
        image_input=image,
        audio_output=spoken,
        image_output=drawn,
        searches=searches,
        tier=tier_of(raw.get("serviceTier")) or tier_of(raw.get("trafficType")).removeprefix("on_demand_"),
        fees=tuple(sorted({*fees, *(["video_output"] if filmed else ()), *([UNCOUNTED] if beyond else ())})),
    )


def embedding_usage(raw: Json) -> Usage | None:
    """Nothing is written. Films have a price of their own, which is not known here."""
    counted = read_usage(raw)
    if counted is None or not isinstance(raw, dict):
        return None
    filmed = _modality(raw.get("promptTokensDetails"), "VIDEO")
    return msgspec.structs.replace(counted, output=0, reasoning=None, fees=(*counted.fees, *(["video_input"] if filmed else ())))


def _modality(details: Json, kind: str) -> int | None:
    """How many tokens of one kind; None when nothing is said of it."""
    found = [count_of(each, "tokenCount") for each in details if _is_of(each, kind)] if isinstance(details, list) else []
    return found[0] if len(found) == 1 else None


def _is_of(detail: Json, kind: str) -> bool:
    return isinstance(detail, dict) and detail.get("modality") == kind


def queries_of(grounding: Json) -> frozenset[str]:
    """What was searched on the web for a candidate's words, as its grounding metadata names it. An empty query is not charged."""
    queries = grounding.get("webSearchQueries") if isinstance(grounding, dict) else None
    return frozenset(query for query in queries if isinstance(query, str) and query) if isinstance(queries, list) else frozenset()


def fees_of(grounding: Json) -> frozenset[str]:
    """What else is charged by the piece: places that were looked up on the map."""
    chunks = grounding.get("groundingChunks") if isinstance(grounding, dict) else None
    placed = isinstance(chunks, list) and any(isinstance(chunk, dict) and chunk.get("maps") for chunk in chunks)
    return frozenset({"google_maps"}) if placed else frozenset()
