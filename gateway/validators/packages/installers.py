"""The installers: which program with which words installs what, and what the options of each are about. Data, and how it is looked up.

A word of a command is left unreported only where it surely is no package: an option is listed under `value` only in the programs in which
it takes the next word, and under `flags` only where it never does. Whatever follows an option that is not listed here is reported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Final, Literal, NamedTuple

from msgspec import Struct

Role = Literal["value", "index", "file", "package", "direct", "command", "flags"]


class Options(Struct, frozen=True, dict=True):
    """The options of a program by what stands behind them, separated by spaces."""

    value: str = ""
    """Something else than a package."""
    index: str = ""
    """Where packages come from."""
    file: str = ""
    """A list of packages."""
    package: str = ""
    """A package, beside or in the place of those that are named."""
    direct: str = ""
    """A path or URL that is installed."""
    command: str = ""
    """A command."""
    flags: str = ""
    """Nothing."""
    clusters: bool = True
    """One-letter options may be written together, and their value behind them (`-qrlist.txt`)."""

    @cached_property
    def roles(self) -> Mapping[str, Role]:
        names: tuple[Role, ...] = ("value", "index", "file", "package", "direct", "command", "flags")
        return {option: name for name in names for option in str(getattr(self, name)).split()}

    def role(self, option: str) -> Role | None:
        """Also of a long option that is cut short, as pip takes it, unless its value would go unreported."""
        found = self.roles.get(option)
        if found is None and len(option) > 2 and option.startswith("--"):
            roles = [role for name, role in self.roles.items() if name.startswith(option)]
            return next((role for role in roles if role not in ("value", "flags")), None)
        return found


_INDEXES: Final = "-i --index-url --extra-index-url --pypi-url -f --find-links --index --default-index --pypi-mirror"
_PIP: Final = Options(
    value="-t --target --prefix --root --python --platform --python-version --implementation --abi --timeout --retries --cache-dir --log "
    "--src --exists-action --cert --client-cert --progress-bar --root-user-action --no-binary --only-binary --report --upgrade-strategy "
    "--use-feature --use-deprecated --keyring-provider --group -d --dest -w --wheel-dir",
    index=f"{_INDEXES} --trusted-host --proxy --config-settings -C --global-option",
    file="-r --requirement --requirements -c --constraint",
    direct="-e --editable",
    flags="-q --quiet -v --verbose -U --upgrade -I --ignore-installed -V --version -h --help --pre --user --no-deps --no-input --isolated "
    "--no-cache-dir --break-system-packages "
    "--disable-pip-version-check --force-reinstall --no-index --require-hashes --no-build-isolation",
)
_UV: Final = Options(
    value="-t --target --prefix -p --python --python-version --python-platform --group --extra --optional --bounds --rev --tag --branch "
    "--marker --directory --project --cache-dir --index-strategy --keyring-provider --resolution --prerelease --exclude-newer --link-mode "
    "--color --env-file --no-binary --only-binary -m --module",
    index=f"{_INDEXES} --config-file --config-setting -C",
    file="-r --requirement --requirements -c --constraint --constraints --with-requirements --override --overrides",
    package="-w --with --from",
    direct="-e --editable --with-editable",
    flags="-q --quiet -v --verbose --dev -U --upgrade --no-cache -n --isolated --offline --no-project --frozen --locked --system --no-sync",
)
_PYTHON_TOOLS: Final = Options(
    value="-G --group -E --extras --python --platform --categories -C --directory -P --project --suffix --markers",
    index=f"{_INDEXES} --source --pip-args --extra-pip-args",
    file="-r --requirement --requirements -c",
    package="--spec --preinstall",
    direct="-e --editable --path --git",
    flags="-D -d --dev -q --quiet -v --verbose -n --no-interaction --optional --force -f --include-deps -y --yes --skip-lock --lock",
)
_CONDA: Final = Options(
    value="-n --name -p --prefix --solver --repodata-fn --platform --subdir --experimental",
    index="-c --channel --repo --add-channel",
    file="-f --file",
    flags="-y --yes -q --quiet -v --verbose -d --dry-run --json --override-channels --strict-channel-priority --no-deps --clone --offline",
)
_NPM_INDEX: Final = "--registry --userconfig --globalconfig -c --config"
_NPM: Final = Options(
    value="--prefix --tag --cache --loglevel --omit --include --install-strategy --before --otp --cpu --os --libc -w --workspace",
    index="--registry --userconfig --globalconfig",
    package="-p --package",
    command="-c --call",
    flags="-g --global -D --save-dev -S --save -E --save-exact -O --save-optional -P --save-prod -y --yes -q --quiet -s --silent --no-save "
    "-f --force --no-audit --no-fund --legacy-peer-deps --ignore-scripts --no-install --optional --workspaces --offline",
)
_PNPM: Final = Options(
    value="-C --dir --filter -F --store-dir --reporter --loglevel",
    index="--registry --config",
    package="--package",
    flags="-g --global -D --save-dev -P --save-prod -O --save-optional -E --save-exact -w --workspace-root -r --recursive -s --silent "
    "-y -c",
)
_YARN_BUN: Final = Options(
    value="--cwd --modules-folder --cache-folder --backend --cache-dir",
    index=_NPM_INDEX,
    package="-p --package",
    flags="-D -d --dev -P --peer -O --optional -E --exact -T --tilde -g --global -W --ignore-workspace-root-check -s --silent -q --quiet "
    "-y",
)
_CARGO: Final = Options(
    value="-F --features --rename --branch --tag --rev --manifest-path --target --lockfile-path --color --version --vers --root --bin "
    "--example --profile -j --jobs --target-dir",
    index="--registry --index --config",
    direct="--path --git",
    flags="-v --verbose -q --quiet --dev --build --optional --no-default-features --locked --offline --frozen -f --force -n --dry-run",
)
_GEM: Final = Options(
    value="-v --version --install-dir -n --bindir --platform -P --trust-policy --document",
    index="-s --source --clear-sources -p --http-proxy",
    file="-g --file",
    flags="-N --no-document -q --quiet -V --verbose -f --force --user-install --pre --prerelease --conservative",
)
_BUNDLE: Final = Options(
    value="-v --version -g --group --branch --ref --glob -r --require",
    index="-s --source",
    direct="--git --github --path",
    flags="--skip-install --strict --optimistic --quiet",
)
_GO: Final = Options(
    value="-o -p -mod -C -tags -ldflags -gcflags -asmflags -pgo -buildmode -compiler",
    file="-modfile -overlay",
    command="-exec -toolexec",
    flags="-v -u -t -x -a -n -race -trimpath",
    clusters=False,
)
_COMPOSER: Final = Options(
    value="-d --working-dir --ignore-platform-req --prefer-install",
    index="--repository --repository-url",
    flags="--dev -n --no-interaction -q --quiet -W --with-all-dependencies --no-update -v",
)
_NUGET: Final = Options(
    value="-v --version -f --framework --package-directory --tool-path --project -Version -OutputDirectory",
    index="-s --source --add-source --configfile -Source -ConfigFile",
    flags="-n --no-restore --prerelease -g --global --local",
    clusters=False,
)
_SYSTEM: Final = Options(
    value="-t --target-release --virtual --root",
    index="-X --repository --repositories-file --repofrompath --repo --enablerepo -o --option --config-file",
    flags="-y --yes --assume-yes -q -qq --quiet --no-install-recommends --no-cache -u --update -f --fix-broken --cask --formula --classic",
    clusters=False,
)


class Way(NamedTuple):
    """One way to install: a program, the words that must follow, and what stands behind them."""

    programs: str
    """Pattern of the program's name."""
    words: tuple[str, ...]
    """Alternatives of each word behind it, `|` between them, `*` for any; options may stand before and between."""
    ecosystem: str
    options: Options
    takes: Literal["all", "first", "none", "settings"] = "all"
    """Which words behind are packages: all, the first (the rest goes to it), none but those of options; `settings`: what is said there
    changes where packages come from."""
    prefix: str = ""
    """What is put before the name (`npm create x` runs `create-x`)."""


