"""Every command and every query in the folders' documents: run in order, as one operator would, beside one gateway with a past.

What a document leaves open (`<id>`, `apr_…`) is filled in; what cannot be run here is listed with its reason, and then every name and
option in it must still be there, as in commands that stand in lines.
"""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import os
import re
import shlex
import subprocess
import threading
import tomllib
from pathlib import Path

import httpx
import pytest
import typer
import yaml

from gateway.cli import main
from gateway.demo.stage import RunningGateway, settings_for
from gateway.rehearsal import RunningRehearsal

ROOT = Path(__file__).parents[2]
ELSEWHERE = {"README.md": "test_readme.py", "CONTRIBUTING.md": "test_readme.py"}
"""Whose commands another test runs."""
NOT_RUN = {
    "pip install 'tollhouse[fleet]'": "would change the environment the tests run in; that the extra exists is checked",
    "pip install --require-hashes": "would change it too; tests of the lock resolve it",
    "tollhouse policy bench agentdojo": "takes minutes and an extra; tests/bench/ runs a sample",
    "python tests/clients/matrix.py --": "installs clients from PyPI and npm; tests/clients/ runs a part",
}
"""How commands begin that are not run, and why."""
NO_COMMAND = {"tollhouse head 1"}
"""Code in lines that begins like a command: here, what a signature is made over."""
SCRIPT = """
rehearsal: 1
scenes:
- {when: {user_contains: steal}, turns: [{calls: [{name: wipe, args: {}}]}]}
- {when: {user_contains: pay}, turns: [{calls: [{name: pay, args: {amount: 50}}]}]}
- turns: [{text: Hello., usage: {input: 10, output: 2}}]
"""
POLICY = """
policy: 1
id: lived
agents: [bot, bank-bot]
allow: [pay, wipe]
rules:
- {id: big, tools: [pay], effect: ask}
- {id: never, tools: [wipe], effect: deny, on_deny: stop}
tests:
- {name: asked, call: {pay: {amount: 50}}, expect: {effect: ask, rule: big}}
"""
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("pay", "wipe")]
SHORTER = """
prompt: greeting
label: staging
control: 90
arms: {canary: {version: this, weight: 10}}
metrics: {price: {measure: cost, matters: 0.01}}
guards: [price]
sessions: {min: 100, max: 1000}
looks: 2
promote: true
"""


class Lived:
    """A folder as an operator has it, its gateway, and what each command printed."""

    def __init__(self, folder: Path, gateway: RunningGateway, collector: str) -> None:
        self.folder, self.gateway, self.collector = folder, gateway, collector
        self.printed: dict[str, str] = {}
        self.failed: list[str] = []
        self.queried: list[str] = []
        self.decided: list[str] = []

    def run(self, line: str) -> None:
        bare = line.partition("  #")[0].strip()
        filled = self.filled(bare)
        wanted = int(told[1]) if (told := re.search(r"# .*exits with (\d)", line)) else 0
        code, said = _typed(filled) if filled.startswith("tollhouse") else _in_a_shell(filled)
        self.printed[bare] = said
        if code != wanted:
            self.failed.append(f"{filled}\n[{code}] {said}")

    def ask(self, inline) -> None:
        for code in inline:
            if code.text.startswith("SELECT ") and " FROM " in code.text:
                self.gateway.sql(code.text)
                self.queried.append(code.text)

    def filled(self, line: str) -> str:
        """With what the document leaves open, and where this gateway is."""
        line = line.replace("http://127.0.0.1:8484", self.gateway.url).replace("http://127.0.0.1:8485", self.gateway.admin)
        line = line.replace("http://127.0.0.1:4318", self.collector).replace("s3://bucket/prefix", f"file:{self.folder}/second/heads.log")
        for left_open, query in OPEN.items():
            if left_open in line:
                line = line.replace(left_open, self._found(query))
        if "ed25519:…" in line:
            line = line.replace("ed25519:…", self.printed["tollhouse verify --show-key"].split()[-1])
        return line

    def _found(self, query: str) -> str:
        """What is decided once is not asked about again."""
        rows = [row["it"] for row in self.gateway.awaited(query, 1)]
        found = next(one for one in rows if one not in self.decided)
        if found.startswith("apr_"):
            self.decided.append(found)
        return str(found)


OPEN = {
    "<id>": "SELECT id AS it FROM agent_keys WHERE agent = 'bank-bot' ORDER BY created_at LIMIT 1",
    "ses_…": "SELECT session AS it FROM stopped_sessions",
    "apr_…": "SELECT id AS it FROM approvals WHERE state = 'pending' ORDER BY created_at",
    "dec_…": "SELECT id AS it FROM calls WHERE agent = 'bot' LIMIT 1",
    "0198…": "SELECT exchange_id AS it FROM prompts_rendered LIMIT 1",
    "<x-gateway-trace-id of the answer>": "SELECT id AS it FROM exchanges WHERE agent = 'bot' AND state = 'complete' LIMIT 1",
    "<exchange>": "SELECT id AS it FROM exchanges WHERE agent = 'bot' AND state = 'complete' LIMIT 1",
}


