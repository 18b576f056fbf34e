"""Starting, refusing to start and reloading: the gateway as its own processes."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import gateway
from gateway.demo.stage import RunningGateway, settings_for
from gateway.errors import StartError
from gateway.face import first_login
from tests.patience import PATIENCE_S, until
from tests.processes.starting import POLICY, ask, lives, refusal


def test_binding_to_the_network_without_a_key_is_refused(folder, provider):
    said = refusal(folder, settings_for(provider.base_url, listen="0.0.0.0:0"))
    assert "tollhouse keys create" in said


def test_binding_to_the_network_where_keys_are_required_lets_nobody_in_until_there_is_one(folder, provider):
    with RunningGateway(folder, settings_for(provider.base_url, listen="0.0.0.0:0", keys="required")) as gateway:
        assert ask(gateway).status_code == 401
        key = gateway.create_key("bot")
        assert ask(gateway, headers={"authorization": f"Bearer {key}"}).status_code == 200


def test_binding_to_the_network_with_optional_keys_is_refused_even_when_there_are_keys(folder, provider):
    with RunningGateway(folder, settings_for(provider.base_url)) as gateway:
        gateway.create_key("bot")
    assert "keys" in refusal(folder, settings_for(provider.base_url, listen="0.0.0.0:0", keys="optional"))


def test_binding_to_the_network_with_a_key_wants_that_key_of_everyone(folder, provider):
    with RunningGateway(folder, settings_for(provider.base_url)) as gateway:
        key = gateway.create_key("bot")
    with RunningGateway(folder, settings_for(provider.base_url, listen="0.0.0.0:0", policies="policies")) as gateway:
        assert ask(gateway).status_code == 401
        assert ask(gateway, headers={"authorization": f"Bearer {key}"}).status_code == 200


def test_an_admin_plane_that_is_bound_everywhere_answers_to_the_address_it_is_reached_at_and_to_no_name(folder, provider):
    with RunningGateway(folder, settings_for(provider.base_url, admin="0.0.0.0:0")) as gateway:
        port = gateway.admin.rpartition(":")[2]
        hosts = {None: 200, "localhost": 200, "127.0.0.3": 421, "evil.example": 421}
        for host, status in hosts.items():
            headers = {"host": f"{host}:{port}"} if host else {}
            assert httpx.get(f"http://127.0.0.2:{port}/livez", headers=headers, trust_env=False).status_code == status, host


@pytest.mark.parametrize("log", ["text", "json"])
def test_who_starts_it_is_told_how_the_first_account_is_made_and_lines_that_are_collected_have_no_secret(folder, provider, log):
    with RunningGateway(folder, settings_for(provider.base_url, log=log)) as gateway:
        token = until(lambda: first_login.read(gateway.data))
        [told] = until(lambda: [line for line in gateway.log.read_text().splitlines() if "pages for people" in line])
        if log == "text":
            assert told.startswith(f"pages for people: {gateway.admin}/ui/begin?token={token}")
        else:
            assert "tollhouse people invite --role admin" in told
            assert token not in gateway.log.read_text()
            assert "REDACTED" not in told


def test_a_ledger_that_somebody_reads_keeps_no_agent_waiting_and_is_followed_when_they_are_done(folder, provider):
    gateway = RunningGateway(folder, settings_for(provider.base_url))
    with gateway:
        assert ask(gateway).status_code == 200
        gateway.awaited("SELECT 1 FROM exchanges", 1)
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(gateway.data / "ledger.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdout.readline() == b"held\n"
        with gateway:
            assert ask(gateway).status_code == 200
            ready = httpx.get(f"{gateway.admin}/readyz", timeout=30, trust_env=False)
            assert ready.status_code == 503
            assert f"in use by process {reader.pid}" in ready.json()["problem"]
            reader.communicate()
            followed(gateway)
            gateway.awaited("SELECT 1 FROM exchanges", 2)


def test_a_question_right_behind_the_start_harms_neither(folder, provider):
    """The question finds no gateway yet, and opens the ledger's file itself."""
    gateway = RunningGateway(folder, settings_for(provider.base_url))
    with gateway:
        assert ask(gateway).status_code == 200
        gateway.awaited("SELECT 1 FROM exchanges", 1)
    question = [sys.executable, "-m", "gateway.cli.main", "sql", "SELECT count(*) FROM exchanges", "--json", "--data", str(gateway.data)]
    (gateway.data / "run.json").unlink(missing_ok=True)
    asking = [subprocess.Popen(question, env=gateway.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    with gateway:
        for each in asking:
            said, wrong = each.communicate(timeout=PATIENCE_S)
            assert each.returncode == 0, wrong
            assert json.loads(said)["rows"] == [[1]]
        assert ask(gateway).status_code == 200
        followed(gateway)
        gateway.awaited("SELECT 1 FROM exchanges", 2)


def followed(gateway) -> None:
    """Once the book has its ledger."""
    until(lambda: httpx.get(f"{gateway.admin}/readyz", timeout=30, trust_env=False).status_code == 200, what="the book is ready")


@pytest.mark.skipif(sys.platform != "linux", reason="systemd's protocol")
@pytest.mark.parametrize("abstract", [False, True])
def test_a_service_manager_is_told_when_it_serves_and_when_it_stops(folder, provider, abstract):
    place = f"@tollhouse-test-{os.getpid()}" if abstract else str(folder / "notify")
    gateway = RunningGateway(folder, settings_for(provider.base_url))
    gateway.environment["NOTIFY_SOCKET"] = place
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{place[1:]}" if abstract else place)
        manager.settimeout(PATIENCE_S)
        with gateway:
            assert manager.recv(100) == b"READY=1"
            assert gateway.ready()
            assert ask(gateway).status_code == 200
        assert manager.recv(100) == b"STOPPING=1"


def test_a_service_manager_that_is_gone_keeps_nothing_from_starting(folder, provider):
    gateway = RunningGateway(folder, settings_for(provider.base_url))
    gateway.environment["NOTIFY_SOCKET"] = str(folder / "nobody")
    with gateway:
        assert ask(gateway).status_code == 200


def test_a_start_that_is_refused_tells_no_manager_that_it_serves(folder, provider):
    (folder / "policies" / "bad.yaml").write_text("policy: 1\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(folder / "notify"))
        manager.settimeout(0)
        refusal(folder, settings_for(provider.base_url, policies="policies"), NOTIFY_SOCKET=str(folder / "notify"))
        with contextlib.suppress(BlockingIOError):
            assert manager.recv(100) == b"STOPPING=1"


def test_a_bad_policy_is_refused_with_its_place(folder, provider):
    (folder / "policies" / "bad.yaml").write_text("policy: 1\nid: q\nagents: ['*']\nallw: [x]\n")
    said = refusal(folder, settings_for(provider.base_url, policies="policies"))
    assert "bad.yaml:4:1" in said
    assert "'allow'" in said


def test_a_policies_folder_without_a_policy_is_refused_not_taken_for_observing(folder, provider):
    (folder / "policies" / "p.yaml").unlink()
    said = refusal(folder, settings_for(provider.base_url, policies="policies"))
    assert "holds no policy" in said
    assert "tollhouse init" in said


@pytest.mark.parametrize("policies", ["nowhere", "policies/p.yaml"])
def test_a_policies_folder_that_is_none_is_refused(folder, provider, policies):
    assert "polic" in refusal(folder, settings_for(provider.base_url, policies=policies))


def test_without_any_provider_it_says_what_to_set(folder):
    settings = settings_for("http://127.0.0.1:1") | {"upstreams": {}}
    assert "OPENAI_API_KEY" in refusal(folder, settings)


def test_a_mistake_in_the_settings_is_named_with_its_line(folder):
    said = refusal(folder, {"tollhouse": 1, "wokers": 2})
    assert "did you mean 'workers'" in said


def test_a_data_folder_that_cannot_be_one_is_refused_with_what_to_do(folder, provider):
    (folder / "taken").write_text("mine")
    for data, why in (("taken", "a file is there"), ("taken/below", "Not a directory"), ("/proc/none", "No such file or directory")):
        said = refusal(folder, settings_for(provider.base_url), TOLLHOUSE_DATA=str(folder / data))
        assert f"cannot use {folder / data} as the data folder: {why}. See to its path and rights, or choose another with --data" in said


def test_a_provider_s_key_that_is_not_there_is_said_at_the_start(folder, provider):
    settings = settings_for(provider.base_url)
    settings["upstreams"]["rehearsed-chat"]["key"] = {"env": "NOBODY_SET_THIS"}
    with RunningGateway(folder, settings) as gateway:
        told = gateway.log.read_text()
    assert "warning: the variable NOBODY_SET_THIS holds no key: requests to the providers that want it fail" in told
    assert told.count("holds no key") == 1


def test_a_key_of_an_agent_is_sent_to_no_provider(folder, provider):
    settings = settings_for(provider.base_url)
    settings["upstreams"]["rehearsed-chat"]["key"] = {"env": "OPENAI_API_KEY"}
    with RunningGateway(folder, settings) as gateway:
        key = gateway.create_key("bot")
    said = refusal(folder, settings, OPENAI_API_KEY=key)
    assert "upstream 'rehearsed-chat': the variable OPENAI_API_KEY holds a key that 'tollhouse keys' made for an agent" in said
    assert key not in said
    other = f"th_aaaaaaaa_{43 * 'b'}"
    gateway = RunningGateway(folder, settings)
    gateway.environment |= {"OPENAI_API_KEY": other}
    with gateway:  # another gateway may stand behind this one
        assert ask(gateway, headers={"authorization": f"Bearer {key}"}).status_code == 200
    settings["upstreams"]["rehearsed-chat"]["base_url"] = "https://api.openai.com/v1"
    assert "holds a key that 'tollhouse keys' made for an agent" in refusal(folder, settings, OPENAI_API_KEY=other)


def test_a_variable_that_nothing_reads_and_a_cache_that_keeps_nothing_are_said_at_the_start(folder, provider):
    settings = settings_for(provider.base_url, storing="metadata", cache={})
    gateway = RunningGateway(folder, settings)
    gateway.environment |= {"TOLLHOUSE_POLICES": "p", "TOLLHOUSE_SERVICE_HOST": "10.0.0.1", "TOLLHOUSE_KEY": "agent's"}
    with gateway:
        told = gateway.log.read_text()
    assert "warning: nothing reads the variable TOLLHOUSE_POLICES; did you mean TOLLHOUSE_POLICIES?" in told
    assert "'cache' keeps answers only of keys that have their content stored" in told
    assert told.count("nothing reads") == told.count("warning: 'cache'") == 1


def test_only_sdks_whose_provider_is_there_are_told_where_to_go(folder, provider):
    settings = settings_for(provider.base_url)
    settings["upstreams"] = {"one": {"dialect": "google.gemini", "base_url": provider.base_url, "key": {"env": "TOLLHOUSE_REHEARSAL_KEY"}}}
    with RunningGateway(folder, settings) as gateway:
        told = gateway.log.read_text()
    assert f"export GOOGLE_GEMINI_BASE_URL={gateway.url}\n" in told
    assert "OPENAI_BASE_URL" not in told


def test_an_address_in_use_is_named(folder, provider):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert address in refusal(folder, settings_for(provider.base_url, listen=address))


def test_nobody_takes_a_port_while_what_listens_there_is_away(folder, provider):
    with RunningGateway(folder, settings_for(provider.base_url)) as gateway:
        for url, kind in ((gateway.admin, "book"), (gateway.url, "worker")):
            host, _, port = url.removeprefix("http://").partition(":")
            (pid,) = gateway.processes()[kind]
            os.kill(pid, signal.SIGKILL)
            until(lambda pid=pid: not lives(pid))
            while not listens(host, int(port)):
                with socket.socket() as stranger:
                    stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    with pytest.raises(OSError, match="in use"):
                        stranger.bind((host, int(port)))


def listens(host: str, port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((host, port)) == 0


def test_a_second_gateway_on_the_same_data_is_refused(folder, provider):
    with RunningGateway(folder, settings_for(provider.base_url)):
        assert "another gateway" in refusal(folder, settings_for(provider.base_url))


def test_a_bad_edit_keeps_the_last_good_policy_and_says_so_everywhere(folder, provider):
    with RunningGateway(folder, settings_for(provider.base_url, policies="policies")) as gateway:
        good = readiness(gateway)["policy"]["hash"]
        (folder / "policies" / "p.yaml").write_text(POLICY + "nonsense: 1\n")
        until(lambda: readiness(gateway)["policy_stale"])
        now = readiness(gateway)
        assert now["policy"]["hash"] == good
        assert "p.yaml:5:1" in now["policy"]["problems"][0]
        assert ask(gateway).status_code == 200
        with pytest.raises(StartError, match="POLICY STALE"):
            gateway.tollhouse("status")
        assert "last good version" in gateway.log.read_text()
        (folder / "policies" / "p.yaml").write_text(POLICY + "rules:\n- {id: never, tools: [get_x]}\n")
        until(lambda: not readiness(gateway)["policy_stale"])
        assert readiness(gateway)["policy"]["hash"] != good
        assert "ready" in gateway.tollhouse("status")
        versions = gateway.awaited("select hash from policy_versions", 2)
        assert good in {row["hash"] for row in versions}


def readiness(gateway) -> dict:
    return httpx.get(f"{gateway.url}/readyz", timeout=PATIENCE_S, trust_env=False).json()


def test_only_workers_know_the_provider_s_keys_and_no_list_of_processes_shows_them(folder, provider):
    with RunningGateway(folder, settings_for(provider.base_url)) as gateway:
        ask(gateway)
        begun = gateway.processes()
        assert {kind for kind, pids in begun.items() if any(knows_key(pid) for pid in pids)} == {"worker"}
        shown = [Path(f"/proc/{pid}/{file}").read_bytes() for pids in begun.values() for pid in pids for file in ("environ", "cmdline")]
        assert not any(b"sk-rehearsal" in each for each in shown)


def knows_key(pid: int) -> bool:
    """Whether it is anywhere in what the process has written to its memory. Looked at anew where a part was let go meanwhile."""
    for _ in range(50):
        try:
            return found_in_memory(pid)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
    raise AssertionError(f"the memory of {pid} does not stand still")


def found_in_memory(pid: int) -> bool:
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, *rest = line.split()
            begin, end = (int(each, 16) for each in place.split("-"))
            if rights.startswith("rw") and "[v" not in rest[-1]:
                memory.seek(begin)
                if b"sk-rehearsal" in memory.read(end - begin):
                    return True
    return False


HEAVY = (
    "duckdb", "grpc", "httpx", "jinja2", "jwt", "litellm", "nanoarrow", "numpy", "opentelemetry", "pandas", "redis", "scipy", "sqlglot",
)  # fmt: skip
"""What a worker that has nothing of it to do must not hold: it has to stay under 80 MiB."""


def test_a_worker_holds_no_duckdb_and_no_litellm(folder, provider):
    with RunningGateway(folder, settings_for(provider.base_url)) as gateway:
        ask(gateway)
        (worker,) = gateway.processes()["worker"]
        assert os.sysconf("SC_PAGE_SIZE") * int(Path(f"/proc/{worker}/statm").read_text().split()[1]) < 76 * 1024**2
        mapped = Path(f"/proc/{worker}/maps").read_text()
        assert re.findall(r"/_?(?:duckdb|tokenizers)[^/]*\.so|/nanoarrow/", mapped) == []
    code = f"import gateway.worker, gateway.preparing, sys; print([m for m in {HEAVY} if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


LATE = ("grpc", "httpx", "jwt", "litellm", "opentelemetry", "redis", "rich", "scipy")
"""What a book needs only when somebody asks for it, or the settings do."""


def test_a_book_begins_without_what_nobody_has_asked_for_yet():
    begun = "gateway.book_process, gateway.face.opening, gateway.privacy, gateway.web.admin, gateway.webhooks, gateway.rollout.watching"
    code = f"import sys, {begun}; print([m for m in {LATE} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_zero_configuration_observes_and_says_so_loudly(tmp_path):
    environment = {
        "PATH": os.environ["PATH"],
        "OPENAI_API_KEY": "sk-canary-zero-config",
        "TOLLHOUSE_LISTEN": "127.0.0.1:0",
    }
    environment |= {"TOLLHOUSE_ADMIN": "127.0.0.1:0", "PYTHONPATH": str(Path(gateway.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli.main", "up"],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        run = tmp_path / ".tollhouse" / "run.json"
        until(run.exists)
        ready = httpx.get(json.loads(run.read_text())["listen"] + "/readyz", trust_env=False, timeout=PATIENCE_S).json()
        assert ready["observing"] is True
    finally:
        process.terminate()
        said = process.communicate(timeout=30)[1]
    assert "OBSERVING ONLY" in said
    assert "openai.chat" in said
    assert process.returncode == 0
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and b"sk-canary-zero-config" in p.read_bytes()]


WITHOUT_LITELLM = "import sys\nsys.modules['litellm'] = None\n"
"""Run by Python before anything else: as where it is not installed."""
CHAT, MESSAGES = {"upstream": "rehearsed-chat"}, {"upstream": "rehearsed-messages"}


def test_a_route_that_needs_a_translation_is_refused_where_litellm_is_not_installed(folder, provider):
    (folder / "sitecustomize.py").write_text(WITHOUT_LITELLM)
    routes = [{"models": ["smart"], "targets": [CHAT, MESSAGES]}]
    paths = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH", ""))))
    said = refusal(folder, settings_for(provider.base_url, routes=routes), PYTHONPATH=paths)
    assert "routes[0] (smart) leads clients that speak openai.chat to the upstream 'rehearsed-messages'" in said
    assert "litellm is not installed" in said


def test_without_litellm_a_gateway_says_what_it_turns_away_and_serves_the_rest(folder, provider, monkeypatch):
    (folder / "sitecustomize.py").write_text(WITHOUT_LITELLM)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH", "")))))
    routes = [{"models": ["gpt-*"], **CHAT}, {"models": ["claude-*"], **MESSAGES}]
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello?"}], "max_tokens": 9}
    with RunningGateway(folder, settings_for(provider.base_url, routes=routes)) as gateway:
        served = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, timeout=PATIENCE_S)
        turned = httpx.post(f"{gateway.url}/v1/messages", json=body, timeout=PATIENCE_S)
    assert served.status_code == 200
    assert (turned.status_code, "Nothing is translated here: litellm is not installed" in turned.text) == (404, True)
    warned = "warning: litellm is not installed, so nothing is translated: gpt-* is not served in anthropic.messages"
    assert warned in gateway.log.read_text()


def test_a_start_that_is_refused_has_begun_nothing(folder, provider):
    (folder / "policies" / "p.yaml").write_text("policy: 1\nid: [")
    assert "p.yaml" in refusal(folder, settings_for(provider.base_url, policies="policies"))
    left = {path.name for path in (folder / ".tollhouse").iterdir()}
    assert not left & {"journal", "ledger.duckdb", "book.lock", "settings.json", "run.json", "admin.token"}
