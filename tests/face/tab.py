"""A real browser, where the machine has one."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

from websockets.sync.client import connect as websocket

from tests.patience import PATIENCE_S, until

CHROMIUM = next((path for name in ("chromium-headless-shell", "chromium", "chromium-browser") if (path := shutil.which(name))), None)


class Tab:
    """One page of a headless browser, by the DevTools protocol."""

    complaints: list[str]
    """What was said on its console, and what went wrong."""

    def __init__(self, folder: Path) -> None:
        switches = ("headless", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "no-proxy-server", "remote-debugging-port=0")
        command = [str(CHROMIUM), *(f"--{each}" for each in switches), f"--user-data-dir={folder}", "about:blank"]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
        assert self._process.stderr is not None
        address = next(found[1] for line in self._process.stderr if (found := re.search(r"listening on (ws://\S+)", line)))
        threading.Thread(target=self._process.stderr.read, daemon=True).start()
        self._held = contextlib.ExitStack()
        self._socket = self._held.enter_context(websocket(address, max_size=None, ping_interval=None))
        self._numbers, self._session, self._loads = itertools.count(1), None, 0
        self.complaints: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method, **params):
        number = next(self._numbers)
        told = {"id": number, "method": method, "params": params} | ({"sessionId": self._session} if self._session else {})
        self._socket.send(json.dumps(told))
        while (answer := self._heard()).get("id") != number:
            self._note(answer)
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def _heard(self):
        return json.loads(self._socket.recv(timeout=PATIENCE_S))

    def _note(self, event):
        match event.get("method"):
            case "Page.loadEventFired":
                self._loads += 1
            case "Runtime.exceptionThrown":
                self.complaints.append(str(event["params"]["exceptionDetails"]))
            case "Log.entryAdded" if event["params"]["entry"]["level"] in ("error", "warning"):
                self.complaints.append(event["params"]["entry"]["text"])
            case "Runtime.consoleAPICalled" if event["params"]["type"] in ("error", "warning", "assert"):
                self.complaints.append(str(event["params"]["args"]))

    def go(self, address):
        self.send("Page.navigate", url=address)
        self.settle()

    def settle(self):
        """Until the document that is shown is whole."""
        time.sleep(0.1)
        until(lambda: self.run("document.readyState") == "complete", what="the document is whole")

    def run(self, script):
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, script):
        """The first true value of an expression."""
        return until(lambda: self.run(script), what=script)

    def submit(self, selector, **fields):
        """Returns when the page that answers the form is loaded. Until then the page with the form still stands, and is whole too."""
        for name, value in fields.items():
            self.run(f"document.querySelector({json.dumps(f'{selector} [name={name}]')}).value = {json.dumps(value)}")
        before = self._loads
        self.run(f"document.querySelector({json.dumps(selector)}).querySelector('button').click()")
        while self._loads == before:
            self._note(self._heard())

    def press(self, key):
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, text=key if len(key) == 1 and kind == "keyDown" else "")

    def picture(self, path, *, width=1280, dark=False):
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        data = self.send("Page.captureScreenshot", captureBeyondViewport=False)["data"]
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(base64.b64decode(data))

    def private_megabytes(self):
        """Of memory that only the process of this page has."""
        told = [*Path("/proc").glob("[0-9]*/cmdline")]
        mine = [each.parent for each in told if self._is_renderer(each)]
        kilobytes = re.compile(r"^Private_(?:Clean|Dirty):\s+(\d+) kB", re.MULTILINE)
        return max(sum(map(int, kilobytes.findall((each / "smaps_rollup").read_text()))) for each in mine) / 1024

    def _is_renderer(self, cmdline):
        with contextlib.suppress(OSError):
            return os.getpgid(int(cmdline.parent.name)) == self._process.pid and b"--type=renderer" in cmdline.read_bytes()
        return False

    def close(self):
        self._held.close()
        os.killpg(self._process.pid, signal.SIGKILL)  # Debian's command is a script: its browser would stay
        self._process.wait(PATIENCE_S)
