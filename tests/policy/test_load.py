"""The folder of policies, as a mapping, to a set: what belongs together, what is refused."""

import hashlib
import os
from pathlib import Path

import pytest

from gateway.errors import FileProblems
from gateway.policy import EMPTY, load
from gateway.policy.policy_set import _CACHED

TOP = "policy: 1\nid: top\nagents: [a-*]\nallow: [pay]\n"
LIB = "policy: 1\nid: lib\nrules:\n- {id: r, when: args.n > 1}\n"
ERRORS = Path(__file__).parent / "errors"


def problems(**files):
    with pytest.raises(FileProblems) as caught:
        load({f"{name}.yaml": text.encode() for name, text in files.items()})
    return [(p.file, p.line, p.column, p.message) for p in caught.value.problems]


@pytest.mark.parametrize("path", sorted(ERRORS.glob("*.yaml")), ids=lambda p: p.stem)
def test_a_mistake_is_told_like_this(path):
    with pytest.raises(FileProblems) as caught:
        load({path.name: path.read_bytes()})
    expected = path.with_suffix(".txt")
    if os.environ.get("GOLDEN") == "write" and not expected.exists():
        expected.write_text(str(caught.value) + "\n")
    assert str(caught.value) + "\n" == expected.read_text()


def test_every_error_has_its_expected_text():
    assert {p.stem for p in ERRORS.glob("*.yaml")} == {p.stem for p in ERRORS.glob("*.txt")}


def test_nothing_to_load_is_the_empty_set():
    assert load({}) is EMPTY
    assert load({"notes.txt": b"x", "other.yaml": b"a: 1\n", "list.yml": b"- 1\n"}) is EMPTY
    assert EMPTY.hash == hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize("text", ["rules: []\n", "agents: [a]\n", "allow: [a]\n", "polcy: 1\n"])
def test_a_file_that_looks_like_a_policy_must_say_so(text):
    assert "no 'policy: 1'" in problems(x=text)[0][3]


def test_a_policy_that_is_an_entry_of_a_list_is_not_passed_over():
    [(file, line, column, said)] = problems(x="- policy: 1\n  id: x\n  agents: ['*']\n", other=TOP)
    assert (file, line, column) == ("x.yaml", 1, 1)
    assert said.startswith("a policy is the whole of its file")


def test_a_file_that_cannot_be_read_as_yaml_is_never_passed_over():
    assert problems(x="a: [")[0][0] == "x.yaml"


@pytest.mark.parametrize("name", ["GUARD.YAML", "guard.Yml"])
def test_the_case_of_a_files_ending_does_not_matter(name):
    found = load({"top.yaml": TOP.encode(), name: TOP.replace("id: top", "id: guard").encode()})
    assert {policy.id for policy in found.policies} == {"top", "guard"}


def test_includes_are_found_beside_the_file():
    files = {
        "team/top.yaml": TOP.encode() + b"include: [../org/lib.yaml]\n",
        "org/lib.yaml": LIB.encode() + b"include: [more.yml]\n",
        "org/more.yml": LIB.replace("lib", "more").replace("id: r,", "id: q,").encode(),
    }
    found = load(files)
    assert [layer.file for layer in found.policies[0].layers] == ["team/top.yaml", "org/lib.yaml", "org/more.yml"]
    assert [p.id for p in found.policies] == ["top"]
    assert [p.id for p in found.libraries] == ["lib", "more"]


def test_a_diamond_of_includes_counts_its_bottom_once():
    found = load(
        {
            "a.yaml": TOP.encode() + b"include: [b.yaml, c.yaml]\n",
            "b.yaml": b"policy: 1\nid: b\ninclude: [d.yaml]\n",
            "c.yaml": b"policy: 1\nid: c\ninclude: [d.yaml]\n",
            "d.yaml": LIB.encode(),
        }
    )
    assert [layer.file for layer in found.policies[0].layers] == ["a.yaml", "b.yaml", "c.yaml", "d.yaml"]


@pytest.mark.parametrize("path", ["../x.yaml", "/etc/x.yaml", "./../../x.yaml", "sub/../../x.yaml", "x.txt", "", "."])
def test_an_include_never_leaves_the_mapping(path):
    with pytest.raises(FileProblems, match="no policy file"):
        load({"p/top.yaml": TOP.encode() + f"include: ['{path}']\n".encode(), "x.txt": b"policy: 1\n"})


