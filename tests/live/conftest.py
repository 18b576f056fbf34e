"""One rehearsal provider and one real gateway for all tests of this folder, and a tap on what its clients receive."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.demo.stage import RunningGateway, settings_for
from gateway.rehearsal import RunningRehearsal
from gateway.rehearsal.tap import Tap

HERE = Path(__file__).parent
DRIVERS = HERE.parent / "clients"


@pytest.fixture(scope="session")
def provider():
    with RunningRehearsal(HERE / "scenes.yaml") as running:
        yield running


@pytest.fixture(scope="session")
def gateway(provider, tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    (folder / "policies").mkdir()
    for name in ("policy.yaml", "steering.yaml"):
        shutil.copy(HERE / name, folder / "policies" / name)
    with RunningGateway(folder, settings_for(provider.base_url, policies="policies")) as running:
        yield running


@pytest.fixture(scope="session")
def key(gateway):
    return gateway.create_key("live-agent")


@pytest.fixture(scope="session")
def steered_key(gateway):
    """Of an agent whose policy says nothing of what a denial does."""
    return gateway.create_key("steered-agent")


@pytest.fixture
def tap(gateway):
    with Tap(gateway.url) as tapped:
        yield tapped


@pytest.fixture
def drive(tap, key):
    """Runs a driver script with this environment's SDK through the tap; returns what the SDK saw."""

    def run(sdk: str, model: str, session: str, own: str = "") -> dict:
        url = f"{tap.url}/v1" if sdk in ("openai", "responses") else tap.url
        command = [sys.executable, str(DRIVERS / f"drive_{sdk}.py"), url, own or key, model, session]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
