"""Writes `sbom.cdx.json` beside it, the bill of materials (CycloneDX 1.6): each package of the locks, its licence, and who needs whom.

    python deploy/bill.py    after deploy/lock.py, where the packages are installed

Names and versions are the locks'; licences and needs are what the packages installed here say of themselves. Of one that is not installed
here (another platform's) it keeps the licence that the bill says already. Hashes of files stand in the locks, and no date in the bill: it
changes when they do.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
BILL = HERE / "sbom.cdx.json"
PROJECT = HERE.parent / "pyproject.toml"
BASE = HERE / "requirements.lock"
EXTRAS = ("experiments", "fleet")
SPELLED = {
    "Apache": "Apache-2.0", "Apache 2.0": "Apache-2.0", "Apache License 2.0": "Apache-2.0", "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0", "3-Clause BSD License": "BSD-3-Clause", "BSD": "BSD-3-Clause", "BSD License": "BSD-3-Clause",
    "MIT License": "MIT", "The MIT License (MIT)": "MIT", "ISC License": "ISC", "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0", "Python Software Foundation License": "PSF-2.0",
}  # fmt: skip
"""How packages without an SPDX expression say it."""
EXPRESSION = re.compile(r"[\w.-]+( (AND|OR) [\w.-]+)*")
OURS = "tollhouse"


def main() -> int:
    try:
        text = json.dumps(bill(), indent=1, ensure_ascii=False) + "\n"
    except metadata.PackageNotFoundError as error:
        sys.exit(f"{error.name} is neither installed here nor in {BILL.name}: its licence is not known; pip install {error.name}")
    BILL.write_text(text)
    return 0


def bill() -> dict[str, Any]:
    project = tomllib.loads(PROJECT.read_text())["project"]
    packages = dict(held())
    before = {each["name"]: each for each in json.loads(BILL.read_text())["components"]} if BILL.exists() else {}
    ours = {"type": "application", "bom-ref": OURS, "name": OURS, "version": project["version"], "description": project["description"]}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": ours},
        "components": [component(name, version, scope, before) for (name, version), scope in sorted(packages.items())],
        "dependencies": dependencies(project, packages),
    }


def held() -> Iterator[tuple[tuple[str, str], str]]:
    """Name and version of what the locks hold, and CycloneDX's word for whether every installation has it."""
    for lock in (BASE, *(HERE / f"requirements-{extra}.lock" for extra in EXTRAS)):
        for line in lock.read_text().splitlines():
            if line[:1].isalnum():
                requirement = Requirement(line.rstrip(" \\"))
                [pin] = requirement.specifier
                yield (canonicalize_name(requirement.name), pin.version), "required" if lock == BASE else "optional"


def component(name: str, version: str, scope: str, before: dict[str, Any]) -> dict[str, Any]:
    try:
        licence = expression(metadata.distribution(name))
    except metadata.PackageNotFoundError:
        if name not in before:
            raise
        licence = before[name]["licenses"][0]["expression"]
    made = {"type": "library", "bom-ref": purl(name, version), "name": name, "version": version, "scope": scope}
    return made | {"licenses": [{"expression": licence}], "purl": purl(name, version)}


def purl(name: str, version: str) -> str:
    return f"pkg:pypi/{name}@{version}"


def expression(distribution: metadata.Distribution) -> str:
    """In SPDX's names; what it says where none of its fields does."""
    about = distribution.metadata
    if said := about.get("License-Expression"):
        return str(said)
    first = (about.get("License") or "").strip().partition("\n")[0]
    sorts = [line.rsplit(" :: ", 1)[1] for line in about.get_all("Classifier") or () if line.startswith("License :: OSI Approved :: ")]
    read = [SPELLED.get(each, each) for each in (first, " AND ".join(SPELLED.get(each, each) for each in sorts)) if each]
    return next((each for each in read if EXPRESSION.fullmatch(each)), read[-1] if read else "none")


def parts(licence: str) -> set[str]:
    """The licences that an expression names."""
    return set(re.findall(r"[^\s()]+", licence)) - {"AND", "OR"}


def dependencies(project: dict[str, Any], packages: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Each package of the bill with those it needs, as they are on this platform."""
    asked = [*project["dependencies"], *(line for extra in EXTRAS for line in project["optional-dependencies"][extra])]
    refs: dict[str, list[str]] = {}
    for name, version in packages:
        refs.setdefault(name, []).append(purl(name, version))
    found = []
    for name, needs in needed(map(Requirement, asked)).items():
        wanted = sorted(ref for need in needs for ref in refs.get(need, ()))
        found += [{"ref": ref, "dependsOn": wanted} for ref in refs.get(name, [OURS] if name == OURS else [])]
    return sorted(found, key=lambda each: str(each["ref"]))


def needed(asked: Iterable[Requirement], told: Callable[[str], list[str] | None] = metadata.requires) -> dict[str, set[str]]:
    """The names of all that is needed here, as the packages themselves say (`told`), each with those it needs; ours begins."""
    found: dict[str, set[str]] = {OURS: set()}
    waiting = [(OURS, requirement, "") for requirement in asked]
    seen = set()
    while waiting:
        by, requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        found.setdefault(name, set())
        found[by].add(name)
        for each in {"", *requirement.extras} - {known for whose, known in seen if whose == name}:
            seen.add((name, each))
            waiting += [(name, Requirement(line), each) for line in told(name) or ()]
    return found


if __name__ == "__main__":
    sys.exit(main())
