"""Amazon as a provider: it checks by itself the proof of who pays, and frames its streams."""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
import time
import zlib

ACCESS, SECRET = "AKIA" + "Z7" * 8, "made/up+secret" * 3


def signature(secret, scope, method, path, query, headers, signed, payload):
    """Signature Version 4 as Amazon's documents say it, by hand."""
    named = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in signed)
    escaped = "".join(c if c.isascii() and (c.isalnum() or c in "-_.~/") else "".join(f"%{b:02X}" for b in c.encode()) for c in path)
    canonical = "\n".join((method, escaped, query, named, ";".join(signed), hashlib.sha256(payload).hexdigest()))
    told = "\n".join(("AWS4-HMAC-SHA256", headers["x-amz-date"], "/".join(scope), hashlib.sha256(canonical.encode()).hexdigest()))
    key = b"AWS4" + secret.encode()
    for part in scope:
        key = hmac.new(key, part.encode(), "sha256").digest()
    return hmac.new(key, told.encode(), "sha256").hexdigest()


def read(head):
    """(method, path, query, headers) of a request's head."""
    first, *lines = head.decode().rstrip().split("\r\n")
    method, target, _ = first.split(" ")
    path, _, query = target.partition("?")
    return method, path, query, {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def proven(head, body):
    """Whether Amazon would take it."""
    method, path, query, headers = read(head)
    algorithm, _, rest = headers["authorization"].partition(" ")
    said = dict(part.strip().split("=", 1) for part in rest.split(","))
    access, *scope = said["Credential"].split("/")
    signed = said["SignedHeaders"].split(";")
    fresh = abs(time.mktime(time.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ")) - time.mktime(time.gmtime())) < 300
    wanted = [headers["x-amz-date"][:8], "us-east-1", "bedrock", "aws4_request"]
    place = (algorithm, access, scope) == ("AWS4-HMAC-SHA256", ACCESS, wanted)
    token = ("x-amz-security-token" in signed) == ("x-amz-security-token" in headers)
    right = hmac.compare_digest(signature(SECRET, scope, method, path, query, headers, signed, body), said["Signature"])
    return fresh and place and token and right and {"host", "x-amz-date"} <= set(signed)


def frame(payload, **headers):
    """A message of Amazon's event stream."""
    pairs = [(name.encode(), said.encode()) for name, said in headers.items()]
    names = b"".join(bytes([len(name)]) + name + b"\x07" + struct.pack("!H", len(said)) + said for name, said in pairs)
    prelude = struct.pack("!II", len(names) + len(payload) + 16, len(names))
    prelude += struct.pack("!I", zlib.crc32(prelude))
    return prelude + names + payload + struct.pack("!I", zlib.crc32(prelude + names + payload))


def event(name, **said):
    """A frame of Converse's stream."""
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return frame(json.dumps(said | {"p": "abcdefgh"}).encode(), **headers)


def converse_frames(blocks, stop="tool_use", *, usage=None, **more):
    """A stream of Converse that says these blocks (`"text"`, `("thought",)`, `{"name": …, "input": …}`), in pieces of four characters."""
    frames = [event("messageStart", role="assistant")]
    for at, block in enumerate(blocks):
        place = {"contentBlockIndex": at}
        if isinstance(block, dict):
            frames.append(event("contentBlockStart", start={"toolUse": {"toolUseId": f"tooluse_{at}", "name": block["name"]}}, **place))
        kind, text = _told(block)
        frames += [event("contentBlockDelta", delta=kind(text[n : n + 4]), **place) for n in range(0, len(text), 4)]
        if isinstance(block, tuple):
            frames.append(event("contentBlockDelta", delta={"reasoningContent": {"signature": "c2ln"}}, **place))
        frames.append(event("contentBlockStop", **place))
    frames.append(event("messageStop", stopReason=stop))
    return [*frames, event("metadata", usage=usage or USAGE, metrics={"latencyMs": 7}, **more)]


def _told(block):
    if isinstance(block, dict):
        return (lambda piece: {"toolUse": {"input": piece}}), json.dumps(block["input"]) if block["input"] else ""
    if isinstance(block, tuple):
        return (lambda piece: {"reasoningContent": {"text": piece}}), block[0]
    return (lambda piece: {"text": piece}), block


def converse_whole(blocks, stop="tool_use", *, usage=None, **more):
    """The same in one piece."""
    content = [_block(at, block) for at, block in enumerate(blocks)]
    head = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": stop}
    return head | {"usage": usage or USAGE, "metrics": {"latencyMs": 7}} | more


def _block(at, block):
    if isinstance(block, dict):
        return {"toolUse": {"toolUseId": f"tooluse_{at}", **block}}
    if isinstance(block, tuple):
        return {"reasoningContent": {"reasoningText": {"text": block[0], "signature": "c2ln"}}}
    return {"text": block}


USAGE = {"inputTokens": 600, "outputTokens": 100, "totalTokens": 1150, "cacheReadInputTokens": 400, "cacheWriteInputTokens": 50}
"""What the cache gave and took is not among the input."""
