"""The folder of kept prompts: read, remembered, watched; what cannot be used changes nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gateway import prompt_folder
from gateway.errors import FileProblems, GatewayError, StartError
from gateway.prompt.library import NO_COMMITS, Move, Named
from gateway.prompt.trial import Stop
from gateway.prompt_folder import UNMOVED, Watcher, look
from gateway.state.sqlite_prompts import SqlitePrompts

TEXT = "---\nlabels: {production: this}\n---\n"
BELOW = ":1:1: error: not read, because it lies in a folder below; move it up into"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "prompts").mkdir()
    return tmp_path / "prompts"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def shared(tmp_path: Path):
    store = SqlitePrompts(tmp_path / "state.sqlite")
    yield store
    store.close()


def load_folder(folder: Path, data: Path, shared=UNMOVED):
    return prompt_folder.load_folder(folder, data, shared)


def put(folder: Path, body: str, name: str = "support") -> None:
    (folder / f"{name}.md").write_text(TEXT + body)


def settled(watcher: Watcher):
    watcher.poll()
    return watcher.poll()


def watching(folder: Path, data: Path, shared=UNMOVED) -> Watcher:
    watcher = Watcher(folder, data, shared, load_folder(folder, data, shared))
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


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("Greeting.MD", "Greeting.MD:1:1: error: not read, because its name does not end in '.md'; rename it"),
        ("experiments/tone.yml", "experiments/tone.yml:1:1: error: not read, because its name does not end in '.yaml'; rename it"),
        ("experiments/tone.YAML", "experiments/tone.YAML:1:1: error: not read, because its name does not end in '.yaml'; rename it"),
        ("pins.yml", "pins.yml:1:1: error: not read, because its name is not 'pins.yaml'; rename it"),
        ("Pins.YAML", "Pins.YAML:1:1: error: not read, because its name is not 'pins.yaml'; rename it"),
        ("shop/hello.md", f"shop/hello.md{BELOW} the folder of prompts"),
        ("shop/a/hello.MD", f"shop/a/hello.MD{BELOW} the folder of prompts"),
        ("experiments/hello.md", f"experiments/hello.md{BELOW} the folder of prompts"),
        ("experiments/shop/tone.yml", f"experiments/shop/tone.yml{BELOW} the folder 'experiments'"),
        ("README.MD", ""), (".hidden.MD", ""), ("notes.txt", ""), ("shop/README.md", ""), ("shop/.hidden.md", ""),
        (".git/hello.md", ""), ("shop/values.yaml", ""), ("values.yaml", ""),
    ],
)  # fmt: skip
def test_a_file_that_is_passed_over_only_for_its_name_or_its_place_is_said(folder, file, problem):
    put(folder, "Hello.")
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(TEXT)
    assert [str(each).split("\n")[0] for each in look(folder).problems] == [problem] * bool(problem)


@pytest.mark.parametrize("file", ["shop/notes.md", "experiments/notes.md", "shop/folder.md/notes.txt"])
def test_what_lies_below_and_is_no_prompt_by_its_first_line_is_nobodys_business(folder, file):
    put(folder, "Hello.")
    (folder / file).parent.mkdir(parents=True)
    (folder / file).write_text("Remember the milk.\n---\n")
    assert look(folder).problems == ()


def test_the_folder_may_be_the_shelf_too(folder):
    put(folder, "Hello.")
    load_folder(folder, folder.parent)
    assert load_folder(folder, folder.parent).heads.keys() == {"support"}


def test_what_lies_below_and_cannot_be_read_is_nobodys_business(folder):
    put(folder, "Hello.")
    (folder / "shop").mkdir()
    (folder / "shop" / "gone.md").symlink_to(folder / "nowhere")
    assert look(folder).problems == ()


def test_folders_below_are_not_searched_without_end(folder, monkeypatch):
    put(folder, "Hello.")
    monkeypatch.setattr(prompt_folder, "MAX_SEEN", 20)
    for number in range(40):
        (folder / "below" / str(number)).mkdir(parents=True)
        (folder / "below" / str(number) / "x.md").write_text(TEXT)
    (folder / "loop").symlink_to(folder)
    assert len(look(folder).problems) < 20


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
    (folder / "loop.md").symlink_to(folder / "loop.md")
    told = [problem.message.split(" (")[0] for problem in look(folder).problems]
    out = "a link that leaves the prompts folder; copy the file into it"
    assert told[:2] == ["cannot be read", out]
    assert told[2:] in ([out], ["cannot be read"])  # a loop


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


class Down:
    """A store that cannot be asked."""

    def moves(self):
        raise GatewayError("unavailable", "state_unavailable", "The state store cannot be used.")


def test_moved_labels_are_read_back_and_a_store_that_cannot_be_asked_stops_a_start(folder, data, shared):
    put(folder, "Old.")
    old = load_folder(folder, data).heads["support"].version
    shared.move("support", "canary", Move(old), {})
    assert load_folder(folder, data, shared).labels("support")["canary"] == old
    with pytest.raises(StartError, match="which experiments were halted cannot be read"):
        load_folder(folder, data, Down())


def test_a_machine_that_never_had_a_version_takes_it_from_the_store(folder, data, tmp_path, shared):
    put(folder, "Old.")
    old = load_folder(folder, data).heads["support"]
    put(folder, "New.")
    shared.move("support", "production", Move(old.version, load_folder(folder, data).heads["support"].version), {old.version: old.source})
    elsewhere = tmp_path / "elsewhere"
    assert text(load_folder(folder, elsewhere, shared), Named("support", label="production")) == "Old."
    assert (elsewhere / "prompts" / "support" / f"{old.version}.md").read_text() == old.source


def test_a_text_in_the_store_that_is_not_what_its_name_says_is_none(folder, data, shared):
    put(folder, "Old.")
    new = load_folder(folder, data).heads["support"].version
    shared.move("support", "production", Move("f" * 64, new), {"f" * 64: TEXT + "Forged."})
    shared.move("support", "canary", Move("e" * 64), {"e" * 64: "no prompt"})
    prompts = load_folder(folder, data, shared)
    assert prompts.versions["support"].keys() == {new}
    for label in ("production", "canary"):
        with pytest.raises(GatewayError, match="which this gateway does not have"):
            prompts.find(Named("support", label=label))


def test_a_data_folder_that_cannot_be_written_says_so(folder, data):
    put(folder, "Old.")
    (data / "prompts").mkdir(parents=True)
    (data / "prompts" / "support").write_text("a file")
    with pytest.raises(StartError, match="cannot be written"):
        load_folder(folder, data)


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


def test_a_file_that_comes_and_is_passed_over_is_told_while_the_gateway_runs(folder, data):
    put(folder, "Old.")
    watcher = watching(folder, data)
    (folder / "shop").mkdir()
    (folder / "shop" / "hello.md").write_text(TEXT)
    assert [problem.file for problem in settled(watcher).problems] == ["shop/hello.md"]
    (folder / "shop" / "hello.md").unlink()
    assert settled(watcher).problems == ()


@pytest.mark.parametrize("moved", ["shop/support.md", "support.MD"])
def test_a_prompt_that_went_where_it_is_passed_over_stays_and_is_told(folder, data, moved):
    put(folder, "Old.")
    watcher = watching(folder, data)
    (folder / moved).parent.mkdir(exist_ok=True)
    (folder / "support.md").rename(folder / moved)
    change = settled(watcher)
    assert ([problem.file for problem in change.problems], change.prompts) == ([moved], None)
    put(folder, "New.", "other")
    assert sorted(settled(watcher).prompts.heads) == ["other", "support"]
    (folder / moved).unlink()
    assert sorted(settled(watcher).prompts.heads) == ["other"]


def test_an_emptied_folder_changes_nothing_whatever_else_is_wrong_in_it(folder, data):
    put(folder, "Old.")
    watcher = watching(folder, data)
    (folder / "support.md").unlink()
    plan(folder, "not a plan")
    change = settled(watcher)
    assert change.prompts is None
    assert [problem.file for problem in change.problems] == [str(folder), "experiments/tone.yaml"]


@pytest.mark.parametrize("renamed", ["pins.yml", "Pins.YAML"])
def test_pins_and_experiments_under_a_name_that_is_not_read_stay_in_force(folder, data, renamed):
    put(folder, "One.", "one")
    (folder / "pins.yaml").write_text("agents: {coder: {on_change: deny, tools: {}}}")
    plan(folder)
    watcher = watching(folder, data)
    (folder / "pins.yaml").rename(folder / renamed)
    (folder / "experiments" / "tone.yaml").rename(folder / "experiments" / "tone.yml")
    change = settled(watcher)
    assert ([problem.file for problem in change.problems], change.prompts) == ([renamed, "experiments/tone.yml"], None)


def test_moved_labels_are_noticed_and_the_last_ones_stay_while_the_store_cannot_be_asked(folder, data, shared, monkeypatch):
    put(folder, "Old.")
    old = load_folder(folder, data).heads["support"].version
    put(folder, "New.")
    watcher = watching(folder, data, shared)
    shared.move("support", "production", Move(old, over=load_folder(folder, data).heads["support"].version), {})
    assert text(settled(watcher).prompts, Named("support", label="production")) == "Old."
    monkeypatch.setattr(shared, "moves", Down().moves)
    assert settled(watcher) is None
    put(folder, "Newer.")
    change = settled(watcher)
    assert change.prompts is None
    assert "where labels of prompts point and which experiments were halted cannot be read" in change.problems[0].message
    monkeypatch.undo()
    assert text(watcher.poll().prompts, Named("support")) == "Newer."


def git(folder: Path, *command: str) -> None:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(("git", *command), cwd=folder, check=True, env=environment)


def committed(folder: Path, by: str = "a") -> None:
    git(folder, "add", ".")
    git(folder, "-c", f"user.name={by}", "-c", f"user.email={by}@example.com", "commit", "-qm", "x")


def test_versions_name_the_commit(folder, data):
    put(folder, "Old.")
    git(folder, "init", "-q")
    committed(folder)
    commit = load_folder(folder, data).git
    assert len(commit) == 40
    put(folder, "New.")
    assert load_folder(folder, data).git == f"{commit}-dirty"


def test_who_committed_a_prompt_is_known_and_which_nobody_has(folder, data, shared):
    put(folder, "Old.")
    put(folder, "Other.", "other")
    assert load_folder(folder, data).commits == NO_COMMITS
    git(folder.parent, "init", "-q")
    (folder.parent / "elsewhere.md").write_text("not a prompt")
    committed(folder.parent, "ann")
    put(folder, "Newer.", "other")
    committed(folder.parent, "bob")
    put(folder, "New.")
    put(folder, "Untracked.", "third")
    prompts = load_folder(folder, data)
    assert {name: commit.author for name, commit in prompts.commits.latest.items()} == {
        "support": "ann <ann@example.com>", "other": "bob <bob@example.com>",
    }  # fmt: skip
    assert prompts.commits.uncommitted == {"support", "third"}
    deployed = {name: prompts.deployed(head) for name, head in prompts.heads.items()}
    assert deployed == {"support": False, "other": True, "third": False}
    shared.move("support", "production", Move(prompts.heads["support"].version), {})
    assert load_folder(folder, data, shared).deployed(prompts.heads["support"])


def test_a_commit_of_what_is_served_already_is_noticed(folder, data):
    put(folder, "Old.")
    git(folder, "init", "-q")
    committed(folder)
    watcher = watching(folder, data)
    put(folder, "New.")
    assert settled(watcher).prompts.commits.uncommitted == {"support"}
    committed(folder, "bob")
    change = settled(watcher)
    assert (change.prompts.commits.uncommitted, change.prompts.commits.latest["support"].author) == (frozenset(), "bob <bob@example.com>")


@pytest.mark.parametrize("lost", ["is broken", "is alone and taken away", "has its folder taken away"])
def test_a_version_that_stays_because_its_file_cannot_be_used_is_as_committed_as_it_was(folder, data, lost):
    put(folder, "Old.")
    git(folder.parent, "init", "-q")
    committed(folder)
    if lost == "is broken":
        put(folder, "nobody committed this", "other")
    watcher = watching(folder, data)
    if lost == "is broken":
        put(folder, "{{ unknown }}")
        put(folder, "{{ unknown }}", "other")
    elif lost == "is alone and taken away":
        (folder / "support.md").unlink()
    else:
        folder.rename(folder.with_name("elsewhere"))
    change = settled(watcher)
    stays = watcher._good
    assert change.problems
    assert stays.deployed(stays.find(Named("support")))
    assert stays.commits.uncommitted == ({"other"} if lost == "is broken" else frozenset())
    assert stays.commits.latest["support"].author == "a <a@example.com>"


def test_pins_are_watched_and_a_broken_file_of_them_keeps_the_last(folder, data):
    put(folder, "Old.")
    (folder / "pins.yaml").write_text("agents: {coder: {on_change: deny, tools: {}}}")
    watcher = watching(folder, data)
    assert load_folder(folder, data).pins.agents["coder"].on_change == "deny"
    (folder / "pins.yaml").write_text("agents: {coder: {on_change: nothing}}")
    change = settled(watcher)
    assert (change.prompts, change.problems[0].file) == (None, "pins.yaml")
    (folder / "pins.yaml").write_text("agents: {coder: {on_change: finding, tools: {}}}")
    assert settled(watcher).prompts.pins.agents["coder"].on_change == "finding"
    (folder / "pins.yaml").unlink()
    assert settled(watcher).prompts.pins.agents == {}


PLAN = """prompt: one
control: 1
arms: {other: {model: m, weight: 1}}
metrics: {price: {measure: cost, matters: 1}}
sessions: {min: 100, max: 1000}
"""


def plan(folder: Path, said: str = PLAN) -> None:
    (folder / "experiments").mkdir(exist_ok=True)
    (folder / "experiments" / "tone.yaml").write_text(said)


def test_an_experiment_that_comes_goes_or_is_halted_on_another_machine_is_noticed(folder, data, shared):
    put(folder, "One.", "one")
    watcher = watching(folder, data, shared)
    plan(folder)
    served = settled(watcher).prompts
    assert served.trial(Named("one")).name == "tone"
    shared.stop(served.experiments["tone"].design, Stop("tone", "e", {"other": "halted"}))
    assert settled(watcher).prompts.trial(Named("one")) is None
    (folder / "experiments" / "tone.yaml").unlink()
    assert settled(watcher).prompts.experiments == {}


def test_a_broken_experiment_keeps_its_last_good_form_and_one_that_is_unfit_is_not_in_force(folder, data):
    put(folder, "One.", "one")
    plan(folder)
    watcher = watching(folder, data)
    plan(folder, PLAN + "lucks: 3\n")
    change = settled(watcher)
    assert (change.prompts, [problem.file for problem in change.problems]) == (None, ["experiments/tone.yaml"])
    plan(folder, PLAN.replace("prompt: one", "prompt: two"))
    change = settled(watcher)
    assert change.prompts.trial(Named("one")) is None
    assert "There is no prompt 'two'" in str(change.problems[0])


def test_a_gateway_does_not_start_with_a_broken_experiment(folder, data):
    put(folder, "One.", "one")
    plan(folder, "prompt: one\n")
    with pytest.raises(FileProblems, match=r"experiments/tone\.yaml"):
        load_folder(folder, data)


def test_without_the_library_that_guards_an_experiment_it_is_not_in_force_and_says_what_to_install(folder, data, monkeypatch):
    put(folder, "One.", "one")
    plan(folder)
    monkeypatch.setattr(prompt_folder.extras, "installed", lambda library: False)
    served = load_folder(folder, data)
    assert (served.trial(Named("one")), list(served.experiments)) == (None, ["tone"])
    [problem] = served.unfit
    assert (problem.file, "pip install 'tollhouse[experiments]'" in problem.message) == ("experiments/tone.yaml", True)
