"""Where the ledger is: a DuckDB file in the data folder, or a lake that several machines share. Pure: nothing is opened here.

A lake is written `ducklake:postgres:<how to connect>;data=<folder or s3://bucket/prefix>`. A password is never part of it: settings are
printed, stored and passed on. libpq finds it in PGPASSWORD or PGPASSFILE, S3 keys are where Amazon's own tools look for them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

EMBEDDED = "duckdb"
_LAKE = re.compile(r"ducklake:postgres:([^;]*);data=([^;]*)")
_OPTION = re.compile(r"([a-z_]+)=([A-Za-z0-9_.,:/@%+-]+)")
_OPTIONS = ("dbname", "host", "hostaddr", "port", "user", "service", "passfile", "sslmode", "sslrootcert", "sslcert", "sslkey")
_SSL = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_DATA = re.compile(r"/[^'\x00-\x1f]*|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[A-Za-z0-9_.=/-]*)?")


class LakePlace(NamedTuple):
    catalogue: str
    """libpq's `key=value` text, without a password."""
    data: str
    """A folder or an S3 prefix; ends with a slash."""

    @property
    def in_s3(self) -> bool:
        return self.data.startswith("s3://")


def lake_place(ledger: str) -> LakePlace | None:
    """None for a DuckDB file. Raises ValueError saying what is expected."""
    if ledger == EMBEDDED:
        return None
    found = _LAKE.fullmatch(ledger)
    if found is None:
        raise ValueError("write 'duckdb', or 'ducklake:postgres:dbname=… host=…;data=/folder' (or data=s3://bucket/prefix)")
    options = [_option(text) for text in found[1].split()]
    names = [name for name, _ in options]
    if len(set(names)) < len(names) or not {"dbname", "service"} & set(names):
        raise ValueError("name the catalogue's database once, as dbname=… (or service=…), and every other option at most once")
    if not _DATA.fullmatch(found[2]) or ".." in found[2].split("/"):
        raise ValueError(f"'{found[2]}' is no place for data; write data=/folder (reached by every machine) or data=s3://bucket/prefix")
    return LakePlace(" ".join(f"{name}={value}" for name, value in options), found[2].rstrip("/") + "/")


def _option(text: str) -> tuple[str, str]:
    found = _OPTION.fullmatch(text)
    if found is None:
        raise ValueError("the catalogue is libpq's key=value, without quotes: dbname=tollhouse host=db.example.com user=tollhouse")
    if found[1] == "password":
        raise ValueError("a password does not belong into the settings; put it into PGPASSWORD, or into a file that PGPASSFILE names")
    if found[1] not in _OPTIONS:
        raise ValueError(f"'{found[1]}' is not an option of the catalogue here; there are {', '.join(_OPTIONS)}")
    if found[1] == "port" and not (found[2].isdigit() and 0 < int(found[2]) < 65536):
        raise ValueError(f"'{text}' is no port; write a number from 1 to 65535")
    if found[1] == "sslmode" and found[2] not in _SSL:
        raise ValueError(f"'{text}' is none; there are {', '.join(_SSL)}")
    return found[1], found[2]
