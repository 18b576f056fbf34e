"""One rehearsal provider and one real gateway for all tests of this folder, and a tap on what its clients receive."""

import shutil
import sys
from pathlib import Path

import pytest

from gateway.demo.stage import RunningGateway, settings_for
from gateway.rehearsal import RunningRehearsal
from gateway.rehearsal.tap import Tap
from tests.clients.warm import Warm

HERE = Path(__file__).parent


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


@pytest.fixture(scope="session")
def sdks():
    """This environment's."""
    with Warm(sys.executable, ("openai", "anthropic", "google.genai")) as warm:
        yield warm


@pytest.fixture
def drive(tap, key, sdks):
    """Runs a driver script with this environment's SDK through the tap; returns what the SDK saw."""

    def run(sdk: str, model: str, session: str, own: str = "") -> dict:
        url = f"{tap.url}/v1" if sdk in ("openai", "responses") else tap.url
        return sdks.saw(f"drive_{sdk}.py", url, own or key, model, session)

    return run
