"""An interpreter that has imported an SDK and runs driver scripts, each in a process of its own that it forks: seconds of CPU are saved for
each, and a script finds the SDK as fresh as in an interpreter of its own.

As a program (`python warm.py MODULE …`, in environments that hold nothing but SDKs): a line of JSON in, [script, argument, …]; a line out,
[exit code, standard output, standard error].
"""

import json
import os
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

SECONDS = 240
HERE = Path(__file__).parent


class Warm:
    """A context manager around such an interpreter."""

    def __init__(self, python, modules, environment=None):
        command = [str(python), str(HERE / "warm.py"), *modules]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._process.stdin.close()
        self._process.wait(30)

    def saw(self, script, *arguments):
        """What the driver script printed, which is JSON."""
        self._process.stdin.write(json.dumps([str(HERE / script), *arguments]) + "\n")
        self._process.stdin.flush()
        code, said, errors = json.loads(self._process.stdout.readline())
        assert code == 0, errors
        return json.loads(said)


def _forked(script, arguments):
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as errors:
        child = os.fork()
        if child == 0:
            _run(script, arguments, said.fileno(), errors.fileno())
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return [code, *(file.seek(0) or file.read() for file in (said, errors))]


def _run(script, arguments, said, errors):
    """Never returns."""
    import runpy
    import signal
    import traceback

    os.dup2(said, 1)
    os.dup2(errors, 2)
    signal.alarm(SECONDS)
    sys.argv = [script, *arguments]
    code = 0
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - told by the exit code
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        import_module(name)
    for line in sys.stdin:
        script, *arguments = json.loads(line)
        print(json.dumps(_forked(script, arguments)), flush=True)
