"""Puts together the root of the image: this interpreter, its standard library, the packages, the shared libraries that all of it needs.

    python3 assemble.py --packages /packages --root /root
    python3 assemble.py --packages /packages --root /root --without litellm

Nothing else is in it: no shell, no package manager, no compiler, no pip, no set-uid program. Run in the image's first stage, by the
interpreter that is to be in the image; `tests/deploy/test_image.py` runs it as well, and the gateway inside what it makes. What packages
bring and nothing here ever loads is left out (`UNUSED`). What stays says the same in fewer bytes: shared objects and programs lose the
symbols that only a debugger reads (`strip`, of binutils), modules are there compiled and, but for the gateway's own, without their sources.
So files have not the hashes that their packages say, and the lists of those (RECORD) are left out. Copies links as what they lead to.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from bill import OURS, needed
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

APPLICATION = Path("opt/tollhouse")
OWN = APPLICATION / "gateway"
SHIPPED = OWN / "_shipped"
USER = 10001
STANDARD_UNUSED = (
    "test", "tests", "idlelib", "tkinter", "_tkinter.*", "turtle.py", "turtledemo", "lib2to3", "ensurepip", "pydoc_data",
    "_test*.so", "_xx*.so", "xx*.so", "config-*", "site-packages", "dist-packages", "__pycache__",
    "venv", "curses", "_curses*.so", "mailbox.py", "imaplib.py", "poplib.py",
    "aifc.py", "asynchat.py", "asyncore.py", "audioop.*", "cgi.py", "cgitb.py", "chunk.py", "crypt.py", "_crypt.*", "distutils",
    "imghdr.py", "mailcap.py", "msilib", "nis.*", "nntplib.py", "ossaudiodev.*", "pipes.py", "smtpd.py", "sndhdr.py", "spwd.*", "sunau.py",
    "telnetlib.py", "uu.py", "xdrlib.py",  # which later versions of Python have no more
)  # fmt: skip
"""_tkinter alone would bring the libraries of a desktop, and nis those of Kerberos."""
UNUSED = (
    "cel_expr_python/ext/ext_bindings*", "cel_expr_python/ext/ext_encoders*", "cel_expr_python/ext/ext_math*",
    "cel_expr_python/ext/ext_proto*", "cel_expr_python/ext/ext_strings*",  # policies know ext_optional alone
    "bazel-project",  # what a wheel for Python 3.13 was built with
    "litellm/proxy", "litellm/rust_bridge/_native*",  # a proxy of its own, and what makes some of it faster: nothing translates by it
    "litellm/llms/huggingface/huggingface_llms_metadata", "huggingface_hub*", "hf_xet*", "tokenizers*",  # of open models
    "fsspec*", "filelock*",  # what those need
    "litellm/litellm_core_utils/tokenizers/ec7223a39ce59f226a68acc30dc1af2788490e15",  # p50k_base and o200k_base: no answer's
    "litellm/litellm_core_utils/tokenizers/fb374d419588a4632f3f557e76b4b70aebbca790",  # tokens are counted, the provider says them
    "botocore/data/[!_]*/*",  # descriptions of 400 services of Amazon's; the heads' second place is S3
    "boto3/data", "botocore/cacert.pem",  # another way to call those; certifi's authorities are asked first
    "cffi", "pycparser*",  # they write C; cryptography loads _cffi_backend
    "duckdb/experimental", "jsonschema/benchmarks",  # DuckDB in Spark's words; how fast a library is
    "pygments/lexers/*", "pygments/formatters/[!_]*",  # words of 500 languages, of which rich colours Python's, by itself
    "rapidfuzz/fuzz_cpp*", "rapidfuzz/distance/metrics_cpp_avx2*",  # the gateway asks for slips alone, of few words at once
    "tests", "*/tests", "*.dist-info/RECORD", "**/*.pyi", "**/*.pyx", "**/*.pxd", "**/*.h", "**/*.proto",
)  # fmt: skip
KEPT = (
    "botocore/data/s3/**/*", "botocore/data/sso*/**/*", "botocore/data/sts/**/*",
    "litellm/proxy/__init__.py", "litellm/proxy/common_utils/*.py", "litellm/proxy/spend_tracking/*.py",
    "litellm/proxy/pass_through_endpoints/llm_provider_handlers/*.py",  # what litellm itself imports of its proxy
    "pygments/lexers/__init__.py", "pygments/lexers/_mapping.py", "pygments/lexers/python.py", "pygments/lexers/special.py",
)  # fmt: skip
ONLY_LOADED = ("litellm", "openai")
"""Of these, which know a hundred providers and all of one's services, modules that `loaded.py` does not load are left out …"""
WHOLE = (
    "litellm/litellm_core_utils/**/*", "litellm/llms/anthropic/**/*", "litellm/llms/base_llm/**/*",
    "litellm/llms/bedrock/chat/**/*", "litellm/llms/gemini/**/*",
    "litellm/llms/openai/**/*", "litellm/llms/openai_like/**/*", "litellm/llms/vertex_ai/**/*", "litellm/types/llms/*",
)  # fmt: skip
"""… but for these: what is translated may ask for any of them."""
READ_AS_TEXT = ("nanoarrow/_static_version.py",)
"""Sources that their packages read."""
LOADED = 1
"""A part of an ELF program that is loaded into memory (PT_LOAD)."""
SEARCHED = {base + more for base in ("lib", "usr/lib") for more in ("", "64", "/x86_64-linux-gnu", "/aarch64-linux-gnu")}
"""Where the loader looks without being told."""
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
ACCOUNTS = {
    "etc/passwd": f"tollhouse:x:{USER}:{USER}::/data:/nonexistent\n",
    "etc/group": f"tollhouse:x:{USER}:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Puts together the root of the image.")
    parser.add_argument("--packages", type=Path, required=True, help="folder that pip has installed into (--target)")
    parser.add_argument("--root", type=Path, required=True, help="folder to make; must not exist")
    parser.add_argument("--without", choices=("litellm",), help="leave it out, and what nothing else needs: nothing is translated then")
    given = parser.parse_args()
    assemble(given.packages.resolve(), given.root.resolve(), without=given.without)
    print(f"{size(given.root) / 1e6:.0f} MB in {given.root}")  # noqa: T201 - a program's output


