"""Puts together the root of the image: this interpreter, its standard library, the packages, the shared libraries that all of it needs.

    python3 assemble.py --packages /packages --root /root

Nothing else is in it: no shell, no package manager, no compiler, no pip, no set-uid program. Run in the image's first stage, by the
interpreter that is to be in the image; `tests/deploy/test_image.py` runs it as well, and the gateway inside what it makes. What packages
bring and nothing here ever loads is left out (`UNUSED`): files are only left out, never changed, so each still has the hash its package
says. Copies links as what they lead to.
"""

from __future__ import annotations

import argparse
import py_compile
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

APPLICATION = Path("opt/tollhouse")
USER = 10001
STANDARD_UNUSED = (
    "test", "tests", "idlelib", "tkinter", "_tkinter.*", "turtle.py", "turtledemo", "lib2to3", "ensurepip", "pydoc_data",
    "_test*.so", "_xx*.so", "xx*.so", "config-*", "site-packages", "dist-packages", "__pycache__",
)  # fmt: skip
"""_tkinter alone would bring the libraries of a desktop."""
UNUSED = (
    "cel_expr_python/ext/ext_bindings*", "cel_expr_python/ext/ext_encoders*", "cel_expr_python/ext/ext_math*",
    "cel_expr_python/ext/ext_proto*", "cel_expr_python/ext/ext_strings*",  # policies know ext_optional alone
    "litellm/proxy", "litellm/rust_bridge/_native*",  # a proxy of its own, and what makes some of it faster: nothing translates by it
    "litellm/llms/huggingface/huggingface_llms_metadata", "huggingface_hub", "hf_xet", "tokenizers",  # of open models
    "botocore/data/[!_]*/*",  # descriptions of 400 services of Amazon's; the heads' second place is S3
    "tests", "*/tests",
)  # fmt: skip
KEPT = (
    "botocore/data/s3/**/*", "botocore/data/sso*/**/*", "botocore/data/sts/**/*",
    "litellm/proxy/__init__.py", "litellm/proxy/common_utils/*.py", "litellm/proxy/spend_tracking/*.py",
    "litellm/proxy/pass_through_endpoints/llm_provider_handlers/*.py",  # what litellm itself imports of its proxy
)  # fmt: skip
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
    given = parser.parse_args()
    assemble(given.packages, given.root)
    print(f"{size(given.root) / 1e6:.0f} MB in {given.root}")  # noqa: T201 - a program's output


def assemble(packages: Path, root: Path, *, compiled: bool = True, put: Callable[[str, str], object] = shutil.copy2) -> None:
    """`compiled`: also what Python would otherwise make at each start, for the root is read-only. `put` copies one file."""
    root.mkdir()
    interpreter(root)
    shutil.copytree(packages, root / APPLICATION, ignore=shutil.ignore_patterns("__pycache__", "bin"), copy_function=put)
    leave_out(root / APPLICATION)
    libraries(root)
    small_files(root)
    readable(root)
    for file in loaded(root) if compiled else ():
        how = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(str(file), dfile=f"/{file.relative_to(root)}", doraise=True, invalidation_mode=how)


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


def loaded(root: Path) -> list[Path]:
    """The sources in the root that `loaded.py` loads from there; the others, half of all, are hardly ever loaded."""
    environment = {"PYTHONPATH": str(root / APPLICATION), "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-S", str(Path(__file__).with_name("loaded.py"))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - the build stage's own
    if done.returncode != 0:
        sys.exit(f"what is in {root} cannot be loaded:\n{done.stderr}")
    files = [Path(line) for line in done.stdout.splitlines()]
    here = [file if file.is_relative_to(root) else root / file.relative_to("/") for file in files]
    return [file for file in here if file.is_file()]


def leave_out(packages: Path) -> None:
    kept = {each for pattern in KEPT for each in packages.glob(pattern)}
    for pattern in UNUSED:
        for found in sorted(packages.glob(pattern)):
            for file in [found] if found.is_file() else sorted(found.rglob("*")):
                if file.is_file() and file not in kept:
                    file.unlink()
    for folder in sorted((each for each in packages.rglob("*") if each.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def libraries(root: Path) -> None:
    """Of this machine, until nothing that is in the root needs one that is not."""
    brought = {path.name for path in root.rglob("*.so*")}
    waiting = list(programs(root))
    seen: set[Path] = set()
    while waiting:
        for needed in sorted(needs(waiting.pop()) - seen):
            seen.add(needed)
            if needed.name not in brought:
                waiting.append(copy(needed, root))
    for loader in ("lib/x86_64-linux-gnu/libgcc_s.so.1", "lib/aarch64-linux-gnu/libgcc_s.so.1"):  # threads that end load it by its name
        if Path("/", loader).exists():
            copy(Path("/", loader), root)


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
