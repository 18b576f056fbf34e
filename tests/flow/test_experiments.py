"""Requests that take part in an experiment, through the whole data plane: each session keeps its arm, and the record says which it was."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.installation import open_prompts
from gateway.prompt.trial import Stop
from gateway.prompt_folder import UNMOVED, load_folder

POLICY = {"policy.yaml": 'policy: 1\nid: test\nagents: ["*"]\nallow: [get_weather]\n'}
EXPERIMENT = """prompt: support
label: production
control: 1
arms:
  brief: {version: this, weight: 1, model: other-model, parameters: {max_tokens: 7, temperature: 0.5}}
metrics: {price: {measure: cost, matters: 1}}
sessions: {min: 100, max: 1000}
"""
OLD = "---\nvariables: {shop: {type: string}}\n---\nOld in {{ shop }}."
NEW = "---\nvariables: {shop: {type: string}}\nlabels: {production: HASH}\n---\nNew in {{ shop }}."
PROMPT = {"name": "support", "label": "production", "variables": {"shop": "Aare"}}
CHAT = {"id": "a", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}]}  # fmt: skip
GEMINI = {"candidates": [{"content": {"parts": [{"text": "Hello."}], "role": "model"}, "index": 0, "finishReason": "STOP"}],
          "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}, "modelVersion": "m"}  # fmt: skip


@pytest.fixture
def house(start, provider, tmp_path):
    folder = tmp_path / "prompts"
    (folder / "experiments").mkdir(parents=True)
    (folder / "support.md").write_text(OLD)
    old = load_folder(folder, tmp_path / "data0", UNMOVED).heads["support"].version
    (folder / "support.md").write_text(NEW.replace("HASH", old))
    (folder / "experiments" / "tone.yaml").write_text(EXPERIMENT)
    upstreams = {
        "openai": {"dialect": ["openai.chat"], "base_url": provider.base_url, "key": {"env": "CANARY_KEY"}},
        "google": {"dialect": "google.gemini", "base_url": provider.base_url.removesuffix("/v1"), "key": {"env": "CANARY_KEY"}},
    }
    house = start(POLICY, upstreams=upstreams, prompts=str(folder))
    provider.answer = provider.json(CHAT)
    return house


def post(house, session: str | None = None, words: str = "hi", **prompt) -> None:
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": words}], "prompt": PROMPT | prompt}
    with house.client() as client:
        answer = client.post("/v1/chat/completions", json=body, headers={"x-session-id": session} if session else {})
    assert answer.status_code == 200, answer.text


def told(house, count: int) -> list[tuple]:
    rows = [ended.exchange for ended in house.ended(count)]
    return [(row.session, row.experiment, row.arm, row.edition) for row in rows]


def test_a_session_keeps_its_arm_and_every_exchange_of_it_says_which(house, provider):
    for n in range(24):
        post(house, f"s{n % 8}")
    rows = told(house, 24)
    assert {(experiment, len(edition)) for _, experiment, _, edition in rows} == {("tone", 16)}
    arms = {session: {arm for name, _, arm, _ in rows if name == session} for session, *_ in rows}
    assert {len(each) for each in arms.values()} == {1}
    assert set().union(*arms.values()) == {"control", "brief"}
    sent = [json.loads(body) for _, body in provider.received]
    for (_, _, arm, _), body in zip(rows, sent, strict=True):
        expected = ("New in Aare.", "other-model", 7, 0.5) if arm == "brief" else ("Old in Aare.", "m", 5, None)
        longest = body.get("max_tokens", body.get("max_completion_tokens"))
        assert (body["messages"][0]["content"], body["model"], longest, body.get("temperature")) == expected


def test_a_session_that_nobody_names_keeps_its_arm_too(house):
    for n in range(16):
        post(house, words=f"question {n % 8}")
    arms = [arm for _, _, arm, _ in told(house, 16)]
    assert arms[:8] == arms[8:]
    assert set(arms) == {"control", "brief"}


def test_who_names_a_version_or_another_label_gets_it_and_is_no_part_of_the_experiment(house):
    for n in range(6):
        post(house, f"s{n}", label=None)
    assert {row[1:] for row in told(house, 6)} == {(None, None, None)}


def test_an_arm_that_was_halted_is_given_to_nobody(house, provider):
    prompts = house.plane.gateway.prompts
    design = prompts.experiments["tone"].design
    shared = open_prompts(house.settings)
    shared.stop(design, Stop("tone", "e", {"brief": "halted"}))
    house.plane.gateway = replace(house.plane.gateway, prompts=load_folder(Path(house.settings.prompts), house.settings.data_path, shared))
    shared.close()
    for n in range(8):
        post(house, f"s{n}")
    assert {row[1:] for row in told(house, 8)} == {(None, None, None)}
    assert {json.loads(body)["messages"][0]["content"] for _, body in provider.received} == {"Old in Aare."}


def test_where_the_path_names_the_model_an_arm_with_a_model_is_no_arm(house, provider):
    provider.answer = provider.json(GEMINI)
    body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "prompt": PROMPT}
    with house.client() as client:
        for n in range(6):
            path = "/v1beta/models/m:generateContent"
            assert client.post(path, json=body, headers={"x-session-id": f"s{n}"}).status_code == 200
    assert {row[1:] for row in told(house, 6)} == {(None, None, None)}


def test_parameters_of_an_arm_count_more_than_those_of_the_request_in_every_dialect(house, provider):
    """The arm of Gemini has no model here, so it takes part."""
    folder = Path(house.settings.prompts)
    changed = EXPERIMENT.replace("model: other-model, ", "").replace("control: 1", "control: 0.000001")
    (folder / "experiments" / "tone.yaml").write_text(changed)
    house.plane.gateway = replace(house.plane.gateway, prompts=load_folder(folder, house.settings.data_path, UNMOVED))
    provider.answer = provider.json(GEMINI)
    config = {"maxOutputTokens": 99, "temperature": 1.5}
    body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "prompt": PROMPT, "generationConfig": config}
    with house.client() as client:
        assert client.post("/v1beta/models/m:generateContent", json=body, headers={"x-session-id": "s"}).status_code == 200
    assert json.loads(provider.received[0][1])["generationConfig"] == {"maxOutputTokens": 7, "temperature": 0.5}
