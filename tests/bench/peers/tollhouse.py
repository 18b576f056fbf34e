"""The gateway as it is meant to run: a key, a policy of 20 guards (five ask who said a value), the journal synced before each answer
(group commit), and the book applying what the journal holds."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.demo.stage import RunningGateway, settings_for
from tests.bench import processes
from tests.bench.peers.subject import Subject

NAME = "tollhouse"
PACKAGE = None
WORKERS = 1
"""What is measured is CPU time per request, which hardly depends on how many there are (`curves.py` shows it)."""
GUARDS = 20
OF_ONE_TOOL = 20
"""Guards beyond these are of other tools, as they are in a house with many."""

_ASKING = (
    "from_user(args.to) || field_has(args.to, 'get_payees', 'iban')",
    "origin(args.to) != ['model']",
    "from_user(args.amount) || args.amount < 1000.0",
    "user_said(['pay', 'send', 'transfer'])",
    "!read_from('untrusted') || from_user(args.to)",
)
_PLAIN = (
    "args.amount <= vars.limit",
    "!has(args.note) || size(args.note) < 500",
    "args.to.matches('^[A-Z]{2}[0-9A-Z]{10,30}$')",
    "caller.agent.startsWith('bench')",
    "args.amount > 0.0",
)


def policy(guards: int = GUARDS) -> str:
    conditions = [*_ASKING, *(_PLAIN[at % len(_PLAIN)] for at in range(15))]
    tools = ["send_money" if at < OF_ONE_TOOL else f"tool_{at // OF_ONE_TOOL}_*" for at in range(guards)]
    rules = "".join(f'- {{id: g{at}, tools: ["{tool}"], require: "{conditions[at % 20]}"}}\n' for at, tool in enumerate(tools))
    head = "policy: 1\nid: bench\nagents: ['*']\nallow: [send_money]\nvars: {limit: 100000}\ntools: {'web_*': {labels: [untrusted]}}\n"
    return f"{head}rules:\n{rules}"


@contextmanager
def running(folder: Path, provider_port: int, guards: int = GUARDS, workers: int = WORKERS) -> Iterator[Subject]:
    home = folder / NAME
    (home / "policies").mkdir(parents=True)
    (home / "policies" / "bench.yaml").write_text(policy(guards))
    gateway = RunningGateway(home, settings_for(f"http://127.0.0.1:{provider_port}/v1", policies="policies", workers=workers))
    key = gateway.create_key("bench-agent")
    gateway.environment |= _compiled(folder)
    started = time.monotonic()
    with gateway:
        cold = time.monotonic() - started
        port = int(gateway.url.rpartition(":")[2])
        yield Subject(NAME, port, lambda: _roles(gateway), headers=(f"authorization: Bearer {key}",), cold_start_s=cold)


def _compiled(folder: Path) -> dict[str, str]:
    """Bytecode lies ready, as where the gateway is installed: compiling it would be a third of a cold start."""
    environment = {"PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
    modules = "import gateway.supervisor, gateway.worker, gateway.book_process, gateway.web.admin"
    subprocess.run([sys.executable, "-c", modules], env=os.environ | environment, cwd=processes.ROOT, check=True)
    return environment


def _roles(gateway: RunningGateway) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {"workers": [], "book": [], "supervisor": []}
    for pid in processes.tree(gateway.pid):
        line = processes.command(pid)
        role = "workers" if "gateway.worker" in line else "book" if "gateway.book" in line else "supervisor"
        found[role].append(pid)
    return found
