"""The unit file is one that systemd takes, and leaves the service few rights."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.cli.main import CANNOT_START
from gateway.limit_settings import Timeouts
from gateway.supervisor import BOOK_STOP_S

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "tollhouse.service"
TEXT = UNIT.read_text()
GUIDE = (UNIT.parents[1] / "README.md").read_text()
MOST_EXPOSED = 20
"""Tenths; 100 is a service with every right."""


def said(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", TEXT, re.MULTILINE)


@pytest.fixture
def unit(tmp_path) -> Path:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine: apt install systemd")
    there = tmp_path / UNIT.name
    there.write_text(TEXT.replace("/opt/tollhouse/bin/tollhouse", "/bin/true"))  # systemd looks whether it can be run
    return there


def analyzed(*arguments: str) -> str:
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


def test_systemd_takes_the_unit_as_it_is(unit):
    assert "tollhouse.service" not in analyzed("verify", "--man=no", str(unit))


def test_the_service_has_few_rights(unit):
    analyzed("security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(unit))


def test_a_gateway_that_refuses_to_start_is_not_started_over_and_over():
    assert str(CANNOT_START) in said("RestartPreventExitStatus")[0].split()


def test_who_starts_it_hears_when_it_serves():
    assert said("Type") == ["notify"]
    assert not said("NotifyAccess")  # of the main process alone


def test_streams_may_end_before_it_is_killed():
    assert float(said("TimeoutStopSec")[0]) > Timeouts().drain + BOOK_STOP_S


def test_commands_of_the_guide_run_with_the_rights_of_the_service_and_on_its_data():
    [command] = re.findall(r"^tollhouse\(\) \{\n(.*?)^\}", GUIDE, re.MULTILINE | re.DOTALL)
    given = shlex.split(command.replace("\\\n", ""))
    properties = [value for option, value in pairwise(given) if option == "-p"]
    assert properties[0] == f"User={UNIT.stem}"  # what a unit of this name has with DynamicUser=yes, if it says nothing
    for name, value in (each.split("=", 1) for each in properties[1:]):
        assert said(name) == [value]
    assert given[given.index("-E") + 1] in said("Environment")[0].split()
    assert given[-2:] == [said("ExecStart")[0].split()[0], "$@"]
