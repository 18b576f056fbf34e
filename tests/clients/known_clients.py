"""The clients that the matrix plays: what is installed, how it is pointed at the gateway, and what it is made to do.

A new client is one more entry, and for an SDK or a framework a driver beside this file: see README.md. The settings are those that
`tollhouse connect` prints, where it knows the client.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.cli.connect import content, variables_of
from gateway.cli.connect_clients import CLIENTS as CONNECTED
from gateway.cli.connect_files import put

HERE = Path(__file__).parent
SCENES = ("allowed", "two_calls", "denied")
Command = Callable[[Path, str, str, str], list[str]]
Variables = Callable[[str, str, Path], dict[str, str]]


@dataclass(frozen=True)
class Client:
    """`packages` of one index; `command` makes the arguments, given the environment's folder, the gateway's URL, the key and the scene."""

    dialect: str
    packages: tuple[str, ...]
    command: Command
    variables: Variables = lambda url, key, home: {}
    tools: tuple[str, str] = ("look_up", "delete_all")
    """A tool that the policy grants and one that it does not."""
    calls: tuple[dict[str, object], dict[str, object]] = ({"city": "Bern"}, {"path": "/srv"})
    first: dict[str, object] | None = None
    """A call that the model makes before, in every scene."""
    loops: int = 1
    """How often the client plays the scene in one run."""
    prepare: Callable[[str, str, Path], None] = lambda url, key, home: None
    npm: bool = False
    newer_node: bool = False
    """It wants a newer Node than distributions have: one from PyPI is put into its environment."""
    program: bool = False
    """It has tools of its own, so that what it did is seen on its files; a driver tells what ran as JSON."""
    scenes: tuple[str, ...] = SCENES
    most_requests: int = 3
    """At the provider, for one loop of one scene."""
    note: str = ""
    """What a reader of the table must know: what the client does with a denial that others do not."""


def connected(name: str) -> Variables:
    """The variables that `tollhouse connect NAME` prints."""
    return lambda url, key, home: variables_of(name, url, key)


def driver(script: str, *, v1: bool = False, session: bool = False) -> Command:
    def command(folder: Path, url: str, key: str, scene: str) -> list[str]:
        given = [f"{url}/v1" if v1 else url, key, f"matrix-{scene}"]
        return [str(folder / "bin" / "python"), str(HERE / script), *given, *(["matrix"] if session else [])]

    return command


def node_driver(script: str) -> Command:
    """Node looks for packages beside the script, so the script is put where they are."""

    def command(folder: Path, url: str, key: str, scene: str) -> list[str]:
        for name in (script, "framework_tools.mjs"):
            shutil.copyfile(HERE / name, folder / name)
        return ["node", str(folder / script), url, key, f"matrix-{scene}"]

    return command


def npm_program(name: str, *arguments: str) -> Command:
    def command(folder: Path, url: str, key: str, scene: str) -> list[str]:
        return [str(folder / "node_modules" / ".bin" / name), *(a.format(scene=scene) for a in arguments)]

    return command


def python_program(name: str, *arguments: str) -> Command:
    def command(folder: Path, url: str, key: str, scene: str) -> list[str]:
        return [str(folder / "bin" / name), *(a.format(scene=scene) for a in arguments)]

    return command


def opencode(provider: str) -> Callable[[str, str, Path], None]:
    """What `tollhouse connect opencode --write` writes, and the models, which are not in its list; a provider of its own speaks chat."""

    def prepare(url: str, key: str, home: Path) -> None:
        file = home / "work" / "opencode.json"
        put(file, content("opencode", url, key))
        told = json.loads(file.read_text())
        own = {"npm": "@ai-sdk/openai-compatible", "options": {"baseURL": f"{url}/v1", "apiKey": key}}
        models = {f"model-{scene}": {"tool_call": True} for scene in SCENES}
        told["provider"].setdefault(provider, own)["models"] = models
        told |= {"model": f"{provider}/model-{home.name}", "small_model": f"{provider}/model-{home.name}"}
        file.write_text(json.dumps(told))

    return prepare


def written(name: str) -> Callable[[str, str, Path], None]:
    """What `tollhouse connect NAME --write` writes into the user's home."""

    def prepare(url: str, key: str, home: Path) -> None:
        put(home / CONNECTED[name].file.removeprefix("~/"), content(name, url, key))

    return prepare


def codex_base_url(url: str, key: str, home: Path) -> None:
    (home / ".codex").mkdir()
    (home / ".codex" / "config.toml").write_text(f'openai_base_url="{url}/v1"\n')
    (home / ".codex" / "auth.json").write_text(json.dumps({"auth_mode": "apikey", "OPENAI_API_KEY": key}))


def gemini_key_login(url: str, key: str, home: Path) -> None:
    written("gemini-cli")(url, key, home)
    settings = {"security": {"auth": {"selectedType": "gemini-api-key"}}, "privacy": {"usageStatisticsEnabled": False}}
    (home / ".gemini" / "settings.json").write_text(json.dumps(settings))


