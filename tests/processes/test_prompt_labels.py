"""A label that is moved, and an arm that is halted, by the command hold on every gateway that shares the state: workers of a machine,
machines with a Redis."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack

import httpx
import pytest

from gateway.demo.stage import RunningGateway, settings_for
from gateway.rehearsal import RunningRehearsal
from tests.patience import until

SCENES = json.dumps({"rehearsal": 1, "scenes": [{"turns": [{"text": "Hello."}]}]})
TEXT = "---\nmodel: m\nlabels: {{production: this}}\n---\n{}.\n"
EXPERIMENT = """prompt: support
label: production
control: 0.001
arms: {newer: {version: this, weight: 1000}}
metrics: {price: {measure: cost, matters: 1}}
sessions: {min: 100, max: 1000}
"""


class House:
    """The gateways, and what each of them fills in for a label."""

    def __init__(self, provider: RunningRehearsal, gateways: list[RunningGateway], key: str) -> None:
        self.provider, self.gateways, self.key = provider, gateways, key

    def said(self, at: int, label: str) -> str:
        """On a connection of its own, so that any worker may take it."""
        body = {"messages": [{"role": "user", "content": "hi"}], "prompt": {"name": "support", "label": label}}
        headers = {"authorization": f"Bearer {self.key}"}
        answer = httpx.post(f"{self.gateways[at].base_url}/chat/completions", json=body, headers=headers, timeout=30, trust_env=False)
        if answer.status_code != 200:
            return str(answer.json()["error"]["code"])
        return str(self.provider.requests()[-1].body["messages"][0]["content"])

    def everywhere(self, label: str, text: str) -> None:
        """In a while each of them says so, twelve times in a row."""

        def said() -> list[str]:
            return [self.said(at, label) for at in range(len(self.gateways))]

        until(lambda: all(set(said()) == {text} for _ in range(12)), what=said)

    def tollhouse(self, at: int, *arguments: str) -> str:
        return self.gateways[at].tollhouse(*arguments, "--data", str(self.gateways[at].data))

    def version(self) -> str:
        """Of the first gateway's file as it stands."""
        folder = str(self.gateways[0].config.parent / "prompts")
        return str(json.loads(self.tollhouse(0, "prompts", "list", "--prompts", folder, "--json"))[0]["version"])


def write(gateway: RunningGateway, word: str) -> None:
    folder = gateway.config.parent / "prompts"
    folder.mkdir(exist_ok=True)
    (folder / "support.tmp").write_text(TEXT.format(word))
    (folder / "support.tmp").replace(folder / "support.md")


@pytest.fixture(params=["two workers", "two machines"])
def house(request, tmp_path):
    machines = 1 if request.param == "two workers" else 2
    more = {"workers": 2} if machines == 1 else {"state": request.getfixturevalue("redis_server").url()}
    with RunningRehearsal(SCENES) as provider, ExitStack() as running:
        gateways = []
        for at in range(machines):
            folder = tmp_path / str(at)
            folder.mkdir()
            gateway = RunningGateway(folder, settings_for(provider.base_url, prompts="prompts", **more))
            write(gateway, "First" if at == 0 else "Second")
            if gateways:
                gateway.data.mkdir()
                shutil.copy2(gateways[0].data / "secret", gateway.data / "secret")
            gateways.append(running.enter_context(gateway))
        yield House(provider, gateways, gateways[0].create_key("bot"))


def test_a_moved_label_holds_everywhere_with_a_version_that_some_never_had(house):
    assert house.said(0, "production") == "First."
    first = house.version()
    write(house.gateways[0], "Second")
    house.everywhere("production", "Second.")
    house.tollhouse(0, "prompts", "promote", "support", first[:8], "--to", "production")
    house.tollhouse(0, "prompts", "promote", "support", first[:8], "--to", "canary")
    house.everywhere("production", "First.")
    house.everywhere("canary", "First.")
    last = len(house.gateways) - 1
    house.tollhouse(last, "prompts", "rollback", "support")
    house.everywhere("production", "Second.")
    house.everywhere("canary", "First.")


def test_an_arm_that_is_halted_on_one_gateway_is_given_by_none(house):
    first = house.version()
    write(house.gateways[0], "Second")
    house.everywhere("production", "Second.")
    house.tollhouse(0, "prompts", "promote", "support", first[:8], "--to", "production")
    house.everywhere("production", "First.")
    for gateway in house.gateways:
        experiments = gateway.config.parent / "prompts" / "experiments"
        experiments.mkdir()
        (experiments / "tone.yaml").write_text(EXPERIMENT)
    house.everywhere("production", "Second.")
    house.tollhouse(len(house.gateways) - 1, "experiments", "halt", "tone", "--why", "enough")
    house.everywhere("production", "First.")
