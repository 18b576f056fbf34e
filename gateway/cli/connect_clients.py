"""What points each client at the gateway: environment variables, as values.

A new client is one more row. This is not a promise that all traffic of a client passes here: what bypasses the base URL is in its note.
"""

from __future__ import annotations

from typing import NamedTuple


class Client(NamedTuple):
    """`variables` hold `{url}` (the gateway's root, no slash at its end) and `{key}`."""

    what: str
    variables: dict[str, str]
    note: str = ""


OPENAI = {"OPENAI_BASE_URL": "{url}/v1", "OPENAI_API_KEY": "{key}"}
OPENAI_OLD = {"OPENAI_API_BASE": "{url}/v1"}
ANTHROPIC = {"ANTHROPIC_BASE_URL": "{url}", "ANTHROPIC_API_KEY": "{key}"}
GEMINI = {"GOOGLE_GEMINI_BASE_URL": "{url}", "GEMINI_API_KEY": "{key}"}
QUIET_CLAUDE = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
QUIET_LITELLM = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
GOOGLE_IN_CODE = "Google models need base_url in code: no variable changes them."

CLIENTS: dict[str, Client] = {
    "openai": Client("OpenAI SDK", OPENAI),
    "anthropic": Client("Anthropic SDK", ANTHROPIC),
    "google-genai": Client("Google Gen AI SDK", GEMINI),
    "langchain": Client("LangChain", OPENAI | ANTHROPIC, GOOGLE_IN_CODE),
    "openai-agents": Client(
        "OpenAI Agents SDK",
        OPENAI | {"OPENAI_AGENTS_DISABLE_TRACING": "1"},
        "Tracing is switched off: it goes to api.openai.com, past the gateway.",
    ),
    "claude-agent-sdk": Client("Claude Agent SDK", ANTHROPIC | QUIET_CLAUDE),
    "claude-code": Client("Claude Code", ANTHROPIC | QUIET_CLAUDE),
    "gemini-cli": Client(
        "Gemini CLI",
        GEMINI,
        "Choose the auth type gemini-api-key: the login with a Google account cannot be redirected. "
        "Usage statistics go past the gateway until switched off in its settings.",
    ),
    "pydantic-ai": Client("Pydantic AI", OPENAI | ANTHROPIC, GOOGLE_IN_CODE),
    "crewai": Client("CrewAI", OPENAI | OPENAI_OLD | {"CREWAI_DISABLE_TELEMETRY": "true"}),
    "vercel-ai": Client(
        "Vercel AI SDK",
        OPENAI | ANTHROPIC | {"ANTHROPIC_BASE_URL": "{url}/v1"},
        "ANTHROPIC_BASE_URL ends in /v1 here, unlike Anthropic's own SDK. Google needs baseURL in code.",
    ),
    "aider": Client("aider", OPENAI_OLD | {"OPENAI_API_KEY": "{key}"} | QUIET_LITELLM),
    "litellm": Client(
        "litellm SDK",
        OPENAI
        | {"ANTHROPIC_API_BASE": "{url}", "ANTHROPIC_API_KEY": "{key}"}
        | {"GEMINI_API_BASE": "{url}", "GEMINI_API_KEY": "{key}"}
        | QUIET_LITELLM,
    ),
}
