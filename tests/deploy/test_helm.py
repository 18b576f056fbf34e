"""The chart: rendered by Helm or by its template language, read by Kubernetes' schemas, and what it promises is in what it makes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from gateway.limit_settings import Timeouts
from gateway.policy_folder import load_folder
from gateway.settings_sources import read
from gateway.supervisor import BOOK_STOP_S

HERE = Path(__file__).parent
CHART = HERE.parents[1] / "deploy" / "helm" / "tollhouse"
LIBRARY = Path("/usr/share/gocode")
IMAGE = {"image": {"repository": "registry.example.com/tollhouse", "digest": f"sha256:{'0' * 64}"}}
SEVERAL = IMAGE | {
    "autoscaling": {"enabled": True}, "installationSecret": {"name": "th"}, "settings": {"state": "redis://valkey:6379/0"},
    "network": {"scrapers": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}]},
}  # fmt: skip


@pytest.fixture(scope="module")
def renderer(tmp_path_factory):
    """Gives what a chart comes to with these values, or the words it is refused with."""
    if shutil.which("helm"):
        command = ["helm", "template", "release", str(CHART), "--values"]
    elif shutil.which("go") and (LIBRARY / "src/github.com/Masterminds/sprig").is_dir():
        program, cache = tmp_path_factory.mktemp("go") / "render", tmp_path_factory.mktemp("cache")
        environment = os.environ | {"GO111MODULE": "off", "GOPATH": str(LIBRARY), "GOCACHE": str(cache)}
        subprocess.run(["go", "build", "-o", str(program), str(HERE / "helm.go")], env=environment, check=True, timeout=300)
        command = [str(program), str(CHART)]
    else:
        packages = "golang-go golang-github-masterminds-sprig-dev golang-gopkg-yaml.v3-dev"
        pytest.skip(f"no helm here, and no Go with its libraries: apt install {packages}")

    def render(values: dict) -> tuple[list[dict], str]:
        given = tmp_path_factory.mktemp("values") / "values.json"
        given.write_text(json.dumps(values))
        last = str(given) if command[0] == "helm" else given.read_text()
        done = subprocess.run([*command, last], capture_output=True, text=True, timeout=60, check=False)
        return [each for each in yaml.safe_load_all(done.stdout) if each] if done.returncode == 0 else [], done.stderr

    return render


def kinds(found: list[dict]) -> dict[str, dict]:
    return {each["kind"]: each for each in found}


@pytest.mark.parametrize("values", [IMAGE, SEVERAL], ids=["one pod", "several"])
def test_kubernetes_takes_every_manifest(renderer, values, tmp_path):
    found, said = renderer(values)
    assert found, said
    checker = shutil.which("kubernetes-validate")
    if checker is None:
        pytest.skip("no kubernetes-validate here, which carries the schemas: pip install kubernetes-validate")
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(found))
    done = subprocess.run([checker, "--strict", "-k", "1.31.0", str(tmp_path / "all.yaml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_settings_and_policies_that_are_mounted_are_taken(renderer, tmp_path):
    maps = [each["data"] for each in renderer(SEVERAL)[0] if each["kind"] == "ConfigMap"]
    [settings] = [each["tollhouse.yaml"] for each in maps if "tollhouse.yaml" in each]
    [policies] = [each for each in maps if "tollhouse.yaml" not in each]
    (tmp_path / "policies").mkdir()
    (tmp_path / "tollhouse.yaml").write_text(settings)
    for name, text in policies.items():
        (tmp_path / "policies" / name).write_text(text)
    [pod] = [each["spec"]["template"]["spec"] for each in renderer(SEVERAL)[0] if each["kind"] == "StatefulSet"]
    found = read(tmp_path / "tollhouse.yaml", {each["name"]: each["value"] for each in pod["containers"][0]["env"]}, {})
    assert (found.listen, found.admin) == ("0.0.0.0:8484", "0.0.0.0:8485")
    assert (found.keys, found.state_place.host) == ("required", "valkey")
    assert not load_folder(Path(str(found.policies))).observing


def test_a_pod_has_no_rights_writes_its_data_alone_and_has_time_to_end(renderer):
    pod = kinds(renderer(SEVERAL)[0])["StatefulSet"]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    for each in [*pod["containers"], *pod["initContainers"]]:
        allowed = each["securityContext"]
        assert (allowed["readOnlyRootFilesystem"], allowed["allowPrivilegeEscalation"]) == (True, False)
        assert allowed["capabilities"] == {"drop": ["ALL"]}
        assert "@sha256:" in each["image"]
        assert not [one for one in each.get("env", ()) if "KEY" in one["name"]]
    assert {each["mountPath"] for each in pod["containers"][0]["volumeMounts"] if not each.get("readOnly")} == {"/data", "/tmp"}
    [waits] = re.findall(r"sleep\((\d+)\)", pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][-1])
    assert pod["terminationGracePeriodSeconds"] > int(waits) + Timeouts().drain + BOOK_STOP_S


def test_the_network_lets_agents_in_and_the_gateway_out_to_what_is_listed(renderer):
    rules = kinds(renderer(IMAGE)[0])["NetworkPolicy"]["spec"]
    assert rules["policyTypes"] == ["Ingress", "Egress"]
    assert [port["port"] for rule in rules["ingress"] for port in rule["ports"]] == [8484]
    assert sorted({port["port"] for rule in rules["egress"] for port in rule["ports"]}) == [53, 443]
    assert all(rule.get("to") for rule in rules["egress"])
    several = kinds(renderer(SEVERAL)[0])["NetworkPolicy"]["spec"]
    assert [port["port"] for rule in several["ingress"] for port in rule["ports"]] == [8484, 8485]


def test_one_pod_has_no_budget_that_keeps_a_node_from_being_emptied_and_several_have(renderer):
    assert not {"PodDisruptionBudget", "HorizontalPodAutoscaler"} & kinds(renderer(IMAGE)[0]).keys()
    assert {"PodDisruptionBudget", "HorizontalPodAutoscaler"} <= kinds(renderer(SEVERAL)[0]).keys()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "image.repository is needed"),
        ({"image": {"repository": "r.example.com/t"}}, "image.digest is needed"),
        (IMAGE | {"replicas": 2}, "several pods need one state"),
        (IMAGE | {"settings": {"state": "redis://valkey:6379/0"}}, "installationSecret.name"),
    ],
)
def test_values_that_make_no_gateway_are_refused_with_what_to_set(renderer, values, words):
    found, said = renderer(values)
    assert (found, words in said) == ([], True), said
