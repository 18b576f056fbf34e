"""The compose files: by compose's schema where there is one here, and every file, setting, name and port in them exists."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import boto3
import botocore.exceptions
import pytest
import yaml

from gateway.config import Settings
from gateway.policy import run_cases
from gateway.policy_folder import load_folder
from gateway.settings_sources import read
from gateway.supervisor import BOOK_STOP_S
from tests.s3_server import seaweedfs

FOLDER = Path(__file__).parents[2] / "deploy" / "compose"
FILES = sorted(FOLDER.glob("*.yaml"))
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)")
EXAMPLE = dict(re.findall(r"^([A-Z0-9_]+)=(.*)$", (FOLDER / "example.env").read_text(), re.MULTILINE))
MADE_BY_THE_OPERATOR = {"fleet/secret"}


def services(file: Path) -> dict[str, dict]:
    return yaml.safe_load(file.read_text())["services"]


def gateways() -> list:
    return [pytest.param(file, name, id=f"{file.stem}-{name}") for file in FILES for name in services(file) if name.startswith("gateway")]


def mounts(service: dict) -> list[list[str]]:
    return [each.split(":") for each in service.get("volumes", ())]


def settings(file: Path, service: dict) -> Settings:
    """As the mounted file and the environment of the service make them."""
    folder = next(Path(source) for source, target, *_ in mounts(service) if target.startswith("/etc/tollhouse"))
    there = FOLDER / folder if folder.name != "tollhouse.yaml" else FOLDER / folder.parent
    environment = {name: VARIABLE.sub("x${", value) or "x" for name, value in service["environment"].items()}
    image = {"TOLLHOUSE_LISTEN": "0.0.0.0:8484", "TOLLHOUSE_DATA": "/data"}
    return read(there / "tollhouse.yaml", image | environment | {"OPENAI_API_KEY": "sk-x"}, {})


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_composes_schema_takes_it(file):
    checker = shutil.which("check-jsonschema")
    if checker is None:
        pytest.skip("no check-jsonschema on this machine, which carries compose's schema: pip install check-jsonschema")
    done = subprocess.run([checker, "--builtin-schema", "vendor.compose-spec", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_every_file_volume_and_variable_that_it_names_is_there(file):
    whole = yaml.safe_load(file.read_text())
    for service in whole["services"].values():
        for source, *_ in mounts(service):
            if source.startswith("."):
                assert (FOLDER / source).exists() or source.removeprefix("./") in MADE_BY_THE_OPERATOR, source
            else:
                assert source in whole["volumes"]
        for other in service.get("depends_on", ()):
            assert other in whole["services"]
            if service["depends_on"][other]["condition"] == "service_healthy":
                assert "healthcheck" in whole["services"][other]
        assert service["image"].startswith("${"), "an image is named by whoever deploys, by digest"
    assert set(VARIABLE.findall(file.read_text())) <= EXAMPLE.keys()
    assert all(value.partition("@")[2].startswith("sha256:") for name, value in EXAMPLE.items() if name.endswith("_IMAGE"))


@pytest.mark.parametrize(("file", "name"), gateways())
def test_the_mounted_settings_and_policies_are_taken(file, name):
    found = settings(file, services(file)[name])
    loaded = load_folder(Path(str(found.policies)))
    report = run_cases(loaded)
    assert report.results
    assert all(result.passed for result in report.results)


@pytest.mark.parametrize(("file", "name"), gateways())
def test_a_gateway_may_write_its_data_only_has_no_rights_and_time_to_end(file, name):
    service = services(file)[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert [target for _, target, *mode in mounts(service) if not mode] == ["/data"]
    assert float(service["stop_grace_period"].rstrip("s")) > settings(file, service).timeouts.drain + BOOK_STOP_S
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_what_the_fleets_settings_lead_to_are_services_on_their_ports():
    known = services(FOLDER / "fleet.yaml")
    found = settings(FOLDER / "fleet.yaml", known["gateway-1"])
    store = known["gateway-1"]["environment"]["AWS_ENDPOINT_URL"]
    addresses = re.findall(r"(?://|host=)([a-z-]+)(?=[: ])", f"{found.state} {found.ledger} {found.telemetry.endpoint} {store} ")
    assert {"valkey", "postgres", "collector", "store"} == {*addresses} & known.keys()
    assert "4318" in str(found.telemetry.endpoint)
    assert "4318" in (FOLDER / "fleet" / "collector.yaml").read_text()


def test_prometheus_asks_each_gateway_under_the_name_that_it_answers_to():
    known = services(FOLDER / "fleet.yaml")
    [job] = yaml.safe_load((FOLDER / "fleet" / "prometheus.yml").read_text())["scrape_configs"]
    asked = [target for each in job["static_configs"] for target in each["targets"]]
    assert asked == [known[name]["environment"]["TOLLHOUSE_ADMIN"] for name in known if name.startswith("gateway")]
    [secret] = known["prometheus"]["secrets"]
    assert secret["target"] == job["authorization"]["credentials_file"]


def test_the_dashboard_that_is_provisioned_is_the_shipped_one():
    grafana = services(FOLDER / "fleet.yaml")["grafana"]
    places = {target: FOLDER / source for source, target, *_ in mounts(grafana)}
    [provider] = yaml.safe_load(places["/etc/grafana/provisioning/dashboards/tollhouse.yaml"].read_text())["providers"]
    [dashboard] = [path for target, path in places.items() if target.startswith(provider["options"]["path"])]
    assert json.loads(dashboard.read_text())["panels"]
    [source] = yaml.safe_load(places["/etc/grafana/provisioning/datasources/tollhouse.yaml"].read_text())["datasources"]
    assert source["type"] == "prometheus"


def test_both_gateways_are_the_same_but_for_their_data_name_and_port():
    one, two = (services(FOLDER / "fleet.yaml")[name] for name in ("gateway-1", "gateway-2"))
    assert {key for key in one if one[key] != two[key]} == {"environment", "ports", "volumes"}
    assert {name for name in one["environment"] if one["environment"][name] != two["environment"][name]} == {"TOLLHOUSE_ADMIN"}


KEYS = {"AWS_ACCESS_KEY_ID": "made-up-key", "AWS_SECRET_ACCESS_KEY": "made-up-secret"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The port of its S3, and those of its other parts."""
    with seaweedfs(tmp_path_factory.mktemp("fleet") / "store", KEYS) as ports:
        yield ports


