"""Signed heads: a row of lines is believed as far as it is whole, in order and by this key, and no further."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.trace.heads import GENESIS, Head, Line, digest, public_key, public_text, read, seal, unseal

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key()
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))


def row(count: int, key: Ed25519PrivateKey = KEY) -> list[bytes]:
    texts: list[bytes] = []
    previous = GENESIS
    for n in range(count):
        texts.append(seal(Line(n, "heads", n, previous, (Head("s", n, "ab", 10 * n, n, n % 2 == 0),)), key))
        previous = digest(texts[-1])
    return texts


def test_lines_are_read_back_as_they_were_sealed():
    found = read(row(5), PUBLIC)
    assert [line.n for line in found.lines] == list(range(5))
    assert found.lines[3].heads == (Head("s", 3, "ab", 30, 3),)
    assert found.texts == [text.strip() for text in row(5)]
    assert found.problem is None


def test_a_line_that_comes_twice_counts_once():
    first, second, third = row(3)
    assert read([first, second, second, third], PUBLIC) == read([first, second, third], PUBLIC)


@given(st.integers(0, 4), st.data())
def test_any_changed_byte_ends_what_is_believed(at, data):
    texts = row(5)
    place = data.draw(st.integers(0, len(texts[at]) - 2))
    changed = bytearray(texts[at])
    changed[place] ^= data.draw(st.integers(1, 255))
    texts[at] = bytes(changed)
    found = read(texts, PUBLIC)
    same = texts[at].strip().lower() == row(5)[at].strip().lower()  # a hex digit in capitals says the same
    assert same or (len(found.lines) == at and found.problem is not None)


@given(st.permutations(range(4)), st.integers(1, 4))
def test_lines_out_of_order_or_left_out_are_not_believed(order, count):
    texts = row(4)
    picked = list(order[:count])
    found = read([texts[n] for n in picked], PUBLIC)
    whole = next((n for n, each in enumerate(picked) if n != each), count)
    assert len(found.lines) == whole
    assert (found.problem is None) == (whole == count)


def test_a_line_by_another_key_is_not_believed():
    found = read([*row(2), row(3, OTHER)[2]], PUBLIC)
    assert len(found.lines) == 2
    assert "not by this key" in str(found.problem)


def test_a_line_that_follows_another_history_is_not_believed():
    strange = seal(Line(1, "heads", 1, GENESIS), KEY)
    assert "does not follow" in str(read([row(1)[0], strange], PUBLIC).problem)


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"line":{},"signature":"ab"}', b"\xff", b'{"line":{"n":0}', b"null"])
def test_what_is_no_line_is_refused(text):
    with pytest.raises(ValueError, match="no signed head"):
        unseal(text, PUBLIC)


def test_a_signature_that_is_no_hex_is_refused():
    with pytest.raises(ValueError, match="no signed head"):
        unseal(row(1)[0].replace(b'"signature":"', b'"signature":"zz'), PUBLIC)


def test_a_public_key_is_read_back():
    assert public_key(public_text(PUBLIC)).public_bytes_raw() == PUBLIC.public_bytes_raw()


@pytest.mark.parametrize("text", ["", "ed25519:", "ed25519:zz", "rsa:" + "ab" * 32, "ab" * 32, "ed25519:" + "ab" * 31])
def test_what_is_no_public_key_is_refused(text):
    with pytest.raises(ValueError, match="tollhouse verify --show-key"):
        public_key(text)
