"""The locks hold what the project asks for, all of it, by hash, from nobody with a licence that was not agreed to."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from email import message_from_string
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = sorted(DEPLOY.glob("requirements*.lock"))
LITELLM = SpecifierSet(">=1.84.3,!=1.82.7,!=1.82.8")
"""1.82.7 and 1.82.8 stole keys."""
PERMITTED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CNRI-Python", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0", "Zlib",
}  # fmt: skip


def program(name: str):
    """One of `deploy/`, which is in no package."""
    specification = importlib.util.spec_from_file_location(name, DEPLOY / f"{name}.py")
    found = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(found)
    return found


BILL = program("bill")


def entries(lock: Path) -> list[tuple[Requirement, list[str]]]:
    """Each requirement with its hashes."""
    text = re.sub(r"^#.*\n", "", lock.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip()]
    return [(Requirement(line.split("--hash", 1)[0]), re.findall(r"--hash=(\S+)", line)) for line in lines]


def pinned(*locks: Path) -> dict[str, set[Version]]:
    found: dict[str, set[Version]] = {}
    for lock in locks:
        for requirement, _ in entries(lock):
            [pin] = requirement.specifier
            found.setdefault(canonicalize_name(requirement.name), set()).add(Version(pin.version))
    return found


ALL = pinned(*LOCKS)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_entry_is_one_version_with_hashes_and_comes_from_no_address(lock):
    found = entries(lock)
    assert found
    for requirement, hashes in found:
        assert [pin.operator for pin in requirement.specifier] == ["=="], requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes), requirement
        assert requirement.url is None
    assert "://" not in lock.read_text()


@pytest.mark.parametrize("extra", ["", "experiments", "fleet"])
def test_what_the_project_asks_for_is_pinned_as_it_asks(extra):
    asked = PROJECT["project"]["optional-dependencies"][extra] if extra else PROJECT["project"]["dependencies"]
    lock = DEPLOY / (f"requirements-{extra}.lock" if extra else "requirements.lock")
    held = pinned(lock)
    for line in asked:
        requirement = Requirement(line)
        versions = held.get(canonicalize_name(requirement.name), set())
        assert versions, f"{line} is not in {lock.name}; run: python deploy/lock.py"
        assert all(requirement.specifier.contains(version) for version in versions), f"{line}: {versions}"


def test_what_builds_the_wheel_is_pinned():
    [asked] = [Requirement(line) for line in PROJECT["build-system"]["requires"]]
    [version] = pinned(DEPLOY / "requirements-build.lock")[asked.name]
    assert asked.specifier.contains(version)


def test_nothing_that_these_packages_need_is_missing():
    held = pinned(DEPLOY / "requirements.lock")
    wanted = BILL.needed(map(Requirement, PROJECT["project"]["dependencies"])).keys() - {"tollhouse"}
    assert len(wanted) > 80
    assert wanted - held.keys() == set()


def test_litellm_is_none_that_stole_keys_and_none_older_than_the_repaired_one():
    [version] = ALL["litellm"]
    assert LITELLM.contains(version)
    [asked] = [Requirement(line) for line in PROJECT["project"]["dependencies"] if line.startswith("litellm")]
    assert not [bad for bad in ("1.82.7", "1.82.8", "1.84.2", "1.0.0") if asked.specifier.contains(bad)]


@pytest.fixture(scope="module")
def billed() -> dict:
    return json.loads((DEPLOY / "sbom.cdx.json").read_text())


def test_every_dependency_has_a_licence_that_was_agreed_to(billed):
    installed = {canonicalize_name(each.metadata["Name"]): each for each in metadata.distributions() if each.metadata["Name"]}
    looked = {name: BILL.parts(BILL.expression(installed[name])) for name in ALL if name in installed}
    assert len(looked) > 90
    told = {each["name"]: BILL.parts(each["licenses"][0]["expression"]) for each in billed["components"]}
    assert {name: said - PERMITTED for name, said in (*looked.items(), *told.items()) if said - PERMITTED} == {}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("License-Expression: (MIT OR Apache-2.0) AND Zlib\nLicense: whatever", "(MIT OR Apache-2.0) AND Zlib"),
        ("License: Apache License, Version 2.0", "Apache-2.0"),
        ("License: Dual License\nClassifier: License :: OSI Approved :: BSD License", "BSD-3-Clause"),
        ("License: GPL", "GPL"),
        ("License: pay first", "pay first"),
        ("Name: x", "none"),
    ],
)
def test_a_licence_is_told_as_the_package_tells_it_and_another_is_not_permitted(fields, said):
    class Package(metadata.PathDistribution):
        metadata = message_from_string(fields)

    assert BILL.expression(Package(None)) == said
    assert bool(BILL.parts(said) - PERMITTED) is (said in {"GPL", "pay first", "none"})


def test_the_bill_of_materials_names_what_the_locks_hold_and_who_needs_whom(billed):
    told = [(each["name"], Version(each["version"])) for each in billed["components"]]
    installed = pinned(*(lock for lock in LOCKS if "build" not in lock.name))
    held = {(name, version) for name, versions in installed.items() for version in versions}
    assert len(told) == len(set(told))
    assert set(told) == held, "run: python deploy/bill.py"
    refs = {each["bom-ref"] for each in billed["components"]}
    needs = {each["ref"]: set(each["dependsOn"]) for each in billed["dependencies"]}
    assert needs.keys() | set().union(*needs.values()) <= refs | {"tollhouse"}
    asked = {canonicalize_name(Requirement(line).name) for line in PROJECT["project"]["dependencies"]}
    assert asked <= {ref.partition("/")[2].partition("@")[0] for ref in needs["tollhouse"]}
    assert "://" not in json.dumps(billed["components"])
