"""What is in the image: assembled from this machine's Python, entered as a container enters it, with no network and no right to write."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "deploy" / "image"
DOCKERFILE = (IMAGE / "Dockerfile").read_text()
ENTER = """
ip link set lo up
mount --rbind /dev "$0/dev" && mount --rbind /proc "$0/proc"
mount -t tmpfs none "$0/tmp" && mount -t tmpfs -o mode=777 none "$0/data"
mount -o remount,ro,bind "$0" 2>/dev/null
exec chroot --userspec=10001:10001 "$0" /usr/bin/python3 "$@"
"""
TRANSLATED = """
from gateway.upstream.litellm_adapter import SPEAKERS
chat = {"model": "claude-opus-5", "messages": [{"role": "user", "content": "Hello?"}], "max_tokens": 9}
for name, speaker in SPEAKERS.items():
    print(name, speaker.request(chat, stream=False).path)
said = {"id": "m1", "model": "claude-opus-5", "role": "assistant", "stop_reason": "end_turn", "content": [
    {"type": "thinking", "thinking": "A greeting.", "signature": "x"}, {"type": "text", "text": "Yes."}],
    "usage": {"input_tokens": 3, "output_tokens": 2}}
print(SPEAKERS["anthropic.messages"].answer(said, "claude-opus-5")["choices"][0]["message"])
"""
SEARCHED = """
import os
from pathlib import Path
from gateway.upstream.bedrock import OnMachine
def found(config):
    Path("/data/config").write_text(config)
    os.environ["AWS_CONFIG_FILE"] = "/data/config"
    try:
        return OnMachine().find()
    except Exception as error:
        return type(error).__name__
keys = "aws_access_key_id = AKIAmadeup\\naws_secret_access_key = s\\n"
print(found(""), found("[default]\\n" + keys), end=" ")
print(found("[default]\\nregion = us-east-1\\nrole_arn = arn:aws:iam::1:role/r\\nsource_profile = p\\n[profile p]\\n" + keys))
"""
LARGEST_MB = {None: 250, "litellm": 218}
"""By what is left out."""
LOADS = """
import ctypes, pathlib
folders = [each for each in pathlib.Path("/").iterdir() if each.name not in ("proc", "dev", "tmp", "data")]
for file in sorted(file for folder in folders for file in folder.rglob("*.so*") if file.is_file()):
    ctypes.CDLL(str(file))
    print(file)
"""
FAILS = """
import traceback
from packaging.requirements import Requirement
from gateway import strict_json
for fail in (lambda: Requirement("x ==== 1"), lambda: strict_json.parse(b"{")):
    try:
        fail()
    except Exception:
        print(traceback.format_exc())
"""
LOOK = """
from pathlib import Path
Path("/data/tollhouse.yaml").write_text({settings!r})
from gateway.cli import doctor
for found in doctor.examine(Path("/data/tollhouse.yaml"), Path("/data/data"), offline=True):
    print(found.level, found.about, found.said)
