"""What pip would install, without asking an index: the packages of the lock, linked from this environment, and the wheel of this tree."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def linked(source: str, target: str) -> str:
    """A second name for the same bytes; a copy where the file systems differ."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        linked(str(source), str(target))


def put(distribution: metadata.Distribution, folder: Path) -> None:
    for file in distribution.files or ():
        source = Path(distribution.locate_file(file))
        if ".." in file.parts or "__pycache__" in file.parts or not source.is_file():
            continue
        link(source, folder / file)
        if source.suffix == ".py" and (made := Path(importlib.util.cache_from_source(str(source)))).is_file():
            link(made, Path(importlib.util.cache_from_source(str(folder / file))))  # good for the link as well: same bytes, same time


def pip(verb: str, *arguments: str) -> None:
    """Without an index, and without what a package needs."""
    command = [sys.executable, "-m", "pip", verb, "--quiet", "--no-index", "--no-deps", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def build() -> Callable[[str, Path], Path]:
    """Makes an `sdist` or a `wheel` of this tree by hatchling, without the network."""
    pytest.importorskip("hatchling.build", reason="the builder of wheels is not installed: pip install hatchling")

    def building(what: str, folder: Path) -> Path:
        command = [sys.executable, "-m", "hatchling", "build", "-t", what, "-d", str(folder)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        [built] = folder.glob("tollhouse-*")
        return built

    return building


@pytest.fixture(scope="session")
def sdist(build, tmp_path_factory) -> Path:
    return build("sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def wheel(sdist, tmp_path_factory) -> Path:
    """What pip builds from the sdist, without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-build-isolation", "--wheel-dir", str(folder), str(sdist))
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def beside():
    """A folder on the disk where this environment is, so that files can be linked instead of copied."""
    with tempfile.TemporaryDirectory(prefix="tollhouse-", dir=sys.prefix if os.access(sys.prefix, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def packages(beside, wheel) -> Path:
    """A folder that holds what `requirements.lock` names and the gateway, and nothing else of this environment."""
    folder = beside / "packages"
    lines = [line for line in (ROOT / "deploy" / "requirements.lock").read_text().splitlines() if line[:1].isalnum()]
    named = {canonicalize_name(Requirement(line.rstrip(" \\")).name) for line in lines}
    for distribution in metadata.distributions():
        if canonicalize_name(distribution.metadata["Name"] or "") in named:
            put(distribution, folder)
    pip("install", "--compile", "--target", str(folder), str(wheel))
    return folder
