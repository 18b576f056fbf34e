"""A machine that systemd runs: the guide's installation and runbooks on it, word by word, under the unit that is shipped.

`TOLLHOUSE_IMAGE=1`, as root, where podman, runc and debootstrap are installed; some three minutes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.containers import WANTED, engine, limits, machine, places
from tests.patience import until

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "deploy" / "README.md").read_text()
SYSTEMD = GUIDE.partition("\n## systemd\n")[2].partition("\n## ")[0]
RUNBOOKS = re.findall(r"^```sh\n(.*?)^```", GUIDE.partition("\n## Runbooks\n")[2], re.MULTILINE | re.DOTALL)
INSTALL, COMMANDS = re.findall(r"^```console\n(.*?)^```", SYSTEMD, re.MULTILINE | re.DOTALL)
FUNCTION = COMMANDS.rpartition("tollhouse keys list")[0]
KEY = "KEY_ID=$(tollhouse keys create --agent bot --json | sed 's/.*\"th_\\([^_]*\\)_.*/\\1/')\n"
NAME = f"tollhouse-booted-{os.getpid()}"

pytestmark = WANTED


@pytest.fixture(scope="module", autouse=True)
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Its packages are installed with a network, and then it has none."""
    root = tmp_path_factory.mktemp("machine") / "root"
    machine(root, "systemd", "systemd-sysv", "dbus", "procps")
    (root / "src").mkdir()
    for part in ("pyproject.toml", "README.md", "gateway", "policies", "traces", "deploy"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, root / "src" / part)
    packages = "".join(line for line in INSTALL.splitlines(keepends=True) if "pip install" in line)
    engine("run", "--rm", *limits(), "--network=host", *places(), "--rootfs", str(root), "bash", "-ec", f"cd /src\n{packages}")
    boots = ["--systemd=always", "--privileged", "--network=none", "--rootfs", str(root), "/sbin/init"]
    engine("run", "--detach", "--name", NAME, *limits(), *boots)
    try:
        until(lambda: run("systemctl is-system-running", check=False) == "running", what="the machine has started")
        run("cd /src\n" + "".join(line for line in INSTALL.splitlines(keepends=True) if "pip install" not in line))
        yield
    finally:
        subprocess.run(["podman", "rm", "--force", NAME], capture_output=True, check=False)
        shutil.rmtree(root, ignore_errors=True)


def run(script: str, *, check: bool = True) -> str:
    """What it prints, as root's shell on that machine runs it, up to the first line that fails."""
    try:
        return engine("exec", NAME, "bash", "-ec", script)
    except AssertionError as error:
        if check:
            raise
        return str(error)


def shown(name: str) -> str:
    return run(f"systemctl show tollhouse --property={name} --value")


def test_what_was_enabled_serves_as_a_user_of_its_own_and_its_data_is_its_own():
    assert run("systemctl is-active tollhouse") == "active"
    assert "ready" in run(f"{FUNCTION}tollhouse status")
    assert run("stat --format=%a /var/lib/private/tollhouse") == "700"
    assert run("ps -o user= -p $(systemctl show tollhouse --property=MainPID --value)") not in ("root", "0")


def test_the_runbooks_run_line_by_line():
    said = run(f"cd /srv\n{FUNCTION}{KEY}{''.join(RUNBOOKS)}")
    assert said.count("SOUND") == 2
    assert run("readlink /var/lib/tollhouse") == "private/tollhouse"
    assert run("ls /srv/broken /srv/before-upgrade | grep -c '^journal$'") == "2"


def test_a_start_that_is_refused_is_told_at_once_and_not_tried_again():
    run("echo 'policy: 1' > /etc/tollhouse/policies/bad.yaml; systemctl reset-failed")
    assert "failed" in run("systemctl restart tollhouse", check=False)
    assert (shown("ExecMainStatus"), shown("NRestarts"), shown("ActiveState")) == ("3", "0", "failed")
    assert "bad.yaml" in run("journalctl --unit=tollhouse --no-pager | tail -20")
    run("rm /etc/tollhouse/policies/bad.yaml; systemctl reset-failed; systemctl start tollhouse")
    assert run("systemctl is-active tollhouse") == "active"


def test_what_is_killed_is_started_again():
    before = shown("MainPID")
    run("kill -KILL $(systemctl show tollhouse --property=MainPID --value)")
    until(lambda: shown("ActiveState") == "active" and shown("MainPID") not in ("0", before), what="it is started again")
    assert "ready" in run(f"{FUNCTION}tollhouse status")
