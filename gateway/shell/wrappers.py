"""Programs that run the program behind their own options (`sudo`, `timeout 60`, `xargs`), and how those options are read.

An option that is read wrongly hides what is run: of `sudo --user git rm x`, `rm`. So each program's options are listed whole, with
what takes a value, as its manual has them (GNU and util-linux, with what BSD has beside), and are read as getopt reads them: letters
together, a value in the same word or the next, long names cut short. One that is not listed raises ValueError, as does a word among them
that is known only when the command runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from gateway.shell import state
from gateway.shell.words import Word


class Wrapper(Struct, frozen=True, dict=True):
    flags: str = ""
    """Letters of options without a value. `-`: the word `-` is an option, too; a digit: so is every number."""
    valued: str = ""
    """Letters of options with a value, in the same word or the next."""
    attached: str = ""
    """Letters of options whose value, if they have one, is in the same word."""
    long: str = ""
    """Long names; `=` behind those with a value, `?` behind those whose value, if they have one, is behind an `=`."""
    operands: int = 0
    """Words of its own before the program's name."""
    options: Literal["first", "between", "anywhere"] = "first"
    """Where options stand: before all else; before and behind the operands; also behind the program's words, which are a shell's then."""
    assigns: str = ""
    """What may stand before the program's name and sets a variable: a pattern whose group is its name."""
    told: frozenset[str] = frozenset()
    """Options whose value is a text that a shell reads."""
    joined: bool = False
    """The words behind are put together, and a shell reads that."""
    alone: frozenset[str] | None = None
    """It is a shell itself where nothing stands behind it: always when empty, else with one of these options."""
    word: str = ""
    """A word of its own that makes it run others (`uv run`); options may stand before it."""
    operand: str = ""
    """What the operand must look like, where one may be left out. A pattern."""
    instead: frozenset[str] = frozenset()
    """Options in whose presence there is no operand."""

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Long names: `=`, `?` or nothing."""
        return {name.rstrip("=?"): name[len(name.rstrip("=?")) :] for name in self.long.split()}

    def resolve(self, option: str) -> str | None:
        """A long name that is written whole, or short and is no other's beginning."""
        if option in self.names:
            return option
        begun = [name for name in self.names if name.startswith(option)]
        return begun[0] if len(begun) == 1 else None


class Behind(NamedTuple):
    """What stands behind a wrapper's own words."""

    words: tuple[Word, ...]
    """The program it runs, and that one's words."""
    options: Mapping[str, Sequence[Word]]
    """The options that were there, by letter or name, with their values (empty where they have none)."""


_COREUTILS: Final = "help version"
_SU: Final = (
    "preserve-environment whitelist-environment= group= supp-group= login command= session-command= fast shell= pty no-pty help version"
)
_NAMESPACES: Final = "mount? uts? ipc? net? pid? user? cgroup? time? setuid= setgid= keep-caps help version"
_ARCHITECTURE: Final = Wrapper(
    flags="BFILRSTXZ3vhV",
    long="32bit fdpic-funcptrs short-inode addr-compat-layout addr-no-randomize whole-seconds sticky-timeouts read-implies-exec "
    "mmap-page-zero 3gb 4gb uname-2.6 verbose list show? pid= help version",
    alone=frozenset(),
)
_UV: Final = (
    "extra= all-extras no-extra= dev no-dev only-dev group= no-group= no-default-groups only-group= all-groups module no-editable no- "
    "editable-package= exact env-file= no-env-file with= with-editable= with-requirements= isolated active no-active no-sync locked "
    "frozen script gui-script all-packages package= no-project python-platform= index= default-index= index-url= extra-index-url= "
    "find-links= no-index index-strategy= keyring-provider= upgrade no-upgrade upgrade-package= upgrade-group= resolution= "
    "prerelease= prerelease-package= fork-strategy= exclude-newer= exclude-newer-package= no-sources no-sources-package= reinstall "
    "reinstall-package= link-mode= compile-bytecode no-compile-bytecode config-setting= config-settings-package= no-build-isolation "
    "no-build-isolation-package= no-build build no-build-package= no-binary binary no-binary-package= require-build-hashes no- "
    "require-build-hashes no-cache no-cache-dir cache-dir= refresh refresh-package= python= managed-python no-managed-python no- "
    "python-downloads quiet verbose color= system-certs native-tls offline no-offline allow-insecure-host= no-progress directory= "
    "project= config-file= no-config help version"
)

