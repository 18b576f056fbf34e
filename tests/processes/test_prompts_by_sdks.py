"""Unmodified SDKs in front of a running gateway: an edited prompt is their next one, a broken one keeps the last good, and what each was
answered with is filled in again from the book, to the byte."""

from __future__ import annotations

import json

import anthropic
import openai
import pytest
from google import genai

from gateway.demo.stage import RunningGateway, settings_for
from gateway.rehearsal import RunningRehearsal
from tests.patience import until

SCENES = json.dumps({"rehearsal": 1, "scenes": [{"turns": [{"text": "Hello."}]}]})
TEXT = "---\nmodel: m\nvariables: {{shop: {{type: string}}}}\n---\n{} {{{{ shop }}}} „ä“.\n"
PROMPT = {"prompt": {"name": "support", "variables": {"shop": "{{ 7 * 7 }} Zürich"}}}
AGAIN = "{{ 7 * 7 }} Zürich „ä“."
TRACE = "x-gateway-trace-id"


def by_openai(url: str) -> str:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0)
    messages = [{"role": "user", "content": "hi"}]
    return client.chat.completions.with_raw_response.create(model="", messages=messages, extra_body=PROMPT).headers[TRACE]


def by_responses(url: str) -> str:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0)
    return client.responses.with_raw_response.create(input="hi", extra_body=PROMPT).headers[TRACE]


def by_anthropic(url: str) -> str:
    client = anthropic.Anthropic(base_url=url, api_key="x", max_retries=0)
    messages = [{"role": "user", "content": "hi"}]
    return client.messages.with_raw_response.create(model="m", max_tokens=5, messages=messages, extra_body=PROMPT).headers[TRACE]


def by_google(url: str) -> str:
    client = genai.Client(api_key="x", http_options=genai.types.HttpOptions(base_url=url, extra_body=PROMPT))
    headers = client.models.generate_content(model="m", contents="hi").sdk_http_response.headers
    return {name.lower(): value for name, value in headers.items()}[TRACE]


SDKS = {"openai": by_openai, "responses": by_responses, "anthropic": by_anthropic, "google": by_google}


def write(gateway: RunningGateway, text: str) -> None:
    fresh = gateway.config.parent / "prompts" / "support.tmp"
    fresh.write_text(text)
    fresh.replace(gateway.config.parent / "prompts" / "support.md")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prompts")
    (folder / "prompts").mkdir()
    (folder / "prompts" / "support.md").write_text(TEXT.format("Old"))
    with RunningRehearsal(SCENES) as provider, RunningGateway(
        folder, settings_for(provider.base_url, prompts="prompts", storing="full")
    ) as running:
        yield running


def filled(gateway: RunningGateway, exchange: str) -> str:
    """What the book says that the provider was given."""
    gateway.awaited(f"SELECT 1 FROM prompts_rendered AS p JOIN exchanges AS e ON e.id = p.exchange_id WHERE e.id = '{exchange}'", 1)
    said = json.loads(gateway.tollhouse("prompts", "render", "--exchange", exchange, "--json", "--data", str(gateway.data)))
    assert said["identical"]
    return said["text"]


def becomes(gateway: RunningGateway, sdk: str, text: str) -> str:
    def given() -> str:
        exchange = SDKS[sdk](gateway.url)
        return exchange if filled(gateway, exchange) == text else ""

    return until(given, what=f"{sdk} is given {text!r}")


def test_an_edited_file_is_what_every_sdk_is_given_next_and_old_requests_are_filled_in_again(gateway):
    old = {sdk: SDKS[sdk](gateway.url) for sdk in SDKS}
    write(gateway, TEXT.format("New"))
    new = {sdk: becomes(gateway, sdk, f"New {AGAIN}") for sdk in SDKS}
    assert {filled(gateway, exchange) for exchange in old.values()} == {f"Old {AGAIN}"}
    listed = ", ".join(f"'{exchange}'" for exchange in [*old.values(), *new.values()])
    rows = gateway.awaited(
        f"SELECT DISTINCT dialect, version FROM prompts_rendered AS p JOIN exchanges AS e ON e.id = p.exchange_id "
        f"WHERE e.id IN ({listed})", 8,
    )  # fmt: skip
    assert len({row["dialect"] for row in rows}) == 4
    assert len({row["version"] for row in rows}) == 2

    write(gateway, TEXT.format("Broken {{ nobody }}"))
    problem = "support.md:5:11: error: 'nobody' is not declared"
    until(lambda: problem in gateway.log.read_text(), what=lambda: gateway.log.read_text()[-2000:])
    assert {filled(gateway, SDKS[sdk](gateway.url)) for sdk in SDKS} == {f"New {AGAIN}"}