def _typed(line: str) -> tuple[int, str]:
    """The console script, without a process for each; `> file` as a shell does it."""
    words = shlex.split(line, comments=True)[1:]
    into = Path(words[words.index(">") + 1]) if ">" in words else None
    words = words[: words.index(">")] if into else words
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main.run(words)
    if into:
        into.write_text(out.getvalue())
    return int(ended.value.code or 0), out.getvalue() + err.getvalue()


def _in_a_shell(line: str) -> tuple[int, str]:
    done = subprocess.run(["sh", "-c", line.replace("curl ", "curl -sf --noproxy '*' ")], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def commands(blocks) -> list[tuple[str, str]]:
    """(document, line), a line that goes on behind a backslash joined."""
    found = []
    for block in blocks:
        if block.language == "bash" and block.document not in ELSEWHERE:
            lines = block.text.replace("\\\n", " ").splitlines()
            found += [(block.document, line) for line in lines if line and not line.startswith("#")]
    return found


def not_run(line: str) -> bool:
    return any(line.startswith(start) for start in NOT_RUN)


@pytest.fixture(scope="module")
def collector():
    """Takes whatever is sent to it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keeps quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def furnished(folder: Path, blocks) -> None:
    """Files that the documents speak of, as they show them where they do."""
    for name in ("policies", "prompts/experiments", "second"):
        (folder / name).mkdir(parents=True)
    (folder / "policies" / "lived.yaml").write_text(POLICY)
    bank = next(block for block in blocks if block.document == "policies/README.md" and block.language == "yaml")
    (folder / "policies" / "bank.yaml").write_text(bank.text)
    guide = [block for block in blocks if block.document == "deploy/README.md"]
    prompt = next(block.text for block in guide if block.language == "jinja")
    (folder / "prompts" / "support.md").write_text(prompt)
    (folder / "prompts" / "greeting.md").write_text("---\nlabels: {staging: this}\n---\nGood day.\n")
    plan = next(block.text for block in guide if block.language == "yaml" and block.text.startswith("prompt:"))
    (folder / "prompts" / "experiments" / "new-tone.yaml").write_text(plan)
    (folder / "prompts" / "experiments" / "shorter.yaml").write_text(SHORTER)
    lock = '[[package]]\nname = "requests"\nsource = {registry = "https://pypi.org/simple"}\n'
    (folder / "uv.lock").write_text(lock)
    resolved = {"node_modules/lodash": {"version": "4.17.21", "resolved": "https://registry.npmjs.org/lodash/-/lodash-4.17.21.tgz"}}
    (folder / "package-lock.json").write_text(json.dumps({"lockfileVersion": 3, "packages": resolved}))
    (folder / "package.json").write_text('{"dependencies": {"lodash": "^4"}}')
    for name in ("requirements.in", "requirements.txt", "names.txt"):
        (folder / name).write_text("requests\nflask\n")


def settings(provider: str, folder: Path, blocks) -> dict:
    budgets = next(block for block in blocks if block.language == "yaml" and block.text.startswith("budgets:"))
    more = yaml.safe_load(budgets.text) | {"heads": {"to": f"file:{folder}/second/heads.log"}}
    more |= {"policies": "policies", "prompts": "prompts", "approvals": {"hold": 0, "hold_whole": 0}}
    return settings_for(provider, prices={"m": {"input": "1", "output": "2"}, "gpt-5-mini": {"input": "1", "output": "2"}}, **more)


def agents_work(gateway: RunningGateway, key: str) -> None:
    """An answer by a kept prompt, four calls that wait for somebody, one that stops its session."""
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=gateway.base_url, headers=headers, timeout=60, trust_env=False) as agent:
        named = {"name": "support", "label": "production", "variables": {"shop": "Aare"}}
        said = [("hi", {"prompt": named}), *((f"pay {number}", {"tools": TOOLS}) for number in range(4)), ("steal", {"tools": TOOLS})]
        for text, more in said:
            body = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": text}], **more}
            answer = agent.post("/chat/completions", json=body, headers={"x-session-id": text})
            assert answer.status_code == 200, answer.text
    gateway.awaited("SELECT id FROM approvals", 4)
    gateway.awaited("SELECT id FROM exchanges WHERE state <> 'open'", 6)


@pytest.fixture(scope="module")
def lived(tmp_path_factory, blocks, inline, collector):
    folder, before = tmp_path_factory.mktemp("lived"), Path.cwd()
    furnished(folder, blocks)
    with RunningRehearsal(SCRIPT) as provider, pytest.MonkeyPatch.context() as patched:
        gateway = RunningGateway(folder, settings(provider.base_url, folder, blocks))
        for name in [name for name in os.environ if name.startswith("TOLLHOUSE")]:
            patched.delenv(name)
        patched.setenv("COLUMNS", "200")
        patched.setenv("TOLLHOUSE_REHEARSAL_KEY", "sk-rehearsal-0000")
        os.chdir(folder)
        try:
            with gateway:
                made_key = gateway.tollhouse("keys", "create", "--agent", "bot", "--team", "red", "--json")
                key = json.loads(made_key)["key"]
                patched.setenv("TOLLHOUSE_KEY", key)
                agents_work(gateway, key)
                (folder / "prompts" / "support.md").write_text(edited(folder))
                gateway.awaited("SELECT id FROM agent_keys", 1)
                run_all(made := Lived(folder, gateway, collector), commands(blocks), at_rest=False)
                made.ask(inline)
            run_all(made, commands(blocks), at_rest=True)
        finally:
            os.chdir(before)
    return made


def edited(folder: Path) -> str:
    """Another text, while its label stays where it was: the prompt has two versions then."""
    (version,) = [path.stem for path in (folder / ".tollhouse" / "prompts" / "support").iterdir()]
    text = (folder / "prompts" / "support.md").read_text()
    return text.replace("production: this}", f"production: '{version}'}}").replace("You answer", "You kindly answer")


def run_all(lived: Lived, lines: list[tuple[str, str]], *, at_rest: bool) -> None:
    for _, line in lines:
        if not not_run(line) and ("with the gateway stopped" in line) == at_rest:
            lived.run(line)


def test_every_command_of_the_folders_documents_runs(lived, blocks):
    assert "\n".join(lived.failed) == ""
    wanted = {line.partition("  #")[0].strip() for _, line in commands(blocks) if not not_run(line)}
    assert lived.printed.keys() == wanted
    assert len(wanted) > 50


def test_commands_tell_what_the_documents_say_they_tell(lived):
    said = {line.partition(" ")[2]: text for line, text in lived.printed.items()}
    assert "typo_of requests" in said["packages check pip:reqeusts --known policies/packages.txt"]
    assert "SOUND" in said["verify"]
    assert "SOUND" in said["verify --public-key ed25519:… --heads s3://bucket/prefix"]
    assert "payee-known" in next(text for line, text in said.items() if line.startswith("policy eval"))
    assert "kindly" in said["prompts diff support@production"]
    assert "halted" in said['experiments halt new-tone --why "too chatty"']
    assert (lived.folder / ".tollhouse" / "ledger.duckdb").exists()
    assert {"november.duckdb", "november", "copy", "exchanges.parquet", "set.jsonl"} <= {path.name for path in lived.folder.iterdir()}


def test_every_query_in_a_line_is_answered(lived, inline):
    queries = [code for code in inline if code.text.startswith("SELECT ") and " FROM " in code.text]
    assert set(lived.queried) == {code.text for code in queries}
    assert lived.queried


def test_what_another_test_runs_stands_where_it_looks(blocks):
    of = {name: {block.text for block in blocks if (block.document, block.language) == (name, "bash")} for name in ELSEWHERE}
    assert all(of.values())
    assert all(text in "".join(of["README.md"]) for text in of["CONTRIBUTING.md"])


def test_what_is_not_run_here_has_a_reason_and_is_there(blocks):
    lines = [line for _, line in commands(blocks)]
    assert [start for start in NOT_RUN if not any(line.startswith(start) for line in lines)] == []
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for line in filter(not_run, lines):
        if wanted := re.search(r"pip install '(?:tollhouse|\.)\[(\w+)\]'", line):
            assert wanted[1] in extras
        elif line.startswith("pip install --require-hashes"):
            assert all((ROOT / name).is_file() for name in re.findall(r"-r (\S+)", line))
        elif line.startswith("python "):
            script = ROOT / line.split()[1]
            assert all(f'"{option}"' in script.read_text() for option in re.findall(r"--[a-z-]+", line))
        else:
            assert faults(line) == []


def test_every_command_in_a_line_is_one_and_has_its_options(inline, blocks):
    lines = [(code.document, code.line, code.text) for code in inline if code.text.startswith("tollhouse ") and code.text not in NO_COMMAND]
    lines += [(block.document, block.line, line) for block in blocks if block.language == "bash" for line in block.text.splitlines()]
    told = {(document, at, text): faults(text) for document, at, text in lines if text.startswith("tollhouse ")}
    assert {place: wrong for place, wrong in told.items() if wrong} == {}
    assert len(told) > 150


def faults(line: str) -> list[str]:
    """Words that name no command and options that it does not have; `a|b` are two commands."""
    words = re.sub(r"\s#.*", "", line).split()[1:]
    name, words = words[0], words[1:]
    if name not in main.VERBS:
        return [name] if not name.startswith("-") else []
    command, wrong = main.load_command(name), list[str]()
    if isinstance(command, typer.core.TyperGroup) and words and not words[0].startswith("-"):
        wrong = [each for each in words[0].split("|") if each not in command.commands]
        command = command.commands.get(words[0].split("|")[0], command)
        if isinstance(command, typer.core.TyperGroup) and words[1:]:
            wrong += [words[1]] if words[1] not in command.commands else []
            command = command.commands.get(words[1], command)
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return wrong + [word for word in words if re.fullmatch(r"--[a-z][a-z-]*", word) and word not in known]
