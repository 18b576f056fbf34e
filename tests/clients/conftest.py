"""A virtual environment that holds the SDKs of today, which cannot be installed beside litellm; and the same live gateway to drive."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from gateway.demo.stage import RunningGateway, settings_for
from gateway.rehearsal import RunningRehearsal
from gateway.rehearsal.tap import Tap

HERE = Path(__file__).parent
LIVE = HERE.parent / "live"
WANTED = ("openai>=3.54,<4", "anthropic>=2.11,<3", "google-genai>=3.4,<4")
FRAMEWORKS = (
    "openai-agents>=0.24,<0.25",
    "langchain>=1.4,<2",
    "langchain-openai>=1.7,<2",
    "langchain-anthropic>=1.7,<2",
    "langchain-google-genai>=4.4,<5",
)


@pytest.fixture(scope="session")
def bare() -> dict[str, str]:
    """The environment variables without those through which an interpreter finds the project's packages."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


@pytest.fixture(scope="session")
def environments(pytestconfig, tmp_path_factory) -> Path:
    """In pytest's cache; of a run that has none (`-p no:cacheprovider`) a folder of its own, which its processes share."""
    if hasattr(pytestconfig, "cache"):
        return Path(pytestconfig.cache.mkdir("client-sdks"))
    mine = tmp_path_factory.getbasetemp()
    folder = (mine.parent if hasattr(pytestconfig, "workerinput") else mine) / "client-sdks"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def sdk_python(environments) -> Path:
    """The interpreter of an environment with the SDKs."""
    return environment(environments, WANTED)


@pytest.fixture(scope="session")
def framework_python(environments) -> Path:
    """The interpreter of an environment with the agent frameworks, which pin SDKs of their own."""
    return environment(environments, FRAMEWORKS)


def environment(kept: Path, wanted) -> Path:
    """Built once and kept there until what is wanted changes."""
    stamp = hashlib.sha256("\n".join((*wanted, sys.version)).encode()).hexdigest()[:16]
    folder = kept / stamp
    python = folder / "bin" / "python"
    with (folder.parent / f"{stamp}.lock").open("w") as lock:  # several test processes may want it at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            if os.environ.get("TOLLHOUSE_OFFLINE") == "1":
                pytest.skip("TOLLHOUSE_OFFLINE=1: the SDKs' own environment cannot be built without the package index")
            _build(folder, python, wanted)
    return python


def _build(folder: Path, python: Path, wanted: tuple[str, ...]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.fail(
            f"cannot install {', '.join(wanted)}: is the package index reachable? Set TOLLHOUSE_OFFLINE=1 to skip.\n{done.stderr}"
        )
    (folder / "complete").touch()


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clients")
    (folder / "policies").mkdir()
    shutil.copy(LIVE / "policy.yaml", folder / "policies" / "policy.yaml")
    with (
        RunningRehearsal(LIVE / "scenes.yaml") as provider,
        RunningGateway(folder, settings_for(provider.base_url, policies="policies")) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def key(gateway):
    return gateway.create_key("live-agent")


@pytest.fixture
def tap(gateway):
    with Tap(gateway.url) as tapped:
        yield tapped
