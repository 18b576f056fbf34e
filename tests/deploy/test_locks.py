"""The locks hold what the project asks for, all of it, by hash, from nobody with a licence that was not agreed to."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
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
SPELLED = {
    "Apache": "Apache-2.0", "Apache 2.0": "Apache-2.0", "Apache License 2.0": "Apache-2.0", "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0", "3-Clause BSD License": "BSD-3-Clause", "BSD": "BSD-3-Clause", "BSD License": "BSD-3-Clause",
    "MIT License": "MIT", "The MIT License (MIT)": "MIT", "ISC License": "ISC", "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0", "Python Software Foundation License": "PSF-2.0",
}  # fmt: skip
"""How packages without an SPDX expression say it."""


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


def needed() -> Iterator[str]:
    """Whatever an installation here needs, as the packages themselves say."""
    waiting = [(Requirement(line), "") for line in PROJECT["project"]["dependencies"]]
    seen = set()
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (requirement.marker and not requirement.marker.evaluate({"extra": extra})) or (name, *sorted(requirement.extras)) in seen:
            continue
        seen.add((name, *sorted(requirement.extras)))
        yield name
        for line in metadata.requires(name) or ():
            waiting += [(Requirement(line), each) for each in ("", *requirement.extras)]


def test_nothing_that_these_packages_need_is_missing():
    held = pinned(DEPLOY / "requirements.lock")
    wanted = set(needed())
    assert len(wanted) > 80
    assert wanted - held.keys() == set()


def test_litellm_is_none_that_stole_keys_and_none_older_than_the_repaired_one():
    [version] = ALL["litellm"]
    assert LITELLM.contains(version)
    [asked] = [Requirement(line) for line in PROJECT["project"]["dependencies"] if line.startswith("litellm")]
    assert not [bad for bad in ("1.82.7", "1.82.8", "1.84.2", "1.0.0") if asked.specifier.contains(bad)]


def licences(distribution: metadata.Distribution) -> set[str]:
    """In SPDX's names; what it says where none of its fields does."""
    about = distribution.metadata
    first = (about.get("License") or "").strip().partition("\n")[0]
    sorts = [line.rsplit(" :: ", 1)[1] for line in about.get_all("Classifier") or () if line.startswith("License :: OSI Approved :: ")]
    if expression := about.get("License-Expression"):
        return set(re.split(r" (?:AND|OR) ", expression))
    said = [first, " AND ".join(SPELLED.get(each, each) for each in sorts)]
    read = [set(re.split(r" (?:AND|OR) ", SPELLED.get(each, each))) for each in said if each]
    return next((each for each in read if each <= PERMITTED), read[-1] if read else {"none"})


def test_every_dependency_has_a_licence_that_was_agreed_to():
    installed = {canonicalize_name(each.metadata["Name"]): each for each in metadata.distributions() if each.metadata["Name"]}
    looked = {name: licences(installed[name]) for name in ALL if name in installed}
    assert len(looked) > 90
    odd = {name: said - PERMITTED for name, said in looked.items() if said - PERMITTED}
    assert odd == {}
