"""What points each client at the gateway: environment variables, as values.

A new client is one more row. This is not a promise that all traffic of a client passes here: what bypasses the base URL is in its note.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gateway.cli.connect_files import Blocks, Values


class Client(NamedTuple):
    """`variables` hold `{url}` (the gateway's root, no slash at its end) and `{key}`."""

    what: str
    variables: dict[str, str]
    note: str = ""
    file: str = ""
    """Where its settings stand: `~/…` in the user's home, else in the project. Empty: the project's `.env`."""
    content: Callable[[str, str], Blocks | Values] | None = None
    """What is written there, given URL and key; None: its variables."""


OPENAI = {"OPENAI_BASE_URL": "{url}/v1", "OPENAI_API_KEY": "{key}"}
OPENAI_OLD = {"OPENAI_API_BASE": "{url}/v1"}
ANTHROPIC = {"ANTHROPIC_BASE_URL": "{url}", "ANTHROPIC_API_KEY": "{key}"}
GEMINI = {"GOOGLE_GEMINI_BASE_URL": "{url}", "GEMINI_API_KEY": "{key}"}
QUIET_CLAUDE = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
QUIET_LITELLM = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
GOOGLE_IN_CODE = "Google models need base_url in code: no variable changes them."


def _codex(url: str, key: str) -> Blocks:
    table = f'[model_providers.tollhouse]\nname = "tollhouse"\nbase_url = "{url}/v1"\nwire_api = "responses"\nenv_key = "OPENAI_API_KEY"'
    return Blocks('model_provider = "tollhouse"', table)


def _claude(url: str, key: str) -> Values:
    told = {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": key, **QUIET_CLAUDE}
    return Values({("env", name): value for name, value in told.items()})


def _opencode(url: str, key: str) -> Values:
    told: dict[tuple[str, ...], object] = {}
    for provider in ("openai", "anthropic"):
        told["provider", provider, "options", "baseURL"] = f"{url}/v1"
        told["provider", provider, "options", "apiKey"] = key
    return Values(told)


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
    "claude-agent-sdk": Client("Claude Agent SDK", ANTHROPIC | QUIET_CLAUDE, "Grant `ToolSearch`, by which it finds its tools."),
    "claude-code": Client("Claude Code", ANTHROPIC | QUIET_CLAUDE, file="~/.claude/settings.json", content=_claude),
    "codex": Client(
        "Codex CLI",
        {"OPENAI_API_KEY": "{key}"},
        "Its address stands in ~/.codex/config.toml: use --write. It asks for openai.web_search: grant it, or switch it off there.",
        "~/.codex/config.toml",
        _codex,
    ),
    "opencode": Client("opencode", {}, "It is set up by opencode.json alone: use --write.", "opencode.json", _opencode),
    "gemini-cli": Client(
        "Gemini CLI",
        GEMINI,
        "Choose the auth type gemini-api-key: the login with a Google account cannot be redirected. "
        "Usage statistics go past the gateway until switched off in its settings.",
        "~/.gemini/.env",
    ),
    "pydantic-ai": Client("Pydantic AI", OPENAI | ANTHROPIC, GOOGLE_IN_CODE),
    "crewai": Client("CrewAI", OPENAI | OPENAI_OLD | ANTHROPIC | {"CREWAI_DISABLE_TELEMETRY": "true"}),
    "vercel-ai": Client(
        "Vercel AI SDK",
        OPENAI | ANTHROPIC | {"ANTHROPIC_BASE_URL": "{url}/v1"},
        "ANTHROPIC_BASE_URL ends in /v1 here, unlike Anthropic's own SDK. Google needs baseURL in code.",
    ),
    "smolagents": Client("smolagents", OPENAI, "OpenAIModel. After a denial it asks again until its steps are used up."),
    "llama-index": Client(
        "LlamaIndex",
        OPENAI_OLD | {"OPENAI_API_KEY": "{key}", "ANTHROPIC_API_KEY": "{key}"},
        "Anthropic models need base_url in code: no variable changes it.",
    ),
    "strands": Client("Strands Agents", OPENAI | ANTHROPIC),
    "agent-framework": Client("Microsoft Agent Framework", OPENAI),
    "autogen": Client("AutoGen", OPENAI | ANTHROPIC),
    "agno": Client("Agno", OPENAI | ANTHROPIC),
    "semantic-kernel": Client("Semantic Kernel", OPENAI),
    "google-adk": Client("Google Agent Development Kit", GEMINI),
    "haystack": Client("Haystack", OPENAI),
    "qwen-code": Client("Qwen Code", OPENAI, "Choose the auth type openai."),
    "dspy": Client(
        "DSPy", OPENAI | QUIET_LITELLM, "After a denial it asks again in another form, then raises; our text stands in the exception."
    ),
    "instructor": Client(
        "Instructor",
        OPENAI | ANTHROPIC,
        "It wants an object: after a denial it asks again until its retries are used up, and raises; our text stands in the exception.",
    ),
    "aider": Client("aider", OPENAI_OLD | {"OPENAI_API_KEY": "{key}"} | QUIET_LITELLM, "It calls no tools."),
    "litellm": Client(
        "litellm SDK",
        OPENAI
        | {"ANTHROPIC_API_BASE": "{url}", "ANTHROPIC_API_KEY": "{key}"}
        | {"GEMINI_API_BASE": "{url}", "GEMINI_API_KEY": "{key}"}
        | QUIET_LITELLM,
    ),
}
