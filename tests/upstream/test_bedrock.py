"""Bedrock's first requests, when its libraries are still being loaded."""

from __future__ import annotations

import subprocess
import sys

FIRST = """
import asyncio, importlib.machinery, importlib.util, sys, threading, time
import botocore.awsrequest, botocore.credentials, botocore.eventstream
from gateway.platform_settings import Bedrock as Settings
from gateway.upstream.bedrock import Bedrock
from gateway.upstream.post import Asked

class Slowly(importlib.machinery.SourceFileLoader):
    def exec_module(self, module):
        time.sleep(1)
        super().exec_module(module)

class Finder:
    def find_spec(self, name, path, target=None):
        found = importlib.machinery.PathFinder.find_spec(name, path) if name == "botocore.auth" else None
        return found and importlib.util.spec_from_file_location(name, found.origin, loader=Slowly(name, found.origin))

del sys.modules["botocore.auth"]  # credentials had loaded it
sys.meta_path.insert(0, Finder())
first = threading.Thread(target=lambda: __import__("botocore.auth"))
first.start()
while "botocore.auth" not in sys.modules:
    time.sleep(0.001)
assert not hasattr(sys.modules["botocore.auth"], "SigV4Auth")
asked = Asked("aws.converse", "POST", "/converse", "m", False, {}, b"{}")
post = asyncio.run(Bedrock(Settings(region="us-east-1"), "http://127.0.0.1:9", "AKIA:secret").post(asked))
print(post.url, post.headers["authorization"].partition("/")[0])
"""


def test_a_request_waits_for_libraries_that_another_is_loading():
    done = subprocess.run([sys.executable, "-c", FIRST], capture_output=True, text=True, timeout=60)
    assert done.stdout == "http://127.0.0.1:9/model/m/converse AWS4-HMAC-SHA256 Credential=AKIA\n", done.stderr
