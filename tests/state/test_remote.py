"""What is said of a server before a start: refused when it cannot work, a warning when it may forget."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.config import Settings
from gateway.errors import GatewayError, StartError
from gateway.installation import (
    _stores,
    look_at_state,
    open_approvals,
    open_belongings,
    open_issued,
    open_keys,
    open_limits,
    open_sessions,
)
from gateway.policy.limits import Charge
from gateway.state.approvals import Approval, Bindings, Ruling
from gateway.state.belongings import Belonging
from gateway.state.data_keys import DataKey
from gateway.state.sessions import Denial
from tests.patience import until
from tests.ports import free_port

NOW = 1_700_000_000_000_000
PASSWORD = "made-up-word-for-tests"


def settings(folder, url, **more) -> Settings:
    return Settings.model_validate({"data": str(folder), "state": url, **more})


def test_a_server_that_forgets_at_its_restart_is_warned_of(tmp_path, redis_server):
    [warning] = look_at_state(settings(tmp_path, redis_server.url()))
    assert "writes no append-only file" in warning
    assert "Set 'appendonly yes'" in warning


def test_a_server_that_throws_keys_away_is_warned_of_and_one_that_keeps_everything_is_not(tmp_path, own_redis_server):
    own_redis_server.kill()
    own_redis_server.start("--appendonly", "yes", "--maxmemory-policy", "allkeys-lru")
    [warning] = look_at_state(settings(tmp_path, own_redis_server.url()))
    assert "maxmemory-policy allkeys-lru" in warning
    own_redis_server.kill()
    own_redis_server.start("--appendonly", "yes")
    assert look_at_state(settings(tmp_path, own_redis_server.url())) == []


def test_sqlite_needs_no_look(tmp_path):
    assert look_at_state(Settings(data=str(tmp_path))) == []


def test_a_machine_that_keeps_its_state_itself_loads_no_client_of_a_server():
    program = "import sys, gateway.worker, gateway.book, gateway.supervisor, gateway.preparing; sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_server_that_does_not_answer_keeps_the_gateway_from_starting(tmp_path, own_redis_server):
    own_redis_server.kill()
    with pytest.raises(StartError, match=f"redis://127.0.0.1:{own_redis_server.port}/0 cannot be reached.*change 'state'"):
        look_at_state(settings(tmp_path, own_redis_server.url()))


def test_a_server_that_knows_no_tls_cannot_be_reached_by_rediss(tmp_path, redis_server):
    with pytest.raises(StartError, match="cannot be reached"):
        look_at_state(settings(tmp_path, redis_server.url().replace("redis://", "rediss://")))


SIGNS = x509.KeyUsage(
    digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
    key_cert_sign=True, crl_sign=False, encipher_only=False, decipher_only=False,
)  # fmt: skip


def signed(folder: Path) -> dict[str, Path]:
    """A certificate of this machine and the authority that signed it, as files."""
    now, word = datetime.now(UTC), lambda text: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
    end = now + timedelta(days=1)
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "server")}
    made = {}
    for name, key in keys.items():
        builder = x509.CertificateBuilder(word("ca"), word(name), key.public_key(), x509.random_serial_number(), now, end)
        builder = builder.add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
        if name == "ca":  # from Python 3.13 on, an authority says what its key is for, and a certificate whose key has signed it
            builder = builder.add_extension(SIGNS, critical=True)
            builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        else:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
            signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(keys["ca"].public_key())
            builder = builder.add_extension(signer, critical=False)
        made[name] = folder / f"{name}.pem"
        made[name].write_bytes(builder.sign(keys["ca"], hashes.SHA256()).public_bytes(Encoding.PEM))
    made["key"] = folder / "key.pem"
    made["key"].write_bytes(keys["server"].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return made


def test_rediss_is_tls_with_a_certificate_that_is_checked(tmp_path, own_redis_server):
    files = signed(tmp_path)
    plain = own_redis_server.url().partition("?")[2]
    port = str(free_port())
    own_redis_server.kill()
    tls = ["--tls-cert-file", str(files["server"]), "--tls-key-file", str(files["key"]), "--tls-auth-clients", "no"]
    own_redis_server.start("--tls-port", port, *tls)
    url = f"rediss://127.0.0.1:{port}/0?{plain}"
    with pytest.raises(StartError, match=r"cannot be reached.*certificate verify failed"):
        look_at_state(settings(tmp_path, url))
    trusting = settings(tmp_path, {"url": url, "ca": str(files["ca"])})
    assert len(look_at_state(trusting)) == 1
    token = open_keys(trusting).create(agent="a", now_us=1)
    assert open_keys(trusting).find(token, 1).agent == "a"


def test_a_replica_is_refused(tmp_path, redis_server, own_redis_server):
    own_redis_server.kill()
    own_redis_server.start("--replicaof", "127.0.0.1", str(redis_server.port))
    with pytest.raises(StartError, match="is a replica and takes no changes; name the primary"):
        look_at_state(settings(tmp_path, own_redis_server.url()))


def test_a_password_comes_from_where_the_settings_say(tmp_path, own_redis_server, monkeypatch):
    own_redis_server.kill()
    own_redis_server.start("--requirepass", PASSWORD)
    url = own_redis_server.url()
    with pytest.raises(StartError, match="wants another user or password"):
        look_at_state(settings(tmp_path, url))
    told = settings(tmp_path, {"url": url, "password": {"env": "REDIS_WORD"}})
    with pytest.raises(StartError, match=r"state.password is to be found in the variable REDIS_WORD, and nothing is there"):
        look_at_state(told)
    monkeypatch.setenv("REDIS_WORD", "another")
    with pytest.raises(StartError, match="wants another user or password"):
        look_at_state(told)
    monkeypatch.setenv("REDIS_WORD", PASSWORD)
    assert len(look_at_state(told)) == 1
    file = tmp_path / "word"
    file.write_text(PASSWORD + "\n")
    file.chmod(0o600)
    assert len(look_at_state(settings(tmp_path, {"url": url, "password": {"file": str(file)}}))) == 1
    assert PASSWORD not in told.model_dump_json()


def use_all(kept: Settings) -> None:
    """One step of every store."""
    token = open_keys(kept).create(agent="a", now_us=NOW)
    assert open_keys(kept).find(token, NOW).agent == "a"
    assert open_keys(kept).revoke(token.split("_")[1], NOW)
    limits, people, sessions = open_limits(kept), open_approvals(kept), open_sessions(kept)
    limits.give_back(limits.take([Charge("p", "l", "calls", ("a",), 1, 9, 10**6), Charge("p", "s", "calls", ("a",), 1, 9, 0)], NOW).taken)
    asked = Approval("apr_1", NOW, NOW + 10**9, Bindings("o", "s", "a"), "a", "s", "pay", "{}", "p", "r", "why", "d", "x")
    people.ask(asked, 9)
    people.rule("apr_1", Ruling(True, "ann", NOW, NOW + 10**9, scope="agent"))
    people.recorded(people.unrecorded(9))
    people.told(people.untold(9))
    assert people.ask(asked, 9).state == "approved"
    assert people.erase("agent:a", None) + people.expire(NOW) in (0, 1)
    sessions.denied(Denial("o", "s", "a", None, None, NOW, "p", "r", "x", "d"), most=1)
    sessions.recorded(sessions.unrecorded(9))
    assert sessions.resume("o", "s", by="eve", at_us=NOW)
    open_issued(kept).keep("ada", [b"a"], NOW)
    assert open_issued(kept).known("ada", [b"a"]) == {b"a"}
    belongings, mine = open_belongings(kept), Belonging("response", "resp_1", "ada", "up", NOW)
    belongings.keep("d", [mine, mine])
    assert belongings.settle("d", "response", "resp_1")
    belongings.forget("d", "response", "resp_1")
    data_keys = _stores(kept).data_keys()
    key, _ = data_keys.take("t", "u", NOW, lambda: DataKey("dk1", "t", "u", b"w", NOW))
    data_keys.rewrap(key)
    assert data_keys.erase("t", "u", NOW) == ["dk1"]
    data_keys.noted(["dk1"])
    assert (data_keys.every(), data_keys.find("dk1")) == ([], None)


def test_a_user_with_the_rights_that_the_documentation_names_can_do_all_of_it(tmp_path, own_redis_server, monkeypatch):
    [rights] = re.findall(r"^  `(~[^`]*)`", (Path(__file__).parents[2] / "deploy" / "README.md").read_text(), re.MULTILINE)
    monkeypatch.setenv("REDIS_WORD", PASSWORD)
    own_redis_server.kill()
    own_redis_server.start("--appendonly", "yes")
    with _stores(settings(tmp_path, own_redis_server.url())).line.asking("") as redis:
        redis.execute_command("ACL", "SETUSER", "tollhouse", "on", f">{PASSWORD}", *rights.split())
        redis.execute_command("ACL", "SETUSER", "default", "off")
    url = f"redis://tollhouse@127.0.0.1:{own_redis_server.port}/0"
    kept = settings(tmp_path, {"url": url, "password": {"env": "REDIS_WORD"}})
    assert look_at_state(kept) == []
    use_all(kept)
    with pytest.raises(StartError, match=r"(?i)no permissions"):
        look_at_state(settings(tmp_path, {"url": url + "?prefix=another", "password": {"env": "REDIS_WORD"}}))


def test_a_cluster_of_one_shard_holds_all_of_it(tmp_path, own_redis_server):
    own_redis_server.kill()
    own_redis_server.start("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    kept = settings(tmp_path, own_redis_server.url())
    with _stores(kept).line.asking("") as redis:
        redis.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        until(lambda: b"cluster_state:ok" in redis.execute_command("CLUSTER", "INFO"))
    look_at_state(kept)
    use_all(kept)


def test_a_primary_that_became_a_replica_is_unavailable_until_it_is_primary_again(tmp_path, redis_server, own_redis_server):
    kept = settings(tmp_path, own_redis_server.url())
    limits, one = open_limits(kept), Charge("p", "l", "calls", ("a",), 1, 9, 10**6)
    assert limits.take([one], NOW).taken
    with _stores(kept).line.asking("") as redis:
        redis.replicaof("127.0.0.1", redis_server.port)
    with pytest.raises(GatewayError, match="what the limits have counted"):
        limits.take([one], NOW)
    with _stores(kept).line.asking("") as redis:
        redis.replicaof("NO", "ONE")
    assert limits.take([one], NOW).taken


def test_machines_with_different_secrets_do_not_share_a_server_and_those_with_one_do(tmp_path, redis_server):
    url = redis_server.url()
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    look_at_state(settings(first, url))
    look_at_state(settings(first, url))
    with pytest.raises(StartError, match=r"state of another installation.*copy the file 'secret'.*prefix=name"):
        look_at_state(settings(second, url))
    assert not (second / "secret").exists()  # so that copying it there takes nobody's place
    third.mkdir()
    shutil.copy2(first / "secret", third / "secret")
    look_at_state(settings(third, url))
    token = open_keys(settings(first, url)).create(agent="a", now_us=1)
    assert open_keys(settings(third, url)).find(token, 1).agent == "a"
    assert open_keys(settings(second, url)).find(token, 1) is None


def test_what_was_sealed_on_a_machine_with_another_secret_is_unavailable_not_made_up(tmp_path, redis_server):
    url = redis_server.url()
    binding = Bindings("o", "s", "a")
    asked = Approval("apr_1", 1, 10**15, binding, "a", "s", "pay", "{}", "p", "r", "why", "d", "x")
    open_approvals(settings(tmp_path / "first", url)).ask(asked, 9)
    with pytest.raises(GatewayError, match=r"sealed under another secret.*the same on all of them"):
        open_approvals(settings(tmp_path / "second", url)).find("apr_1")


def test_keys_of_encrypted_content_are_not_given_to_a_server_that_forgets_them(tmp_path, own_redis_server, monkeypatch):
    monkeypatch.setenv("MASTER", base64.b64encode(bytes(range(32))).decode())
    told = settings(tmp_path, own_redis_server.url(), encryption={"keys": {"env": "MASTER"}})
    with pytest.raises(StartError, match=r"nobody could read that content again. Set 'appendonly yes'"):
        look_at_state(told)
    own_redis_server.kill()
    own_redis_server.start("--appendonly", "yes")
    assert look_at_state(told) == []
    taken = _stores(Settings(data=str(tmp_path))).data_keys()
    taken.close()
    assert ["data-keys.sqlite is not asked" in warning for warning in look_at_state(told)] == [True]
