"""What is in the image: assembled from this machine's Python, entered as a container enters it, with no network and no right to write."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "deploy" / "image"
DOCKERFILE = (IMAGE / "Dockerfile").read_text()
ENTER = """
ip link set lo up
mount --rbind /dev "$0/dev" && mount --rbind /proc "$0/proc"
mount -t tmpfs none "$0/tmp" && mount -t tmpfs -o mode=777 none "$0/data"
mount -o remount,ro,bind "$0" 2>/dev/null
exec chroot --userspec=10001:10001 "$0" /usr/bin/python3 "$@"
"""
TRANSLATED = """
from gateway.upstream.litellm_adapter import SPEAKERS
chat = {"model": "claude-opus-5", "messages": [{"role": "user", "content": "Hello?"}], "max_tokens": 9}
for name, speaker in SPEAKERS.items():
    print(name, speaker.request(chat, stream=False).path)
said = {"id": "m1", "model": "claude-opus-5", "role": "assistant", "stop_reason": "end_turn", "content": [
    {"type": "thinking", "thinking": "A greeting.", "signature": "x"}, {"type": "text", "text": "Yes."}],
    "usage": {"input_tokens": 3, "output_tokens": 2}}
print(SPEAKERS["anthropic.messages"].answer(said, "claude-opus-5")["choices"][0]["message"])
"""
LARGEST_MB = 500


def part(name: str):
    """A program of the image, which is in no package."""
    specification = importlib.util.spec_from_file_location(name, IMAGE / f"{name}.py")
    found = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(found)
    return found


@pytest.fixture(scope="module")
def root(request, beside):
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("only root can enter a root of its own, and needs unshare (util-linux) and ip (iproute2)")
    if not os.environ.get("TOLLHOUSE_IMAGE"):
        pytest.skip("putting the image's root together takes a minute; ask for it with TOLLHOUSE_IMAGE=1")
    packages, folder = request.getfixturevalue("packages"), beside / "root"
    part("assemble").assemble(packages, folder, put=os.link)
    return folder


def inside(root: Path, *arguments: str) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": "/data", "COLUMNS": "120"}
    environment |= {"PYTHONPATH": "/opt/tollhouse", "PYTHONDONTWRITEBYTECODE": "1"}
    command = ["unshare", "--net", "--mount", "sh", "-c", ENTER, str(root), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if "unshare failed" in done.stderr:
        pytest.skip(f"namespaces are not permitted here: {done.stderr}")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_demo_works_in_it_without_network_and_without_rights(root):
    assert "payee-known" in inside(root, "-m", "gateway.cli.main", "demo")


def test_everything_that_is_loaded_only_when_it_is_asked_for_is_in_it_and_compiled(root):
    files = inside(root, "-c", (IMAGE / "loaded.py").read_text()).split()
    assert len(files) > 2000
    sources = [root / file.lstrip("/") for file in files]
    uncompiled = [file for file in sources if not Path(importlib.util.cache_from_source(str(file))).is_file()]
    assert not uncompiled


def test_what_is_left_of_litellm_translates_in_it(root):
    said = inside(root, "-c", TRANSLATED)
    assert "anthropic.messages /messages" in said
    assert "google.gemini /v1beta/models/claude-opus-5:generateContent" in said
    assert "{'role': 'assistant', 'content': 'Yes.', 'reasoning_content': 'A greeting.'}" in said


def test_it_is_no_larger_than_what_is_needed(root):
    assert part("assemble").size(root) < LARGEST_MB * 1_000_000
    assert not list(root.rglob("*tkinter*"))
    assert not (root / "opt/tollhouse/litellm/proxy/proxy_server.py").exists()


def test_there_is_no_program_in_it_but_python(root):
    programs = {path.name for path in part("assemble").programs(root)}
    assert {name for name in programs if ".so" not in name and not name.startswith("python3")} == set()
    assert not any((root / folder / "sh").exists() for folder in ("bin", "usr/bin"))
    assert not [path for path in root.rglob("*") if path.is_file() and path.stat().st_mode & 0o6000]
    assert not [path for path in root.rglob("pip") if path.is_dir()]


def test_nobody_is_root_in_it_and_every_package_is_by_hash():
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert last.startswith("scratch\n")
    assert "USER 10001:10001" in last
    assert "RUN" not in last
    installs = [line for line in DOCKERFILE.splitlines() if "pip install" in line and "locks" not in line.split("pip")[0][:5]]
    assert len(installs) == 3
    assert all("--require-hashes" in line or "--no-index" in line for line in installs)


@pytest.mark.parametrize("name", ["docker.io/library/python:3.11-slim", "python@sha257:1"])
def test_a_base_image_without_a_digest_is_refused(name):
    check = DOCKERFILE[DOCKERFILE.index("case ") : DOCKERFILE.index("esac") + 4].replace("\\\n", "\n")
    for image, code in ((name, 1), (f"{name}@sha256:{'0' * 64}", 0)):
        done = subprocess.run(["sh", "-euc", check], env={"PYTHON_IMAGE": image}, capture_output=True, text=True, check=False)
        assert done.returncode == code
        assert ("must name a digest" in done.stderr) is bool(code)


def test_the_health_check_says_whether_the_gateway_is_ready(start, monkeypatch, capsys):
    health = part("healthcheck")
    monkeypatch.setenv("TOLLHOUSE_LISTEN", f"0.0.0.0:{start().url.rpartition(':')[2]}")
    assert health.main() == 0
    monkeypatch.setenv("TOLLHOUSE_HEALTH", "http://127.0.0.1:9/readyz")
    assert health.main() == 1
    assert "no answer from http://127.0.0.1:9/readyz" in capsys.readouterr().out
