"""Nothing calls home: the gateway starts and works where there is no network, and connects to nothing that was not configured."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEMO = [sys.executable, "-S", "-m", "gateway.cli.main", "demo"]
UP = [sys.executable, "-m", "gateway.cli.main", "up"]
PROCESSES = ("gateway.supervisor", "gateway.nursery")
"""That a demo starts, and that fork the others; it runs the whole gateway, with a provider on this machine."""
HEARS = """
import sys
heard = []
def refuse(event, given):
    if event in {"socket.connect", "socket.getaddrinfo"}:
        heard.append((event, str(given[:2])))
        raise OSError("this test lets nothing out")
sys.addaudithook(refuse)
import %s
print(heard)
"""


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    ours = ("TOLLHOUSE", "OPENAI", "ANTHROPIC", "OTEL", "LITELLM")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "COLUMNS": "120"}


def alone(command: Sequence[str], **given) -> subprocess.CompletedProcess[str]:
    """In a network of its own that ends at the loopback."""
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("needs root, unshare (util-linux) and ip (iproute2)")
    cut_off = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    done = subprocess.run([*cut_off, *command], capture_output=True, text=True, timeout=300, check=False, **given)
    if "unshare failed" in done.stderr:
        pytest.skip(f"namespaces are not permitted here: {done.stderr}")
    return done


def test_up_becomes_ready_and_ends_well_where_there_is_no_network(environment, tmp_path):
    script = (
        '"$@" 2> log & gateway=$!; for turn in $(seq 600); do [ -f data/run.json ] && break; kill -0 $gateway || exit 9; sleep 0.1; done; '
        f'"{sys.executable}" -m gateway.cli.main status --data data; code=$?; kill -TERM $gateway; wait $gateway || exit 8; exit $code'
    )
    listen = {"TOLLHOUSE_LISTEN": "127.0.0.1:0", "TOLLHOUSE_ADMIN": "127.0.0.1:0", "TOLLHOUSE_WORKERS": "1"}
    keys = {"OPENAI_API_KEY": "sk-made-up-0000", "ANTHROPIC_API_KEY": "sk-made-up-0000"}
    done = alone(["sh", "-c", script, "sh", *UP, "--data", "data"], cwd=tmp_path, env=environment | listen | keys)
    assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "log").read_text()
    assert "NOT READY" not in done.stdout


def inet(line: str) -> str | None:
    """The address of a connect() to another place than a file."""
    found = re.search(r'connect\(\d+, \{sa_family=AF_INET6?,.*?(?:inet_addr\("|inet_pton\(AF_INET6, ")([^"]+)"', line)
    return found.group(1) if found else None


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ('7 connect(3, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("203.0.113.7")}, 16) = -1 EINPROGRESS', "203.0.113.7"),
        ('7 connect(3, {sa_family=AF_INET6, sin6_port=htons(53), inet_pton(AF_INET6, "2001:db8::1", &sin6_addr)', "2001:db8::1"),
        ('7 connect(3, {sa_family=AF_UNIX, sun_path="/var/run/nscd/socket"}, 110) = -1 ENOENT', None),
    ],
)  # fmt: skip
def test_a_connection_in_a_trace_is_seen(line, address):
    assert inet(line) == address


def test_no_process_of_an_installed_demo_connects_to_anything_but_the_provider_on_this_machine(environment, packages, tmp_path):
    """Installed: from the wheel, beside the packages of the lock and nothing else."""
    trace = tmp_path / "trace"
    watch = ["strace", "--follow-forks", "--seccomp-bpf", "--quiet=all", "--trace=connect,execve", "--string-limit=400"]
    watched = [*watch, f"--output={trace}", *DEMO] if shutil.which("strace") else DEMO
    environment["PYTHONPATH"] = str(packages)
    done = subprocess.run(watched, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False)
    if "PTRACE" in done.stderr and done.returncode != 0:
        pytest.skip(f"tracing is not permitted here: {done.stderr}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "payee-known" in done.stdout
    if not shutil.which("strace"):
        pytest.skip("the demo works, unwatched: no strace on this machine: apt install strace")
    lines = trace.read_text().splitlines()
    assert all(any("execve" in line and name in line for line in lines) for name in PROCESSES)
    addresses = [address for line in lines if (address := inet(line))]
    assert len(addresses) > 5  # the demo's own: agents to the gateway, the gateway to its provider
    assert set(addresses) <= {"127.0.0.1", "::1"}


def heard(module: str, environment: dict[str, str]) -> str:
    done = subprocess.run([sys.executable, "-c", HEARS % module], env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_litellm_fetches_neither_prices_nor_a_tokenizer_which_it_does_otherwise(environment):
    counts = "litellm; litellm.token_counter(model='meta/llama-3-8b', text='How many?')"
    assert heard(f"gateway.upstream.litellm_adapter, {counts}", environment) == "[]"
    alone = heard(counts, environment | {"HTTPS_PROXY": "", "https_proxy": ""})
    assert "raw.githubusercontent.com" in alone
    assert "huggingface.co" in alone
