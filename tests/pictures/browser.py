"""A headless Chromium for tests, driven through its own pipe (Chrome DevTools Protocol): no driver, no library.

Events are the browser's own, made from mouse positions, so that what a test clicks is what a hand would click.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking", "--disable-component-update",
    "--remote-debugging-pipe",
)  # fmt: skip
BUTTONS = {"left": 1, "right": 2}


class Browser:
    """One page of a Chromium without a network. Use as a context manager."""

    def __init__(self, profile: Path, size=(900, 700)):
        self.profile, self.size, self.number, self.buffer = profile, size, 0, b""

    def __enter__(self):
        to_read, self.writer = os.pipe()
        self.reader, to_write = os.pipe()

        def take_over():  # the protocol's pipe is file descriptors 3 and 4
            saved = os.dup(to_read), os.dup(to_write)
            os.dup2(saved[0], 3)
            os.dup2(saved[1], 4)

        command = [BROWSER, *FLAGS, f"--user-data-dir={self.profile}", f"--window-size={self.size[0]},{self.size[1]}"]
        self.process = subprocess.Popen(
            [*command, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False,
            preexec_fn=take_over,
        )  # fmt: skip
        os.close(to_read), os.close(to_write)
        self.session = None
        target = self.send("Target.createTarget", url="about:blank")
        self.session = self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime"):
            self.send(f"{domain}.enable")
        width, height = self.size
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        return self

    def __exit__(self, *_):
        self.session = None
        with suppress(AssertionError, OSError):
            self.send("Browser.close", timeout=10)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.process.kill()
        self.process.wait()
        os.close(self.reader), os.close(self.writer)

    def send(self, method, timeout=60, **params):
        """One command; its result."""
        self.number += 1
        message = dict(id=self.number, method=method, params=params)
        message |= {"sessionId": self.session} if self.session else {}
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.writer, data) :]
        while (answer := self._receive(timeout)).get("id") != self.number:
            pass  # an event
        assert "error" not in answer, answer
        return answer["result"]

    def _receive(self, timeout):
        end = time.monotonic() + timeout
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.reader], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            piece = os.read(self.reader, 1 << 20)
            assert piece, "the browser ended"
            self.buffer += piece
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def run(self, code, timeout=60):
        """The value of a JavaScript expression, awaited if it is a promise."""
        answer = self.send("Runtime.evaluate", timeout, expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def open(self, path: Path, fragment="", timeout=60):
        """Open a page of the viewer from disk and wait until it is ready."""
        self.send("Page.navigate", url=path.as_uri() + fragment)
        end = time.monotonic() + timeout
        while self.run("document.body && document.body.dataset.ready") != "yes":
            error = self.run("document.body && document.body.dataset.error")
            assert not error, error
            assert time.monotonic() < end, "the page is not ready in time"
            time.sleep(0.05)

    def mouse(self, kind, x, y, button="none", **more):
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, **more)

    def click(self, x, y):
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, "left", buttons=1, clickCount=1)
        self.mouse("mouseReleased", x, y, "left", clickCount=1)

    def drag(self, start, end, button="left", steps=4):
        self.mouse("mouseMoved", *start)
        self.mouse("mousePressed", *start, button, buttons=BUTTONS[button], clickCount=1)
        for i in range(1, steps + 1):
            place = [a + (b - a) * i / steps for a, b in zip(start, end, strict=True)]
            self.mouse("mouseMoved", *place, button, buttons=BUTTONS[button])
        self.mouse("mouseReleased", *end, button, clickCount=1)

    def wheel(self, x, y, amount):
        self.mouse("mouseWheel", x, y, deltaX=0, deltaY=amount)

    def press(self, key):
        """One key, as the browser names it."""
        text = {"text": key} if len(key) == 1 else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key)

    def click_button(self, text):
        """Click the button with that text."""
        place = f"[...document.querySelectorAll('button')].find((b) => b.textContent === {json.dumps(text)})"
        box = self.run(
            f"(() => {{ const r = {place}.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] }})()"
        )
        self.click(*box)

    def screenshot(self):
        """PNG bytes of what is shown."""
        self.run("new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))")
        return base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"])
