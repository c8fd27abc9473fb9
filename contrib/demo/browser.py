"""Headless Chromium with a profile of its own that trusts one root, driven over
its debugging socket: pages, a mouse, pictures."""
import asyncio
import base64
import json
import os
import pathlib
import shutil
import subprocess

import websockets

from stage import Failure, die_with_parent

START_S, ANSWER_S = 30, 20
NAMES = ("chromium", "chromium-browser", "google-chrome")
WORDS = ("--headless=new", "--disable-gpu", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--no-first-run",
         "--disable-extensions", "--hide-scrollbars", "--no-proxy-server",
         "--disable-backgrounding-occluded-windows",
         "--disable-renderer-backgrounding", "--disable-dev-shm-usage",
         "--remote-debugging-port=0")


def what_is_missing():
    """"" when a browser can be had, else the name of what is not here."""
    if not any(map(shutil.which, NAMES)):
        return "chromium"
    return "" if shutil.which("certutil") else "certutil"


class Browser:
    """`async with Browser(folder, root_pem) as browser`."""

    def __init__(self, folder, root_pem=None):
        self.home = pathlib.Path(folder) / "browser"
        self.root_pem = root_pem
        self.process = self.socket = self.reader = None
        self.serial = 0
        self.answers = {}

    def _trust(self):
        store = self.home / ".pki/nssdb"
        store.mkdir(parents=True)
        for words in (["-N", "--empty-password"],
                      ["-A", "-t", "C,,", "-n", "demo", "-i", self.root_pem]):
            subprocess.run(["certutil", "-d", f"sql:{store}", *words],
                           check=True, capture_output=True)

    async def __aenter__(self):
        self.home.mkdir(parents=True)
        if self.root_pem:
            self._trust()
        program = next(filter(None, map(shutil.which, NAMES)))
        root = ["--no-sandbox"] if os.getuid() == 0 else []
        with open(self.home / "log", "wb") as log:
            self.process = subprocess.Popen(
                [program, *WORDS, *root, f"--user-data-dir={self.home}/data",
                 "about:blank"], env={**os.environ, "HOME": str(self.home)},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=die_with_parent)
        try:
            await self._connect()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def _connect(self):
        port_file = self.home / "data/DevToolsActivePort"
        for _ in range(START_S * 20):
            lines = (port_file.read_text().split()
                     if port_file.exists() else [])
            if len(lines) == 2:
                break
            await asyncio.sleep(0.05)
        else:
            raise Failure("Chromium does not start:\n" +
                          (self.home / "log").read_text(errors="replace"))
        self.socket = await websockets.connect(
            f"ws://127.0.0.1:{lines[0]}{lines[1]}", max_size=None)
        self.reader = asyncio.create_task(self._read())

    async def _read(self):
        async for text in self.socket:
            message = json.loads(text)
            answer = self.answers.pop(message.get("id"), None)
            if answer and not answer.done():
                answer.set_result(message)

    async def call(self, method, session=None, **params):
        self.serial += 1
        answer = asyncio.get_running_loop().create_future()
        self.answers[self.serial] = answer
        message = {"id": self.serial, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        await self.socket.send(json.dumps(message))
        message = await asyncio.wait_for(answer, ANSWER_S)
        if "error" in message:
            raise Failure(f"{method}: {message['error']['message']}")
        return message["result"]

    async def page(self, url, width, height, sharpness=1):
        """A page in a context of its own: no cookie, no cache is shared."""
        context = (await self.call(
            "Target.createBrowserContext"))["browserContextId"]
        target = (await self.call(
            "Target.createTarget", url="about:blank",
            browserContextId=context))["targetId"]
        session = (await self.call(
            "Target.attachToTarget", targetId=target,
            flatten=True))["sessionId"]
        page = Page(self, session)
        await page.call("Emulation.setDeviceMetricsOverride", width=width,
                        height=height, deviceScaleFactor=sharpness,
                        mobile=False)
        await page.call("Emulation.setFocusEmulationEnabled", enabled=True)
        error = (await page.call("Page.navigate", url=url)).get("errorText")
        if error:
            raise Failure(f"{url}: {error}")
        await page.wait("document.readyState === 'complete'")
        return page

    async def __aexit__(self, *_):
        if self.reader:
            self.reader.cancel()
        if self.socket:
            await self.socket.close()
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Page:
    def __init__(self, browser, session):
        self.browser, self.session = browser, session

    async def call(self, method, **params):
        return await self.browser.call(method, self.session, **params)

    async def evaluate(self, script):
        answer = await self.call("Runtime.evaluate", expression=script,
                                 returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise Failure(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    async def wait(self, script):
        """Until the expression is true; its value."""
        for _ in range(ANSWER_S * 20):
            value = await self.evaluate(script)
            if value:
                return value
            await asyncio.sleep(0.05)
        raise Failure(f"still not: {script}")

    async def mouse(self, kind, x, y, button="none"):
        await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y,
                        button=button, buttons=int(button == "left"),
                        clickCount=int(kind != "mouseMoved"))

    async def draw(self, points):
        """One stroke with the left button; places in pixels of the page."""
        (x, y), *rest = points
        await self.mouse("mouseMoved", x, y)
        await self.mouse("mousePressed", x, y, "left")
        for x, y in rest:
            await self.mouse("mouseMoved", x, y, "left")
        await self.mouse("mouseReleased", x, y, "left")

    async def picture(self, path=None):
        """PNG bytes, also into the file."""
        data = base64.b64decode((await self.call(
            "Page.captureScreenshot", format="png"))["data"])
        if path:
            pathlib.Path(path).write_bytes(data)
        return data