def assemble(packages: Path, root: Path, *, without: str | None = None, put: Callable[[str, str], object] = shutil.copy2) -> None:
    """`without`: a distribution that is left out with all that only it needs. `put` copies one file, and may link it: what is written in
    the root is always another file."""
    root.mkdir()
    interpreter(root)
    shutil.copytree(packages, root / APPLICATION, ignore=shutil.ignore_patterns("__pycache__", "bin"), copy_function=put)
    if without is not None:
        leave_out_distribution(root / APPLICATION, without)
    leave_out(root / APPLICATION)
    tell_the_bill(root)
    libraries(root)
    small_files(root)
    readable(root)
    strip(root)
    compile_modules(root)
    leave_out_unloaded(root / APPLICATION, loaded(root, without))
    loaded(root, without)


def interpreter(root: Path) -> None:
    """At the place it has here, where it looks for its library, and as `python3` where everybody looks for that."""
    program = Path(sys.executable).resolve()
    copy(program, root)
    found = root / "usr/bin/python3"
    found.parent.mkdir(parents=True, exist_ok=True)
    found.symlink_to(f"/{program.relative_to('/')}")
    for name in {"stdlib", "platstdlib"}:
        source = Path(sysconfig.get_path(name)).resolve()
        shutil.copytree(source, root / source.relative_to("/"), ignore=shutil.ignore_patterns(*STANDARD_UNUSED), dirs_exist_ok=True)