"""


def part(name: str):
    """A program of the image, which is in no package."""
    specification = importlib.util.spec_from_file_location(name, IMAGE / f"{name}.py")
    found = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(found)
    return found


@pytest.mark.parametrize(("folder", "linked"), [("usr/local/lib", True), ("opt/python/lib", True), ("usr/lib/x86_64-linux-gnu", False)])
def test_a_library_that_lies_where_the_loader_does_not_look_is_found_through_a_link(tmp_path, folder, linked):
    library = tmp_path / folder / "libpython3.11.so.1.0"
    library.parent.mkdir(parents=True)
    library.write_bytes(b"a library")
    assert part("assemble").found_by_the_loader(library, tmp_path) == library
    link = tmp_path / "usr" / "lib" / library.name
    assert link.is_symlink() is linked
    assert not linked or (link.read_bytes(), os.path.isabs(link.readlink())) == (b"a library", False)


@pytest.fixture(scope="module")
def root(request, beside):
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("only root can enter a root of its own, and needs unshare (util-linux) and ip (iproute2)")
    if not os.environ.get("TOLLHOUSE_IMAGE"):
        pytest.skip("putting the image's root together takes a minute; ask for it with TOLLHOUSE_IMAGE=1")
    if not shutil.which("strip"):
        pytest.skip("symbols are taken away by strip: apt-get install binutils")
    packages, folder = request.getfixturevalue("packages"), beside / "root"
    part("assemble").assemble(packages, folder, put=os.link)
    return folder


@pytest.fixture(scope="module")
def untranslating(root, packages, beside):
    """The root of the image without litellm."""
    folder = beside / "untranslating"
    part("assemble").assemble(packages, folder, without="litellm", put=os.link)
    return folder


@pytest.fixture
def each_root(request):
    """Both, in turns."""
    return request.getfixturevalue(request.param)


both = pytest.mark.parametrize("each_root", ["root", "untranslating"], indirect=True)


def inside(root: Path, *arguments: str) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": "/data", "COLUMNS": "120"}
    environment |= {"PYTHONPATH": "/opt/tollhouse", "PYTHONDONTWRITEBYTECODE": "1"}
    command = ["unshare", "--net", "--mount", "sh", "-c", ENTER, str(root), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if "unshare failed" in done.stderr:
        pytest.skip(f"namespaces are not permitted here: {done.stderr}")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@both
def test_the_demo_works_in_it_without_network_and_without_rights_and_knows_prices(each_root):
    said = inside(each_root, "-m", "gateway.cli.main", "demo")
    assert "payee-known" in said
    assert re.search(r"gpt-4o-mini +4 +4 +1 +0\.000\d+", said)


@both
def test_time_zones_of_conditions_are_in_it(each_root):
    source = "now.getHours('Australia/Lord_Howe') < 8"
    found = "import gateway.policy_folder; from gateway.policy.expressions import compile_condition"
    looked = f"{found}; print(type(compile_condition({source!r}, ())).__name__)"
    assert inside(each_root, "-c", looked) == "Condition\n"


@pytest.mark.parametrize(("name", "least"), [("root", 2000), ("untranslating", 1200)])
def test_everything_that_is_loaded_only_when_it_is_asked_for_is_in_it(name, least, request):
    left_out = ["--without=litellm"] if name == "untranslating" else []
    files = inside(request.getfixturevalue(name), "-c", (IMAGE / "loaded.py").read_text(), *left_out).split()
    assert len(files) > least


@both
def test_every_module_is_compiled_and_only_the_gateways_are_there_as_sources_too(each_root):
    files = [path for path in each_root.rglob("*.py*") if path.suffix in (".py", ".pyc")]
    assert len(files) > 2000
    sources = [path for path in files if path.suffix == ".py"]
    own = [path for path in sources if path.is_relative_to(each_root / "opt/tollhouse/gateway")]
    assert len(own) > 500
    assert not [path for path in own if not Path(importlib.util.cache_from_source(str(path))).is_file()]
    others = {str(path.relative_to(each_root)) for path in sources if path not in own}
    assert others == {"opt/tollhouse/nanoarrow/_static_version.py"}, "left as they are: what is no Python of this version"


def test_a_traceback_in_it_has_file_and_line_of_all_and_the_text_of_the_gateways_own(root):
    said = inside(root, "-c", FAILS)
    assert re.search(r'File "/opt/tollhouse/packaging/requirements\.py", line \d+, in \w+\n\S', said)
    assert re.search(r'File "/opt/tollhouse/gateway/strict_json\.py", line \d+, in \w+\n    \S', said)


@both
def test_every_shared_object_in_it_is_without_symbols_and_loads(each_root):
    loaded = [each_root / line[1:] for line in inside(each_root, "-c", LOADS).split()]
    assert len(loaded) > 100
    told = {file: subprocess.run(["readelf", "-SW", file], capture_output=True, text=True, check=True).stdout for file in loaded}
    kept = [file for file, sections in told.items() if re.search(r"\.symtab|\.debug_", sections)]
    assert sum(file.stat().st_size for file in kept) < 100_000, "those that strip would change"


def test_a_library_that_strip_would_break_is_left_as_it_is(tmp_path):
    """NumPy's are patched for its wheel."""
    found = importlib.util.find_spec("numpy")
    libraries = Path(found.origin).parents[1] / "numpy.libs" if found else Path("numpy.libs")
    if not shutil.which("strip") or not libraries.is_dir():
        pytest.skip("needs strip (apt-get install binutils) and a wheel of NumPy")
    shutil.copytree(libraries, tmp_path / "root")
    part("assemble").strip(tmp_path / "root")
    files = sorted((tmp_path / "root").iterdir())
    assert [file.name for file in files] == sorted(file.name for file in libraries.iterdir())
    for file in files:
        subprocess.run([sys.executable, "-c", "import ctypes, sys; ctypes.CDLL(sys.argv[1])", file], check=True)


