"""`tollhouse doctor`: each thing that could keep a gateway from serving is found, with what to do; nothing is changed by looking."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from email.utils import formatdate
from types import SimpleNamespace

import pytest
import yaml

from gateway import examining
from gateway.cli import doctor
from gateway.config import Settings
from gateway.installation import open_keys
from gateway.rehearsal import RunningRehearsal
from gateway.settings_sources import advice, read
from tests.ports import free_port

UPSTREAM = "upstreams:\n  one: {dialect: openai.chat, base_url: '%s/v1', key: {env: DOCTORS_KEY}}\n"
PLACES = "listen: 127.0.0.1:%d\nadmin: 127.0.0.1:%d\n"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("TOLLHOUSE_", "OTEL_", "OPENAI_", "ANTHROPIC_", "GEMINI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DOCTORS_KEY", "sk-made-up-doctor-key-01")


@pytest.fixture(scope="module")
def provider():
    with RunningRehearsal("rehearsal: 1\nscenes: [{turns: [{text: hello}]}]\n") as running:
        yield running


@pytest.fixture
def examined(tmp_path, provider):
    def look(more: str = "", *, offline: bool = True, places: str | None = None) -> dict[str, list[examining.Finding]]:
        file = tmp_path / "tollhouse.yaml"
        where = PLACES % (free_port(), free_port()) if places is None else places
        file.write_text("data: data\n" + where + UPSTREAM % provider.url + more)
        found: dict[str, list[examining.Finding]] = {}
        for each in doctor.examine(file, None, offline=offline):
            found.setdefault(each.about, []).append(each)
        return found

    return look


def worst(found: list[examining.Finding]) -> examining.Finding:
    return max(found, key=lambda each: ("ok", "warning", "error").index(each.level))


def test_a_sound_installation_has_no_errors_and_its_provider_is_sent_nothing(examined, provider, tmp_path):
    provider.reset()
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text("policy: 1\nid: p\nagents: ['*']\nallow: [look]\n")
    found = examined("policies: policies\n", offline=False)
    for about in ("versions", "settings", "policies", "keys", "addresses", "state", "ledger", "telemetry", "providers", "clock"):
        assert worst(found[about]).level == "ok", found[about]
    assert "sk-made-up" not in repr(found)
    assert all("authorization" not in request.headers and not request.body for request in provider.requests())
    assert not (tmp_path / "data" / "secret").exists()


def test_without_policies_it_only_observes_and_that_is_said(examined):
    assert (worst(examined()["policies"]).level, worst(examined()["policies"]).do) == ("warning", "write policies: tollhouse init")


def test_a_variable_that_nothing_reads_is_a_warning(examined, monkeypatch):
    monkeypatch.setenv("TOLLHOUSE_WORKER", "3")
    found = worst(examined()["settings"])
    assert (found.level, found.said) == ("warning", "nothing reads the variable TOLLHOUSE_WORKER; did you mean TOLLHOUSE_WORKERS?")


@pytest.mark.parametrize(
    ("url", "named", "vendor"),
    [
        ("https://api.x.ai/v1", "", "xai"), ("https://openrouter.ai/api/v1", "", "openrouter"),
        ("https://mine.openai.azure.com/openai/v1", "", "azure"),
        ("https://api.x.ai/v1", ", provider: xai", None), ("https://api.openai.com/v1", "", None), ("https://notapi.x.ai/v1", "", None),
    ],
)  # fmt: skip
def test_a_known_provider_that_is_not_named_is_a_warning(url, named, vendor):
    text = f"upstreams: {{up: {{dialect: openai.chat, base_url: '{url}'{named}}}}}"
    told = advice(Settings.model_validate(yaml.safe_load(text)), {})
    assert [f"'up' is not known as {vendor}" in each and f"'provider: {vendor}'" in each for each in told] == ([True] if vendor else [])


UPSTREAMS = """
upstreams:
  a: {dialect: [openai.chat, openai.responses], base_url: 'https://a/v1'}
  b: {dialect: openai.chat, base_url: 'https://b/v1'}
  c: {dialect: anthropic.messages, base_url: 'https://c/v1'}
