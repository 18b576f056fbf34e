"""The dated list of names: what is in it, what its file says, and that no other file is taken for it."""

from __future__ import annotations

import hashlib
from datetime import date

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.validators.packages import name_list
from gateway.validators.packages.name_list import MAGIC, build, read

DAY, SALT = date(2026, 11, 20), b"0123456789abcdef"
NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)


@settings(max_examples=60)
@given(st.sets(NAMES, min_size=1, max_size=200), st.sampled_from([1e-3, 1e-6, 1e-9]))
def test_every_name_of_the_list_is_found(names: set[str], rate: float) -> None:
    known = read(build("npm", names, made=DAY, salt=SALT, rate=rate))
    assert all(name in known for name in names)
    assert (known.header.ecosystem, known.header.made, known.header.count, known.header.rate) == ("npm", DAY, len(names), rate)


@pytest.mark.parametrize("rate", [1e-3, 1e-4])
def test_wrong_names_pass_no_more_often_than_the_file_says(rate: float) -> None:
    known = read(build("npm", (f"name-{i}" for i in range(20_000)), made=DAY, salt=SALT, rate=rate))
    tried = 100_000
    assert sum(f"wrong-{i}" in known for i in range(tried)) <= tried * rate * 1.5 + 5


def test_a_million_wrong_names_at_the_usual_rate_hardly_ever_pass() -> None:
    known = read(build("npm", (f"name-{i}" for i in range(5_000)), made=DAY, salt=SALT))
    assert sum(f"wrong-{i}" in known for i in range(300_000)) <= 3


def test_which_wrong_names_pass_depends_on_the_salt() -> None:
    names = [f"name-{i}" for i in range(3000)]
    one, other = (read(build("npm", names, made=DAY, salt=salt, rate=1e-3)) for salt in (SALT, SALT[::-1]))
    passing = [f"wrong-{i}" for i in range(30_000) if f"wrong-{i}" in one]
    assert passing
    assert sum(name in other for name in passing) <= 1


def test_names_are_compared_as_their_index_does() -> None:
    known = read(build("pip", ["Zope.Interface", "zope_interface", "PyYAML"], made=DAY, salt=SALT))
    assert known.header.count == 2
    assert "zope-interface" in known


def test_the_order_and_repetition_of_names_do_not_change_the_file() -> None:
    assert build("npm", ["a", "b", "a"], made=DAY, salt=SALT) == build("npm", ["b", "a"], made=DAY, salt=SALT)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ecosystem": "pypy"}, "no ecosystem 'pypy'; take one of pip"),
        ({"rate": 0.1}, "the rate must lie"),
        ({"rate": 0.0}, "the rate must lie"),
        ({"names": []}, "no name in the list"),
        ({"salt": b"short"}, "16 bytes"),
    ],
)
def test_what_cannot_be_built_says_why(given: dict, said: str) -> None:
    asked = {"ecosystem": "pip", "names": ["a"], "made": DAY, "salt": SALT, **given}
    with pytest.raises(ValueError, match=said):
        build(asked.pop("ecosystem"), asked.pop("names"), **asked)


def test_a_list_that_would_not_fit_into_memory_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_list, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match="ask for a larger rate"):
        build("pip", map(str, range(1000)), made=DAY, salt=SALT)


@given(st.data())
def test_no_changed_byte_and_no_cut_is_read(data: st.DataObject) -> None:
    whole = build("npm", ["a", "b", "c"], made=DAY, salt=SALT)
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[at] ^= data.draw(st.integers(1, 255))
    for broken in (bytes(flipped), whole[:at], whole + b"x"):
        with pytest.raises(ValueError, match="build"):
            read(broken)


def forged(header: dict, bits: bytes) -> bytes:
    told = msgspec.json.encode(header)
    body = MAGIC + len(told).to_bytes(4, "big") + told + bits
    return body + hashlib.sha256(body).digest()


RIGHT = {"ecosystem": "npm", "made": "2026-11-20", "count": 10, "rate": 1e-6, "bits": 304, "probes": 21, "salt": SALT.hex()}


def test_the_forged_header_would_be_right() -> None:
    assert "a" not in read(forged(RIGHT, bytes(38)))


@pytest.mark.parametrize(
    ("header", "bits", "said"),
    [
        (RIGHT, b"\xff" * 38, "more names than it says"),
        (RIGHT, bytes(37), "does not fit"),
        ({**RIGHT, "count": 9}, bytes(38), "does not fit"),
        ({**RIGHT, "count": 0}, bytes(38), "does not fit"),
        ({**RIGHT, "probes": 1}, bytes(38), "does not fit"),
        ({**RIGHT, "rate": 0.5}, bytes(38), "does not fit"),
        ({**RIGHT, "ecosystem": "x"}, bytes(38), "does not fit"),
        ({**RIGHT, "salt": "00"}, bytes(38), "does not fit"),
        ({**RIGHT, "salt": "zz"}, bytes(38), "another version"),
        ({**RIGHT, "made": "yesterday"}, bytes(38), "another version"),
        ({**RIGHT, "more": 1}, bytes(38), "another version"),
    ],
)
def test_a_file_that_lies_about_itself_is_refused(header: dict, bits: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read(forged(header, bits))