_ADD: Final = "install|i|in|ins|inst|insta|instal|isnt|isnta|isntal|isntall|add|a|update|up|upgrade|udpate|install-test|it|link|ln"
WAYS: Final = (
    Way(r"pip[\d.]*", ("install|download|wheel",), "pip", _PIP),
    Way(r"pip[\d.]*", ("config", "set|edit"), "pip", _PIP, takes="settings"),
    Way("uv", ("pip", "install|sync"), "pip", _UV),
    Way("uv", ("add",), "pip", _UV),
    Way("uv", ("tool", "install|run|upgrade"), "pip", _UV, takes="first"),
    Way("uv", ("run",), "pip", _UV, takes="none"),
    Way("uvx", (), "pip", _UV, takes="first"),
    Way("poetry|pdm|rye|hatch", ("add",), "pip", _PYTHON_TOOLS),
    Way("poetry", ("source", "add"), "pip", _PYTHON_TOOLS, takes="settings"),
    Way("poetry", ("self", "add"), "pip", _PYTHON_TOOLS),
    Way("pipenv", ("install|upgrade",), "pip", _PYTHON_TOOLS),
    Way("pipx", ("install|inject|upgrade",), "pip", _PYTHON_TOOLS),
    Way("pipx", ("run",), "pip", _PYTHON_TOOLS, takes="first"),
    Way(r"easy_install[\d.-]*", (), "pip", _PIP),
    Way("conda|mamba|micromamba", ("install|create|update|upgrade",), "conda", _CONDA),
    Way("conda|mamba|micromamba", ("env", "create|update"), "conda", _CONDA),
    Way("conda|mamba|micromamba", ("config",), "conda", Options(flags="--set --add --append --prepend"), takes="settings"),
    Way("npm|pnpm|yarn|bun", ("config|c", "set"), "npm", _NPM, takes="settings"),
    Way("npm", ("set",), "npm", _NPM, takes="settings"),
    Way("npm", (_ADD,), "npm", _NPM),
    Way("npm", ("exec|x",), "npm", _NPM, takes="first"),
    Way("npx|pnpx", (), "npm", _NPM, takes="first"),
    Way("pnpm", (_ADD,), "npm", _PNPM),
    Way("pnpm", ("dlx",), "npm", _PNPM, takes="first"),
    Way("yarn", ("global", "add|upgrade"), "npm", _YARN_BUN),
    Way("yarn|bun", (_ADD,), "npm", _YARN_BUN),
    Way("yarn", ("dlx",), "npm", _YARN_BUN, takes="first"),
    Way("bun", ("x",), "npm", _YARN_BUN, takes="first"),
    Way("bunx", (), "npm", _YARN_BUN, takes="first"),
    Way("npm|pnpm|yarn|bun", ("create|init|innit",), "npm", _NPM, takes="first", prefix="create-"),
    Way("deno", ("add",), "npm", Options(flags="-D --dev")),
    Way("cargo", ("add|install|binstall",), "cargo", _CARGO),
    Way("gem", ("install|i|update",), "gem", _GEM),
    Way("gem", ("sources",), "gem", Options(flags="-l --list -u --update -c --clear-all"), takes="settings"),
    Way("bundle|bundler", ("add",), "gem", _BUNDLE),
    Way("bundle|bundler", ("config",), "gem", _BUNDLE, takes="settings"),
    Way("go", ("get|install",), "go", _GO),
    Way("go", ("run",), "go", _GO, takes="first"),
    Way("go", ("env", "-w"), "go", Options(), takes="settings"),
    Way("composer", ("require|req|r|create-project",), "composer", _COMPOSER),
    Way("composer", ("global", "require|req"), "composer", _COMPOSER),
    Way("composer", ("config",), "composer", _COMPOSER, takes="settings"),
    Way("dotnet", ("add", "package"), "nuget", _NUGET, takes="first"),
    Way("dotnet", ("add", "*", "package"), "nuget", _NUGET, takes="first"),
    Way("dotnet", ("package", "add"), "nuget", _NUGET, takes="first"),
    Way("dotnet", ("tool", "install|update|exec"), "nuget", _NUGET, takes="first"),
    Way("dnx", (), "nuget", _NUGET, takes="first"),
    Way("nuget", ("install",), "nuget", _NUGET, takes="first"),
    Way("nuget|dotnet", ("nuget|sources", "add|source"), "nuget", _NUGET, takes="settings"),
    Way("apt|apt-get|aptitude|apk|dnf|yum|microdnf|zypper|brew|snap|port", ("install|in|add|reinstall|upgrade",), "system", _SYSTEM),
    Way("pacman|yay|paru", (r"-S|-Sy|-Syu|-Syy|-U|--sync|--upgrade",), "system", _SYSTEM),
    Way("brew", ("tap",), "system", _SYSTEM, takes="settings"),
    Way("add-apt-repository", (), "system", _SYSTEM, takes="settings"),
)

