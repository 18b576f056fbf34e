"""Who says who people are, for pages that let them in without a password."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.patience import PATIENCE_S


class Issuer:
    """An OpenID provider in a process of its own (`oidc_provider.py`)."""

    def __init__(self) -> None:
        command = [sys.executable, str(Path(__file__).parent / "oidc_provider.py")]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def settings(self, **more: Any) -> dict[str, Any]:
        """An entry of `issuers:`."""
        sign_in = {"client": "pages of tollhouse", "secret": {"env": "ISSUER_SECRET"}, "authorize": f"{self.url}/authorize",
                   "token": f"{self.url}/token", "hours": 2.0}  # fmt: skip
        people = {"name": "preferred_username", "groups": "groups", "roles": {"ops": ["admin"], "readers": ["viewer-metadata"]}}
        named = {"name": "corp", "issuer": self.url, "audience": "api", "keys": f"{self.url}/jwks"}
        return {**named, "people": people, "sign_in": sign_in, **more}

    def twist(self, **how: Any) -> None:
        """What is wrong with what it says, until another is told."""
        httpx.get(f"{self.url}/twist", params={"as": json.dumps(how)}, trust_env=False, timeout=PATIENCE_S)

    def close(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE_S)