WRAPPERS: Final[Mapping[str, Wrapper]] = {
    "sudo": Wrapper(
        flags="ABbEeHiKklNnPSsVv",
        valued="aCcDghpRrTtUu",
        long="askpass background bell close-from= chdir= preserve-env? edit group= set-home help host= login login-class= "
        "remove-timestamp reset-timestamp list non-interactive no-update preserve-groups prompt= chroot= role= stdin shell type= "
        "command-timeout= other-user= user= version validate auth-type=",
        assigns=r"([^/=][^=]*)=",
        alone=frozenset({"i", "s", "login", "shell"}),
    ),
    "doas": Wrapper(flags="Lns", valued="aCu", alone=frozenset({"s"})),
    "su": Wrapper(
        flags="-lmpfPThV", valued="cCwgGs", long=_SU, operands=1, options="anywhere",
        told=frozenset({"c", "C", "command", "session-command"}), alone=frozenset(),
    ),
    "runuser": Wrapper(
        flags="-lmpfPThV", valued="cCwgGsu", long=f"{_SU} user=", operands=1, options="anywhere", instead=frozenset({"u", "user"}),
        told=frozenset({"c", "C", "command", "session-command"}), alone=frozenset(),
    ),
    "pkexec": Wrapper(long="user= disable-internal-agent keep-cwd help version", alone=frozenset()),
    "gosu": Wrapper(operands=1),
    "su-exec": Wrapper(operands=1),
    "setpriv": Wrapper(
        flags="dhV",
        long="dump nnp no-new-privs ambient-caps= inh-caps= bounding-set= ruid= euid= rgid= egid= reuid= regid= clear-groups keep-groups "
        "init-groups groups= list-caps securebits= pdeathsig= ptracer= selinux-label= apparmor-profile= landlock-access= "
        "landlock-rule= seccomp-filter= reset-env help version",
    ),
    "env": Wrapper(
        flags="-i0v", valued="uCaLU",
        long="ignore-environment null unset= chdir= block-signal? default-signal? ignore-signal? list-signal-handling debug argv0= "
        + _COREUTILS,
        assigns="([^=]*)=",
    ),
    "timeout": Wrapper(
        flags="fpv", valued="ks", long=f"foreground preserve-status kill-after= signal= verbose {_COREUTILS}", operands=1,
    ),
    "nice": Wrapper(flags="0123456789", valued="n", long=f"adjustment= {_COREUTILS}"),
    "ionice": Wrapper(flags="tVh", valued="cnpPu", long="class= classdata= pid= pgid= ignore uid= help version"),
    "stdbuf": Wrapper(valued="ioe", long=f"input= output= error= {_COREUTILS}"),
    "xargs": Wrapper(
        flags="0oprtx", valued="aEILnPsdJRS", attached="eil",
        long="null arg-file= delimiter= eof? replace? max-lines? max-args= open-tty max-procs= interactive process-slot-var= "
        f"no-run-if-empty max-chars= show-limits verbose exit {_COREUTILS}",
    ),
    "time": Wrapper(
        flags="apqvVhl", valued="fo", long="append format= output= portability quiet verbose help version",
        assigns=r"(\w+)(?:\[.*?\])?\+?=",
    ),
    "nohup": Wrapper(long=_COREUTILS),
    "setsid": Wrapper(flags="cfwhV", long="ctty fork wait help version"),
    "command": Wrapper(flags="pvV"),
    "builtin": Wrapper(),
    "exec": Wrapper(flags="cl", valued="a"),
    "chronic": Wrapper(flags="ev"),
    "chroot": Wrapper(long=f"groups= userspec= skip-chdir {_COREUTILS}", operands=1, alone=frozenset()),
    "flock": Wrapper(
        flags="sxeunoFhV", valued="wE",
        long="shared exclusive unlock nonblock nb timeout= wait= conflict-exit-code= close no-fork fcntl verbose help version",
        operands=1,
    ),
    "taskset": Wrapper(flags="apchV", long="all-tasks pid cpu-list help version", operands=1),
    "chrt": Wrapper(
        flags="bdfiorRampvehV", valued="TPD",
        long="batch deadline fifo idle other rr reset-on-fork sched-runtime= sched-period= sched-deadline= all-tasks max pid verbose ext "
        "help version",
        operands=1, operand=r"\d+",
    ),
    "setarch": _ARCHITECTURE,
    "unshare": Wrapper(
        flags="frchVl", valued="RwSG", attached="muinpUCT",
        long=f"{_NAMESPACES} fork map-user= map-group= map-root-user map-current-user map-auto map-users= map-groups= kill-child? "
        "mount-proc? mount-binfmt? propagation= setgroups= root= wd= monotonic= boottime= load-interp= owner= forward-signals",
        alone=frozenset(),
    ),
    "nsenter": Wrapper(
        flags="aceFZhV", valued="tSGWN", attached="muinpUCTrw",
        long=f"{_NAMESPACES} all target= preserve-credentials root? wd? wdns= env no-fork follow-context join-cgroup user-parent "
        "net-socket=",
        alone=frozenset(),
    ),
    "watch": Wrapper(
        flags="bcCegrtwxfRvh", valued="nqs", attached="d",
        long="beep color no-color differences? errexit chgexit interval= equexit= no-rerun no-title no-wrap exec precise follow "
        "shotsdir= help version",
        joined=True,
    ),
    "script": Wrapper(
        flags="aefqhVdkpr", valued="cEIOBTmo",
        long="append command= return flush force echo= log-in= log-out= log-io= log-timing= logging-format= output-limit= quiet help "
        "version",
        operands=1, options="anywhere", told=frozenset({"c", "command"}), alone=frozenset(),
    ),
    "ssh": Wrapper(
        flags="1246AaCfGgKkMNnqsTtVvXxYy", valued="BbcDEeFIiJLlmOopQRSWwP", operands=1, options="between", joined=True,
        alone=frozenset(),
    ),
    "busybox": Wrapper(long="install list list-full help"),
    "toybox": Wrapper(long="help long version"),
    "noglob": Wrapper(),
    "nocorrect": Wrapper(),
    "-": Wrapper(),
    "repeat": Wrapper(operands=1),
    "uv": Wrapper(flags="msUnqvhV", valued="wifPCp", long=_UV, word="run"),
    "poetry": Wrapper(
        flags="qnvhV", valued="PC",
        long="quiet version ansi no-ansi no-interaction project= directory= no-plugins no-cache verbose? help", word="run",
    ),
    "pipenv": Wrapper(flags="qvh", long="quiet verbose python= clear pypi-mirror= system help", word="run"),
    "pdm": Wrapper(
        flags="vqglsSIh", valued="cpk",
        long="config= ignore-python no-cache verbose quiet global project= skip= list json site-packages venv= recreate help", word="run",
    ),
    "hatch": Wrapper(
        flags="vqh", valued="ep", long="env= project= verbose quiet color no-color interactive no-interactive help", word="run",
    ),
    "bundle": Wrapper(long="keep-file-descriptors no-keep-file-descriptors gemfile= verbose no-color help", word="exec"),
    "pnpm": Wrapper(
        flags="rwh", valued="FC", long="recursive parallel report-summary resume-from= no-reporter-hide-prefix no-bail filter= dir= "
        "workspace-root workspace-concurrency= silent if-present color no-color help", word="exec",
    ),
    "yarn": Wrapper(flags="sTBhv", long="silent cwd= top-level binaries-only offline json verbose help", word="exec"),
}  # fmt: skip
"""By the name of the program. Debuggers (`strace`), containers (`docker run`) and what fetches what it runs (`npx`) are not among them."""

