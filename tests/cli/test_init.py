"""`tollhouse init` writes a beginning that loads, passes its own tests and is never written over."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway import policy_folder
from gateway.cli.init import IGNORED, starting_files, write
from gateway.config import Settings
from gateway.errors import StartError
from gateway.limit_settings import Limits, Timeouts
from gateway.policy import load
from gateway.settings_sources import read
from gateway.shipped import folder


@pytest.fixture
def written(tmp_path) -> Path:
    list(write(tmp_path))
    return tmp_path


def test_everything_is_written_once_and_then_kept(tmp_path):
    first = {path.relative_to(tmp_path).as_posix(): verb for verb, path in write(tmp_path)}
    second = {path.relative_to(tmp_path).as_posix(): verb for verb, path in write(tmp_path)}
    assert set(first.values()) == {"wrote"}
    assert set(second.values()) == {"kept"}
    assert {
        "tollhouse.yaml",
        "policies/starter/policy.yaml",
        "policies/README.md",
        ".env.example",
        ".gitignore",
    } <= set(first)


def test_what_is_there_is_never_overwritten(tmp_path):
    for name in starting_files():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    list(write(tmp_path))
    assert all((tmp_path / name).read_text() == "mine" for name in starting_files())


@pytest.mark.parametrize("before", ["", "*.pyc\n", "*.pyc", ".tollhouse\n", "/.env\n"])
def test_gitignore_gets_only_the_lines_it_lacks(tmp_path, before):
    (tmp_path / ".gitignore").write_text(before)
    list(write(tmp_path))
    after = (tmp_path / ".gitignore").read_text()
    assert after.startswith(before)
    lines = [line.strip("/") for line in after.splitlines()]
    assert sorted(lines) == sorted(
        {*[line.strip("/") for line in before.splitlines()], *[i.strip("/") for i in IGNORED]}
    )


def test_the_configuration_loads_and_keeps_every_default(written):
    loaded = read(written / "tollhouse.yaml", {})
    defaults = Settings()
    changed = {name for name in type(defaults).model_fields if getattr(loaded, name) != getattr(defaults, name)}
    assert changed == {"data", "policies"}
    assert loaded.policies == str(written / "policies")


def test_every_setting_is_shown_in_the_example():
    text = (folder("deploy") / "tollhouse.yaml").read_text()
    for name in Settings.model_fields:
        assert f"\n{name}:" in text or f"\n# {name}:" in text, name
    for model in (Limits, Timeouts):
        for name, field in model.model_fields.items():
            assert f"{name}: {field.default:g}" in text or f"{name}: {field.default}" in text, name


def uncommented(text: str) -> str:
    """The example with every commented setting made real; prose stays comment."""
    names = tuple(f"{name}:" for name in Settings.model_fields)
    lines, inside = [], False
    for line in text.splitlines():
        body = line.removeprefix("# ")
        inside = line.startswith("# ") and (body.startswith(names) or (inside and body.startswith((" ", "-"))))
        lines.append(body if inside else line)
    return "\n".join(lines)


def test_every_commented_setting_is_valid_when_uncommented(tmp_path):
    text = uncommented((folder("deploy") / "tollhouse.yaml").read_text())
    (tmp_path / "tollhouse.yaml").write_text(text)
    loaded = read(tmp_path / "tollhouse.yaml", {})
    assert set(loaded.upstreams) == {"openai", "anthropic", "local", "bedrock"}
    assert len(loaded.routes) == 4
    assert loaded.limits == Limits()
    assert loaded.timeouts == Timeouts()


def test_the_policies_load_and_enforce(written):
    policies = load(policy_folder.read(written / "policies"))
    assert not policies.observing


def test_the_written_policy_passes_its_own_tests(written):
    command = [sys.executable, "-m", "gateway.cli.main", "policy", "test", str(written / "policies")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_written_policy_leaves_the_strictest_check_nothing_to_say(written):
    command = [sys.executable, "-m", "gateway.cli.main", "policy", "check", "--strict", str(written / "policies")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, "no problems." in done.stdout) == (0, True), done.stdout + done.stderr


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "blocked").write_text("a file")
    with pytest.raises(StartError, match=r"cannot write .*blocked"):
        list(write(tmp_path / "blocked" / "below"))


def test_the_next_steps_are_printed(tmp_path):
    command = [sys.executable, "-m", "gateway.cli.main", "init", "--dir", str(tmp_path / "new")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    assert "tollhouse up" in done.stdout
    assert (tmp_path / "new" / "tollhouse.yaml").exists()
