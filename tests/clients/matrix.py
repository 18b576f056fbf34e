"""Real clients through the running gateway, as a table: `python tests/clients/matrix.py [--only NAME] [--list] [--json] [--cache FOLDER]`.

Each client gets a base URL and a key and nothing else. Three scenes: an allowed call makes the whole round, of two parallel calls the
denied one disappears, and a denied call ends the turn with exit 0, our text, and at most three requests at the provider. Clients are
installed into environments of their own (PyPI, npm), which are kept in the cache folder. Exit code 1 when one fails.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent))

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from gateway.demo.stage import RunningGateway, settings_for  # noqa: E402
from gateway.rehearsal import RunningRehearsal  # noqa: E402

SECONDS = 180
MOST_REQUESTS = 3
SUNNY = "It is sunny in Bern."
SCENES = ("allowed", "two_calls", "denied")


@dataclass(frozen=True)
class Client:
    """`packages` of one index; `command` makes the arguments, given the environment's folder, the gateway's URL, the key and the scene."""

    dialect: str
    packages: tuple[str, ...]
    command: Callable[[Path, str, str, str], list[str]]
    variables: Callable[[str, str, Path], dict[str, str]] = lambda url, key, home: {}
    tools: tuple[str, str] = ("look_up", "delete_all")
    """A tool that the policy grants and one that it does not."""
    calls: tuple[dict[str, object], dict[str, object]] = ({"city": "Bern"}, {"path": "/srv"})
    loops: int = 1
    """How often the client plays the scene in one run."""
    prepare: Callable[[str, str, Path], None] = lambda url, key, home: None
    npm: bool = False


def driver(script: str, *, v1: bool = False, session: bool = False) -> Callable[[Path, str, str, str], list[str]]:
    def command(folder: Path, url: str, key: str, scene: str) -> list[str]:
        given = [f"{url}/v1" if v1 else url, key, f"matrix-{scene}"]
        return [str(folder / "bin" / "python"), str(HERE / script), *given, *(["matrix"] if session else [])]

    return command


def cli(name: str, *arguments: str) -> Callable[[Path, str, str, str], list[str]]:
    def command(folder: Path, url: str, key: str, scene: str) -> list[str]:
        return [str(folder / "node_modules" / ".bin" / name), *(a.format(scene=scene) for a in arguments)]

    return command


def codex_provider(url: str, key: str, home: Path) -> None:
    told = f'name="gateway"\nbase_url="{url}/v1"\nwire_api="responses"\nenv_key="OPENAI_API_KEY"\n'
    (home / "config.toml").write_text(f'model_provider="gateway"\n[model_providers.gateway]\n{told}')


def codex_base_url(url: str, key: str, home: Path) -> None:
    (home / "config.toml").write_text(f'openai_base_url="{url}/v1"\n')
    (home / "auth.json").write_text(json.dumps({"auth_mode": "apikey", "OPENAI_API_KEY": key}))


def gemini_key_login(url: str, key: str, home: Path) -> None:
    settings = {"security": {"auth": {"selectedType": "gemini-api-key"}}, "privacy": {"usageStatisticsEnabled": False}}
    (home / ".gemini").mkdir(exist_ok=True)
    (home / ".gemini" / "settings.json").write_text(json.dumps(settings))


OPENAI, ANTHROPIC, GOOGLE = ("openai==3.52.0",), ("anthropic==2.11.0",), ("google-genai==3.4.0",)
CODEX = {
    "packages": ("@openai/codex@0.169.0",),
    "command": cli("codex", "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "-m", "gpt-{scene}", "do it"),
    "variables": lambda url, key, home: {"OPENAI_API_KEY": key, "CODEX_HOME": str(home)},
    "tools": ("exec_command", "exec_command"),
    "calls": ({"cmd": "echo hi"}, {"cmd": "rm -rf x"}),
    "npm": True,
}
CLIENTS: dict[str, Client] = {
    "openai chat": Client("chat", OPENAI, driver("drive_openai.py", v1=True, session=True), loops=4),
    "openai responses": Client("responses", OPENAI, driver("drive_responses.py", v1=True, session=True), loops=4),
    "anthropic": Client("messages", ANTHROPIC, driver("drive_anthropic.py", session=True), loops=4),
    "google-genai": Client("gemini", GOOGLE, driver("drive_google.py", session=True), loops=4),
    "openai-agents": Client("responses, chat", ("openai-agents==0.24.0",), driver("drive_agents.py"), loops=4),
    "langchain": Client(
        "all four",
        ("langchain==1.4.7", "langchain-openai==1.7.3", "langchain-anthropic==1.7.7", "langchain-google-genai==4.4.2"),
        driver("drive_langchain.py"),
        loops=4,
    ),
    "pydantic-ai": Client("all four", ("pydantic-ai-slim[openai,anthropic,google]==2.68.0",), driver("drive_pydantic_ai.py"), loops=4),
    "claude-code": Client(
        "messages",
        ("@anthropic-ai/claude-code@2.1.329",),
        cli("claude", "-p", "do it", "--model", "claude-{scene}", "--allowedTools", "Glob,Bash"),
        lambda url, key, home: {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": key},
        tools=("Glob", "Bash"),
        calls=({"pattern": "*.txt"}, {"command": "rm -rf x", "description": "d"}),
        npm=True,
    ),
    "codex": Client("responses", prepare=codex_provider, **CODEX),  # type: ignore[arg-type]
    "codex, its own provider": Client("responses (426, then HTTP)", prepare=codex_base_url, **CODEX),  # type: ignore[arg-type]
    "gemini-cli": Client(
        "gemini",
        ("@google/gemini-cli@0.61.0",),
        cli("gemini", "-m", "gemini-{scene}", "-y", "-p", "do it"),
        lambda url, key, home: {"GOOGLE_GEMINI_BASE_URL": url, "GEMINI_API_KEY": key, "GEMINI_CLI_TRUST_WORKSPACE": "true"},
        tools=("list_directory", "write_file"),
        calls=({"dir_path": "."}, {"file_path": "x", "content": "y"}),
        prepare=gemini_key_login,
        npm=True,
    ),
}
QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "IS_SANDBOX": "1",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1,localhost",
}
"""What goes past a base URL is switched off or refused."""
POLICY = """
policy: 1
id: matrix
agents: ["*"]
allow: [look_up, Glob, list_directory, exec_command, openai.web_search]
rules:
- {id: no-rm, tools: [exec_command], when: "string(args.?cmd.orValue('')).contains('rm ')", message: "Nothing is removed here."}
"""


@dataclass
class Outcome:
    client: str
    version: str
    dialect: str
    scenes: dict[str, str] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    said: str = ""


def installed(client: Client, cache: Path) -> Path:
    """The folder of the client's environment, made when it is not there yet."""
    folder = cache / "-".join("".join(c if c.isalnum() else "_" for c in package) for package in client.packages)[:100]
    if (folder / "complete").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if client.npm:
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", *client.packages]
    else:
        venv.create(folder, with_pip=True)
        command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *client.packages]
    subprocess.run(command, cwd=folder, check=True, timeout=900)
    (folder / "complete").touch()
    return folder


