"""All kept prompts: which version a request means, and where labels point."""

from __future__ import annotations

import pytest

from gateway.errors import GatewayError
from gateway.prompt.kept import read
from gateway.prompt.library import EMPTY, Commit, Commits, Library, Move, Named


def kept(body: str, labels: str = "", name: str = "support"):
    return read(name, f"---\nlabels: {{{labels}}}\n---\n{body}".encode())


OLD, NEW = kept("Old."), kept("New.", "production: this")


def library(head=NEW, *others, moves=None) -> Library:
    versions = {each.version: each for each in (OLD, head, *others)}
    return Library({"support": head}, {"support": versions}, {"support": moves or {}})


def refused(named: Named, of: Library) -> tuple[str, str]:
    with pytest.raises(GatewayError) as caught:
        of.find(named)
    return caught.value.code, caught.value.message


def test_without_version_or_label_the_file_as_it_stands_is_meant():
    assert library().find(Named("support")) is NEW


def test_a_version_is_named_by_its_first_digits():
    assert library().find(Named("support", version=OLD.version[:8])) is OLD
    assert library().find(Named("support", version=OLD.version)) is OLD


def test_a_label_points_at_what_the_front_matter_says():
    pinned = kept("Newer.", f"production: {OLD.version[:10]}, canary: this")
    found = library(pinned)
    assert found.labels("support") == {"production": OLD.version, "canary": pinned.version}
    assert found.find(Named("support", label="production")) is OLD


def test_a_moved_label_points_where_it_was_moved():
    found = library(moves={"production": Move(OLD.version, over=NEW.version), "canary": Move(NEW.version)})
    assert found.labels("support") == {"production": OLD.version, "canary": NEW.version}


def test_a_move_ends_when_the_front_matter_says_something_else():
    newer = kept("Newer.", "production: this")
    assert library(newer, moves={"production": Move(OLD.version, over=NEW.version)}).labels("support") == {"production": newer.version}
    silent = kept("Newer.")
    assert library(silent, moves={"production": Move(OLD.version, over=NEW.version)}).labels("support") == {}


@pytest.mark.parametrize(
    ("named", "code", "says"),
    [
        (Named("suport"), "unknown_prompt", "did you mean 'support'?"),
        (Named("support", label="prod"), "unknown_prompt_label", "It has: production."),
        (Named("support", version="00000000"), "unknown_prompt_version", "has no version"),
        (Named("support", version=OLD.version[:7]), "unknown_prompt_version", "at least 8 digits"),
    ],
)
def test_what_is_not_there_is_refused_and_says_what_is(named, code, says):
    told = refused(named, library())
    assert told[0] == code
    assert says in told[1]


def test_digits_that_begin_two_versions_name_none():
    twin = OLD.__class__(OLD.name, OLD.version[:20] + "0" * 44, OLD.source, OLD.head, OLD.template)
    of = Library({"support": NEW}, {"support": {each.version: each for each in (OLD, twin, NEW)}})
    assert "2 versions" in refused(Named("support", version=OLD.version[:12]), of)[1]
    assert of.find(Named("support", version=OLD.version)) is OLD


def test_a_label_at_a_version_that_is_gone_says_so():
    code, message = refused(Named("support", label="production"), library(moves={"production": Move("f" * 64, over=NEW.version)}))
    assert code == "unknown_prompt_version"
    assert "Move it" in message
    gone = kept("Newer.", "canary: 0123456789abcdef")
    assert "0123456789ab" in refused(Named("support", label="canary"), library(gone))[1]


def test_without_prompts_none_is_there():
    assert "There are: none." in refused(Named("support"), EMPTY)[1]
    assert EMPTY.hash == Library().hash


def test_the_library_is_another_one_when_an_answer_could_be():
    moved = library(moves={"production": Move(OLD.version, over=NEW.version)})
    assert len({library().hash, moved.hash, library(kept("Newer.", "production: this")).hash, EMPTY.hash}) == 4


def test_a_version_is_deployed_that_is_committed_or_that_a_label_was_moved_to():
    dirty = Commits({"support": Commit("c0ffee", "ann", 7)}, frozenset({"support"}))
    here = {"heads": {"support": NEW}, "versions": {"support": {each.version: each for each in (OLD, NEW)}}}
    assert Library(**here).deployed(NEW)
    assert not Library(**here, commits=dirty).deployed(NEW)
    assert Library(**here, commits=dirty).deployed(OLD)  # that it was committed is what made it another one than the file
    assert Library(**here, commits=dirty, moves={"support": {"production": Move(NEW.version)}}).deployed(NEW)