OPENAI, ANTHROPIC, GOOGLE = ("openai==3.54.0",), ("anthropic==2.12.0",), ("google-genai==3.4.0",)
LANGCHAIN = ("langchain==1.4.7", "langchain-openai==1.7.3", "langchain-anthropic==1.7.7", "langchain-google-genai==4.4.2")
AGENTS_NPM = ("@openai/agents@0.20.0", "zod@4")
VERCEL = ("ai@7.0.173", "@ai-sdk/openai@4", "@ai-sdk/anthropic@4", "@ai-sdk/google@4", "zod@4")
LANGCHAIN_NPM = ("@langchain/openai@1.6.0", "@langchain/anthropic@1.5.11", "@langchain/core@1")
AUTOGEN = ("autogen-agentchat==0.7.5", "autogen-ext[openai,anthropic]==0.7.5", "anthropic<1")
CODEX_NOT_ASKING = "--dangerously-bypass-approvals-and-sandbox"
CODEX = {
    "packages": ("@openai/codex@0.169.0",),
    "command": npm_program("codex", "exec", "--skip-git-repo-check", CODEX_NOT_ASKING, "-m", "gpt-{scene}", "do it"),
    "variables": connected("codex"),
    "tools": ("exec_command", "exec_command"),
    "calls": ({"cmd": "echo hi"}, {"cmd": "mv x y"}),
    "npm": True,
    "program": True,
}
OPENCODE = {
    "packages": ("opencode-ai@1.18.33",),
    "command": npm_program("opencode", "run", "do it"),
    "variables": lambda url, key, home: {"OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_AUTOUPDATE": "1"},
    "tools": ("glob", "bash"),
    "calls": ({"pattern": "*.txt"}, {"command": "rm -rf x"}),
    "npm": True,
    "program": True,
}
AIDER = ("--model", "openai/matrix-{scene}", "--no-git", "--yes-always", "--no-check-update", "--analytics-disable", "--no-pretty")
AIDER += ("--no-show-model-warnings", "--no-show-release-notes", "--no-detect-urls", "--message", "hello")
CLIENTS: dict[str, Client] = {
    "openai chat": Client("chat", OPENAI, driver("drive_openai.py", v1=True, session=True), loops=4),
    "openai responses": Client("responses", OPENAI, driver("drive_responses.py", v1=True, session=True), loops=4),
    "openai responses, its runner": Client("responses", OPENAI, driver("drive_responses_runner.py"), connected("openai"), loops=6),
    "openai (npm)": Client("chat, responses", ("openai@7.55.0",), node_driver("drive_openai.mjs"), connected("openai"), loops=4, npm=True),
    "anthropic": Client("messages", ANTHROPIC, driver("drive_anthropic.py", session=True), loops=4),
    "anthropic, its tool runner": Client(
        "messages",
        ANTHROPIC,
        driver("drive_anthropic_runner.py"),
        connected("anthropic"),
        loops=4,
        note="Asks for a thread on the server first, is refused, and sends whole histories from then on.",
    ),
    "anthropic (npm)": Client(
        "messages",
        ("@anthropic-ai/sdk@1.11.0",),
        node_driver("drive_anthropic.mjs"),
        connected("anthropic"),
        loops=4,
        npm=True,
        note="Its tool runner asks for a thread on the server first, is refused, and sends whole histories from then on.",
    ),
    "google-genai": Client("gemini", GOOGLE, driver("drive_google.py", session=True), loops=4),
    "google-genai, automatic": Client(
        "gemini", GOOGLE, driver("drive_google_automatic.py"), connected("google-genai"), loops=4
    ),
    "google-genai (npm)": Client(
        "gemini", ("@google/genai@3.1.0",), node_driver("drive_google.mjs"), connected("google-genai"), loops=2, npm=True
    ),
    "litellm": Client("all four", ("litellm==1.106.2", "mcp"), driver("drive_litellm.py"), connected("litellm"), loops=8),
    "openai-agents": Client("responses, chat", ("openai-agents==0.24.0",), driver("drive_agents.py"), loops=4),
    "openai-agents (npm)": Client(
        "responses, chat", AGENTS_NPM, node_driver("drive_agents.mjs"), connected("openai-agents"), loops=4, npm=True
    ),
    "langchain": Client("all four", LANGCHAIN, driver("drive_langchain.py"), loops=4),
    "langchain (npm)": Client(
        "chat, responses, messages", LANGCHAIN_NPM, node_driver("drive_langchain.mjs"), connected("langchain"), loops=6, npm=True
    ),
    "vercel-ai": Client("all four", VERCEL, node_driver("drive_ai.mjs"), connected("vercel-ai"), loops=8, npm=True, newer_node=True),
    "pydantic-ai": Client("all four", ("pydantic-ai-slim[openai,anthropic,google]==2.68.0",), driver("drive_pydantic_ai.py"), loops=4),
    "crewai": Client("chat, messages", ("crewai[anthropic]==1.15.30",), driver("drive_crewai.py"), connected("crewai"), loops=2),
    "agent-framework": Client(
        "responses, chat", ("agent-framework-openai==1.17.0",), driver("drive_agent_framework.py"), connected("agent-framework"), loops=4
    ),
    "autogen": Client("chat, messages", AUTOGEN, driver("drive_autogen.py"), connected("autogen"), loops=4),
    "agno": Client(
        "chat, responses, messages", ("agno==3.1.10", "openai", "anthropic<1"), driver("drive_agno.py"), connected("agno"), loops=6
    ),
    "semantic-kernel": Client(
        "chat",
        ("semantic-kernel==1.45.0",),
        driver("drive_semantic_kernel.py"),
        connected("semantic-kernel"),
        tools=("desk-look_up", "desk-delete_all"),
        loops=2,
    ),
    "google-adk": Client("gemini", ("google-adk==2.13.0",), driver("drive_adk.py"), connected("google-adk"), loops=2),
    "haystack": Client("chat, responses", ("haystack-ai==3.4.0",), driver("drive_haystack.py"), connected("haystack"), loops=4),
    "smolagents": Client(
        "chat",
        ("smolagents[openai]==1.26.0",),
        driver("drive_smolagents.py"),
        loops=2,
        note="Knows no end but a tool call: after a text it asks again until its steps are used up.",
    ),
    "llama-index": Client(
        "chat, messages",
        ("llama-index==0.14.25", "llama-index-llms-anthropic", "anthropic<1"),
        driver("drive_llama_index.py"),
        connected("llama-index"),
        loops=4,
    ),
    "strands": Client(
        "chat, responses, messages",
        ("strands-agents[openai,anthropic]==1.62.0",),
        driver("drive_strands.py"),
        connected("strands"),
        loops=3,
    ),
    "instructor": Client(
        "chat, messages",
        ("instructor[anthropic]==1.17.0",),
        driver("drive_instructor.py"),
        connected("instructor"),
        loops=2,
        note="Wants an object: after a text it asks again until its retries are used up, and raises; our text stands in the exception.",
    ),
    "dspy": Client(
        "chat",
        ("dspy==3.4.1", "mcp"),
        driver("drive_dspy.py"),
        connected("dspy"),
        note="Parses every answer: after a text it asks again in another form, and raises; our text stands in the exception.",
    ),
    "claude-agent-sdk": Client(
        "messages",
        ("claude-agent-sdk==0.2.186",),
        driver("drive_claude_agent.py"),
        connected("claude-agent-sdk"),
        tools=("mcp__desk__look_up", "mcp__desk__delete_all"),
        first={"name": "ToolSearch", "args": {"query": "select:mcp__desk__look_up,mcp__desk__delete_all", "max_results": 5}},
        note="Its tools are found by ToolSearch first, which the policy must grant.",
    ),
    "claude-code": Client(
        "messages",
        ("@anthropic-ai/claude-code@2.1.329",),
        npm_program("claude", "-p", "do it", "--model", "claude-{scene}", "--allowedTools", "Glob,Bash"),
        tools=("Glob", "Bash"),
        calls=({"pattern": "*.txt"}, {"command": "rm -rf x", "description": "d"}),
        prepare=written("claude-code"),
        npm=True,
        program=True,
    ),
    "codex": Client("responses", prepare=written("codex"), **CODEX),  # type: ignore[arg-type]
    "codex, its own provider": Client("responses (426, then HTTP)", prepare=codex_base_url, **CODEX),  # type: ignore[arg-type]
    "gemini-cli": Client(
        "gemini",
        ("@google/gemini-cli@0.61.0",),
        npm_program("gemini", "-m", "gemini-{scene}", "-y", "-p", "do it"),
        lambda url, key, home: {"GEMINI_CLI_TRUST_WORKSPACE": "true"},
        tools=("list_directory", "write_file"),
        calls=({"dir_path": "."}, {"file_path": "x", "content": "y"}),
        prepare=gemini_key_login,
        npm=True,
        program=True,
    ),
    "qwen-code": Client(
        "chat",
        ("@qwen-code/qwen-code@0.24.4",),
        npm_program("qwen", "--auth-type", "openai", "-m", "matrix-{scene}", "-y", "-p", "do it"),
        connected("qwen-code"),
        tools=("glob", "run_shell_command"),
        calls=({"pattern": "*.txt"}, {"command": "rm -rf x"}),
        npm=True,
        newer_node=True,
        program=True,
        note="Its `tool_call` runs further tools by name: grant it only with a rule on its arguments. It asks once more to save memories.",
    ),
    "opencode": Client("responses", prepare=opencode("openai"), **OPENCODE),
    "opencode, anthropic": Client("messages", prepare=opencode("anthropic"), **OPENCODE),
    "opencode, a provider of its own": Client("chat", prepare=opencode("gateway"), **OPENCODE),
    "aider": Client(
        "chat",
        ("aider-chat==0.86.2",),
        python_program("aider", *AIDER),
        connected("aider"),
        scenes=("text",),
        program=True,
        note="Calls no tools.",
    ),
}
