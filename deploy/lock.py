"""Writes the locks beside it: each package that an installation holds, its version, and the hash of every file it may come from.

    python deploy/lock.py              what pyproject.toml asks for and the locks lack; nothing else moves
    python deploy/lock.py --upgrade    the newest of everything that has been public for a week
    python deploy/lock.py --upgrade-package NAME     a repair: that one, however new it is
    python deploy/lock.py --platforms  whether there are wheels for all of it on every platform that is supported

`requirements.lock` is what every installation has; `requirements-<extra>.lock` is what an extra adds to it, `requirements-build.lock` what
makes the wheel; `deploy/bill.py` then writes what they come to. Needs uv. A week, because a package that was taken over is mostly found out
within days; read the changes as code.
Neither the gateway nor its tests run it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = HERE.parent / "pyproject.toml"
BASE = HERE / "requirements.lock"
EXTRAS = ("experiments", "fleet")
BUILD = ("hatchling>=1.27",)
PUBLIC_FOR = timedelta(days=7)
PYTHON = "3.11"
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28", "aarch64-apple-darwin")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
HEAD = "# Made by deploy/lock.py. Install with: pip install --require-hashes --only-binary :all: -r {name}\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Writes the locks in deploy/.")
    parser.add_argument("--upgrade", action="store_true", help="the newest of everything that has been public for a week")
    parser.add_argument("--upgrade-package", metavar="NAME", help="the newest of this one, however new")
    parser.add_argument("--platforms", action="store_true", help="write nothing; look for wheels on every supported platform")
    given = parser.parse_args(arguments)
    if given.platforms:
        return look_for_wheels()
    newest = [] if given.upgrade_package else ["--exclude-newer", f"{datetime.now(UTC) - PUBLIC_FOR:%Y-%m-%dT00:00:00Z}"]
    moving = ["--upgrade"] if given.upgrade else ["--upgrade-package", given.upgrade_package] if given.upgrade_package else []
    write_all([*newest, *moving])
    return 0


def write_all(how: Sequence[str]) -> None:
    base = compiled(BASE, how)
    BASE.write_text(HEAD.format(name=BASE.name) + base)
    for extra in EXTRAS:
        lock = HERE / f"requirements-{extra}.lock"
        whole = compiled(lock, [*how, "--extra", extra, "--constraint", str(BASE)])
        lock.write_text(HEAD.format(name=f"{BASE.name} -r {lock.name}") + "".join(added(whole, base)))
    build = HERE / "requirements-build.lock"
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "build.in"
        wanted.write_text("\n".join(BUILD))
        build.write_text(HEAD.format(name=build.name) + compiled(build, how, wanted))


def compiled(lock: Path, how: Sequence[str], wanted: Path = PROJECT) -> str:
    """The lock's text. Pins that it has already are kept where they may be."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / lock.name
        if lock.exists():
            made.write_bytes(lock.read_bytes())
        shape = ["--universal", "--generate-hashes", "--python-version", PYTHON, "--no-header", "--no-annotate", "--quiet"]
        uv("pip", "compile", str(wanted), "--output-file", str(made), *shape, *how)
        return made.read_text()


def added(whole: str, base: str) -> list[str]:
    """Requirements of the one that the other has not."""
    known = set(requirements(base))
    return [each for each in requirements(whole) if each not in known]


def requirements(lock: str) -> list[str]:
    """Each with its hashes, as the lines that it takes."""
    found: list[str] = []
    for line in lock.splitlines(keepends=True):
        if line.startswith(" "):
            found[-1] += line
        elif line.strip() and not line.startswith("#"):
            found.append(line)
    return found


def look_for_wheels() -> int:
    missing = 0
    for platform in PLATFORMS:
        for python in PYTHONS:
            what = ["--python-platform", platform, "--python-version", python, "--only-binary", ":all:", "--quiet"]
            locks = [f"--constraint={path}" for path in (BASE, *(HERE / f"requirements-{extra}.lock" for extra in EXTRAS))]
            extras = [f"--extra={extra}" for extra in EXTRAS]
            with tempfile.TemporaryDirectory() as folder:
                done = uv("pip", "compile", str(PROJECT), "-o", f"{folder}/lock", *what, *locks, *extras, check=False)
            missing += done.returncode != 0
            print(f"{platform:24} {python:5} {'all there' if done.returncode == 0 else done.stderr.strip()}")  # noqa: T201 - a program's output
    return 1 if missing else 0


def uv(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(["uv", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607 - the developer's own uv
    except FileNotFoundError:
        sys.exit("deploy/lock.py needs uv: pip install uv")
    if check and done.returncode != 0:
        sys.exit(f"{done.stderr.strip()}\nNothing was written for this lock; mend pyproject.toml or ask for another version.")
    return done


if __name__ == "__main__":
    sys.exit(main())