_ARCHITECTURES: Final = re.compile(
    r"linux(?:32|64)|uname26|x86_64|amd64|i[3-6]86|athlon|arm\w*|aarch64\w*|p(?:ower)?pc\w*|s390x?|sparc\w*|mips\w*|parisc\w*|ia64|alpha\w*"
    r"|riscv\w*|loongarch\w*"
)
"""Names under which setarch runs a program, and that stand behind it."""
_SSH_RUNS: Final = re.compile(r"(?i)\s*(?:proxy|local|remote|knownhosts)command")


def wrapper(name: str) -> Wrapper | None:
    return WRAPPERS.get(name) or (_ARCHITECTURE if _ARCHITECTURES.fullmatch(name) else None)


def read(name: str, own: Wrapper, words: Sequence[Word]) -> Behind | None:
    """What stands behind its words (without its name). None where it runs nothing. Raises ValueError where only the run tells."""
    if own.word and not any(word.text == own.word or not word.fixed for word in words):
        return None
    behind = _Reader(name, own, words).read()
    if not own.word:
        return behind
    return _Reader(name, own, behind.words[1:]).read() if behind.words and behind.words[0].text == own.word else None


def check(name: str, options: Mapping[str, Sequence[Word]]) -> None:
    """Raises ValueError where an option names a further program."""
    if name == "ssh" and any(not value.fixed or _SSH_RUNS.match(value.text) for value in options.get("o", ())):
        raise ValueError("what ssh runs is known only when the command runs")