def test_what_is_wrong_between_files_is_told_where_it_stands():
    found = problems(a=TOP + "include: [lib.yaml, libb.yaml]\n", b=TOP, lib=LIB)
    assert found == [
        ("a.yaml", 5, 21, "no policy file 'libb.yaml' in the policies folder; did you mean 'lib.yaml'?"),
        ("b.yaml", 2, 5, "duplicate policy id 'top' (also in a.yaml); rename one of them"),
    ]


def test_a_circle_of_includes_is_told_in_every_file_of_it():
    found = problems(
        a=TOP + "include: [b.yaml]\n",
        b=LIB + "include: [c.yaml]\n",
        c=LIB.replace("lib", "c") + "include: [b.yaml]\n",
    )
    assert [(file, said) for file, _, _, said in found] == [
        ("b.yaml", "'c.yaml' includes this file again; break the circle"),
        ("c.yaml", "'b.yaml' includes this file again; break the circle"),
    ]


def test_a_rule_id_means_one_rule_in_a_file_and_its_includes():
    found = problems(a=TOP + "include: [lib.yaml]\nrules:\n- {id: r}\n", lib=LIB)
    assert found == [("a.yaml", 7, 8, "duplicate rule id 'r' (also in the included lib.yaml); rename it")]
    assert load(
        {
            "a.yaml": TOP.encode() + b"rules:\n- {id: r}\n",
            "b.yaml": TOP.replace("top", "b").encode() + b"rules:\n- {id: r}\n",
        }
    )


def test_limits_share_the_ids_of_rules():
    library = "policy: 1\nid: lib\nlimits:\n- {id: l, per: user, max: 1}\n"
    found = problems(a=TOP + "include: [lib.yaml]\nrules:\n- {id: l}\n", lib=library)
    assert found == [("a.yaml", 7, 8, "duplicate rule id 'l' (also in the included lib.yaml); rename it")]
    found = problems(a=TOP + "include: [lib.yaml]\nlimits:\n- {id: r, per: key, max: 1}\n", lib=LIB)
    assert found == [("a.yaml", 7, 8, "duplicate limit id 'r' (also in the included lib.yaml); rename it")]


@pytest.mark.parametrize("name", ["default", "allow"])
def test_the_names_of_grants_are_no_names_of_rules(name):
    assert "names the grants" in problems(a=TOP + f"rules:\n- {{id: {name}}}\n")[0][3]


def test_a_broken_folder_tells_the_problems_of_all_its_files():
    assert [file for file, *_ in problems(a="policy: 2\n", b="x: [", c=TOP)] == ["a.yaml", "a.yaml", "b.yaml"]


# -- what is refused because it would not be enforced -----------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        ("replace: x", "replace"),
    ],
)
def test_a_rule_that_this_version_cannot_enforce_is_refused(rule, word):
    [(_, line, column, said)] = problems(a=TOP + f"rules:\n- id: r\n  {rule}\n")
    assert (line, column) == (7, 3)
    assert word in said
    assert "not supported by this version" in said


def test_what_means_nothing_more_than_now_may_be_said():
    text = TOP + "hide_denied: false\non_deny: explain\nrules:\n- {id: r, at: tool_call, on_deny: explain}\n"
    assert load({"a.yaml": text.encode()}).policies


@pytest.mark.parametrize("rules", ["5", "[5]", "[{id: r, when: 5}]", "[{id: r, at: [x]}]", "[{id: r, at: true}]"])
def test_rules_of_a_wrong_shape_are_problems_not_accidents(rules):
    assert problems(a=TOP + f"rules: {rules}\n")


# -- vars -------------------------------------------------------------------------------------------------


def vars_of(text, **lists):
    files = {"a.yaml": (TOP + text).encode(), **{f"{k}.txt": v for k, v in lists.items()}}
    return dict(load(files).policies[0].layers[0].vars)


@pytest.mark.parametrize(
    ("text", "key", "kind"),
    [
        ("allow:\n# - pay\n", "allow", "a list"),
        ("agents:\n", "agents", "a list"),
        ("limits: [{id: spend, sum: , per: user, max: 500}]\n", "sum", "text"),
        ("rules: [{id: r, tools: [pay], detect: }]\n", "detect", "a list"),
        ("rules: [{id: r, when: }]\n", "when", "text"),
        ("tests: [{name: t, call: {pay: }, expect: {effect: deny, rule: }}]\n", "rule", "text"),
    ],
)
def test_a_key_whose_value_is_gone_does_not_say_what_its_absence_says(text, key, kind):
    """With `allow` left out, other policies alone decide what is granted; a limit without `sum` counts calls."""
    head = "policy: 1\nid: a\n" + ("" if key == "agents" else "agents: [b]\n")
    [(_, _, _, said)] = problems(other=TOP, a=head + text)
    assert said == f"'{key}' must be {kind}, not nothing"


