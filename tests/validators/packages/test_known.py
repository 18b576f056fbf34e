"""Which names are known, and what is said of the others."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.validators.packages import known, name_list
from gateway.validators.packages.known import Judgement, Known, entry
from gateway.validators.packages.name_list import build
from gateway.validators.packages.wanted import wanted

DAY, SALT = date(2026, 11, 20), b"0123456789abcdef"
INDEX = build("pip", ["requests", "reqests", "django-evil", "flask"], made=DAY, salt=SALT)
OLD = build("pip", ["requests", "older"], made=date(2025, 1, 1), salt=SALT)


def judged(names: list[str], files: dict[str, bytes], *, today: date | None = DAY, days: int | None = None) -> list[tuple[str, Judgement]]:
    entries, lists = known.read(files)
    asked = [wanted(*name.split(":", 1)) for name in names]
    return [(str(one), found) for one, found in Known(entries, lists).judged(asked, today, days)]


def test_lists_lock_files_manifests_and_dated_lists_are_read_by_name_or_first_bytes() -> None:
    files = {
        "own.txt": b"pip:Ruff # ours\n\nnpm:@acme/*\n",
        "requirements.txt": b"flask==3\n-r other.txt\n",
        "go.sum": b"github.com/a/b v1 h1:x=\n",
        "any.name": INDEX,
    }
    names = ["pip:ruff", "npm:@acme/tool", "pip:flask", "go:github.com/a/b", "pip:requests"]
    assert judged(names, files) == []
    assert judged(["npm:@acmee/tool", "pip:other"], files) == [
        ("npm:@acmee/tool", Judgement("unknown_package")),
        ("pip:other", Judgement("unknown_package")),
    ]


def test_a_name_that_only_an_index_has_is_not_taken_one_slip_from_a_listed_one() -> None:
    files = {"own.txt": b"pip:requests\n", "pip.bloom": INDEX}
    assert judged(["pip:requests", "pip:django-evil"], files) == []
    assert judged(["pip:reqests"], files) == [("pip:reqests", Judgement("typo_of", near="requests"))]
    assert judged(["pip:reqests"], {"pip.bloom": INDEX}) == []


def test_the_list_of_another_ecosystem_knows_nothing() -> None:
    assert judged(["npm:requests"], {"pip.bloom": INDEX}) == [("npm:requests", Judgement("unknown_package"))]


def test_names_that_only_an_old_list_has_are_stale() -> None:
    files = {"pip.bloom": INDEX, "old.bloom": OLD}
    assert judged(["pip:older", "pip:requests", "pip:none"], files, days=90) == [
        ("pip:older", Judgement("stale_list", made=date(2025, 1, 1))),
        ("pip:none", Judgement("unknown_package")),
    ]
    assert judged(["pip:older"], files) == []
    assert judged(["pip:older"], files, today=None) == []


@pytest.mark.parametrize(
    ("name", "near"),
    [
        *(("pip:reqeusts", "requests"), ("pip:requestss", "requests"), ("pip:equest", "requests"), ("pip:rqeuetss", "requests")),
        *(("pip:rquetsx", ""), ("pip:abd", "abc"), ("pip:acb", "abc"), ("pip:xbd", ""), ("pip:abcde", "")),
    ],
)
def test_two_slips_count_in_longer_names_and_one_in_short_ones(name: str, near: str) -> None:
    [(_, found)] = judged([name], {"own.txt": b"pip:requests\npip:abc\n"})
    assert found == Judgement("typo_of" if near else "unknown_package", near=near)


@given(st.text("abcdef-", min_size=1, max_size=12).filter(lambda name: name.strip("-") == name), st.integers(0, 3), st.data())
def test_any_one_slip_from_a_known_name_is_told(name: str, kind: int, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(name) - 1))
    other = data.draw(st.sampled_from("ghxyz"))
    slips = [name[:at] + other + name[at:], name[:at] + other + name[at + 1 :], name[:at] + name[at + 1 :]]
    slips.append(name[:at] + name[at + 1 : at + 2] + name[at] + name[at + 2 :])
    slip = slips[kind].strip("-").replace("--", "-")
    spelled = wanted("pip", name).text
    if slip and len(slip) == len(slips[kind]) and wanted("pip", slip).text != spelled and "--" not in name:
        [(_, found)] = judged([f"pip:{slip}"], {"own.txt": f"pip:{name}".encode()})
        assert found == Judgement("typo_of", near=spelled)


def test_only_so_many_names_are_compared_and_the_others_are_no_less_unknown() -> None:
    names = [f"pip:requestz{i}" for i in range(known.MAX_LOOKED_UP + 10)]
    codes = [found.code for _, found in judged(names, {"own.txt": b"pip:requests\npip:requestz\n"})]
    assert codes == ["typo_of"] * known.MAX_LOOKED_UP + ["unknown_package"] * 10


@pytest.mark.parametrize(
    ("said", "is_"),
    [
        *(("pip:Zope.Interface", "pip:zope-interface"), (" npm:@Acme/* ", "npm:@acme/*"), ("pip:acme_*", "pip:acme-*")),
        ("go:github.com/A/b", "go:github.com/A/b"),
    ],
)
def test_an_entry_is_kept_in_the_spelling_of_its_index(said: str, is_: str) -> None:
    assert entry(said) == is_


@pytest.mark.parametrize(
    "said", ["requests", "pypy:requests", "pip:", "pip:*", "npm:@*", "pip:a b", "pip:a*b", "pip:git+https://x/y ", "pip:-r"]
)
def test_what_is_no_entry_says_how_to_write_one(said: str) -> None:
    with pytest.raises(ValueError, match="pip:requests"):
        entry(said)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("own.txt", b"requests\n", "'own.txt': 'requests' names no ecosystem"),
        ("own.txt", b"\xff", "'own.txt' is neither UTF-8 text nor a list of names; build lists with"),
        ("pip.bloom", INDEX[:-1], "'pip.bloom': the list of names is damaged"),
        ("pip.bloom", name_list.described(INDEX).encode(), "'pip.bloom': only what this list was is kept here"),
        ("uv.lock", b"[", "'uv.lock': 'uv.lock' cannot be read"),
        ("pyproject.toml", b"[", "'pyproject.toml': the file 'pyproject.toml' cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(name: str, data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        known.read({name: data})