"""


@pytest.mark.parametrize(
    ("routes", "never"),
    [
        ("{models: ['*'], upstream: a}, {models: [gpt-5], upstream: b}, {models: ['*'], upstream: c}", ["routes[1] (models gpt-5)"]),
        ("{models: ['gpt-*'], upstream: a}, {models: ['gpt-5*', o3], upstream: b}, {models: ['*'], upstream: c}", []),
        ("{models: ['gpt-*'], upstream: a}, {models: [o3], upstream: b}, {models: [o3, 'gpt-5*'], upstream: b}, {models: [x], upstream: c}",
         ["routes[2] (models o3, gpt-5*)"]),
        ("{models: ['*'], upstream: b}, {models: [gpt-5], targets: [{upstream: b}, {upstream: a}]}, {models: ['*'], upstream: c}", []),
        ("{models: ['gpt-?'], upstream: a}, {models: ['gpt-*'], upstream: b}, {models: ['*'], upstream: c}", []),
        ("{models: ['[5]*'], upstream: a}, {models: ['[5]-b'], upstream: b}, {models: ['*'], upstream: c}", ["routes[1] (models [5]-b)"]),
        ("{models: [gpt-5], upstream: a}, {models: [gpt-5], upstream: b}, {models: ['*'], upstream: c}", ["routes[1] (models gpt-5)"]),
    ],
)  # fmt: skip
def test_a_route_that_others_leave_nothing_to_is_a_warning(routes, never):
    told = advice(Settings.model_validate(yaml.safe_load(f"{UPSTREAMS}routes: [{routes}]")), {})
    assert [each.partition(" is never taken: routes[")[0] for each in told] == never


@pytest.mark.parametrize(
    ("more", "unused"),
    [
        ("routes: [{models: ['*'], upstream: a}, {models: ['*'], targets: [{upstream: c}], mirror: {upstream: b}}]", []),
        ("routes: [{models: ['*'], upstream: a}]\npass_through: [{upstream: c, routes: [GET /files]}]", ["b"]),
        ("routes: [{models: ['*'], upstream: a}]", ["b", "c"]),
        ("routes: []", []),
    ],
)
def test_an_upstream_that_nothing_leads_to_is_a_warning(more, unused):
    told = advice(Settings.model_validate(yaml.safe_load(UPSTREAMS + more)), {})
    assert [each for each in told if "nothing is ever sent" in each] == [
        f"nothing is ever sent to the upstream '{name}': it is in none of the 'routes'" for name in unused
    ]


def test_a_policy_with_a_mistake_is_an_error_at_its_place(examined, tmp_path):
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text("policy: 1\nid: p\nallows: [x]\n")
    told = worst(examined("policies: policies\n")["policies"])
    assert told.level == "error"
    assert "p.yaml:3" in told.said


def test_a_key_that_is_not_there_is_an_error(examined, monkeypatch):
    monkeypatch.delenv("DOCTORS_KEY")
    assert "variable DOCTORS_KEY holds no key" in worst(examined()["keys"]).said


def test_a_key_of_an_agent_where_a_provider_s_belongs_is_an_error(examined, monkeypatch, tmp_path):
    monkeypatch.setenv("DOCTORS_KEY", f"th_aaaaaaaa_{43 * 'b'}")
    assert worst(examined()["keys"]).level == "ok"  # another gateway may stand there
    assert not (tmp_path / "data").exists()
    own = open_keys(Settings(data=str(tmp_path / "data")))
    monkeypatch.setenv("DOCTORS_KEY", own.create(agent="bot", now_us=time.time_ns() // 1000))
    found = worst(examined()["keys"])
    assert (found.level, "made for an agent" in found.said, "th_" in found.said) == ("error", True, False)


def test_a_key_file_that_others_can_read_is_an_error(examined, tmp_path):
    (tmp_path / "key").write_text("word")
    (tmp_path / "key").chmod(0o644)
    told = examined(f"  two: {{dialect: openai.chat, base_url: 'http://127.0.0.1:9', key: {{file: {tmp_path / 'key'}}}}}\n")["keys"]
    assert "chmod 600" in worst(told).said


def test_a_provider_that_is_away_is_an_error(examined):
    found = examined(f"  two: {{dialect: openai.chat, base_url: 'http://127.0.0.1:{free_port()}'}}\n", offline=False)
    assert [each.level for each in found["providers"]] == ["ok", "error"]
    assert "providers" not in examined()


def test_an_address_in_use_is_an_error_unless_it_is_this_gateways_own(examined, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = worst(examined(places=PLACES % (port, free_port()))["addresses"])
        assert (told.level, "listen" in told.said) == ("error", True)
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / "run.json").write_text(json.dumps({"listen": f"http://127.0.0.1:{port}", "admin": "x"}))
        assert "this gateway is running" in examined(places=PLACES % (port, free_port()))["addresses"][0].said


def test_a_collector_that_is_away_is_a_warning_and_a_secret_that_is_not_there_an_error(examined):
    found = examined(f"telemetry: {{endpoint: 'http://127.0.0.1:{free_port()}', headers: {{authorization: {{env: NOT_THERE}}}}}}\n")
    assert [each.level for each in found["telemetry"]] == ["error", "warning"]


@pytest.mark.parametrize("signal", ["TRACES", "METRICS"])
def test_a_collector_that_only_a_signals_own_variable_names_is_looked_for_too(examined, monkeypatch, signal):
    port = free_port()
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", f"http://127.0.0.1:{port}/v1/{signal.lower()}")
    assert [(each.level, f"127.0.0.1:{port}" in each.said) for each in examined()["telemetry"]] == [("warning", True)]


def test_settings_that_cannot_be_read_are_told_and_the_rest_is_left_out(tmp_path):
    (tmp_path / "tollhouse.yaml").write_text("listne: 1\n")
    found = doctor.examine(tmp_path / "tollhouse.yaml", None, offline=True)
    assert {each.about for each in found} == {"versions", "startup files", "settings"}
    assert found[-1].level == "error"
    assert "tollhouse.yaml:1" in found[-1].said


ANOTHER = "  two: {dialect: anthropic.messages, base_url: 'http://127.0.0.1:9'}\n"
TWO_TARGETS = ANOTHER + "routes: [{models: [m], targets: [{upstream: one}, {upstream: two}]}]\n"


def test_routes_can_be_followed_where_litellm_is_installed(examined):
    assert [each.said for each in examined()["routes"]] == ["none: each dialect goes to the first provider that speaks it"]
    assert [each.said for each in examined(TWO_TARGETS)["routes"]] == ["1, and all can be followed"]


def test_a_route_that_needs_a_translation_is_an_error_where_litellm_is_not_installed(examined, monkeypatch):
    monkeypatch.setitem(sys.modules, "litellm", None)
    [told] = examined(TWO_TARGETS)["routes"]
    assert told.level == "error"
    assert "routes[0] (m) leads clients that speak openai.chat to the upstream 'two'" in told.said
    [told] = examined("routes: [{models: [m], upstream: one}]\n")["routes"]
    assert told.level == "warning"
    assert "m is not served in anthropic.messages" in told.said


CONVERSE = "  aws: {dialect: openai.chat, base_url: 'http://127.0.0.1:9', key: {env: NOBODYS}, platform: {bedrock: {region: us-east-1}}}\n"


def test_a_cloud_that_is_asked_in_another_dialect_is_an_error_where_litellm_is_not_installed_also_without_routes(examined, monkeypatch):
    assert [each.level for each in examined(CONVERSE)["routes"]] == ["ok"]
    monkeypatch.setitem(sys.modules, "litellm", None)
    [told] = examined(CONVERSE)["routes"]
    assert told.level == "error"
    assert "upstreams.aws is asked in aws.converse for what is asked for in openai.chat" in told.said


def test_litellm_may_be_left_out_where_its_prices_were_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(examining, "_installed", lambda name: name != "litellm")
    monkeypatch.setattr(examining.metadata, "version", lambda name: "1.0")
    monkeypatch.setattr(examining.prices, "price_file", lambda: None)
    assert [each.said for each in examining.versions(["litellm"]) if each.level == "error"] == ["not installed: litellm"]
    monkeypatch.setattr(examining.prices, "price_file", lambda: tmp_path / "litellm-1.0.json")
    assert [each.level for each in examining.versions(["litellm"])] == ["ok"]


def test_it_says_which_prices_count_and_whether_they_can_be_read(tmp_path):
    (told,) = examining.priced(Settings())
    assert told.level == "ok"
    assert re.fullmatch(r"\d{4} models in litellm [\d.]+ sha256:\w{12}", told.said)
    (told,) = examining.priced(Settings(price_table=str(tmp_path / "gone.json")))
    assert (told.level, "No such file" in told.said) == ("error", True)
    (told,) = examining.priced(Settings(prices={"m": {"imput": "1"}}))
    assert (told.level, "write one of input" in told.said) == ("error", True)


def test_a_ledger_of_a_fleet_wants_its_extensions(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (told,) = examining.extensions(Settings(ledger="ducklake:postgres:dbname=x host=h;data=s3://bucket/x"))
    assert (told.level, told.do) == ("error", "run: pip install 'tollhouse[fleet]'")
    assert "httpfs" in told.said


def test_a_catalogue_that_cannot_be_reached_is_told_and_keeps_nobody_from_serving():
    pytest.importorskip("duckdb_extension_postgres")
    where = f"dbname=fleet host=127.0.0.1 port={free_port()}"
    (told,) = doctor.catalogue(Settings(ledger=f"ducklake:postgres:{where};data=/srv/lake"))
    assert (told.about, told.level) == ("ledger", "warning")
    assert "Connection refused" in told.said
    assert "records stay in the journal" in told.do
    assert list(doctor.catalogue(Settings())) == []


@pytest.mark.parametrize(
    ("asked", "level", "said"),
    [
        (["httpx>=0.1", "httpx<1; python_version < '3'", "nobody-has-this; extra == 'test'"], "ok", "tollhouse"),
        (["httpx>=0.1", "httpx!=0.*,<99"], "warning", "is not one that this version was tried with (!=0.*,<99)"),
        (["httpx<0.1", "nobody-has-this>=1"], "error", "not installed: nobody-has-this"),
    ],
)
def test_a_package_in_a_version_that_was_not_asked_for_is_told(asked, level, said):
    told = list(examining.versions(asked))
    assert worst(told).level == level
    assert said in worst(told).said
    assert all(each.do for each in told if each.level != "ok")


@pytest.mark.parametrize(
    ("name", "text", "level"),
    [("evil.pth", "import os; os.system('x')\n", "warning"), ("evil.pth", "/some/folder\n", "ok"), ("evil.pth", "# import\n", "ok"),
     ("evil.pth", "/folder\nimport\tos\n", "warning"), ("distutils-precedence.pth", "import os\n", "ok"), ("x.txt", "import os\n", "ok")],
)  # fmt: skip
def test_a_file_that_runs_at_every_start_of_python_is_told(tmp_path, name, text, level):
    (tmp_path / name).write_text(text)
    (told,) = examining.startup_files([tmp_path])
    assert told.level == level


@pytest.mark.parametrize(("off", "level"), [(0, "ok"), (-120, "warning"), (120, "warning"), (-90_000, "error")])
def test_a_clock_that_is_off_is_told(off, level):
    now = time.time()
    (told,) = examining.clock("one", {"date": formatdate(now + off, usegmt=True)}, now)
    assert told.level == level
    assert list(examining.clock("one", {"date": "no date"}, now)) == []
    assert list(examining.clock("one", {}, now)) == []


def test_a_full_disk_and_one_that_cannot_be_written_are_errors(examined, monkeypatch, tmp_path):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=50 * 1024**2))
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: (_ for _ in ()).throw(OSError(13, "Permission denied")))
    told = examined()["disk"]
    assert [each.level for each in told] == ["error", "error"]
    assert "Permission denied" in told[1].said


def run(folder, *arguments):
    command = [sys.executable, "-m", "gateway.cli.main", "doctor", "--offline", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


def test_the_command_prints_what_to_do_and_exits_by_it(tmp_path, provider):
    (tmp_path / "tollhouse.yaml").write_text(PLACES % (free_port(), free_port()) + UPSTREAM % provider.url)
    done = run(tmp_path)
    assert (done.returncode, "→ write policies: tollhouse init" in done.stdout) == (0, True), done.stderr
    told = json.loads(run(tmp_path, "--json").stdout)
    assert {"about", "level", "said", "do"} == set(told[0])
    (tmp_path / "tollhouse.yaml").write_text("data: x\n")
    done = run(tmp_path)
    assert (done.returncode, "there is no provider to talk to" in done.stdout) == (1, True)


def test_the_state_store_that_cannot_be_reached_is_an_error():
    (told,) = examining.state(read(None, {}).model_copy(update={"state": f"redis://127.0.0.1:{free_port()}/0"}))
    assert told.level == "error"
