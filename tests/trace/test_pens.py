"""What is written of a text, in each mode."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.trace.pens import _COUNTS, Span, everything, only_measured, pens
from gateway.trace.redact import Redactor

OWN = "sk-canary-0123456789"
KEY = "th_abcdefgh_" + "A" * 43
FOUND = "AKIA7QX2MPLV4T8NWZ3C"
MARK = re.compile(r"\[REDACTED:aws:[0-9a-f]{8}\]")
PAN = 4111111111111111


def detect(text):
    for name, form in (("aws", r"AKIA[0-9A-Z]{16}"), ("card", r"\b4[0-9]{15}\b"), ("dash", r"\d{3}-\d{3}"), ("dash2", r"-\d{3}-\d{3}")):
        yield from (Span(*each.span(), name) for each in re.finditer(form, text))


PENS = pens(Redactor([OWN]), detect, b"k" * 32)
FULL, REDACTED, METADATA = PENS["full"], PENS["redacted"], PENS["metadata"]


def test_full_keeps_what_was_sent_but_for_the_gateways_own_secrets():
    said = f"use {FOUND}, {OWN} and {KEY}"
    expected = f"use {FOUND}, [REDACTED:provider_key] and [REDACTED:virtual_key]"
    assert FULL.body(said) == FULL.name(said) == FULL.label(said) == FULL.told(said, [FOUND]) == expected


def test_what_detectors_find_is_replaced_and_equal_values_stay_equal():
    first, second, other = REDACTED.body(f"{FOUND} {FOUND} {'AKIA' + 'B' * 16}").split()
    assert first == second != other
    assert MARK.fullmatch(first)
    assert MARK.fullmatch(other)


def test_the_same_number_is_the_same_however_it_is_grouped():
    grouped, plain = (REDACTED.body(text).split(":")[2] for text in ("123-456", "123-456."))
    assert grouped.rstrip("]") == plain.rstrip("].")


def test_another_key_gives_another_mark():
    assert pens(Redactor([]), detect, b"x" * 32)["redacted"].body(FOUND) != REDACTED.body(FOUND)


def test_of_findings_that_overlap_nothing_is_left_over():
    assert re.fullmatch(r"a \[REDACTED:dash2?:[0-9a-f]{8}\] b", REDACTED.body("a 1-123-456 b".replace("1-", "-")))


def test_a_finding_of_nothing_changes_nothing():
    nothing = pens(Redactor([]), lambda text: [Span(1, 1, "none")], b"k")["redacted"]
    assert nothing.body("text") == "text"


def escaped(text):
    return "".join(f"\\u{ord(c):04x}" for c in text)


@pytest.mark.parametrize("layers", range(4))
@pytest.mark.parametrize("as_key", [True, False])
def test_json_in_json_hides_nothing_and_stays_json(layers, as_key):
    value = {"x": f"line\n{FOUND}"} if not as_key else {f"\t{FOUND}": 1}
    text = json.dumps(value).replace(FOUND, escaped(FOUND))
    for _ in range(layers):
        text = json.dumps({"arguments": text, "other": [1, True, None, "kept"]})
    clean = REDACTED.body(text)
    for _ in range(layers):
        clean = json.loads(clean)
        assert clean["other"] == [1, True, None, "kept"]
        clean = clean["arguments"]
    (name, found), = json.loads(clean).items()
    assert MARK.search(name if as_key else found)
    assert FOUND not in clean


def test_a_card_number_written_as_a_number_is_found():
    assert json.loads(REDACTED.body(json.dumps({"pan": PAN, "n": 5, "big": PAN * 10})))["pan"].startswith("[REDACTED:card:")
    assert REDACTED.body(f'{{"n":  {PAN + 10**17}}}') == f'{{"n":  {PAN + 10**17}}}'


@pytest.mark.parametrize("text", [f'{{"half": "{escaped(FOUND)}', f'before \\"\\n{FOUND} ', f"no json \\\\u0041KIA{FOUND[4:]}"])
def test_what_is_no_json_is_searched_with_its_escapes_written_out(text):
    clean = REDACTED.body(text)
    assert "[REDACTED:aws:" in clean
    assert FOUND[4:] not in clean


def test_a_lone_surrogate_is_no_way_around():
    assert FOUND not in REDACTED.body(f'["\ud800", "{FOUND}"]')
    assert METADATA.body("\ud800").startswith("[text, 3 bytes")


LEAVES = st.none() | st.booleans() | st.integers(-(10**7), 10**7) | st.text("ab\\\"{}[]:, \n")


@given(st.recursive(LEAVES, lambda each: st.lists(each) | st.dictionaries(st.text("ab\\\""), each)))
def test_where_nothing_is_found_not_a_byte_changes(value):
    text = json.dumps(value, indent=1)
    assert REDACTED.body(text) == text


@given(st.text(), st.text())
def test_whatever_surrounds_it_what_detectors_find_is_gone(before, after):
    for text in (before + FOUND + after, json.dumps([before + FOUND + after])):
        assert FOUND not in REDACTED.body(text)
        assert FOUND not in METADATA.body(text)


def test_metadata_keeps_size_and_hash_of_what_was_said():
    mark = METADATA.body("grüße")
    assert re.fullmatch(r"\[text, 7 bytes, hmac:[0-9a-f]{16}\]", mark)
    assert METADATA.body("grüße") == mark != METADATA.body("gruesse")
    assert METADATA.label("session of Ada").startswith("hmac:")
    assert METADATA.body("") == METADATA.label("") == METADATA.name("") == REDACTED.body("") == ""


def test_what_stands_for_a_text_of_which_only_size_and_hash_were_kept_is_known_as_that():
    assert only_measured(METADATA.body("Hi"))
    assert not any(only_measured(text) for text in ("Hi", "", FULL.body(f"{METADATA.body('Hi')} and more")))


def test_metadata_keeps_names_that_look_like_names_and_hold_nothing():
    assert METADATA.name("models/gpt-x:latest") == "models/gpt-x:latest"
    assert METADATA.name("tell me a story").startswith("[text, 15 bytes")
    assert MARK.search(METADATA.name(f"model-{FOUND}"))


def test_a_reason_that_quotes_an_argument_does_not_in_metadata():
    args = {"to": "Ada Lovelace", "amount": 950, "note": ["on\n  the house", {"x": 1.5}], "ok": True, "all": None}
    said = "950 to Ada Lovelace (on the house, x 1.5) is above 9500 [rule pay.big]"
    told = METADATA.told(said, [args])
    assert re.fullmatch(r"H to H \(H, x H\) is above 9500 \[rule pay\.big\]".replace("H", r"\[hmac:[0-9a-f]{8}\]"), told)
    assert REDACTED.told(said, [args]) == said


def test_a_reason_that_quotes_only_the_beginning_of_an_argument_does_not_in_metadata():
    value = "the quick brown fox jumps over the lazy dog"
    told = METADATA.told(f"said {value[:20]}… and more… or", [value])
    assert re.fullmatch(r"said \[hmac:[0-9a-f]{8}\]… and more… or", told)


def test_all_detectors_look_and_say_which_found_what():
    text = "card 4111 1111 1111 1111, ssn 123-45-6789, mail ada@example.com, key ghp_0123456789abcdefghijABCDEFGHIJ012345"
    found = {span.detector: text[span.start : span.end] for span in everything(text)}
    assert found["card"] == "4111 1111 1111 1111"
    assert found["ssn"] == "123-45-6789"
    assert found["email"] == "ada@example.com"
    assert found["secret"].startswith("ghp_")
    clean = pens(Redactor([]), everything, b"k")["redacted"].body(json.dumps({"text": text}))
    assert all(value not in clean for value in found.values())


SMALL = st.from_regex(r"[a-z_]{1,32}", fullmatch=True)
USAGE = st.dictionaries(
    SMALL, st.integers(0, 10**8 - 1) | st.none() | st.booleans() | SMALL | st.dictionaries(SMALL, st.integers(0, 10**8 - 1)), max_size=8
)


@given(USAGE, st.sampled_from([None, 1]))
def test_in_plain_names_and_small_numbers_no_detector_finds_anything(usage, indent):
    text = json.dumps(usage, indent=indent)
    assert pens(Redactor([OWN]), everything, b"k")["redacted"].body(text) == text
    for word in (*usage, *(str(value) for value in usage.values())):
        assert list(everything(word)) == []


@pytest.mark.parametrize(
    "text",
    ["4111 1111 1111 1111", "123 45 6789", "020 7946 0958", "0049 30 1234 5678", "[4111 1111 1111 1111]", '{"tel": 0049 30 1234 5678}'],
)
def test_a_text_of_nothing_but_small_numbers_is_looked_at(text):
    assert "[REDACTED:" in pens(Redactor([OWN]), everything, b"k")["redacted"].body(text)


@given(st.from_regex(_COUNTS, fullmatch=True))
def test_whatever_passes_for_usage_holds_nothing_a_detector_finds(text):
    assert list(everything(text)) == []


def test_a_long_run_of_blanks_costs_no_more_than_any_other_text():
    assert _COUNTS.fullmatch('{"a":1' + " " * 1_000_000 + "x") is None


@given(st.text("0123456789 -.,:()+ab", max_size=40))
def test_of_figures_and_signs_what_a_detector_finds_is_taken_out(text):
    clean = pens(Redactor([OWN]), everything, b"k")["redacted"].body(text)
    assert ("[REDACTED:" in clean) == bool(list(everything(text)))


def test_a_number_or_a_word_that_is_longer_is_looked_at():
    redacted = pens(Redactor([OWN]), everything, b"k")["redacted"]
    for value in (PAN, str(PAN), "hf_" + "abcdefghij" * 3, f"x {PAN}"):
        text = json.dumps({"prompt_tokens": 5, "x": value})
        assert redacted.body(text) != text


def test_the_gateways_own_secrets_go_out_of_plain_names_too():
    redacted = pens(Redactor(["secretofplainletters"]), everything, b"k")["redacted"]
    assert redacted.body('{"secretofplainletters":1}') == '{"[REDACTED:provider_key]":1}'