def loaded(root: Path, without: str | None) -> set[Path]:
    """The files of all modules that a gateway loads from the root as it is now, the standard library's too."""
    home = root / Path(sys.base_prefix).resolve().relative_to("/")
    environment = {"PYTHONHOME": str(home), "PYTHONPATH": str(root / APPLICATION), "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-S", str(Path(__file__).with_name("loaded.py")), *([f"--without={without}"] if without else [])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - the build stage's own
    if done.returncode != 0:
        sys.exit(f"what is in {root} cannot be loaded:\n{done.stderr}")
    return {Path(line) for line in done.stdout.splitlines()}


def leave_out_unloaded(packages: Path, kept: set[Path]) -> None:
    kept = kept | {each for pattern in WHOLE for each in packages.glob(pattern)}
    for name in ONLY_LOADED:
        for module in sorted((packages / name).rglob("*.pyc")):
            if module not in kept:
                module.unlink()
    leave_out_empty(packages)


def leave_out_distribution(packages: Path, name: str) -> None:
    """With what nothing else needs. Of litellm its price table stays, under a name that says which it is."""
    installed = {canonicalize_name(each.metadata["Name"]): each for each in metadata.distributions(path=[str(packages)])}
    if name == "litellm":
        keep_prices(packages, installed[name].version)
    for gone in only_for(name, {each: found.requires or [] for each, found in installed.items()}):
        for file in installed[gone].files or ():
            if ".." not in file.parts:
                (packages / file).unlink(missing_ok=True)


def only_for(name: str, told: dict[str, list[str]]) -> set[str]:
    """Of all that is installed (each with what it says it needs): what nobody needs but this one."""
    told = told | {OURS: [line for line in told[OURS] if canonicalize_name(Requirement(line).name) != name]}

    def reached(names: Iterable[str]) -> set[str]:
        return {str(each) for each in needed(map(Requirement, names), lambda each: told.get(each))}

    brought = reached([name])
    return (brought & told.keys()) - reached(told.keys() - brought | {OURS}) - {OURS}


def keep_prices(packages: Path, version: str) -> None:
    """Where `gateway/prices.py` looks when litellm is not installed."""
    there = packages / "gateway/_shipped/prices"
    there.mkdir()
    shutil.copy2(packages / "litellm/model_prices_and_context_window_backup.json", there / f"litellm-{version}.json")
    [licence] = packages.glob("litellm-*.dist-info/**/LICENSE*")
    shutil.copy2(licence, there / "LICENSE")


def tell_the_bill(root: Path) -> None:
    """The image's bill of materials names what is in the image."""
    file = root / SHIPPED / "deploy/sbom.cdx.json"
    bill = json.loads(file.read_text())
    here = {(canonicalize_name(each.metadata["Name"]), each.version) for each in metadata.distributions(path=[str(root / APPLICATION)])}
    bill["components"] = [each for each in bill["components"] if (each["name"], each["version"]) in here]
    refs = {OURS, *(each["bom-ref"] for each in bill["components"])}
    bill["dependencies"] = [
        each | {"dependsOn": [ref for ref in each["dependsOn"] if ref in refs]} for each in bill["dependencies"] if each["ref"] in refs
    ]
    file.unlink()
    file.write_text(json.dumps(bill, indent=1, ensure_ascii=False) + "\n")


def strip(root: Path) -> None:
    """Of symbols and what else only a debugger reads. Libraries that were patched to be put into a wheel may hold parts that no section
    names, which `strip` drops: where what is loaded into memory would be another, they stay as they are."""
    if shutil.which("strip") is None:
        sys.exit("strip is missing, without which the root is some 65 MB larger: install binutils")
    for program in list(programs(root)):
        smaller = program.with_name(f"{program.name}.stripped")
        subprocess.run(["strip", "--strip-unneeded", "-o", smaller, program], check=True)  # noqa: S603, S607 - the build stage's own
        if in_memory(smaller) == in_memory(program):
            shutil.copymode(program, smaller)
            smaller.replace(program)
        else:
            smaller.unlink()


def in_memory(program: Path) -> list[tuple[int, int, int, bytes]]:
    """What an ELF program of 64 bits, little-endian, is once it is loaded, without its headers: for each part its rights, address, size,
    and the bytes that the file has of it."""
    data = bytearray(program.read_bytes())
    [table] = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    heads = [struct.unpack_from("<IIQQQQQQ", data, table + number * size) for number in range(count)]
    data[:64], data[table : table + count * size] = bytes(64), bytes(count * size)
    parts = [(rights, address, room, offset, length) for kind, rights, offset, address, _, length, room, _ in heads if kind == LOADED]
    return [(rights, address, room, bytes(data[offset : offset + length])) for rights, address, room, offset, length in parts]


def compile_modules(root: Path) -> None:
    """All modules, which Python would otherwise compile at each start, for nobody may write there. Only the gateway's own keep their
    sources: of others a traceback has the file and the line, and not its text. What is no Python of this version stays as it is."""
    pyc = [sys.executable, "-X", "no_debug_ranges", "-m", "compileall", "-qq", "-f", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    here = ["-s", str(root), "-p", "/"]
    subprocess.run([*pyc, *here, str(root / OWN)], check=True)  # noqa: S603 - the build stage's own
    others = [root / Path(sysconfig.get_path("stdlib")).resolve().relative_to("/"), *folders_but(OWN, root / APPLICATION)]
    subprocess.run([*pyc, "-b", *here, *map(str, others)], check=False)  # noqa: S603 - as above
    for source in (each for folder in others for each in ([folder] if folder.suffix == ".py" else folder.rglob("*.py"))):
        if source.with_suffix(".pyc").is_file() and not any(source.match(each) for each in READ_AS_TEXT):
            source.unlink()


def folders_but(own: Path, packages: Path) -> list[Path]:
    """Packages, and modules that are in none."""
    return [each for each in sorted(packages.iterdir()) if each.name != own.name and (each.is_dir() or each.suffix == ".py")]


def leave_out(packages: Path) -> None:
    kept = {each for pattern in KEPT for each in packages.glob(pattern)}
    for pattern in UNUSED:
        for found in sorted(packages.glob(pattern)):
            for file in [found] if found.is_file() else sorted(found.rglob("*")):
                if file.is_file() and file not in kept:
                    file.unlink()
    leave_out_empty(packages)


def leave_out_empty(packages: Path) -> None:
    for folder in sorted((each for each in packages.rglob("*") if each.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def libraries(root: Path) -> None:
    """Of this machine, until nothing that is in the root needs one that is not."""
    brought = {path.name for path in root.rglob("*.so*")}
    waiting = list(programs(root))
    seen: set[Path] = set()
    while waiting:
        for library in sorted(needs(waiting.pop()) - seen):
            seen.add(library)
            if library.name not in brought:
                waiting.append(found_by_the_loader(copy(library, root), root))
    for loader in ("lib/x86_64-linux-gnu/libgcc_s.so.1", "lib/aarch64-linux-gnu/libgcc_s.so.1"):  # threads that end load it by its name
        if Path("/", loader).exists():
            copy(Path("/", loader), root)


def found_by_the_loader(library: Path, root: Path) -> Path:
    """There is no cache of places in the root: what lies elsewhere than the loader looks (a Python's own library in /usr/local/lib) has a
    link where it does."""
    if library.parent.relative_to(root).as_posix() not in SEARCHED:
        link = root / "usr" / "lib" / library.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(library, link.parent))
    return library


def programs(root: Path) -> Iterator[Path]:
    """Whatever the loader loads."""
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink() and (".so" in path.name or path.stat().st_mode & 0o111):
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    yield path


def needs(program: Path) -> set[Path]:
    """By their paths on this machine."""
    done = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)  # noqa: S603, S607 - the build stage's own
    words = (word for line in done.stdout.splitlines() for word in line.split() if word.startswith("/"))
    return {Path(word) for word in words if Path(word).is_file()}


def readable(root: Path) -> None:
    """By the one user of the image, whatever the folders were that things came from."""
    for path in [root, *root.rglob("*")]:
        mode = 0 if path.is_symlink() else path.stat().st_mode
        wanted = mode | (0o555 if path.is_dir() else 0o444)
        if mode and mode != wanted:
            path.chmod(wanted)


def copy(file: Path, root: Path) -> Path:
    """To the same place below the root, once."""
    there = root / file.relative_to("/")
    there.parent.mkdir(parents=True, exist_ok=True)
    if not there.exists():
        shutil.copy2(file, there, follow_symlinks=True)
    return there


def small_files(root: Path) -> None:
    for name, text in ACCOUNTS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    if AUTHORITIES.exists():
        copy(AUTHORITIES, root)
    for folder in ("tmp", "data", "dev", "proc", "etc/tollhouse"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)


def size(root: Path, patterns: Iterable[str] = ("*",)) -> int:
    return sum(path.lstat().st_size for pattern in patterns for path in root.rglob(pattern) if path.is_file() and not path.is_symlink())


if __name__ == "__main__":
    main()