RUNNERS: Final = frozenset((
    *("docker", "podman", "nerdctl", "buildah", "kubectl", "oc", "ssh", "firejail", "bwrap", "proot", "chroot", "unshare", "nix-shell"),
    *("uv", "poetry", "pdm", "pipenv", "hatch", "rye", "conda", "mamba", "micromamba", "bundle", "pnpm", "yarn", "npm", "npx", "bunx"),
    *("corepack", "asdf", "mise", "rtx", "pyenv", "rbenv", "direnv", "dotenv", "op", "doppler", "tini", "dumb-init", "entr", "script"),
    *("sudo", "doas", "su", "runuser", "pkexec", "gosu", "su-exec", "fakeroot", "systemd-run", "start-stop-daemon", "parallel"),
    *("watch", "flock"),
    *("strace", "ltrace", "caffeinate", "proxychains", "proxychains4", "torsocks", "tsocks", "taskset", "numactl", "chrt", "setarch"),
))  # fmt: skip
"""Programs that run the command behind their own words. Where it begins is not looked up: an install command anywhere behind them
counts."""

_MENTIONED: Final = re.compile(
    r"\b(?:npx|pnpx|bunx|uvx|dnx|easy_install|add-apt-repository"
    r"|(?:pip[\d.]*|uv|pipx|pipenv|poetry|pdm|rye|hatch|conda|mamba|micromamba|npm|pnpm|yarn|bun|deno|cargo|gem|bundler?|go|composer|dotnet"
    r"|nuget|apt|apt-get|aptitude|apk|dnf|yum|microdnf|zypper|pacman|yay|paru|brew|snap|port)\b(?s:.{0,200}?)\s"
    r"(?:install|i|in|ins|inst|insta|instal|isn\w+|add|a|up|update|upgrade|download|wheel|config|run|exec|x|dlx|create|init|get|require|req|r"
    r"|global|tap|set|env|-S\w*|-U|--sync|source|sources|inject|it|link|ln|package|tool)\b)"
)
_QUOTES: Final = str.maketrans("", "", "'\"\\")
_GOES_ON: Final = re.compile(r"\\\r?\n")


def mentions(text: str) -> bool:
    """Whether a text that cannot be read as commands may still install something: an installer, and behind it a word that installs."""
    return _MENTIONED.search(_GOES_ON.sub("", text).translate(_QUOTES)) is not None


def begins(text: str) -> bool:
    """Whether a text begins like an install command: prose that speaks of one does not."""
    return _MENTIONED.match(re.sub(r"^\s*(?:[$#>]\s+)?(?:sudo\s+)?(?:python[\d.]*\s+-m\s+)?", "", text)) is not None


@lru_cache(maxsize=1024)
def ways(program: str) -> tuple[Way, ...]:
    """In the order of the table."""
    return tuple(way for way in WAYS if re.fullmatch(way.programs, program))