def test_a_library_with_symbols_is_smaller_without_them_and_the_same_in_memory(tmp_path):
    if not shutil.which("strip"):
        pytest.skip("needs strip (apt-get install binutils)")
    source = Path(importlib.util.find_spec("cel_expr_python.cel").origin)
    copied = Path(shutil.copy2(source, tmp_path))
    part("assemble").strip(tmp_path)
    assert list(tmp_path.iterdir()) == [copied]
    assert copied.stat().st_size < source.stat().st_size * 0.9
    assert copied.stat().st_mode == source.stat().st_mode
    assert part("assemble").in_memory(copied) == part("assemble").in_memory(source)


def test_packages_that_are_linked_into_a_root_are_left_as_they_are(root, packages):
    """Symbols are taken from copies: whoever has the same file elsewhere keeps it."""
    programs = {path: root / "opt/tollhouse" / path.relative_to(packages) for path in part("assemble").programs(packages)}
    pairs = {path: here for path, here in programs.items() if here.exists()}
    assert len(pairs) > 40
    assert sum(path.stat().st_size for path, here in pairs.items() if path.samefile(here)) < 100_000
    assert sum(path.stat().st_size - here.stat().st_size for path, here in pairs.items()) > 20_000_000


def test_what_is_left_of_litellm_translates_in_it(root):
    said = inside(root, "-c", TRANSLATED)
    assert "anthropic.messages /messages" in said
    assert "google.gemini /v1beta/models/claude-opus-5:generateContent" in said
    assert "{'role': 'assistant', 'content': 'Yes.', 'reasoning_content': 'A greeting.'}" in said


@both
def test_credentials_of_the_machine_are_looked_for_in_it_by_all_that_amazons_library_needs(each_root):
    """None, those of a profile, and a role to assume, for which nobody can be asked here."""
    assert inside(each_root, "-c", SEARCHED) == "LookupError ('AKIAmadeup', 's') EndpointConnectionError\n"


def test_the_tests_of_translation_pass_with_what_is_left_of_litellm(root, tmp_path):
    """The gateway and what translates are the image's; Python and what tests need, this machine's."""
    for name in ("gateway", "litellm", "openai"):
        (tmp_path / name).symlink_to(root / "opt/tollhouse" / name)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    tests = ("tests/upstream/test_translate.py", "tests/upstream/test_converse.py")
    command = [sys.executable, "-P", "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_where_litellm_is_left_out_all_is_that_only_litellm_needs(untranslating, root):
    def held(folder: Path) -> set[str]:
        return {path.name.partition("-")[0] for path in (folder / "opt/tollhouse").glob("*.dist-info")}

    gone = held(root) - held(untranslating)
    assert {"litellm", "openai", "tiktoken", "aiohttp", "jsonschema", "regex", "tqdm", "fastuuid"} <= gone
    assert not gone & {"pydantic", "yarl", "httpx", "jinja2", "click", "aiohappyeyeballs", "duckdb", "boto3", "tollhouse"}
    assert not (untranslating / "opt/tollhouse/litellm").exists()
    [table] = (untranslating / "opt/tollhouse/gateway/_shipped/prices").glob("*.json")
    assert table.stem == f"litellm-{metadata.version('litellm')}"
    assert "MIT" in table.with_name("LICENSE").read_text()


def test_without_litellm_doctor_finds_nothing_wrong_but_a_route_that_needs_it(untranslating):
    place = "base_url: 'http://127.0.0.1:9'"
    upstreams = f"{{a: {{dialect: openai.chat, {place}}}, b: {{dialect: anthropic.messages, {place}}}}}"
    told = {}
    for routes in ("[{models: [m], upstream: a}]", "[{models: [m], targets: [{upstream: a}, {upstream: b}]}]"):
        program = LOOK.format(settings=f"{{upstreams: {upstreams}, routes: {routes}}}")
        told[routes] = inside(untranslating, "-c", program).splitlines()
    plain, mixed = told.values()
    assert [line for line in plain if line.startswith("error")] == []
    assert any(line.startswith("warning routes litellm is not installed, so nothing is translated") for line in plain)
    [wrong] = [line for line in mixed if line.startswith("error")]
    assert wrong.startswith("error routes routes[0] (m) leads clients that speak openai.chat to the upstream 'b' too")


def test_what_several_need_is_not_left_out_with_one_of_them():
    told = {
        "tollhouse": ["litellm>=1", "shared", "pydantic[more]; python_version > '3'", "fleet; extra == 'fleet'"],
        "litellm": ["shared", "Open_AI>=2", "absent", "never; sys_platform == 'win32'"],
        "open-ai": ["litellm", "pydantic", "below[quick]"],
        "below": ["fast; extra == 'quick'", "only-below"],
        "pydantic": ["shared-too; extra == 'more'"],
        "added-by-an-extra": ["only-below"],
    } | {name: [] for name in ("shared", "shared-too", "fast", "only-below", "never")}
    assert part("assemble").only_for("litellm", told) == {"litellm", "open-ai", "below", "fast"}


def test_without_strip_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="install binutils"):
        part("assemble").strip(tmp_path)


