"""A gateway that is started by hand, asked, or refuses to start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx

from gateway.demo.stage import RunningGateway

POLICY = "policy: 1\nid: p\nagents: ['*']\nallow: [get_*]\n"
SCRIPT = """
rehearsal: 1
scenes:
- {model: slow, turns: [{text: "word after word after word after word after word", chunk: 1, gap_ms: 100}]}
- {turns: [{text: "hello"}]}
"""


def refusal(folder, settings, **environment) -> str:
    """What the gateway says when it does not start (exit code 3)."""
    gateway = RunningGateway(folder, settings)
    done = subprocess.run(
        [sys.executable, "-m", "gateway.supervisor", "--config", str(gateway.config)],
        env=gateway.environment | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def ask(gateway, model="m", stream=False, **more):
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    return httpx.post(f"{gateway.base_url}/chat/completions", json=body, timeout=30, trust_env=False, **more)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
