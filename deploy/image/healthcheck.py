"""Whether the gateway in this container is ready: exit code 0, or 1 and why. The image's HEALTHCHECK, of the standard library alone.

`TOLLHOUSE_HEALTH` names another address than that of the data plane on this machine.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request


def address() -> str:
    port = os.environ.get("TOLLHOUSE_LISTEN", "127.0.0.1:8484").rpartition(":")[2]
    return os.environ.get("TOLLHOUSE_HEALTH") or f"http://127.0.0.1:{port}/readyz"


def main() -> int:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(address(), timeout=4).close()
    except urllib.error.HTTPError as error:
        print(f"not ready: {error.code} {error.read(400).decode(errors='replace')}")  # noqa: T201 - what a health check says
        return 1
    except OSError as error:
        print(f"no answer from {address()}: {error}")  # noqa: T201 - as above
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
