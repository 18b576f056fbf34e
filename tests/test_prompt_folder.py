"""The folder of kept prompts: read, remembered, watched; what cannot be used changes nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gateway import prompt_folder
from gateway.errors import FileProblems, StartError
from gateway.prompt.library import Move, Named
from gateway.prompt_folder import Watcher, load_folder, look, read_moves, write_moves

TEXT = "---\nlabels: {production: this}\n---\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "prompts").mkdir()
    return tmp_path / "prompts"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def put(folder: Path, body: str, name: str = "support") -> None:
    (folder / f"{name}.md").write_text(TEXT + body)


def settled(watcher: Watcher):
    watcher.poll()
    return watcher.poll()


def watching(folder: Path, data: Path) -> Watcher:
    watcher = Watcher(folder, data, load_folder(folder, data))
    assert settled(watcher) is None
    return watcher


def text(prompts, named: Named) -> str:
    return prompts.find(named).text({})


def test_every_markdown_file_is_a_prompt_but_the_readme_and_hidden_ones(folder, data):
    put(folder, "One.", "one")
    put(folder, "Two.", "two")
    for passed_over in ("README.md", ".hidden.md", "notes.txt"):
        (folder / passed_over).write_text("not a prompt")
    assert sorted(load_folder(folder, data).heads) == ["one", "two"]


def test_every_problem_of_every_file_is_told_at_once(folder, data):
    put(folder, "{{ a }}", "one")
    (folder / "two.md").write_text("Hi")
    with pytest.raises(FileProblems) as caught:
        load_folder(folder, data)
    assert [(p.file, p.line, p.column) for p in caught.value.problems] == [("one.md", 4, 4), ("two.md", 1, 1)]


def test_a_folder_that_is_not_there_is_a_problem(tmp_path):
    assert "create it or correct its path" in look(tmp_path / "nowhere").problems[0].message


def test_a_link_out_of_the_folder_and_what_cannot_be_read_are_problems(folder, tmp_path):
    (tmp_path / "secret.md").write_text(TEXT + "Secret.")
    (folder / "link.md").symlink_to(tmp_path / "secret.md")
    (folder / "dir.md").mkdir()
    told = [problem.message.split(" (")[0] for problem in look(folder).problems]
    assert told == ["cannot be read", "a link that leaves the prompts folder; copy the file into it"]


def test_more_files_than_anybody_reviews_are_refused(folder, monkeypatch):
    monkeypatch.setattr(prompt_folder, "MAX_FILES", 1)
    put(folder, "One.", "one")
    put(folder, "Two.", "two")
    assert "more than 1 prompts" in look(folder).problems[0].message


def test_an_earlier_version_is_remembered_over_a_restart(folder, data):
    put(folder, "Old.")
    old = load_folder(folder, data).heads["support"].version
    put(folder, "New.")
    again = load_folder(folder, data)
    assert text(again, Named("support")) == "New."
    assert text(again, Named("support", version=old[:12])) == "Old."


def test_a_remembered_version_that_was_changed_is_none(folder, data):
    put(folder, "Old.")
    old = load_folder(folder, data).heads["support"].version
    (data / "prompts" / "support" / f"{old}.md").write_text(TEXT + "Forged.")
    (data / "prompts" / "support" / ("0" * 64 + ".md")).write_text("broken")
    (data / "prompts" / "support" / "note.txt").write_text("broken")
    put(folder, "New.")
    assert len(load_folder(folder, data).versions["support"]) == 1


def test_a_version_is_put_by_once(folder, data):
    put(folder, "Same.")
    load_folder(folder, data)
    path = next((data / "prompts" / "support").glob("*.md"))
    before = path.stat()
    load_folder(folder, data)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_moved_labels_are_read_back_and_a_broken_file_stops_a_start(folder, data):
    put(folder, "Old.")
    old = load_folder(folder, data).heads["support"].version
    assert read_moves(data) == {}
    write_moves(data, {"support": {"canary": Move(old)}})
    assert load_folder(folder, data).labels("support")["canary"] == old
    (data / "prompts" / "labels.json").write_text("{")
    with pytest.raises(StartError, match="put it back from a copy"):
        load_folder(folder, data)


def test_a_data_folder_that_cannot_be_written_says_so(folder, tmp_path):
    put(folder, "Old.")
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StartError, match="cannot be written"):
        load_folder(folder, tmp_path / "data")


# -- watching ---------------------------------------------------------------------------------------------


def test_an_edited_file_is_a_new_version_once_it_is_whole(folder, data):
    put(folder, "Old.")
    watcher = watching(folder, data)
    put(folder, "New.")
    assert watcher.poll() is None
    change = watcher.poll()
    assert text(change.prompts, Named("support")) == "New."
    assert len(change.prompts.versions["support"]) == 2
    assert settled(watcher) is None


def test_a_broken_file_keeps_its_last_good_version_while_others_change(folder, data):
    put(folder, "Old.")
    put(folder, "One.", "other")
    watcher = watching(folder, data)
    put(folder, "{{ broken }}")
    put(folder, "Two.", "other")
    change = settled(watcher)
    assert [str(problem).split("\n")[0] for problem in change.problems] == [
        "support.md:4:4: error: 'broken' is not declared; add it to 'variables' (declared: none)"
    ]
    assert (text(change.prompts, Named("support")), text(change.prompts, Named("other"))) == ("Old.", "Two.")
    put(folder, "Mended.")
    mended = settled(watcher)
    assert (mended.problems, text(mended.prompts, Named("support"))) == ((), "Mended.")


def test_a_broken_file_that_goes_back_ends_the_problem_without_a_new_version(folder, data):
    put(folder, "Old.")
    watcher = watching(folder, data)
    put(folder, "{{ broken }}")
    assert settled(watcher).prompts is None
    put(folder, "Old.")
    change = settled(watcher)
    assert (change.prompts, change.problems) == (None, ())


def test_a_deleted_prompt_is_gone_but_an_emptied_folder_changes_nothing(folder, data):
    put(folder, "Old.")
    put(folder, "One.", "other")
    watcher = watching(folder, data)
    (folder / "other.md").unlink()
    assert sorted(settled(watcher).prompts.heads) == ["support"]
    (folder / "support.md").unlink()
    change = settled(watcher)
    assert change.prompts is None
    assert "the last ones stay" in change.problems[0].message
    folder.rmdir()
    assert "cannot be read" in settled(watcher).problems[0].message
    folder.mkdir()
    put(folder, "Old.")
    assert settled(watcher).problems == ()


def test_moved_labels_are_noticed_and_a_broken_file_of_them_keeps_the_last(folder, data):
    put(folder, "Old.")
    old = load_folder(folder, data).heads["support"].version
    put(folder, "New.")
    watcher = watching(folder, data)
    write_moves(data, {"support": {"production": Move(old, over=load_folder(folder, data).heads["support"].version)}})
    assert text(settled(watcher).prompts, Named("support", label="production")) == "Old."
    (data / "prompts" / "labels.json").write_text("nonsense")
    change = settled(watcher)
    assert change.prompts is None
    assert "put it back from a copy" in change.problems[0].message


def test_versions_name_the_commit(folder, data):
    put(folder, "Old.")
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    author = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    for command in (("init", "-q"), ("add", "."), (*author, "commit", "-qm", "x")):
        subprocess.run(("git", *command), cwd=folder, check=True, env=environment)
    commit = load_folder(folder, data).git
    assert len(commit) == 40
    put(folder, "New.")
    assert load_folder(folder, data).git == f"{commit}-dirty"
