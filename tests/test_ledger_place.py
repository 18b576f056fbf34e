"""Where the ledger is: one meaning or refused, and never a password."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Settings
from gateway.ledger_place import LakePlace, lake_place


def test_a_file_in_the_data_folder_is_what_is_meant_without_a_word() -> None:
    assert lake_place("duckdb") is None
    assert Settings().ledger == "duckdb"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("ducklake:postgres:dbname=fleet host=db;data=/srv/lake", LakePlace("dbname=fleet host=db", "/srv/lake/")),
        ("ducklake:postgres:dbname=fleet  port=5433 ;data=/srv/lake/", LakePlace("dbname=fleet port=5433", "/srv/lake/")),
        ("ducklake:postgres:service=fleet;data=s3://book/of/ours", LakePlace("service=fleet", "s3://book/of/ours/")),
        ("ducklake:postgres:dbname=f host=/run/postgresql;data=s3://book", LakePlace("dbname=f host=/run/postgresql", "s3://book/")),
    ],
)
def test_a_lake_is_a_catalogue_and_a_place_for_data(text: str, place: LakePlace) -> None:
    assert lake_place(text) == place
    assert Settings(ledger=text).ledger == text


def test_only_a_bucket_is_in_s3() -> None:
    assert LakePlace("dbname=a", "s3://book/").in_s3
    assert not LakePlace("dbname=a", "/s3/").in_s3


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "write 'duckdb'"),
        ("sqlite", "write 'duckdb'"),
        ("ducklake:postgres:dbname=a", "data="),
        ("ducklake:postgres:dbname=a;data=/x;data=/y", "write 'duckdb'"),
        ("ducklake:postgres:host=db;data=/x", "name the catalogue's database once"),
        ("ducklake:postgres:dbname=a dbname=b;data=/x", "name the catalogue's database once"),
        ("ducklake:postgres:dbname=a password=made-up;data=/x", "PGPASSWORD"),
        ("ducklake:postgres:dbname=a application_name=b;data=/x", "is not an option"),
        ("ducklake:postgres:dbname=a port=abc;data=/x", "'port=abc' is no port; write a number from 1 to 65535"),
        ("ducklake:postgres:dbname=a port=0;data=/x", "'port=0' is no port"),
        ("ducklake:postgres:dbname=a port=65536;data=/x", "'port=65536' is no port"),
        ("ducklake:postgres:dbname=a sslmode=verify;data=/x", "'sslmode=verify' is none; .* verify-ca, verify-full"),
        ("ducklake:postgres:dbname='a b';data=/x", "without quotes"),
        ("ducklake:postgres:postgresql://u@h/db;data=/x", "without quotes"),
        ("ducklake:postgres:dbname=a;data=here", "is no place for data"),
        ("ducklake:postgres:dbname=a;data=/x/../y", "is no place for data"),
        ("ducklake:postgres:dbname=a;data=/it's", "is no place for data"),
        ("ducklake:postgres:dbname=a;data=s3://B/x", "is no place for data"),
        ("ducklake:postgres:dbname=a;data=gs://bucket/x", "is no place for data"),
    ],
)
def test_what_has_not_one_meaning_is_refused_with_what_to_write(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        lake_place(text)
    with pytest.raises(ValueError, match=why):
        Settings(ledger=text)


@given(st.text(alphabet="abdnmeps=' ;/\\\"-:%\n\x00", max_size=40))
def test_whatever_is_accepted_can_stand_in_a_quoted_text(text: str) -> None:
    for whole in (f"ducklake:postgres:dbname=a {text};data=/x", f"ducklake:postgres:dbname=a;data=/{text}"):
        try:
            place = lake_place(whole)
        except ValueError:
            continue
        assert place is not None
        assert not set("'\\\"\n\x00;") & set(place.catalogue)
        assert not set("'\n\x00") & set(place.data)
