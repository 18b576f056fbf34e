from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.strict_json import Ambiguous, encode, one_line, parse

int64 = st.integers(-(2**63), 2**63 - 1)
text = st.text(st.characters(codec="utf-8"), max_size=20)
leaves = st.none() | st.booleans() | int64 | st.floats(allow_nan=False, allow_infinity=False) | text
values = st.recursive(leaves, lambda v: st.lists(v, max_size=4) | st.dictionaries(text, v, max_size=4), max_leaves=20)
spellings = st.sampled_from([
    lambda v: json.dumps(v),
    lambda v: json.dumps(v, ensure_ascii=False),
    lambda v: json.dumps(v, separators=(",", ":")),
    lambda v: json.dumps(v, indent=2),
    lambda v: msgspec.json.encode(v).decode(),
])  # fmt: skip


def code(data: bytes | str, **options: Any) -> str:
    with pytest.raises(Ambiguous) as refusal:
        parse(data, **options)
    assert refusal.value.detail
    return refusal.value.code


@given(values, spellings)
def test_what_has_one_meaning_is_read_however_it_is_spelt(value: Any, spell: Any) -> None:
    written = spell(value)
    assert parse(written) == value
    assert parse(written.encode()) == value


@given(st.dictionaries(text, leaves, min_size=1, max_size=5), st.data(), spellings, st.booleans())
def test_a_key_twice_in_any_object_at_any_level_is_ambiguous(
    obj: dict[str, Any], data: st.DataObject, spell: Any, exact: bool
) -> None:
    repeated = data.draw(st.sampled_from(sorted(obj)))
    members = [f"{json.dumps(k)}:{spell(v)}" for k, v in obj.items()]
    escaped = "".join(f"\\u{unit:04x}" for unit in _utf16(repeated))
    members.insert(data.draw(st.integers(0, len(members))), f'"{escaped}" : null')
    written = "{" + ",".join(members) + "}"
    for wrapped in (written, f"[1, {written}]", f'{{"a": {written}, "b": []}}'):
        assert code(wrapped, exact_numbers=exact) == "dup_key"


def _utf16(string: str) -> list[int]:
    units = string.encode("utf-16-be")
    return [units[i] << 8 | units[i + 1] for i in range(0, len(units), 2)]


@pytest.mark.parametrize("written", ['{"a":1,"a":1}', '{"a":1,"\\u0061":1}', '{"":1,"":2}', '[{"b":{"a":1,"a":1}}]'])
def test_a_duplicate_key_is_ambiguous_even_with_equal_values(written: str) -> None:
    assert code(written) == "dup_key"


@pytest.mark.parametrize("written", ['{"a":1}{"a":2}', "1 2", "[] ]", '{"a":1},', "{}\x0b", "null//"])
def test_anything_after_the_value_is_ambiguous(written: str) -> None:
    assert code(written) == "trailing_data"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000])
@pytest.mark.parametrize("around", ["%s", "[%s]", '{"a":%s}'])
@pytest.mark.parametrize("exact", [True, False])
def test_a_number_that_is_not_finite_is_refused(number: str, around: str, exact: bool) -> None:
    assert code(around % number, exact_numbers=exact) == "number"


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**64, 10**40, 10**300])
@pytest.mark.parametrize("around", ["%d", "[%d]", '[ {"a":%d} ]'])
def test_an_integer_beyond_64_bits_is_refused_where_numbers_count(number: int, around: str) -> None:
    assert code(around % number) == "number"
    assert parse(around % number, exact_numbers=False) == json.loads(around % number)


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 10**18, 0])
def test_the_ends_of_the_64_bit_range_are_read(number: int) -> None:
    assert parse(f"[{number}]") == parse(f"[ {number} ]") == [number]


@pytest.mark.parametrize(
    "number", ["0.1000000000000000055", "9007199254740993.0", "1e-400", "0.30000000000000004000001",
               "1.0e-99999999999999999999999999", "1." + "0" * 500]
)  # fmt: skip
def test_a_fraction_that_a_double_does_not_hold_is_refused_where_numbers_count(number: str) -> None:
    assert code(f"[{number}]") == "number"
    assert parse(f"[{number}]", exact_numbers=False) == [float(number)]


