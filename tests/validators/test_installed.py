"""Validators of installed packages: real distributions on a path, found by their metadata."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import FileProblems
from gateway.policy import load
from gateway.validators import VALIDATORS, installed
from gateway.validators.installed import named
from gateway.validators.validator import Subject

POLITE = '''
from gateway.documents import Section
from gateway.validators.validator import Seen, Validator

class Options(Section):
    word: str = "please"

def make(options):
    return lambda subject: [] if options.word in subject.text else [Seen("impolite", "the magic word is missing")]

POLITE = Validator("polite", "1", Options, make)
RENAMED = Validator("rude", "1", Options, make)
NO_OPTIONS = Validator("polite", "1", dict, make)
NO_MAKE = Validator("polite", "1", Options, None)
TEXT = "polite"
'''


def install(folder: Path, monkeypatch, package: str, *points: str, code: str = POLITE) -> None:
    """A distribution as installers leave it: a package, and its metadata beside it."""
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text(code)
    metadata = folder / f"{package}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[tollhouse.validators]\n" + "\n".join(points) + "\n")
    monkeypatch.syspath_prepend(folder)


@pytest.fixture(autouse=True)
def _read_anew():
    yield
    for known in (installed._given, installed._loaded):
        known.cache_clear()
    for module in [name for name in sys.modules if name.startswith("own_validators")]:
        del sys.modules[module]


def test_a_validator_of_a_package_is_used_like_one_of_the_shelf(tmp_path, monkeypatch):
    installed._given.cache_clear()
    install(tmp_path, monkeypatch, "own_validators", "polite = own_validators:POLITE")
    polite = named("polite")
    assert [one.code for one in polite.make(polite.options())(Subject("do it"))] == ["impolite"]
    assert list(polite.make(polite.options(word="do"))(Subject("do it"))) == []
    assert named("polite") is polite


def test_a_package_is_imported_when_its_validator_is_named_and_not_before(tmp_path, monkeypatch):
    installed._given.cache_clear()
    install(tmp_path, monkeypatch, "own_validators", "polite = own_validators:POLITE")
    assert named("length") is VALIDATORS["length"]
    assert "own_validators" not in sys.modules
    named("polite")
    assert "own_validators" in sys.modules


@pytest.mark.parametrize(
    ("target", "code", "said"),
    [
        ("own_validators:MISSING", POLITE, "cannot be loaded (AttributeError"),
        ("own_validators.gone:POLITE", POLITE, "cannot be loaded (ModuleNotFoundError"),
        ("own_validators:POLITE", "raise RuntimeError('no licence')", "cannot be loaded (RuntimeError: no licence)"),
        ("own_validators:TEXT", POLITE, "is of type str; it must be a gateway.validators.validator.Validator"),
        ("own_validators:RENAMED", POLITE, "calls itself 'rude'"),
        ("own_validators:NO_OPTIONS", POLITE, "no class of gateway.documents.Section"),
        ("own_validators:NO_MAKE", POLITE, "has a 'make' that cannot be called"),
    ],
)
def test_what_is_wrong_with_it_is_told_with_package_and_place(tmp_path, monkeypatch, target, code, said):
    installed._given.cache_clear()
    install(tmp_path, monkeypatch, "own_validators", f"polite = {target}", code=code)
    with pytest.raises(ValueError, match=r"the package own_validators 1.0") as refusal:
        named("polite")
    assert said in str(refusal.value)


def test_a_name_that_is_taken_is_nobodys(tmp_path, monkeypatch):
    installed._given.cache_clear()
    install(tmp_path, monkeypatch, "own_validators", "polite = own_validators:POLITE", "length = own_validators:POLITE")
    install(tmp_path, monkeypatch, "own_validators_two", "polite = own_validators_two:POLITE")
    with pytest.raises(ValueError, match=r"by the package own_validators 1.0 beside the built-in one"):
        named("length")
    with pytest.raises(ValueError, match=r"given more than once: by the package own_validators.* and by the package own_validators"):
        named("polite")
    assert named("regex") is VALIDATORS["regex"]


def test_a_name_that_nobody_has_is_told_with_the_nearest_one(tmp_path, monkeypatch):
    installed._given.cache_clear()
    install(tmp_path, monkeypatch, "own_validators", "polite = own_validators:POLITE")
    for wrong, offer in (("lenght", "did you mean 'length'"), ("polit", "did you mean 'polite'"), ("zzz", "there are code, ")):
        with pytest.raises(ValueError, match=offer):
            named(wrong)
        assert not installed.is_given(wrong)
    assert installed.is_given("polite")
    assert installed.is_given("length")


RULE = "policy: 1\nid: p\nagents: ['*']\nallow: ['*']\nrules:\n- {id: a, at: output, effect: warn, validate: [{NAME: {word: kindly}}]}\n"


def test_a_rule_names_it_with_its_options_and_is_refused_where_it_cannot_be_used(tmp_path, monkeypatch):
    installed._given.cache_clear()
    install(tmp_path, monkeypatch, "own_validators", "polite = own_validators:POLITE", "broken = own_validators:GONE")
    [guard] = load({"p.yaml": RULE.replace("NAME", "polite").encode()}).policies[0].layers[0].guards
    assert [one.code for one in guard.uses[0].look(Subject("do it")).seen] == ["impolite"]
    assert guard.uses[0].look(Subject("kindly do it")).seen == ()
    with pytest.raises(FileProblems, match=r"p.yaml:6:.*'broken' of the package own_validators 1.0 cannot be loaded"):
        load({"p.yaml": RULE.replace("NAME", "broken").encode()})
    with pytest.raises(FileProblems, match=r"'polite': unknown key 'wort'; did you mean 'word'"):
        load({"p.yaml": RULE.replace("NAME", "polite").replace("word", "wort").encode()})


def test_all_of_them_are_known_with_those_of_packages(tmp_path, monkeypatch):
    installed._given.cache_clear()
    install(tmp_path, monkeypatch, "own_validators", "polite = own_validators:POLITE")
    assert installed.known() == {**VALIDATORS, "polite": named("polite")}


def test_an_entry_without_a_package_is_told_by_its_place(monkeypatch):
    from importlib.metadata import EntryPoint

    lost = EntryPoint("polite", "nowhere_at_all:X", installed.GROUP)
    monkeypatch.setattr(installed, "_given", lambda: {"polite": (lost,)})
    with pytest.raises(ValueError, match="an unnamed package"):
        named("polite")
    monkeypatch.undo()


def test_importing_the_shelf_looks_for_no_package(tmp_path):
    code = "import sys, gateway.validators; sys.exit('importlib.metadata' in sys.modules and 'gateway.validators.installed' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
