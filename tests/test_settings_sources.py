"""Settings: file, environment, flags."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from gateway import settings_sources
from gateway.errors import FileProblems, StartError
from gateway.settings_sources import hidden, read


@pytest.fixture
def written(tmp_path):
    def write(text: str):
        file = tmp_path / "tollhouse.yaml"
        file.write_text(text)
        return file

    return write


BUDGET = "{id: x, of: calls, per: key, max: 1, window: day}"
LOCAL = "upstreams:\n  local: {dialect: openai.chat, base_url: 'http://127.0.0.1:9/v1'}\n"


def test_without_a_file_the_environment_s_providers_are_there():
    settings = read(None, {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"})
    assert {name: (up.dialects, up.base_url) for name, up in settings.upstreams.items()} == {
        "openai": (("openai.chat", "openai.responses"), "https://api.openai.com/v1"),
        "anthropic": (("anthropic.messages",), "https://api.anthropic.com/v1"),
    }
    assert settings.upstreams["openai"].key.env == "OPENAI_API_KEY"


def test_without_keys_there_is_no_upstream():
    assert read(None, {}).upstreams == {}


def test_paths_in_the_file_are_relative_to_the_file_and_flags_to_the_working_directory(written, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    file = written(LOCAL + "data: d\npolicies: p\n")
    assert read(file, {}).data == str(tmp_path / "d")
    assert read(file, {}).policies == str(tmp_path / "p")
    assert read(file, {}, {"data": "x"}).data == str(elsewhere / "x")


@pytest.mark.parametrize("key", ["policies", "prompts", "queries", "price_table", "data"])
def test_every_folder_and_file_that_is_named_is_looked_for_beside_the_settings(written, tmp_path, monkeypatch, key):
    monkeypatch.chdir("/")
    assert getattr(read(written(f"{key}: ./here\n"), {}), key) == str(tmp_path / "here")



def test_a_flag_beats_a_variable_and_a_variable_the_file(written):
    file = written(LOCAL + "listen: 127.0.0.1:1\nworkers: 1\n")
    environment = {"TOLLHOUSE_LISTEN": "127.0.0.1:2", "TOLLHOUSE_WORKERS": "3"}
    assert read(file, {}).listen == "127.0.0.1:1"
    assert read(file, environment).listen == "127.0.0.1:2"
    assert read(file, environment).workers == 3
    assert read(file, environment, {"listen": "127.0.0.1:4", "workers": None}).listen == "127.0.0.1:4"
    assert read(file, {"TOLLHOUSE_WORKERS": "auto"}).worker_count >= 1


@pytest.mark.parametrize(
    ("environment", "flags", "said"),
    [
        ({"TOLLHOUSE_LISTEN": "nowhere"}, {}, "TOLLHOUSE_LISTEN: 'nowhere' is no address; write host:port, for example 127.0.0.1:8484"),
        ({"TOLLHOUSE_LISTEN": "[::1]:1"}, {"listen": "nowhere"}, "--listen: 'nowhere' is no address; write host:port"),
        ({}, {"data": ""}, "--data is empty; name a folder, or leave it out"),
        ({"TOLLHOUSE_POLICIES": "p"}, {"policies": ""}, "--policies is empty; name a folder, or leave it out"),
        ({"TOLLHOUSE_WORKERS": "0"}, {}, "TOLLHOUSE_WORKERS: must be from 1 to 256, or auto"),
        ({"TOLLHOUSE_WORKERS": "many"}, {}, "TOLLHOUSE_WORKERS: must be a whole number, not text\nTOLLHOUSE_WORKERS: must be 'auto'"),
        ({"TOLLHOUSE_KEYS": "maybe"}, {}, "TOLLHOUSE_KEYS: must be 'auto', 'required' or 'optional'"),
        ({"TOLLHOUSE_STATE": "nowhere"}, {}, "TOLLHOUSE_STATE: 'nowhere' is no state store"),
    ],
)
def test_a_variable_or_flag_that_cannot_be_used_stops_the_start_and_is_named(environment, flags, said):
    with pytest.raises(StartError) as caught:
        read(None, environment, flags)
    assert str(caught.value).startswith(said)
    assert "pydantic" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("policies:\n# policies\n", "'policies' has no value, and calls would only be recorded"),
        ("policies: ''\n", "'policies' has no value"),
        ("encryption:\n#  keys: keys\n", "'encryption' has no value, and what is kept of content would lie in clear text"),
        ("cache:\n#  ttl: 1h\n", "'cache' has no value, and no answer would be given again"),
        ("prompts:\n", "'prompts' has no value, and no request could name a prompt"),
        ("queries:\n", "'queries' has no value, and no question of your own would be there"),
        ("price_table:\n", "'price_table' has no value, and the installed table's prices would count"),
        ("looked_at:\n# - card\n", "'looked_at' has no value, and answers would be looked through for what is the default"),
    ],
)
def test_a_key_whose_value_is_gone_is_not_left_out_in_silence(written, text, said):
    with pytest.raises(FileProblems) as caught:
        read(written(text), {})
    [problem] = caught.value.problems
    assert (problem.line, problem.column) == (1, 1)
    assert problem.message.startswith(said)


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("agents: {agent: azp, names: }", "names"),
        ("agents: {agent: azp, team: }", "team"),
        ("people: {groups: groups, roles: {ops: [admin]}, teams: }", "teams"),
    ],
)
def test_what_is_asked_of_tokens_is_not_dropped_with_its_value(written, section, key):
    """Without `names` a token names its agent itself; without `teams` people see everybody's."""
    issuer = "name: sso, issuer: https://sso.example, audience: tollhouse, keys: https://sso.example/keys"
    text = f"issuers:\n- {{{issuer}, {section}}}\n"
    with pytest.raises(FileProblems) as caught:
        read(written(text), {})
    assert [(one.line, one.message.split(",")[0]) for one in caught.value.problems] == [(2, f"'{key}' has no value")]


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(StartError, match="tollhouse init"):
        read(tmp_path / "tollhouse.yaml", {})


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("lisen: 127.0.0.1:1\n", 1, "did you mean 'listen'"),
        (LOCAL + "routes:\n- {models: [a], upstream: other}\n", 4, "which is not under 'upstreams'"),
        (LOCAL + "routes:\n- models: [a]\n  targets:\n  - {upstream: locla}\n", 6, "did you mean 'local'"),
        (LOCAL + "routes:\n- models: [a]\n  upstream: local\n  mirror:\n    upstream: other\n", 7, "which is not under 'upstreams'"),
        (LOCAL + "pass_through:\n- {routes: [POST /v1/x], upstream: other}\n", 4, "which is not under 'upstreams'"),
        (f"budgets:\n- {BUDGET}\n- {BUDGET}\n", 3, "two budgets are called 'x'"),
        ("cache:\n  per: key\n  store: redis\n", 3, "name a server there"),
        ("upstreams:\n  a: {dialect: openai.chat, base_url: 'https://x', key: sk-1}\n", 2, "{env: VARIABLE} or {file: path}"),
        ("upstreams:\n  a: {dialect: openai.chat, base_url: 'http://example.com'}\n", 2, "clear text"),
        ("upstreams:\n  a: {dialect: openai.chat, base_url: 'https://u:p@example.com'}\n", 2, "user name"),
        ("upstreams:\n  a: {dialect: openai.chat, base_url: 'ftp://x'}\n", 2, "http:// or https://"),
        ("upstreams:\n  a: {dialect: smtp, base_url: 'https://x'}\n", 2, "openai.chat"),
        ("upstreams:\n  a: {dialect: openai.chat, base_url: 'https://x', key: {env: A, file: b}}\n", 2, "exactly one"),
        ("listen: nowhere\n", 1, "host:port"),
        ("listen: 127.0.0.1:99999\n", 1, "host:port"),
        ("workers: 0\n", 1, "from 1 to 256"),
        ("timeouts: {idle: -1}\n", 1, "greater than 0"),
        ("", 1, ""),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(written, text, line, said):
    with pytest.raises(FileProblems) as caught:
        read(written(text), {})
    problem = caught.value.problems[0]
    assert said in problem.message
    assert line is None or problem.line == line