@both
def test_its_bill_of_materials_names_what_is_in_it_and_nothing_else(each_root):
    bill = json.loads((each_root / "opt/tollhouse/gateway/_shipped/deploy/sbom.cdx.json").read_text())
    named = {(each["name"], each["version"]) for each in bill["components"]}
    held = [path.name.removesuffix(".dist-info").split("-") for path in (each_root / "opt/tollhouse").glob("*.dist-info")]
    whole = {(each["name"], each["version"]) for each in json.loads((ROOT / "deploy/sbom.cdx.json").read_text())["components"]}
    assert named == {(canonicalize_name(name), version) for name, version in held} & whole, "where they are those of the lock"
    assert len(named) > 30
    assert {each["ref"] for each in bill["dependencies"]} == {each["bom-ref"] for each in bill["components"]} | {"tollhouse"}


@pytest.mark.parametrize(("name", "without"), [("root", None), ("untranslating", "litellm")])
def test_it_is_no_larger_than_what_is_needed(name, without, request):
    assert part("assemble").size(request.getfixturevalue(name)) < LARGEST_MB[without] * 1_000_000


def test_what_nothing_loads_is_not_in_it(root):
    assert not list(root.rglob("*tkinter*"))
    assert not list(root.rglob("*.pyi"))
    assert not (root / "opt/tollhouse/litellm/proxy/proxy_server.py").exists()


def test_there_is_no_program_in_it_but_python(root):
    programs = {path.name for path in part("assemble").programs(root)}
    assert {name for name in programs if ".so" not in name and not name.startswith("python3")} == set()
    assert not any((root / folder / "sh").exists() for folder in ("bin", "usr/bin"))
    assert not [path for path in root.rglob("*") if path.is_file() and path.stat().st_mode & 0o6000]
    assert not [path for path in root.rglob("pip") if path.is_dir()]


def test_nobody_is_root_in_it_and_every_package_is_by_hash():
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert last.startswith("scratch\n")
    assert "USER 10001:10001" in last
    assert "RUN" not in last
    installs = [line for line in DOCKERFILE.splitlines() if "pip install" in line and "locks" not in line.split("pip")[0][:5]]
    assert len(installs) == 3
    assert all("--require-hashes" in line or "--no-index" in line for line in installs)


@pytest.mark.parametrize("name", ["docker.io/library/python:3.11-slim", "python@sha257:1"])
def test_a_base_image_without_a_digest_is_refused(name):
    check = DOCKERFILE[DOCKERFILE.index("case ") : DOCKERFILE.index("esac") + 4].replace("\\\n", "\n")
    for image, code in ((name, 1), (f"{name}@sha256:{'0' * 64}", 0)):
        done = subprocess.run(["sh", "-euc", check], env={"PYTHON_IMAGE": image}, capture_output=True, text=True, check=False)
        assert done.returncode == code
        assert ("must name a digest" in done.stderr) is bool(code)


def test_the_health_check_says_whether_the_gateway_is_ready(start, monkeypatch, capsys):
    health = part("healthcheck")
    monkeypatch.setenv("TOLLHOUSE_LISTEN", f"0.0.0.0:{start().url.rpartition(':')[2]}")
    assert health.main() == 0
    monkeypatch.setenv("TOLLHOUSE_HEALTH", "http://127.0.0.1:9/readyz")
    assert health.main() == 1
    assert "no answer from http://127.0.0.1:9/readyz" in capsys.readouterr().out