def called(name: str, words: Sequence[Word]) -> Sequence[Word]:
    """The texts that `npx -c` and `npm exec -c` have a shell read."""
    if name not in ("npx", "npm"):
        return []
    joined = [Word(word.text.partition("=")[2], word.fixed) for word in words if re.match("--call?=", word.text)]
    return joined + [words[at + 1] for at, word in enumerate(words[:-1]) if re.fullmatch(r"-\w*c|--call?", word.text)]


class _Reader:
    def __init__(self, name: str, own: Wrapper, words: Sequence[Word]) -> None:
        self._name, self._own, self._words = name, own, list(words)
        self._options: dict[str, list[Word]] = {}

    def read(self) -> Behind:
        operands, ended, kept = self._own.operands, False, list[Word]()
        while self._words:
            word = self._next()
            if not ended and word.text == "--":
                ended = True
            elif (not ended and self._option(word)) or self._assigned(word):
                continue
            elif operands and not self._own.instead & set(self._options):
                operands -= 1
                ended = ended or self._own.options == "first"
                self._check_operand(word)
            elif self._own.options == "anywhere" and not ended:
                kept.append(word)
            else:
                kept.append(word)
                break
        return Behind((*kept, *self._words), self._options)

    def _next(self) -> Word:
        word = self._words.pop(0)
        assigned = self._own.assigns and not word.split and re.match(r"\w+=", word.text)
        if not word.fixed and not assigned:
            raise ValueError(f"what {self._name} runs is known only when the command runs")
        return word

    def _assigned(self, word: Word) -> bool:
        found = re.match(self._own.assigns, word.text) if self._own.assigns else None
        if found:
            state.changes_meaning(found[1])
        return found is not None

    def _check_operand(self, word: Word) -> None:
        if self._own.operand and not re.fullmatch(self._own.operand, word.text):
            raise ValueError(f"what {self._name} runs is known only when the command runs")

    def _option(self, word: Word) -> bool:
        """Whether the word is an option, which is then taken, with its value."""
        text = word.text
        if text == "-":
            return "-" in self._own.flags
        if text.startswith("--"):
            self._long(text[2:])
        elif text.startswith("-"):
            self._letters(text[1:])
        return text.startswith("-")

    def _long(self, text: str) -> None:
        name, equals, value = text.partition("=")
        if name.isdigit() and "0" in self._own.flags:
            return
        found = self._own.resolve(name)
        if found is None:
            raise self._unknown(f"--{name}")
        takes = self._own.names[found]
        if equals and not takes:
            raise self._unknown(f"--{name}=")
        self._take(found, Word(value) if equals else self._value() if takes == "=" else Word(""))

    def _letters(self, text: str) -> None:
        for at, letter in enumerate(text):
            if letter in self._own.valued or letter in self._own.attached:
                rest = text[at + 1 :]
                self._take(letter, self._value() if not rest and letter in self._own.valued else Word(rest))
                return
            if self._name == "env" and letter == "S":
                raise ValueError("env splits a text into a command")
            if letter not in self._own.flags or letter == "-":
                raise self._unknown(f"-{letter}")
            self._take(letter, Word(""))

    def _take(self, option: str, value: Word) -> None:
        self._options.setdefault(option, []).append(value)

    def _value(self) -> Word:
        """The next word, which may be known only when the command runs as long as it stays one."""
        if not self._words or self._words[0].split:
            raise ValueError(f"what {self._name} runs is known only when the command runs")
        return self._words.pop(0)

    def _unknown(self, option: str) -> ValueError:
        if self._name == "env" and "--split-string".startswith(option.rstrip("=")):
            return ValueError("env splits a text into a command")
        return ValueError(f"what {self._name} runs is known only when the command runs: its option {option[:40]} is not known here")