@pytest.mark.parametrize("number", ["1.0", "1.50", "1E5", "1e+22", "-0.0", "5e-324", "1.7976931348623157e308"])
def test_another_spelling_of_the_same_fraction_is_read(number: str) -> None:
    assert parse(number) == float(number)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=None))
def test_an_accepted_number_is_exactly_the_number_written(number: Decimal) -> None:
    written = f"{number:e}" if number.as_tuple().exponent else str(number)
    try:
        value = parse(written)
    except Ambiguous:
        return
    assert Decimal(written) == (Decimal(repr(value)) if isinstance(value, float) else value)


@pytest.mark.parametrize(
    "data",
    [
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-16-le"),
        '{"a":1}'.encode("utf-32"),
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xc0\xaf"}',
        b'{"a":"\xff"}',
        b'{"\xed\xa0\x80":1}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\udc00"}',
        b'{"a":"\\ud800\\ud800"}',
        b'{"a":"\\ud800x","b":1}',
        b'"\\uD800"',
        b'[\xff]',
    ],
)
def test_what_is_not_plain_utf8_is_refused(data: bytes) -> None:
    assert code(data) == "encoding"


@pytest.mark.parametrize("string", ['"\ud800"', "\ufeff{}"])
def test_the_same_holds_for_text(string: str) -> None:
    assert code(string) == "encoding"


@pytest.mark.parametrize(
    "written", ["", " ", "{", '{"a"', "[1,]", "{'a':1}", '{"a":1,}', "tru", "[01]", "+1", '"\x01"', '"a', "{1:2}", "// x\n1"]
)
def test_what_is_not_json_is_malformed(written: str) -> None:
    assert code(written) == "malformed"


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_ten_thousand_levels_fail_as_depth(opening: str) -> None:
    assert code(opening * 10_000) == "depth"
    closing = opening.replace('"a":', "").translate({ord("["): "]", ord("{"): "}"})[::-1]
    assert code(opening * 10_000 + "1" + closing * 10_000) == "depth"


def test_deep_nesting_around_something_malformed_is_still_refused() -> None:
    assert code("[nul" + "[" * 200_000) == "malformed"
    assert code('["\\ud800",' + "[" * 200_000) == "depth"


@given(st.integers(1, 12), st.integers(0, 14), st.booleans())
def test_depth_counts_levels(allowed: int, levels: int, wide: bool) -> None:
    value: Any = []
    for _ in range(levels):
        value = [[], value, {}] if wide else {"a": value}
    written = json.dumps(value)
    if levels + 1 <= allowed:
        assert parse(written, depth=allowed) == value
    else:
        assert code(written, depth=allowed) == "depth"


def test_many_brackets_side_by_side_are_not_depth() -> None:
    assert parse("[" + "[]," * 1000 + "[]]") == [[]] * 1001
    assert parse(json.dumps(["[" * 1000])) == ["[" * 1000]


def test_more_levels_than_the_interpreter_can_recurse_are_depth_whatever_is_allowed() -> None:
    levels = 1_000_000  # CPython 3.14 recurses 20,000 times and more
    assert code("[" * levels + "]" * levels, depth=10 * levels) == "depth"


def test_a_refusal_never_quotes_a_value() -> None:
    for written in ('{"secret-key-1": "secret", "secret-key-1": "secret"}', '["secret", secret]', '"secret" secret'):
        with pytest.raises(Ambiguous) as refusal:
            parse(written)
        assert "secret" not in str(refusal.value)


@given(values)
def test_encoded_json_is_one_line_for_every_reader_of_lines(value: Any) -> None:
    written = encode(value)
    assert len(written.decode().splitlines()) == 1
    assert parse(written) == value


@given(text)
def test_escaping_separators_changes_no_meaning(string: str) -> None:
    written = json.dumps(string + "\u2028\u2029\x85", ensure_ascii=False).encode()
    assert json.loads(one_line(written)) == json.loads(written)
    assert len(one_line(written).decode().splitlines()) == 1


def test_the_same_holds_for_text_that_is_read_twice() -> None:
    assert code("[ " * 900 + "]" * 900, depth=880) == "depth"
