"""What the detectors promise, measured on made-up data and on the files of installed packages. None of it is a time: all is asserted."""

from pathlib import Path

import pytest

from gateway.trace.pens import everything, pens
from gateway.trace.redact import Redactor
from gateway.validators.detectors.secret_forms import FORMS, MARKED
from tests.bench import detectors, planted
from tests.bench.planted import Planted

FILES = 2000


@pytest.fixture(scope="module")
def secrets():
    return detectors.recall(planted.secrets(seed=1), "secret")


def test_every_form_of_the_table_is_planted_and_no_other():
    assert planted.KEYS.keys() == {*FORMS, *MARKED}
    assert len(planted.KEYS) >= 170


def test_of_all_planted_secrets_at_least_99_in_100_are_found(secrets):
    whole = detectors.together(secrets.values())
    assert whole.planted >= 5000
    assert whole.share >= 0.99, [(one.kind, one.place, one.secret) for one in whole.missed]


@pytest.mark.parametrize("kind", [*planted.KEYS, "private key", "password in an address"])
def test_what_has_a_form_is_found_in_every_place(secrets, kind):
    assert [(one.place, one.secret) for one in secrets[kind].missed] == []


@pytest.mark.parametrize("name", detectors.KINDS)
def test_of_planted_personal_data_at_least_95_in_100_are_found(name):
    [found] = detectors.recall([one for one in planted.personal(seed=1) if one.kind == name], name).values()
    assert found.planted >= 300
    assert found.share >= 0.95, [(one.place, one.secret) for one in found.missed]


@pytest.mark.parametrize("mode", ["redacted", "metadata"])
def test_what_is_stored_without_secrets_holds_none_of_those_that_have_a_form(mode):
    pen = pens(Redactor([]), everything, b"k" * 32)[mode]
    items = [one for one in planted.secrets(seed=3) if not one.kind.startswith("named: ")]
    ways = (pen.body, pen.label, pen.name, pen.told) if mode == "metadata" else (pen.body, pen.told)
    assert [(one.kind, one.place) for one in items for way in ways if detectors.leaks(one, way(one.text))] == []


def test_in_hardly_any_file_of_installed_packages_something_is_found():
    false = detectors.false_finds(detectors.ordinary_files(FILES))
    assert false.files == FILES
    assert false.share <= 0.01, {name: [(str(path), words[:3]) for path, words in hits] for name, hits in false.found.items()}


def test_the_measure_of_false_finds_sees_what_is_there(tmp_path: Path):
    (tmp_path / "a.py").write_text("token = 'a8F3kd93Kd0sL2mx'\n")
    (tmp_path / "b.py").write_text("mail ann@example.com, not x@y.shape\n")
    (tmp_path / "c.py").write_text("nothing\n")
    false = detectors.false_finds(sorted(tmp_path.iterdir()))
    found = {name: [words for _, words in hits] for name, hits in false.found.items()}
    assert found == {"secret": [["a8F3kd93Kd0sL2mx"]], "email": [["x@y.shape"]]}
    assert false.share == 2 / 3


def test_the_measure_of_recall_sees_a_part_that_is_left():
    one = Planted("x", "prose", "abc 0123456789ABCDEFGHIJ", "0123456789ABCDEFGHIJ")
    assert detectors.leaks(one, "abc 0123456789ABCDEFGHIJ")
    assert detectors.leaks(one, "abc [secret]CDEFGHIJ")
    assert not detectors.leaks(one, "abc [secret]")
    assert detectors.recall([one], "secret")["x"].missed == [one]
