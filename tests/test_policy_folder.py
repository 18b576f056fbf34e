"""The policies folder on disk: read whole or not at all, versioned, watched."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import policy_folder
from gateway.errors import FileProblems
from gateway.policy import EMPTY
from gateway.policy_folder import Watcher, git_version, load_folder, read
from gateway.yaml_nodes import MAX_BYTES

GOOD = b"policy: 1\nid: p\nagents: ['*']\nallow: [pay]\n"
BETTER = GOOD.replace(b"pay", b"get")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "policies").mkdir()
    return tmp_path / "policies"


def written(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    return folder


def problems(folder):
    with pytest.raises(FileProblems) as caught:
        load_folder(folder)
    return [(p.file, p.message) for p in caught.value.problems]


# -- reading ----------------------------------------------------------------------------------------------


def test_policy_files_and_lists_are_read_in_order(folder):
    written(folder, b_yaml=b"1", a_yml=b"2", sub__deep__names_txt=b"3", README_md=b"x", _hidden_yaml=b"x")
    written(folder, _git__x_yaml=b"x", sub___secret_yaml=b"x", uv_lock=b"4", x_lock=b"x", pip_bloom=b"5", policy_schema_json=b"x")
    assert read(folder) == {"a.yml": b"2", "b.yaml": b"1", "pip.bloom": b"5", "sub/deep/names.txt": b"3", "uv.lock": b"4"}
    assert list(read(folder)) == ["a.yml", "b.yaml", "pip.bloom", "sub/deep/names.txt", "uv.lock"]


def test_an_empty_folder_observes(folder):
    assert load_folder(folder) is EMPTY


@pytest.mark.parametrize("kind", ["missing", "a file", "a link to nothing"])
def test_a_folder_that_is_not_there_is_a_problem(tmp_path, kind):
    path = tmp_path / "policies"
    if kind == "a file":
        path.write_bytes(GOOD)
    elif kind == "a link to nothing":
        path.symlink_to(tmp_path / "nowhere")
    [(file, said)] = problems(path)
    assert file == str(path)
    assert "create it or correct its path" in said


def test_everything_that_cannot_be_read_is_named(folder, tmp_path):
    written(folder, good_yaml=GOOD, big_yaml=b"#" * (MAX_BYTES + 1), long_txt=b"x\n" * MAX_BYTES)
    (folder / "folder.yaml").mkdir()
    (tmp_path / "outside.yaml").write_bytes(GOOD)
    (folder / "out.yaml").symlink_to(tmp_path / "outside.yaml")
    (folder / "dangling.yaml").symlink_to(folder / "nowhere.yaml")
    os.mkfifo(folder / "pipe.yaml")
    assert problems(folder) == [
        ("big.yaml", "the file is larger than 1024 KiB; split it"),
        ("dangling.yaml", "cannot be read (No such file or directory); check the file and its permissions"),
        ("folder.yaml", "a folder or device with the name of a policy file; rename it"),
        ("out.yaml", "a link that leaves the policies folder; copy the file into it"),
        ("pipe.yaml", "a folder or device with the name of a policy file; rename it"),
    ]


def test_a_list_may_be_longer_than_a_policy(folder):
    written(folder, names_txt=b"x\n" * MAX_BYTES)
    assert len(read(folder)["names.txt"]) == 2 * MAX_BYTES
    written(folder, uv_lock=b"x" * (2 * MAX_BYTES), pip_bloom=b"x" * (9 * MAX_BYTES))
    assert [len(text) // MAX_BYTES for text in read(folder).values()] == [2, 9, 2]
    written(folder, names_txt=b"x" * (8 * MAX_BYTES + 1))
    assert "larger than 8192 KiB" in problems(folder)[0][1]


def test_a_link_to_itself_is_a_problem(folder):
    written(folder, good_yaml=GOOD)
    (folder / "loop.yaml").symlink_to(folder / "loop.yaml")
    assert [file for file, _ in problems(folder)] == ["loop.yaml"]


def test_links_inside_the_folder_are_followed(folder):
    written(folder, data__v1__policy_yaml=GOOD)
    (folder / "current.yaml").symlink_to(folder / "data" / "v1" / "policy.yaml")
    assert set(read(folder)) == {"current.yaml", "data/v1/policy.yaml"}


@pytest.mark.parametrize("there", [True, False])
def test_a_link_to_a_folder_outside_is_a_problem(folder, tmp_path, there):
    """A guard that lies there would be missed in silence, also when what it leads to is gone."""
    if there:
        written(tmp_path / "elsewhere", a_yaml=GOOD)
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    assert problems(folder) == [("link", "a link that leaves the policies folder; copy what it leads to into it")]


def test_a_link_to_what_is_read_anyway_or_is_no_policy_is_passed_over(folder, tmp_path):
    written(folder, sub__a_yaml=GOOD)
    (tmp_path / "NOTES").write_text("x")
    (folder / "again").symlink_to(folder / "sub")
    (folder / "up").symlink_to(folder)
    (folder / "NOTES").symlink_to(tmp_path / "NOTES")
    assert set(read(folder)) == {"sub/a.yaml"}


def test_folders_of_a_kubernetes_volume_are_read(folder):
    """They are links to a hidden folder, which itself is a link that is moved when the volume changes."""
    written(folder / "..2026_01_01", team__a_yaml=GOOD)
    (folder / "..data").symlink_to("..2026_01_01")
    (folder / "team").symlink_to("..data/team")
    (folder / "..2026_01_01" / "team" / "loop").symlink_to(folder / "..data" / "team")
    watcher = Watcher(folder, load_folder(folder))
    assert set(read(folder)) == {"team/a.yaml"}
    assert settled(watcher) is None
    written(folder / "..2026_01_02", team__a_yaml=BETTER)
    (folder / "..data").unlink()
    (folder / "..data").symlink_to("..2026_01_02")
    assert settled(watcher).policies.hash == load_folder(folder).hash


def test_the_case_of_an_ending_does_not_matter(folder):
    written(folder, sub__A_YAML=GOOD)
    (folder / "sub" / "B.Yml").write_bytes(GOOD)
    assert set(read(folder)) == {"sub/A.YAML", "sub/B.Yml"}


def test_a_folder_may_itself_be_a_link(folder, tmp_path):
    written(folder, a_yaml=GOOD)
    (tmp_path / "link").symlink_to(folder)
    assert load_folder(tmp_path / "link").hash == load_folder(folder).hash


@pytest.mark.parametrize("broken", ["open", "iterdir"])
def test_what_the_system_refuses_is_a_problem(folder, monkeypatch, broken):
    written(folder, sub__a_yaml=GOOD)
    real = getattr(Path, broken)

    def refused(self, *args, **kwargs):
        if "sub" in self.parts:
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, broken, refused)
    [(file, said)] = problems(folder)
    assert file.startswith("sub")
    assert "Permission denied" in said


def test_too_many_files_are_refused(folder, monkeypatch):
    monkeypatch.setattr(policy_folder, "MAX_FILES", 2)
    written(folder, a_txt=b"", b_txt=b"", c_txt=b"")
    assert "more than 2 policy files" in problems(folder)[0][1]


# -- the version ------------------------------------------------------------------------------------------


def git(folder, *arguments):
    setup = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *setup, "-C", str(folder), *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(folder):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    git(folder.parent, "init")
    written(folder, a_yaml=GOOD)
    git(folder.parent, "add", ".")
    git(folder.parent, "commit", "-m", "first")
    return folder


def test_the_version_is_the_commit_and_whether_the_folder_differs_from_it(repository):
    clean = git_version(repository)
    assert clean is not None
    assert len(clean) == 40
    assert load_folder(repository).git == clean
    (repository.parent / "elsewhere.txt").write_text("x")
    assert git_version(repository) == clean
    written(repository, new_yaml=b"a: 1\n")
    assert git_version(repository) == f"{clean}-dirty"
    (repository / "new.yaml").unlink()
    written(repository, a_yaml=BETTER)
    assert git_version(repository) == f"{clean}-dirty"


def test_without_repository_git_or_time_there_is_no_version(folder, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))
    assert git_version(folder) is None
    monkeypatch.setenv("PATH", "")
    assert git_version(folder) is None
    monkeypatch.undo()
    monkeypatch.setattr(policy_folder, "_GIT_SECONDS", -1.0)
    assert git_version(folder) is None


def test_a_repository_cannot_make_the_gateway_run_programs(repository, tmp_path):
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    git(repository.parent, "config", "core.fsmonitor", str(trap))
    assert git_version(repository)
    assert not (tmp_path / "sprung").exists()


# -- watching ---------------------------------------------------------------------------------------------


@pytest.fixture
def watched(folder):
    written(folder, a_yaml=GOOD)
    watcher = Watcher(folder, load_folder(folder))
    assert settled(watcher) is None
    return folder, watcher


def settled(watcher):
    """What two looks say: nothing is reported at the first sight of a change."""
    assert watcher.poll() is None
    return watcher.poll()


def replaced(folder, text):
    """As editors do: another file under the same name."""
    (folder / "a.yaml.new").write_bytes(text)
    (folder / "a.yaml.new").rename(folder / "a.yaml")


@pytest.mark.parametrize("write", [lambda f, t: (f / "a.yaml").write_bytes(t), replaced], ids=["in place", "renamed"])
def test_a_good_change_is_reported_once(watched, write):
    folder, watcher = watched
    write(folder, BETTER + b"# longer\n")
    change = settled(watcher)
    assert change is not None
    assert change.problems == ()
    assert change.policies.hash == load_folder(folder).hash
    assert watcher.poll() is None


def broken_ways(folder):
    path = folder / "a.yaml"

    def folder_instead():
        path.unlink()
        path.mkdir()

    return {
        "half": lambda: path.write_bytes(GOOD[:20]),
        "zero bytes": lambda: path.write_bytes(b""),
        "only a comment": lambda: path.write_bytes(b"# policy: 1\n"),
        "deleted": path.unlink,
        "a folder": folder_instead,
        "the folder deleted": lambda: shutil.rmtree(folder),
        "no policy any more": lambda: path.write_bytes(b"a: 1\n"),
        "unknown key": lambda: path.write_bytes(GOOD + b"alow: [x]\n"),
        "duplicate key": lambda: path.write_bytes(GOOD + b"id: q\n"),
        "not text": lambda: path.write_bytes(b"\xff\xfe"),
        "large": lambda: path.write_bytes(b"#" * (MAX_BYTES + 1)),
        "renamed": lambda: path.rename(folder / "a.txt"),
    }


@pytest.mark.parametrize("way", list(broken_ways(Path())))
def test_a_broken_change_is_a_problem_once_and_its_repair_a_change(watched, way):
    folder, watcher = watched
    broken_ways(folder)[way]()
    change = settled(watcher)
    assert change is not None
    assert change.policies is None
    assert change.problems
    assert watcher.poll() is None
    if (folder / "a.yaml").is_dir():
        (folder / "a.yaml").rmdir()
    written(folder, a_yaml=GOOD)
    repaired = settled(watcher)
    assert repaired is not None
    assert repaired.policies is not None
    assert not repaired.policies.observing
    assert watcher.poll() is None


def test_the_first_look_finds_what_changed_since_loading(folder):
    written(folder, a_yaml=GOOD)
    watcher = Watcher(folder, load_folder(folder))
    written(folder, a_yaml=BETTER)
    change = settled(watcher)
    assert change is not None
    assert change.policies.policies[0].layers[0].grants == (("get", 4),)


def test_a_file_is_not_taken_up_while_it_is_being_written(watched):
    folder, watcher = watched
    text = GOOD + b"rules:\n- {id: never}\n"
    for end in range(len(GOOD), len(text) + 1, 5):
        (folder / "a.yaml").write_bytes(text[:end])
        assert watcher.poll() is None
    (folder / "a.yaml").write_bytes(text)
    change = settled(watcher)
    assert change is not None
    assert [guard.id for guard in change.policies.policies[0].layers[0].guards] == ["never"]


def test_a_touched_file_with_the_same_text_is_no_change(watched):
    folder, watcher = watched
    os.utime(folder / "a.yaml", ns=(1, 1))
    assert watcher.poll() is None


def test_a_list_that_policies_name_is_watched_too(folder):
    written(folder, a_yaml=GOOD + b"vars: {x: {file: names.txt}}\n", names_txt=b"a\n")
    watcher = Watcher(folder, load_folder(folder))
    assert watcher.poll() is None
    written(folder, names_txt=b"a\nb\n")
    change = settled(watcher)
    assert change is not None
    assert change.policies.policies[0].layers[0].vars == {"x": {"a": True, "b": True}}


def test_a_folder_that_observed_may_get_its_first_policy(folder):
    watcher = Watcher(folder, load_folder(folder))
    assert watcher.poll() is None
    written(folder, a_yaml=GOOD)
    change = settled(watcher)
    assert change is not None
    assert not change.policies.observing


def test_a_file_that_disappears_between_list_and_look_is_part_of_what_was_seen(watched, monkeypatch):
    folder, _ = watched
    real = Path.stat

    def gone(self, **given):
        if self.name == "a.yaml" and given.get("follow_symlinks", True):
            raise FileNotFoundError(2, "gone")
        return real(self, **given)

    monkeypatch.setattr(Path, "stat", gone)
    assert policy_folder._stamp(folder) == (("a.yaml", 0, -1, 2),)


edits = st.lists(st.sampled_from(["good", "better", *broken_ways(Path())]), min_size=1, max_size=8)


@given(edits)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_after_any_edits_the_last_good_version_is_known_and_never_empty(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("edits") / "policies"
    written(folder, a_yaml=GOOD)
    in_force = load_folder(folder)
    watcher = Watcher(folder, in_force)
    for name in names:
        shutil.rmtree(folder, ignore_errors=True)
        written(folder, a_yaml=BETTER if name == "better" else GOOD)
        if name not in ("good", "better"):
            broken_ways(folder)[name]()
        change = settled(watcher)
        if change is not None and change.policies is not None:
            in_force = change.policies
        assert not in_force.observing
        expected = {"good": GOOD, "better": BETTER}.get(name)
        if expected is not None:
            assert in_force.files == (("a.yaml", expected.decode()),)