PLANTED = "sk-Pl4ntedPl4ntedPl4nted"
PLACES = [
    "key: PLANTED", "key: 'PLANTED with \"quotes\"'", '"key": "PLANTED', "key: [PLANTED]", "key: {sk: PLANTED}", "key: {PLANTED}",
    "key: {env: PLANTED, file: b}", "key: !x PLANTED", "key: >-\n      PLANTED", "key:\n      PLANTED", "key:\n\n      - PLANTED",
    "api_key: PLANTED", "openai: PLANTED", "PLANTED", "base_url: 'https://user:PLANTED@x'", "base_url: https:/user:PLANTED@x",
    "base_url: https://x/PLANTED?y", "workers: 2 # key: PLANTED", "more: {a: 'PLANTED'}", "dialect: PLANTED",
]  # fmt: skip
"""Of an upstream."""


@pytest.mark.parametrize(
    "text",
    [
        *(f"upstreams:\n  a:\n    extra: 1\n    {place}\n" for place in PLACES),
        *(f"upstreams:\n  a: {{dialect: smtp, {place}}}\n" for place in PLACES if "\n" not in place),
        "state: redis//:PLANTED@x\n",
        "state: {url: 'redis//:PLANTED@x'}\n",
        "state: {url: 'redis://:PLANTED@x/0', password: PLANTED}\n",
        "ledger: 'ducklake:postgres:password=PLANTED'\n",
        "telemetry: {headers: {authorization: Bearer PLANTED}}\n",
        "telemetry:\n  headers:\n    authorization:\n      Bearer PLANTED\n",
        "telemetry:\n  scrape_token: PLANTED\n",
        "encryption:\n  keys: [PLANTED]\n",
        "issuers:\n- sign_in: {secret: PLANTED, client: x}\n",
        "approvals: {webhooks: [{url: 'http://hooks.example/PLANTED', secret: {env: A}}]}\n",
    ],
)
def test_a_secret_that_was_written_into_the_settings_is_not_shown(written, text):
    with pytest.raises(FileProblems) as caught:
        read(written(text.replace("PLANTED", PLANTED)), {})
    assert PLANTED not in str(caught.value)


