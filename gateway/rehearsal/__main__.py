"""`python -m gateway.rehearsal --script FILE`: the rehearsal provider as a process of its own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gateway.errors import FileProblems, StartError
from gateway.rehearsal.process import serve


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m gateway.rehearsal", description="A provider that plays a script.")
    parser.add_argument("--script", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8490, help="0 takes a free port")
    parser.add_argument("--watch-stdin", action="store_true", help="stop when standard input ends")
    given = parser.parse_args()
    try:
        serve(given.script, given.host, given.port, watch_stdin=given.watch_stdin)
    except (FileProblems, StartError) as error:
        sys.stderr.write(f"{error}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