def script_for(client: Client) -> str:
    """The provider's script; the models of a scene end in its name, and other models (titles of sessions) only talk."""
    good, bad = ({"name": name, "args": args} for name, args in zip(client.tools, client.calls, strict=True))
    told = {"allowed": [good], "two_calls": [bad, good], "denied": [bad]}
    scenes = [
        {"model": f"*{scene}", "turns": [{"text": "I do it.", "calls": calls}, {"text": SUNNY if scene != "denied" else "never"}]}
        for scene, calls in told.items()
    ]
    return json.dumps({"rehearsal": 1, "scenes": [*scenes, {"turns": [{"text": "A title"}]}]})


def play(name: str, client: Client, cache: Path) -> Outcome:
    outcome = Outcome(name, client.packages[0].rpartition("@" if client.npm else "==")[2], client.dialect)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        folder = installed(client, cache)
        place = Path(work)
        (place / "policies").mkdir()
        (place / "policies" / "policy.yaml").write_text(POLICY)
        with (
            RunningRehearsal(script_for(client)) as provider,
            RunningGateway(place, settings_for(provider.base_url, policies="policies")) as gateway,
        ):
            key = gateway.create_key("matrix")
            for scene in SCENES:
                provider.reset()
                said = run(client, folder, gateway.url, key, scene, place / scene)
                outcome.requests[scene] = len(provider.requests()) // client.loops
                problem = judged(client, scene, said, outcome.requests[scene])
                outcome.scenes[scene] = problem or "ok"
                if problem:
                    outcome.said = f"{said.stdout[-600:]}\n{said.stderr[-600:]}"
    outcome.seconds = round(time.monotonic() - begun, 1)
    return outcome


def run(client: Client, folder: Path, url: str, key: str, scene: str, home: Path) -> subprocess.CompletedProcess[str]:
    (home / "work").mkdir(parents=True)
    (home / "work" / "a.txt").write_text("hello")
    client.prepare(url, key, home)
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG")}
    environment = kept | QUIET | {"HOME": str(home)} | client.variables(url, key, home)
    command = client.command(folder, url, key, scene)
    try:
        return subprocess.run(command, cwd=home / "work", env=environment, capture_output=True, text=True, timeout=SECONDS, input="")
    except subprocess.TimeoutExpired as slow:
        return subprocess.CompletedProcess(command, 124, str(slow.stdout or ""), f"not done after {SECONDS} s")


def judged(client: Client, scene: str, said: subprocess.CompletedProcess[str], requests: int) -> str:
    """What went wrong; empty when nothing did."""
    if said.returncode:
        return f"exit {said.returncode}"
    wanted = "NOT executed" if scene == "denied" else SUNNY
    if said.stdout.count(wanted) < client.loops:
        return f"no {wanted!r}"
    return f"{requests} requests" if requests > MOST_REQUESTS else ""


def main() -> int:
    asked = argparse.ArgumentParser(description="Drive real clients through the gateway and print what they did.")
    asked.add_argument("--only", action="append", choices=list(CLIENTS), help="this client; may be given again")
    asked.add_argument("--list", action="store_true", help="name the clients and end")
    asked.add_argument("--json", action="store_true", help="print JSON instead of a table")
    asked.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "tollhouse-clients", help="where clients are kept")
    given = asked.parse_args()
    if given.list:
        print("\n".join(CLIENTS))
        return 0
    outcomes = []
    for name in given.only or CLIENTS:
        print(f"{name} …", file=sys.stderr, flush=True)
        outcomes.append(play(name, CLIENTS[name], given.cache))
    if given.json:
        print(json.dumps([vars(outcome) for outcome in outcomes], indent=1))
    else:
        show(outcomes)
    return int(any(problem != "ok" for outcome in outcomes for problem in outcome.scenes.values()))


def show(outcomes: list[Outcome]) -> None:
    table = Table("client", "version", "dialect", *SCENES, "requests", "seconds")
    for one in outcomes:
        scenes = (one.scenes.get(scene, "") for scene in SCENES)
        table.add_row(one.client, one.version, one.dialect, *scenes, "/".join(map(str, one.requests.values())), str(one.seconds))
    console = Console(width=160)
    console.print(table)
    for one in outcomes:
        if one.said:
            console.print(f"[bold]{one.client}[/bold]\n{one.said}", markup=True)


if __name__ == "__main__":
    sys.exit(main())