def test_vars_are_values_lists_and_files_of_names():
    names = b"# comment\n\n  requests \r\nnumpy\nnumpy\n"
    assert vars_of("vars: {n: 1, f: 1.5, s: x, b: true, l: [1, x], e: [], p: {file: names.txt}}\n", names=names) == {
        "n": 1,
        "f": 1.5,
        "s": "x",
        "b": True,
        "l": [1, "x"],
        "e": [],
        "p": {"requests": True, "numpy": True},
    }


@pytest.mark.parametrize("value", ["null", "{a: 1}", "[[1]]", "{file: 5}", "{file: x.txt, more: 1}", "[null]"])
def test_other_vars_are_refused(value):
    assert "must be text, a number" in problems(a=TOP + f"vars: {{x: {value}}}\n")[0][3]


def test_vars_of_a_wrong_shape_are_told_once():
    assert [said for *_, said in problems(a=TOP + "vars: [1]\n")] == [
        "'vars' must be a mapping (key: value), not a list"
    ]


def test_a_list_that_is_not_text_is_a_problem_of_the_file_that_names_it():
    with pytest.raises(FileProblems, match=r"a\.yaml:5:18: error: the file 'names\.txt' is not UTF-8"):
        vars_of("vars: {x: {file: names.txt}}\n", names=b"\xff")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (b"\xef\xbb\xbfeve\nbob\n", "the invisible character U+FEFF in line 1"),
        ("ann\n\u202eeve\n".encode(), "the invisible character U+202E in line 2"),
        ("ann\neve\u0085bob\n".encode(), "the invisible character U+0085 in line 2"),
    ],
)
def test_a_list_has_no_characters_that_nobody_sees(names, said):
    """`when: args.to in vars.blocked` would not hit for the name behind one."""
    with pytest.raises(FileProblems, match=r"a\.yaml:5:18: error") as caught:
        vars_of("vars: {x: {file: names.txt}}\n", names=names)
    assert said in caught.value.problems[0].message


def test_a_comment_behind_a_name_is_not_taken_for_a_part_of_it():
    with pytest.raises(FileProblems, match="a '#' behind a name in line 3; a comment has a line of its own"):
        vars_of("vars: {x: {file: names.txt}}\n", names=b"# our own # list\nann#1\neve  # left in May\n")
    assert vars_of("vars: {x: {file: names.txt}}\n", names=b"  # our own # list\nann#1\n #eve\n") == {"x": {"ann#1": True}}


def test_a_list_is_found_beside_the_file_and_nowhere_else():
    files = {"p/a.yaml": TOP.encode() + b"vars: {x: {file: ../names.txt}}\n", "names.txt": b"a\n"}
    assert load(files).policies[0].layers[0].vars == {"x": {"a": True}}
    with pytest.raises(FileProblems, match="no file"):
        load({"p/a.yaml": TOP.encode() + b"vars: {x: {file: ../../names.txt}}\n", "names.txt": b"a\n"})


# -- versions ---------------------------------------------------------------------------------------------


def test_the_version_is_made_of_everything_that_verdicts_depend_on():
    files = {
        "a.yaml": TOP.encode() + b"include: [lib.yaml]\nvars: {x: {file: names.txt}}\n",
        "lib.yaml": LIB.encode(),
        "names.txt": b"a\n",
        "unused.txt": b"x",
        "other.yaml": b"a: 1\n",
    }
    first = load(files, git="abc")
    assert [path for path, _ in first.files] == ["a.yaml", "lib.yaml", "names.txt"]
    assert first.files[2] == ("names.txt", "a\n")
    assert first.git == "abc"
    assert load(dict(reversed(files.items()))).hash == first.hash
    assert load(files | {"unused.txt": b"y", "other.yaml": b"b: 1\n"}).hash == first.hash
    for path in ("a.yaml", "lib.yaml", "names.txt"):
        assert load(files | {path: files[path] + b"# more\n"}).hash != first.hash


def test_the_version_tells_a_name_from_a_text():
    renamed = {"b.yaml": TOP.encode()}
    assert load({"a.yaml": TOP.encode()}).hash != load(renamed).hash


def test_names_of_strangers_do_not_fill_the_memory():
    found = load({"a.yaml": TOP.encode()})
    for i in range(_CACHED + 10):
        found.plan(f"a-{i}", f"tool{i}")
        found.enforces(f"a-{i}")
    assert len(found._plans) <= _CACHED
    assert len(found._agents) <= _CACHED
    assert found.plan("a-1", "pay") is found.plan("a-1", "pay")
