"""Numbers of states: the examples that their offices and standards show are found, a slip of the pen is not, and nobody else's are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.validators.detectors import NUMBERS, national_ids
from gateway.validators.detectors.check_digits import day_of, luhn, verhoeff

FOUND = {
    "at": ["1237 010180", "1237010180"],
    "au": ["123 456 782", "876543210"],
    "be": ["85.07.30-033.28", "85073003328", "00012556777"],
    "br": ["529.982.247-25", "11144477735"],
    "ca": ["130 692 544", "130-692-544", "130692544"],
    "ch": ["756.9217.0769.85", "756.1234.5678.97", "7569217076985"],
    "cn": ["11010519491231002X", "11010519491231002x"],
    "cz": ["710319/2745"],
    "de": ["36 574 261 809", "86095742719", "65929970489"],
    "es": ["12345678Z", "54362315-K", "12.345.678-Z", "X-2482300W", "x2482300w"],
    "fi": ["131052-308T", "131052A308T"],
    "fr": ["2 95 10 99 126 111 93", "295109912611193", "2 53 07 2B 073 004 70"],
    "gb": ["AB 12 34 56 C", "AB123456C", "ab123456c"],
    "in": ["2341 2341 2346", "999941057058", "9999-4105-7058"],
    "it": ["RSSMRA85T10A562S", "RSS MRA 85T10 A562S", "rccmnl83s18d969h"],
    "nl": ["111222333", "1112.22.333", "111 222 333"],
    "no": ["15108695088", "151086 95088"],
    "pl": ["44051401359", "02070803628"],
    "se": ["811218-9876", "198112189876", "811218+9876", "701063-2391"],
    "tr": ["10000000146", "17291716060"],
    "us": ["123-45-6789"],
    "za": ["8001015009087", "800101 5009 087"],
}
LEFT_ALONE = {
    "at": ["1237 320180", "1238 010180"],
    "be": ["85133003328", "85.07.30.033.28"],
    "br": ["11111111111", "529.982.247-26"],
    "ca": ["046 454 286", "130 692 545"],
    "ch": ["755.9217.0769.85", "7569217076984"],
    "cn": ["11010519491331002X", "110105194912310021"],
    "cz": ["7103192745", "719919/2745"],
    "de": ["00000000000", "12345678901", "11111111111", "36 574 261 808"],
    "es": ["12345678A", "Y-2482300W"],
    "fi": ["131052-308U", "991352-308T"],
    "fr": ["295109912611194", "395109912611193"],
    "gb": ["QQ 12 34 56 C", "GB 12 34 56 C", "AB 12 34 56 E"],
    "in": ["2341 2341 2347", "1341 2341 2346"],
    "it": ["RSSMRA85T10A562T", "RSSMRA85Z10A562S"],
    "nl": ["000000000", "111222334"],
    "no": ["15108695089", "15138695088"],
    "pl": ["44051401358", "44991401359"],
    "se": ["811218-9877", "811318-9876"],
    "tr": ["10000000147", "17291716061", "07291716060"],
    "us": ["000-45-6789"],
    "za": ["8001015009088", "8013015009087"],
}


def found(countries, text):
    return [text[start:end] for start, end in national_ids(countries).find(text)]


@pytest.mark.parametrize(("country", "number"), [(country, number) for country, numbers in FOUND.items() for number in numbers])
def test_a_right_number_is_found_wherever_it_stands(country, number):
    for around in ("{}", "so: {}, yes", '{{"n": "{}"}}', "é {}\n", "({})", "a,{},b"):
        assert found([country], around.format(number)) == [number]


@pytest.mark.parametrize(("country", "number"), [(country, number) for country, numbers in LEFT_ALONE.items() for number in numbers])
def test_a_wrong_number_is_left_alone(country, number):
    assert found([country], f"so: {number} yes") == []


@pytest.mark.parametrize("country", NUMBERS)
def test_a_number_inside_of_a_longer_one_is_left_alone(country):
    for number in FOUND[country]:
        for around in ("7{}", "{}7", "7.{}", "{}-7", "x{}", "{}x"):
            assert number not in found([country], around.format(number))


def test_only_the_countries_that_are_named_count():
    text = "36 574 261 809 and 12345678Z and 123-45-6789"
    assert found(["es"], text) == ["12345678Z"]
    assert found(["de", "us"], text) == ["36 574 261 809", "123-45-6789"]
    assert len(found(list(NUMBERS), text)) == 3


UNCHECKED = {"gb", "us"}
"""They give out numbers without check digits."""
TWO_CENTURIES = "06012556777"
"""Belgium's check digits count the century, so that of two numbers with one wrong digit one can be right in the other century."""


@pytest.mark.parametrize("country", sorted({*NUMBERS} - UNCHECKED))
def test_a_number_with_any_one_wrong_digit_is_no_longer_found(country):
    for number in FOUND[country]:
        for at in (place for place, sign in enumerate(number) if sign.isdigit()):
            slips = {number[:at] + digit + number[at + 1 :] for digit in "0123456789"} - {number, TWO_CENTURIES}
            assert [slip for slip in slips if found([country], slip)] == []


@given(st.integers(0, 10**11))
def test_every_number_has_one_check_digit(number):
    assert sum(luhn(f"{number}{digit}") for digit in range(10)) == 1
    assert sum(verhoeff(f"{number}{digit}") for digit in range(10)) == 1


@given(st.integers(10**10, 10**11), st.integers(0, 9))
def test_verhoeffs_digit_tells_two_neighbours_that_changed_places(number, at):
    whole = next(f"{number}{digit}" for digit in range(10) if verhoeff(f"{number}{digit}"))
    swapped = whole[:at] + whole[at + 1] + whole[at] + whole[at + 2 :]
    assert verhoeff(swapped) is (swapped == whole)


def test_days_are_those_of_the_calendar():
    assert day_of("00", "02", "29")
    assert not day_of("01", "02", "29")
    assert not any(day_of("20", month, day) for month, day in (("04", "31"), ("00", "01"), ("13", "01"), ("12", "00"), ("12", "32")))
