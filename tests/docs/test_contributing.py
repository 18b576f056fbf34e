"""The recipes of CONTRIBUTING.md, carried out as they stand in a copy of the repository: what they add works there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
PROVEN = """
import json, pathlib, sys
import httpx
from gateway.demo.stage import PROVIDER_KEY, RunningGateway, settings_for
from gateway.rehearsal import RunningRehearsal

folder = pathlib.Path(sys.argv[1])
(folder / "policies").mkdir()
rule = "{id: polite, at: output, stream: buffer, validate: [polite]}"
policy = "policy: 1\\nid: p\\nagents: ['*']\\non_deny: explain\\nallow: [look]\\nrules:\\n- " + rule + "\\n"
(folder / "policies" / "p.yaml").write_text(policy)
with RunningRehearsal("rehearsal: 1\\nscenes:\\n- turns: [{text: Do it.}]\\n") as provider:
    settings = settings_for(provider.base_url, policies="policies", keys="optional")
    acme = {"dialect": "acme.chat", "base_url": provider.base_url, "key": {"env": PROVIDER_KEY}}
    with RunningGateway(folder, {**settings, "upstreams": {"acme": acme}}) as gateway:
        tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": [tool]}
        answer = httpx.post(gateway.url + "/acme/chat/completions", json=body, timeout=30, trust_env=False)
        row = gateway.awaited("SELECT dialect, provider, tools_offered FROM exchanges WHERE state <> 'open'", 1)
        hours = gateway.tollhouse("sql", "--saved", "busiest_hours", "--data", str(gateway.data))
        sent = [{name.lower(): value for name, value in each.headers.items()}.get("x-acme-key") for each in provider.requests()]
said = answer.json()["choices"][0]["message"]["content"] if answer.status_code == 200 else answer.text
print(json.dumps({"status": answer.status_code, "said": said, "row": row, "hours": hours, "sent": sent}))
"""


def carried_out(folder: Path) -> list[str]:
    """Files that the recipes make or change, in a copy of the repository."""
    for shelf in ("gateway", "policies", "traces", "deploy"):
        shutil.copytree(ROOT / shelf, folder / shelf, ignore=shutil.ignore_patterns("__pycache__"))
    changed: list[str] = []
    for language, text in BLOCKS:
        if language == "diff":
            changed += [_changed(folder, part) for part in text.split("--- ") if part]
        elif made := re.match(r"(?:#|--) ([\w/.]+)\n", text):
            (folder / made[1]).parent.mkdir(parents=True, exist_ok=True)
            (folder / made[1]).write_text(text.partition("\n")[2])
            changed.append(made[1])
    return changed


def _changed(folder: Path, part: str) -> str:
    """What begins with a space or a minus stands there once; what begins with a space or a plus stands there afterwards."""
    name, _, hunks = part.partition("\n")
    text = (folder / name).read_text()
    for hunk in hunks.split("@@\n"):
        before, after = ("\n".join(line[1:] for line in hunk.splitlines() if line[0] in kinds) for kinds in (" -", " +"))
        assert text.count(before) == 1, (name, before)
        text = text.replace(before, after)
    (folder / name).write_text(text)
    return name


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The copy, and how to run Python in it."""
    folder = tmp_path_factory.mktemp("copy")
    changed = carried_out(folder)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOLLHOUSE")} | {"PYTHONPATH": str(folder)}

    def python(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    return changed, python


def test_every_recipe_says_what_to_add(copy):
    changed, _ = copy
    shelves = ("gateway/dialects/", "gateway/validators/", "traces/migrations/", "traces/queries/")
    assert all(any(name.startswith(shelf) for name in changed) for shelf in shelves)
    assert {language for language, _ in BLOCKS} == {"bash", "python", "diff", "sql"}


def test_a_recipes_own_tests_pass_there(copy):
    changed, python = copy
    own = [name for name in changed if name.startswith("tests/")]
    assert own
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", *own)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_the_recipes_add_is_clean(copy):
    changed, python = copy
    done = python("-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), *[name for name in changed if name.endswith(".py")])
    assert done.returncode == 0, done.stdout


def test_what_the_recipes_add_works_in_a_running_gateway(copy, tmp_path):
    _, python = copy
    done = python("-c", PROVEN, str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["status"] == 200
    assert "Do it." not in found["said"]
    assert "polite" in found["said"]
    assert found["row"] == [{"dialect": "acme.chat", "provider": "acme", "tools_offered": 1}]
    assert found["sent"] == ["sk-rehearsal-0000"]
    assert re.search(r"hour . exchanges .*?\d+ . +1 ", found["hours"], re.DOTALL)


def test_a_saved_query_is_explained_where_the_others_are(copy):
    _, python = copy
    (name,) = re.findall(r"^-- traces/queries/(\w+)\.sql$", TEXT, re.MULTILINE)
    code = "import re, pathlib\nfrom gateway.web.queries import read_all\n"
    code += "told = set(re.findall(r'^[|] `(\\w+)`', pathlib.Path('traces/README.md').read_text(), re.MULTILINE))\n"
    code += f"assert set(read_all()) <= told\nprint(read_all()[{name!r}].title)"
    done = python("-c", code)
    assert (done.returncode, done.stdout) == (0, "When agents work\n"), done.stderr
