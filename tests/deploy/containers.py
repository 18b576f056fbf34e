"""Roots of machines, a builder and an engine of containers: for tests that take minutes, where they are asked for and can be."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = ("buildah", "podman", "runc", "debootstrap")
LIBRARIES = (
    "ca-certificates", "libssl3", "libsqlite3-0", "libffi8", "zlib1g", "libbz2-1.0", "liblzma5", "libreadline8", "libuuid1", "libncursesw6",
    "libgdbm6", "tzdata",
)  # fmt: skip
"""What a Python of its own needs of Debian."""
WANTED = [
    pytest.mark.skipif("TOLLHOUSE_IMAGE" not in os.environ, reason="takes minutes: TOLLHOUSE_IMAGE=1"),
    pytest.mark.skipif(any(shutil.which(tool) is None for tool in TOOLS), reason=f"not all here: apt install {' '.join(TOOLS)}"),
    pytest.mark.skipif(os.getuid() != 0, reason="debootstrap and namespaces want root"),
]


def told(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout.strip()


def engine(*arguments: str) -> str:
    return told("podman", "--runtime", "runc", "--cgroup-manager", "cgroupfs", *arguments)


def limits() -> list[str]:
    """For an engine that may not raise its own."""
    return ["--ulimit=nofile=1024:4096", "--ulimit=nproc=4096:4096"]


def machine(root: Path, *packages: str) -> None:
    """As python:3.11-slim is made: Debian with a Python of its own in /usr/local, for which the one that runs this stands."""
    told("debootstrap", "--variant=minbase", f"--include={','.join((*LIBRARIES, *packages))}", "bookworm", str(root))
    for part in ("bin", "lib", "include"):
        shutil.copytree(Path(sys.base_prefix, part), root / "usr/local" / part, symlinks=True, dirs_exist_ok=True)
    (root / "usr/local/bin/python3").unlink(missing_ok=True)
    (root / "usr/local/bin/python3").symlink_to(Path(sys.executable).resolve().name)
    for here in ("/etc/ssl/certs/ca-certificates.crt", *map(str, Path("/etc/apt").glob("*.d/*"))):  # the mirrors of this machine
        shutil.copy(here, root / here.lstrip("/"))
    told("chroot", str(root), "ldconfig")


def places() -> list[str]:
    """Where pip is told to look, mounted as it is here."""
    said = told(sys.executable, "-m", "pip", "config", "debug")
    files = [Path(each) for each in re.findall(r"^\s+(/\S+), exists: True", said, re.MULTILINE)]
    folders = {Path(each) for file in files for each in re.findall(r"(?:file://|(?<=[=\s]))(/[^/\s]+/[^/\s]+)", file.read_text())}
    folders = {each for each in folders if each.is_dir()}
    return [f"--volume={each}:{'/etc/pip.conf' if each in files else each}:ro" for each in [*files[:1], *sorted(folders)]]