@pytest.mark.parametrize("place", ["key: hunter2", "key: 'hunter2", "key: [hunter2]", "key:\n      hunter2", "dialect: smtp, key: hunter2"])
def test_where_a_key_is_named_not_even_a_word_is_shown(written, place):
    text = f"upstreams:\n  a: {{{place}}}\n" if "," in place else f"upstreams:\n  a:\n    {place}\n"
    with pytest.raises(FileProblems) as caught:
        read(written(text), {})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["STATE", "LEDGER", "LISTEN"])
def test_a_secret_in_a_variable_that_cannot_be_used_is_not_shown(name):
    with pytest.raises(StartError) as caught:
        read(None, {f"TOLLHOUSE_{name}": f"redis//:{PLANTED}@x"})
    assert PLANTED not in str(caught.value)


@pytest.mark.parametrize("line", ["workers: 0", "  key:", "url: https://x/y", "dialect: openai.caht", "- {models: [gpt-4o], upstream: a}"])
def test_what_shows_no_secret_is_shown(line):
    assert hidden(line) == line


def test_what_is_hidden_is_as_wide_as_it_was():
    assert hidden("a: {url: 'https://u:p@x', key: sk-123}") == "a: {url: 'https://***@x', key: *******"


@pytest.mark.parametrize("name", ["limits", "timeouts", "snapshots", "retention", "journal", "heads"])
def test_the_example_shows_a_section_as_it_is_when_it_is_left_out(name):
    example = (Path(__file__).parents[1] / "deploy" / "tollhouse.yaml").read_text()
    shown = re.search(rf"^# ({name}: {{[^}}]*}})", example, re.MULTILINE)[1].replace("\n#", "")
    assert yaml.safe_load(shown)[name] == getattr(read(None, {"OPENAI_API_KEY": "k"}), name).model_dump()


def test_the_example_names_every_variable_that_says_a_setting():
    head = (Path(__file__).parents[1] / "deploy" / "tollhouse.yaml").read_text().partition("\ntollhouse: 1")[0]
    assert set(re.findall(r"(?:TOLLHOUSE)?_([A-Z]+)\b", head)) == {name.upper() for name in (*settings_sources.VARIABLES, "workers")}
