"""Drives a headless Chromium over its debugging pipe: load a page, look at it, move the mouse."""

import json
import os
import select
import shutil
import subprocess
import time

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--remote-debugging-pipe",
)
PATIENCE_S = 60.0


class Browser:
    """A page in a window of 1200 x 1600 pixels; `folder` takes the browser's own files.

    errors: uncaught exceptions, and what the browser itself reports, such as refused styles.
    """

    def __init__(self, folder):
        (there, self._write), (self._read, back) = os.pipe(), os.pipe()
        command = [CHROMIUM, *FLAGS, "--window-size=1200,1600", f"--user-data-dir={folder}"]
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{there} 4>&{back}', "bash", *command],
            pass_fds=(there, back),
            # In the locale C, Chromium has a language that its own Intl refuses.
            env=os.environ | {"HOME": str(folder), "LANG": "en_US.UTF-8", "LC_ALL": "en_US.UTF-8"},
            stderr=subprocess.DEVNULL,
        )
        os.close(there)
        os.close(back)
        self.errors = []
        self._last, self._rest, self._session = 0, b"", {}
        page = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        self._session = {"sessionId": session}
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        """The result of a command of the DevTools protocol."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params, **self._session}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._last:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _next(self):
        while b"\0" not in self._rest:
            assert select.select([self._read], [], [], PATIENCE_S)[0], "the browser hangs"
            chunk = os.read(self._read, 1 << 20)
            assert chunk, "the browser ended"
            self._rest += chunk
        line, self._rest = self._rest.split(b"\0", 1)
        message = json.loads(line)
        if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
            self.errors.append(message["params"])
        return message

    def open(self, url):
        """Load a page of a study and wait until it has drawn what the server knows."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)
        self.wait("document.body?.dataset.ready === 'yes'")
        time.sleep(0.3)

    def look(self, expression):
        """The value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, expression):
        """Wait until a JavaScript expression is true."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.look(expression):
            assert time.monotonic() < deadline, expression
            time.sleep(0.05)

    def mouse(self, kind, x, y, **more):
        """Send a mouse event (mouseMoved, mousePressed, mouseReleased) at a place in the window."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", **more)

    @property
    def document(self):
        """The page's markup as it is now."""
        return self.look("document.documentElement.outerHTML")

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self._write)
        os.close(self._read)
