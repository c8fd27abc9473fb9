"""make demo: proves itself, names the proof that fails when something is
broken, leaves nothing behind; and two real browsers share the board."""
import asyncio
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

import harness
from harness import wait_until

DEMO = harness.ROOT / "contrib/demo"
sys.path.append(str(DEMO))

PROOFS = ("staple for ECDSA", "staple for RSA", "page from PHP",
          "script from files", "drawing together", "pages of other sites",
          "renewal under a tunnel", "responder killed", "ocspd killed",
          "both back")
PROVED_S = 100      # all proofs; two rounds of ocspd wait among them


class Demo:
    """contrib/demo/run, in a temp folder of its own."""

    def __init__(self, folder, *words, broken=""):
        self.folder = pathlib.Path(folder)
        self.log = self.folder.with_name(self.folder.name + ".log")
        self.folder.mkdir()
        report = f"detect_leaks=1:log_path={self.folder}.report"
        env = {**os.environ, "TMPDIR": str(self.folder), "DEMO_BREAK": broken,
               "ASAN_OPTIONS": report, "UBSAN_OPTIONS": report,
               "OCSPD": harness.program("ocspd"),
               "WSGATE": harness.program("wsgate")}
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(DEMO / "run"), *words], env=env, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL)

    @property
    def said(self):
        return self.log.read_text(errors="replace")

    def wait_for(self, pattern):
        def found():
            if self.process.poll() is not None:
                pytest.fail(f"the demo ended:\n{self.said}")
            return re.search(pattern, self.said)
        return wait_until(found, f"{pattern} in\n{self.said}", PROVED_S)

    def end(self, number=None):
        """The exit code."""
        if number:
            self.process.send_signal(number)
        code = self.process.wait(PROVED_S)
        for report in self.folder.parent.glob(f"{self.folder.name}.report*"):
            harness.check_sanitizer(report.read_text(), "the demo")
        return code

    def left_behind(self):
        """Files, and processes that were started in its folder."""
        return [*self.folder.iterdir(), *processes_of(self.folder)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)


def processes_of(folder):
    name = f"DEMO_FOLDER={folder}".encode()
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            if name in path.read_bytes():
                yield (path.parent / "cmdline").read_bytes()
        except OSError:
            pass        # gone, or somebody else's


@pytest.mark.row("demo: every proof holds, nothing is left behind")
def test_the_demo_proves_itself(tmp_path):
    with Demo(tmp_path / "t") as demo:
        assert demo.end() == 0, demo.said
        seen = re.findall(r"^ok +(.+?)  ", demo.said, re.M)
        assert tuple(seen) == PROOFS
        assert not demo.left_behind()


@pytest.mark.row("demo: what is broken fails its proof by name")
@pytest.mark.parametrize("broken, name, why", [
    ("revoked", "staple for ECDSA", "status=revoked"),
    ("backend", "drawing together", "502"),
    ("spool", "staple for ECDSA", "the handshake brings none"),
])
def test_a_break_fails_the_proof_by_name(tmp_path, broken, name, why):
    with Demo(tmp_path / "t", broken=broken) as demo:
        assert demo.end() == 1, demo.said
        last = demo.said.splitlines()[-1]
        assert last.startswith(f"demo: this proof failed: {name}: ")
        assert why in last
        assert "---- wsgate.log" in demo.said
        assert not demo.left_behind()


@pytest.mark.row("demo: a signal ends it, nothing is left behind")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_leaves_nothing(tmp_path, number):
    with Demo(tmp_path / "t") as demo:
        demo.wait_for("ok +staple for ECDSA")
        assert demo.end(number) == 128 + number
        assert not demo.left_behind()


def ink(page):
    return page.evaluate("document.getElementById('board').toDataURL()")


STROKES = "JSON.stringify([...strokes.values()])"
CONNECTED = "document.getElementById('socket').className === ''" \
    " && document.querySelectorAll('#people li').length === %d"


async def draw_in_two_browsers(folder, url, root_pem, pictures):
    from browser import Browser
    async with Browser(folder, root_pem) as browser:
        one, two = [await browser.page(url, 800, 600) for _ in range(2)]
        for page in (one, two):
            await page.wait(CONNECTED % 2)
        blank = await ink(two)
        await one.draw([(150, 200), (250, 300), (350, 200), (450, 300)])
        await two.draw([(150, 400), (650, 400)])
        for page in (one, two):
            await page.wait("strokes.size === 2 &&"
                            " [...strokes.values()].every(s => s.p.length > 2)")
        await one.wait(f"{STROKES}.length === "
                       f"{len(await two.evaluate(STROKES))}")
        late = await browser.page(url, 800, 600)
        await late.wait("strokes.size === 2")
        assert await late.evaluate(STROKES) == await one.evaluate(STROKES)
        drawn = [await ink(page) for page in (one, two)]
        for page, name in ((one, "one"), (two, "two"), (late, "late")):
            await page.picture(pictures / f"{name}.png")
        assert drawn[0] == drawn[1] != blank
        return await one.evaluate("document.getElementById('pid').textContent")


@pytest.mark.limit(200)
@pytest.mark.row("demo: two browsers share the drawing board over trusted TLS")
def test_two_browsers_see_the_same_picture(tmp_path):
    import browser
    missing = browser.what_is_missing()
    if missing:
        pytest.skip(f"{missing} is not here")
    with Demo(tmp_path / "t", "--stay") as demo:
        url = demo.wait_for(r"Open (\S+) in several windows").group(1)
        folder = demo.wait_for(r"configuration: (\S+)\nCtrl-C").group(1)
        pid = asyncio.run(draw_in_two_browsers(
            tmp_path, url, f"{folder}/root.pem", tmp_path))
        assert pid.isdigit()
        assert demo.end(signal.SIGINT) == 0, demo.said
        assert not demo.left_behind()