def client(port: int, keys: dict[str, str]):
    given = {"aws_access_key_id": keys["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": keys["AWS_SECRET_ACCESS_KEY"]}
    return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", **given)


def test_the_bucket_is_made_in_the_store_once_however_often_the_fleet_is_started(store):
    [program] = services(FOLDER / "fleet.yaml")["bucket"]["command"]
    environment = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{store[0]}", "AWS_EC2_METADATA_DISABLED": "true", **KEYS}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", program], env=os.environ | environment, check=True, timeout=120)
    assert [each["Name"] for each in client(store[0], KEYS).list_buckets()["Buckets"]] == ["tollhouse"]


@pytest.mark.parametrize("other", [{"AWS_SECRET_ACCESS_KEY": "another"}, {"AWS_ACCESS_KEY_ID": "another"}])
def test_the_store_lets_nobody_in_with_another_key(store, other):
    with pytest.raises(botocore.exceptions.ClientError, match=r"SignatureDoesNotMatch|InvalidAccessKeyId"):
        client(store[0], KEYS | other).list_buckets()


def test_of_the_store_only_what_asks_for_keys_is_reached_from_other_containers(store):
    port, others = store
    assert all(listens("127.0.0.1", each) for each in (port, *others))
    assert [each for each in (port, *others) if listens("127.9.9.9", each)] == [port]


def listens(host: str, port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex((host, port)) == 0
