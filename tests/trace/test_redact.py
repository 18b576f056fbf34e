"""Known secrets never leave and are never written."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.trace.redact import PROVIDER_KEY, VIRTUAL_KEY, Redactor

SECRET = "sk-canary-0123456789"
KEY = "th_abcdefgh_" + "A" * 43


def test_a_provider_key_is_taken_out_of_text_and_bytes():
    redactor = Redactor([SECRET])
    assert redactor.text(f"bad key {SECRET}!") == "bad key [REDACTED:provider_key]!"
    assert redactor.data(f"bad key {SECRET}!".encode()) == b"bad key [REDACTED:provider_key]!"


def test_a_virtual_key_is_taken_out_by_its_form():
    redactor = Redactor([])
    assert redactor.text(f"use {KEY}.") == "use [REDACTED:virtual_key]."
    assert redactor.data(f"use {KEY}.".encode()) == b"use [REDACTED:virtual_key]."


def test_it_tells_whether_a_text_holds_a_secret():
    redactor = Redactor([SECRET])
    assert redactor.finds(f"a {SECRET}")
    assert redactor.finds(KEY)
    assert not redactor.finds("a th_ing")


def test_the_longer_of_two_overlapping_secrets_goes_first():
    assert SECRET not in Redactor([SECRET, SECRET + "-more"]).text(f"{SECRET}-more")
    assert Redactor([SECRET, SECRET + "-more"]).text(f"{SECRET}-more") == "[REDACTED:provider_key]"


def test_a_short_secret_does_not_blank_out_words():
    assert Redactor(["key"]).text("the key word") == "the key word"


def test_its_own_display_hides_the_secrets():
    assert SECRET not in repr(Redactor([SECRET]))


@given(st.text(max_size=50), st.text(max_size=50))
def test_whatever_surrounds_it_the_secret_is_gone(before, after):
    redactor = Redactor([SECRET])
    assert SECRET not in redactor.text(before + SECRET + after)
    raw = (before + SECRET + after).encode("utf-8", "surrogatepass")
    assert SECRET.encode() not in redactor.data(raw)


@given(st.text(alphabet='abc th_{}"', max_size=200))
def test_text_without_secrets_is_untouched(text):
    redactor = Redactor([SECRET])
    assert redactor.text(text) == text
    assert redactor.data(text.encode()) == text.encode()


@given(st.lists(st.sampled_from(["data: ", "t", "th_", SECRET, SECRET[:5], KEY, KEY[:20], "\n\n", "x"]), max_size=12), st.data())
def test_a_secret_leaves_in_no_piece_however_the_answer_is_cut(words, data):
    redactor, whole = Redactor([SECRET]), "".join(words).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    flow = redactor.flow()
    pieces = [flow.piece(whole[a:b]) for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    out = b"".join([*pieces, flow.last(b"")])
    assert SECRET.encode() not in out
    assert KEY.encode() not in out
    assert out == redactor.data(whole)


def test_a_piece_that_ends_with_a_line_waits_for_nothing():
    flow = Redactor([SECRET]).flow()
    assert flow.piece(b"data: th\n\n") == b"data: th\n\n"
    assert flow.piece(f"data: {SECRET[:4]}".encode()) == b"data: "
    assert flow.last(b"\n\n") == f"{SECRET[:4]}\n\n".encode()


NO_ESCAPES = st.sampled_from("s\\\"t/ \nhé\x00😀")


def escaped(text, letters):
    """A JSON string in which the letters at these places are escapes."""
    return '"' + "".join(f"\\u{ord(c):04x}" if at in letters else c for at, c in enumerate(text)) + '"'


@given(st.sampled_from([SECRET, KEY]), st.sets(st.integers(0, 54), min_size=1), st.integers(0, 2))
def test_a_secret_is_found_in_json_however_it_is_escaped(secret, letters, layers):
    text = escaped(secret, letters)
    for _ in range(layers):
        text = json.dumps(text)
    clean = Redactor([SECRET]).data(text.encode())
    for _ in range(layers + 1):
        clean = json.loads(clean)
    assert clean in ("[REDACTED:provider_key]", "[REDACTED:virtual_key]")


@given(st.text(NO_ESCAPES, max_size=20), st.text(NO_ESCAPES, max_size=20))
def test_json_stays_json_and_keeps_what_stands_beside_a_secret(before, after):
    value = [before, SECRET, KEY, after]
    clean = json.loads(Redactor([SECRET]).data(json.dumps(value).replace("s", "\\u0073").encode()))
    assert clean == [before, "[REDACTED:provider_key]", "[REDACTED:virtual_key]", after]


@given(st.text(max_size=60))
def test_escapes_without_a_secret_are_left_as_they_are(text):
    written = escaped(text, range(0, 60, 2)).encode("utf-8", "surrogatepass")
    assert Redactor([SECRET]).data(written) == written


def test_escapes_in_more_layers_than_anybody_reads_are_left_as_they_are():
    written = b'"' + b"\\" * 64 + b'u0073k-canary"'
    assert Redactor([SECRET]).data(written) == written


def test_places_of_secrets_are_told_with_what_takes_them():
    redactor = Redactor(["made-up-secret", "up-secret-longer"])
    own = "th_abcdefgh_" + "a" * 43
    text = f"{own} made-up-secret-longer"
    assert redactor.spans(text) == [(0, 55, VIRTUAL_KEY), (56, 70, PROVIDER_KEY), (61, 77, PROVIDER_KEY)]
    assert redactor.spans("nothing") == []
    assert redactor.longest == 55


def test_what_could_be_the_beginning_of_a_secret_is_counted_from_four_characters_on():
    redactor = Redactor(["made-up-secret", "made-mademade"])
    expected = {"mad": 0, "x made": 4, "made-up-s": 9, "made-made": 9, "made-x": 0, "th_": 0, "th_a": 4, "path_to": 5, "th_a b": 0}
    assert {text: redactor.begun(text) for text in expected} == expected


def test_a_secret_that_came_later_is_taken_out_from_then_on_and_so_are_the_last_few_of_them():
    redactor = Redactor(["sk-given-from-the-start"])
    assert redactor.text("ya29.token-0000") == "ya29.token-0000"
    for number in range(40):
        redactor.learn(f"ya29.token-{number:04}")
        redactor.learn(f"ya29.token-{number:04}")
    assert redactor.text("ya29.token-0039, sk-given-from-the-start") == "[REDACTED:provider_key], [REDACTED:provider_key]"
    assert redactor.data(b"ya29.token-0030") == b"[REDACTED:provider_key]"
    assert redactor.text("ya29.token-0000") == "ya29.token-0000"
