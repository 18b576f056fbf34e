"""`python -m gateway.child gateway.worker …`: how the supervisor starts a process of the gateway, so that it is ready soon.

1. Nothing is looked through for garbage while modules are imported (`importing`), and what they brought never again.
2. No plugin that some other package brought for pydantic is searched for or sees the settings.
3. Ctrl-C meanwhile ends it without a traceback: the supervisor says what there is to say.
4. With `--wait` modules are imported, then nothing happens until a byte comes on standard input: the supervisor checks the settings, the
   policies and the prompts meanwhile. When standard input ends instead, so does the process, as if it had never been.

What a process does is its own module's affair; `python -m gateway.worker …` is the same, later.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable

from gateway.importing import imported

GO = b"\n"
WAIT = "--wait"


def begin(arguments: list[str]) -> Callable[[], int] | None:
    """What the named module does as a process (its `run`), or none if it is not wanted any more. The rest of `arguments` is for it."""
    module, *rest = arguments
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    found: Callable[[], int] = imported(module).run
    gc.freeze()
    wanted = WAIT not in rest or os.read(sys.stdin.fileno(), len(GO)) == GO
    sys.argv = [module, *(each for each in rest if each != WAIT)]
    return found if wanted else None


if __name__ == "__main__":
    what = begin(sys.argv[1:])
    sys.exit(0 if what is None else what())
