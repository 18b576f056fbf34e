"""What one word asks for, in the spelling of its index; parts of manifests, scripts and arguments that the corpus does not have."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.shell.words import Word
from gateway.validators.packages.calls import in_call
from gateway.validators.packages.commands import argv, command
from gateway.validators.packages.fragments import Line, part
from gateway.validators.packages.installs import of_words
from gateway.validators.packages.manifests import manifest, whole
from gateway.validators.packages.scripts import MAX_COMMANDS, python, script
from gateway.validators.packages.wanted import ECOSYSTEMS, Wanted, npm_pinned, spelled, wanted

NAME = st.from_regex(r"[a-z][a-z0-9]{0,10}", fullmatch=True)


def said(found: object) -> list[str]:
    return [str(one) for one in found]  # type: ignore[attr-defined]


@given(st.lists(NAME, min_size=1, max_size=4), st.lists(st.sampled_from([*"-_.", "__", "-.-"]), min_size=3, max_size=3), st.booleans())
def test_every_spelling_of_a_python_name_is_one(parts: list[str], marks: list[str], upper: bool) -> None:
    name = parts[0] + "".join(mark + part for mark, part in zip(marks, parts[1:], strict=False))
    assert spelled("pip", name.upper() if upper else name) == "-".join(parts)


@given(st.sampled_from(sorted(ECOSYSTEMS)), NAME)
def test_a_plain_name_is_a_name_in_every_ecosystem(ecosystem: str, name: str) -> None:
    assert wanted(ecosystem, f" {name} ") == Wanted(ecosystem, "name", name)


BEHIND = ["==1", ">=1,<2", "~=1.0", "!=1", "[a]", "[a,b]>1", " ; python_version<'3'", "@1", "@latest", " (>=1)", "===1"]


@given(NAME, st.sampled_from(BEHIND))
def test_versions_extras_and_markers_are_left_out(name: str, behind: str) -> None:
    assert wanted("pip", name + behind) == Wanted("pip", "name", name)


@given(NAME, st.sampled_from([" @ https://x/y", "@git+https://x/y", " @ file:///x", "@ ./x", " @evil/x"]))
def test_what_leads_elsewhere_is_no_name(name: str, behind: str) -> None:
    assert wanted("pip", name + behind).kind == "direct"


@pytest.mark.parametrize(
    ("name", "version", "is_"),
    [
        *(("a", "", "npm:a"), ("a", "^1 || ~2", "npm:a"), ("a", "next", "npm:a"), ("@s/a", "*", "npm:@s/a")),
        ("a", "npm:@s/b@1", "npm:@s/b"),
        *(("a", "link:../x", "npm:!direct:a@link:../x"), ("a", "../x", "npm:!direct:a@../x"), ("a", "x.tgz", "npm:!direct:a@x.tgz")),
        *(("a", "workspace:^1", "npm:!direct:./a@workspace:^1"), ("a", "o/r#main", "npm:!direct:a@o/r#main")),
        ("a b", "1", "npm:!dynamic:a b@1"),
    ],
)
def test_a_version_may_lead_elsewhere(name: str, version: str, is_: str) -> None:
    assert str(npm_pinned(name, version)) == is_


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("composer.json", '"acme/evil": "dev-main",\n"php": ">=8",\n"require": {\n"acme/x": "1",\n"ext-json": "*"\n}', ["composer:acme/x"]),
        ("composer.json", '"acme/evil": "^1"', ["composer:acme/evil"]),
        (".cargo/config.toml", "[source", ["cargo:!index:settings that cannot be read"]),
        ("environment.yml", "name: x\n  - y\nvariables:\n  - z", []),
        ("environment.yml", "  -\n", []),
        ("pyproject.toml", 'x = [\n  "a b c",\n  "evil",\n]\ny = 5', ["pip:evil"]),
        ("pyproject.toml", '[tool.x]\na = "1"\nb = ["c"]\n[project]\nname = "q"\n', []),
        ("pipfile", 'evil = {path = "."}\nother = {version = "*"}', ["pip:!direct:evil .", "pip:other"]),
        ("Dockerfile", "RUN [ -f x ] && pip install a", ["pip:a"]),
        ("Dockerfile", "RUN pip install \\", []),
        ("Makefile", "\tpip install a \\\n\t  b", ["pip:a", "pip:b"]),
        ("README.md", "pip install a", []),
    ],
)
def test_a_part_is_read_by_what_it_shows(path: str, text: str, found: list[str]) -> None:
    assert said(part(path, [Line(line) for line in text.splitlines()])) == found


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("Dockerfile", "RUN [ -f x ] && pip install a", ["pip:a"]),
        ("Dockerfile", 'RUN ["sh", "-c", "npm i a"]', ["npm:a"]),
        ("Dockerfile", "RUN cat <<E > requirements.txt\nx\nE\nRUN bash <<E\nnpm i a\nE", ["npm:a"]),
        ("Dockerfile", "RUN <<E\nnpm i a", ["npm:a"]),
        ("Dockerfile", "RUN pip install a \\", ["pip:a"]),
        (".github/workflows/x.yml", "a: {run: 5, script: [1, npm i a], additional_dependencies: x}", ["npm:a"]),
        ("composer.json", '{"require": [], "repositories": {"a": {"url": "https://repo.packagist.org"}, "b": {}}}', []),
        ("x.csproj", '<PackageReference Include="A;B" /><add value="https://api.nuget.org/v3/index.json" />', ["nuget:a", "nuget:b"]),
        ("Dockerfile", "RUN pi\\\np install a \\\n   b && \\\n# c \\\n npm i d", ["pip:a", "pip:b", "npm:d"]),
        ("Dockerfile", "# syntax=x\n# escape=\\\nRUN pip install a", ["pip:a"]),
        ("x.sh", "pi\\\np install a", ["pip:a"]),
        ("x.sh", "ls )\necho a # b \\\npip install c", ["pip:c"]),
        ("x.sh", "ls )\n# b \\\npip install c \\\n  d", ["pip:c", "pip:d"]),
        ("requirements.txt", "# a \\\nevil\n", ["pip:evil"]),
        ("requirements.txt", "a # b \\\nevil\n", ["pip:a", "pip:evil"]),
        ("requirements.txt", "a\\\n--b\\\n", ["pip:a-b"]),
        ("requirements.txt", "a \\\n# b\nc --hash=sha256:x \\\n  --hash=sha256:y", ["pip:a", "pip:c"]),
        ("requirements.txt", "a\n# coding: utf-7\nb #+AAo-evil", ["pip:!dynamic:a\n# coding: utf-7", "pip:a", "pip:b"]),
        ("requirements.txt", "# -*- coding: UTF-8 -*-\na", ["pip:a"]),
        ("pip.conf", "[global]\nINDEX_URL: http://a\nextra-index-url =\n  http://b\n  # x\n", ["pip:!index:http://a", "pip:!index:http://b"]),
        ("pip.conf", "[install]\nrequirement = x.txt\n--proxy=http://p\nuser = true\n", ["pip:!file:x.txt", "pip:!index:http://p"]),
        ("uv.toml", '[[index]]\nurl = "http://a"\n', ["pip:!index:http://a"]),
        (".npmrc", "https-proxy=http://p\nfund=false", ["npm:!index:http://p"]),
        ("Gemfile", "gem\\\n 'a'\ngem(\n 'b')\ngroup(:x) { gem 'c'; gem 'd' }\n", [f"gem:{n}" for n in "abcd"]),
        ("Gemfile", "if x then gem 'e' end # gem 'f'", ["gem:e"]),
        ("x.gemspec", "s.summary = 'A gem for all'\ns.add_dependency 'a', '>1'; s.add_runtime_dependency('b')", ["gem:a", "gem:b"]),
        ("go.mod", "exclude a v1\nretract v1\n\nmodule x\n", []),
    ],
)
def test_a_file_is_read_as_its_tool_reads_it(path: str, text: str, found: list[str]) -> None:
    assert said(whole(path, text)) == found


def test_a_dockerfile_whose_lines_go_on_otherwise_is_not_read() -> None:
    with pytest.raises(ValueError, match="another character"):
        list(whole("Dockerfile", "# syntax=x\n# escape=`\nRUN pi`\np install evil"))


def test_scripts_of_too_many_commands_are_not_read() -> None:
    with pytest.raises(ValueError, match="more than 2000 commands"):
        list(script("(\n" + "".join(f"pip install a{i}\n" for i in range(MAX_COMMANDS + 1))))
    with pytest.raises(ValueError, match="more than 2000 commands"):
        list(whole("Dockerfile", "RUN ls\n" * (MAX_COMMANDS + 1)))


def test_code_that_is_no_python_matters_where_it_names_an_installer() -> None:
    assert said(python("x = (")) == []
    with pytest.raises(ValueError, match="cannot be read"):
        list(python("x = ('pip install a'"))


def test_warnings_about_a_strangers_code_are_not_ours(recwarn: pytest.WarningsRecorder) -> None:
    assert said(python("x = '\\d'; os.system('pip install a')")) == ["pip:a"]
    assert not recwarn.list


def test_what_no_program_begins_installs_nothing() -> None:
    assert said(of_words([])) == []
    assert said(of_words([Word("$X", fixed=False), Word("install")])) == []
    assert said(argv(["python", "x.py"])) == []
    assert said(command("python x.py")) == []
    assert said(command("pip --version")) == []
    assert said(command("npm --registry")) == []
    assert said(command("npm --foo i a")) == ["npm:a"]
    assert said(command("python - <<E\nos.system('pip install a')\nE")) == ["pip:a"]
    assert said(command("npm i -gZ a")) == ["npm:!dynamic:-gZ", "npm:a"]
    assert said(command("pip install -qU a")) == ["pip:a"]


def test_lists_of_anything_are_walked_through() -> None:
    args = {"commands": [5, None, ["pip", "install", "a"], {"command": "npm i b"}], "path": 5, "argv": [], "n": [True]}
    assert said(at.wanted for at in in_call(args)) == ["pip:a", "npm:b"]


@pytest.mark.parametrize(
    "path", ["requirements.txt", "/w/a/Requirements-Dev.txt", "C:\\x\\package.json", "a/.github/workflows/b.yaml", "Dockerfile.dev"]
)
def test_manifests_are_known_by_their_path(path: str) -> None:
    assert manifest(path) is not None


@pytest.mark.parametrize("path", ["notes.txt", "package.json.md", "mypackage.json", "requirements.py", "x/dockerfiles/readme", ""])
def test_other_files_are_no_manifests(path: str) -> None:
    assert manifest(path) is None


FILES = (
    *("requirements.txt", "pyproject.toml", "setup.py", "setup.cfg", "Pipfile", "environment.yml", "package.json", "Cargo.toml", "Gemfile"),
    *("go.mod", "composer.json", "a.csproj", "Dockerfile", ".gitlab-ci.yml", "x.sh", ".npmrc", "pip.conf", ".cargo/config.toml"),
)


@given(st.sampled_from(FILES), st.text("ab-=[]{}\"':,.\n #@/\\$RUN", max_size=60))
def test_any_text_of_a_manifest_is_read_or_refused(path: str, text: str) -> None:
    for read in (lambda: whole(path, text), lambda: part(path, [Line(line) for line in text.splitlines()])):
        _read_or_refused(read)


def _read_or_refused(read: Callable[[], object]) -> None:
    try:
        assert all(one.kind and one.ecosystem for one in read())  # type: ignore[attr-defined]
    except ValueError as error:
        assert str(error)  # noqa: PT017 - either is right
