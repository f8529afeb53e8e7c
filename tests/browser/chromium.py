"""Chromium without a window, told what to do through two pipes: the DevTools protocol with the standard library alone.

``--remote-debugging-pipe`` reads commands from descriptor 3 and answers on 4: JSON objects, each with a NUL behind it.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

COMMAND = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)

# In the child: descriptors 3 and 4 may be anything in the parent, so that it cannot make them itself.
_MOVE_TO_3_AND_4 = """
import os, sys
os.dup2(int(sys.argv[1]), 3), os.dup2(int(sys.argv[2]), 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""


def find_chromium() -> str | None:
    """The command that starts Chromium on this machine, or None."""
    return next(filter(None, map(shutil.which, COMMAND)), None)


class BrowserError(Exception):
    """The browser answered with an error, or not at all."""


class Browser:
    """One page in a browser.

    Attributes:
        events: every event that the browser sent, in order: ``{"method": ..., "params": ...}``.
    """

    def __init__(self, command: str) -> None:
        self.events: list[dict[str, Any]] = []
        self._profile = tempfile.TemporaryDirectory(prefix="perfring-chromium-", ignore_cleanup_errors=True)
        profile = f"--user-data-dir={self._profile.name}"
        child_in, self._out = os.pipe()
        self._in, child_out = os.pipe()
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (child_in, child_out)]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _MOVE_TO_3_AND_4, *map(str, ends), command, *_FLAGS, profile, "about:blank"],
            pass_fds=ends,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for fd in (child_in, child_out, *ends):
            os.close(fd)
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        try:
            self._attach()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the browser, and waits until it has gone."""
        os.close(self._out)  # the browser ends when its pipe does
        os.close(self._in)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._profile.cleanup()

    def _attach(self) -> None:
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        """Sends a command and returns its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next(60)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def _next(self, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            if not select.select([self._in], [], [], max(deadline - time.monotonic(), 0))[0]:
                raise BrowserError(f"the browser has said nothing for {seconds} s")
            if not (read := os.read(self._in, 1 << 20)):
                raise BrowserError(f"the browser has gone, exit status {self._process.wait(10)}")
            self._buffer += read
        line, _, self._buffer = self._buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def window(self, width: int, height: int = 900) -> None:
        """The size of what is seen, in CSS pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, value: str) -> None:
        """``light`` or ``dark``, as the person's system would say."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": value}])

    def open(self, path: Path) -> None:
        """Opens a file, and waits until all of its pictures are drawn."""
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.until("document.readyState === 'complete' && document.documentElement.dataset.drawn")

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression, of a promise when it is settled."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise BrowserError(f"{script}: {result['exceptionDetails']['exception'].get('description')}")
        return result["result"].get("value")

    def until(self, script: str, *, seconds: float = 30) -> None:
        """Waits until a JavaScript expression is true."""
        deadline = time.monotonic() + seconds
        while not self.evaluate(f"new Promise(resolve => setTimeout(() => resolve(Boolean({script})), 20))"):
            if time.monotonic() > deadline:
                raise BrowserError(f"never true within {seconds} s: {script}")

    def screenshot(self, path: Path, *, height: int | None = None) -> None:
        """The whole page as a PNG, or its first so many pixels."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height or size["height"], "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))
