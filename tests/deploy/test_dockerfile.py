"""The Dockerfile, built by a real builder (buildah) and run by a real engine (podman) with the words of the operators' guide.

`TOLLHOUSE_IMAGE=1`, as root, where buildah, podman, runc and debootstrap are installed; some three minutes. The base is made here.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.rehearsal import RunningRehearsal
from tests.deploy.containers import WANTED, engine, limits, machine, places, told
from tests.patience import until
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "deploy" / "README.md").read_text()
SETTINGS = """\
tollhouse: 1
keys: required
upstreams: {{openai: {{dialect: openai.chat, base_url: "{provider}", key: {{env: OPENAI_API_KEY}}, allow_http: true}}}}
"""
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
BASE, BUILT = "localhost/tollhouse-test-python", "localhost/tollhouse-test"

pytestmark = WANTED


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """The name of an image by its digest."""
    working = told("buildah", "from", "scratch")
    root = Path(told("buildah", "mount", working))
    machine(root)
    told("buildah", "umount", working)
    told("buildah", "commit", "--rm", working, f"{BASE}:made")
    digest = told("buildah", "images", "--digests", "--noheading", "--format", "{{.Digest}}", f"{BASE}:made")
    yield f"{BASE}@{digest}"
    told("buildah", "rmi", "--force", f"{BASE}:made")


@pytest.fixture(scope="module")
def image(base: str) -> Iterator[str]:
    """Built as the guide says, with this machine's places of packages."""
    [line] = re.findall(r"^docker build (.*) -t tollhouse \.$", GUIDE, re.MULTILINE)
    words = [f"PYTHON_IMAGE={base}" if word.startswith("PYTHON_IMAGE=") else word for word in shlex.split(line)]
    here = ["--isolation=chroot", "--pull-never", "--network=host", "--format=docker", *places()]
    told("buildah", "bud", *here, *words, "-t", BUILT, str(ROOT))
    yield BUILT
    told("buildah", "rmi", "--force", BUILT)


def test_a_base_that_is_named_by_a_tag_is_refused(base: str):
    words = ["--build-arg", f"PYTHON_IMAGE={BASE}:made", "--isolation=chroot", "--pull-never"]
    done = subprocess.run(
        ["buildah", "bud", *words, "-f", str(ROOT / "deploy/image/Dockerfile"), str(ROOT)], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "must name a digest" in done.stderr + done.stdout


def test_the_image_is_run_as_the_guide_says_and_serves_records_and_ends(image: str, tmp_path: Path):
    makes_a_key, runs = [shlex.split(line) for line in re.findall(r"^docker run (.*)$", GUIDE, re.MULTILINE)]
    volume, name, port = f"tollhouse-test-{os.getpid()}", f"tollhouse-test-{os.getpid()}", free_port()
    here = [*limits(), "--network=host", f"--volume={tmp_path}:/etc/tollhouse:ro"]
    here += [f"--env=TOLLHOUSE_LISTEN=127.0.0.1:{port}", "--env=TOLLHOUSE_ADMIN=127.0.0.1:0", "--env=OPENAI_API_KEY=sk-x"]

    def words(line: list[str]) -> list[str]:
        changed = {"tollhouse": image, "tollhouse:/data": f"{volume}:/data"}
        return [changed.get(word, word) for word in line if word not in ("-p", "8484:8484")]

    with RunningRehearsal("rehearsal: 1\nscenes:\n- {turns: [{text: hello}]}\n") as provider:
        tmp_path.chmod(0o755)
        (tmp_path / "tollhouse.yaml").write_text(SETTINGS.format(provider=provider.base_url))
        try:
            key = engine("run", "--rm", *here, *words(makes_a_key)).splitlines()[0]
            engine("run", "--detach", "--name", name, *here, *words(runs))
            until(lambda: listens(port), what="the gateway is ready")
            answer = httpx.post(
                f"http://127.0.0.1:{port}/v1/chat/completions", json=BODY, headers={"authorization": f"Bearer {key}"}, trust_env=False
            )
            assert answer.json()["choices"][0]["message"]["content"] == "hello"
            python = ["exec", name, "/usr/bin/python3"]
            assert "complete" in until(lambda: asked(python), what="the exchange is in the book")
            engine("healthcheck", "run", name)
            engine("stop", "--time", "75", name)
            assert engine("inspect", name, "--format", "{{.State.ExitCode}}") == "0"
        finally:
            subprocess.run(["podman", "rm", "--force", name], capture_output=True, check=False)
            subprocess.run(["podman", "volume", "rm", "--force", volume], capture_output=True, check=False)


def asked(python: list[str]) -> str:
    return engine(*python, "-m", "gateway.cli.main", "sql", "SELECT state FROM exchanges WHERE state <> 'open'", "--json")


def listens(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
