"""The proofs: each one asks with a real client and tells what it saw, or
raises a Failure that tells what was missing."""
import asyncio
import http.client
import json
import re
import signal
import socket
import ssl
import threading
import time

import websockets

from stage import Failure, WAIT_S, wait_until
from wire import clock, handshake, staple_of

ANSWER_S = 10
ECHO_EVERY_S = 0.05
BOARD_WIDTH = 1600


def tls_context(stage):
    return ssl.create_default_context(cafile=stage.folder / "root.pem")


def dial(stage):
    """For websockets.connect(): a bare machine may not know "localhost"."""
    return {"host": "127.0.0.1", "port": stage.port,
            "server_hostname": "localhost", "ssl": tls_context(stage)}


def get(stage, path):
    """(status, headers, body) of a GET over verified TLS."""
    link = http.client.HTTPSConnection("localhost", stage.port)
    try:
        link.sock = tls_context(stage).wrap_socket(
            socket.create_connection(("127.0.0.1", stage.port), ANSWER_S),
            server_hostname="localhost")
        link.request("GET", path)
        answer = link.getresponse()
        return answer.status, answer.headers, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Failure(f"GET {path}: {error!r}") from error
    finally:
        link.close()


def side_files(stage):
    """What ocspd notes beside the responses, by the certificate's file."""
    notes = {}
    for path in (stage.folder / "spool").glob("*.json"):
        try:
            note = json.loads(path.read_text())
        except (OSError, ValueError):
            continue            # it was just replaced
        name = str(note.get("cert_path") or path.name)
        notes[name.rpartition("/")[2].removesuffix(".pem")] = note
    return notes


# ---- stapling --------------------------------------------------------------

def why_no_staple(stage, kind):
    note = side_files(stage).get(kind)
    if note is None:
        return "the handshake brings none, and ocspd has no answer yet"
    error = note.get("last_error")
    return (f"the handshake brings none; ocspd says status={note['status']}" +
            (f", {error}" if error else ""))


def first_staple(stage, kind):
    """None: not yet."""
    staple = staple_of(stage, kind)
    if not staple and side_files(stage).get(kind, {}).get(
            "status") == "revoked":
        raise Failure(why_no_staple(stage, kind))
    return staple


def prove_staple(stage, kind):
    staple = wait_until(lambda: first_staple(stage, kind),
                        lambda: why_no_staple(stage, kind))
    if staple.status != "good":
        raise Failure(f"the staple says {staple.status}")
    text = handshake(stage, kind)[0]
    cipher = re.search(r"Cipher is (\S+)", text).group(1)
    return f"{staple} ({cipher}, chain and staple verified)"


def wait_newer(stage, old):
    """A staple on the wire that was produced after `old`."""
    def newer():
        staple = staple_of(stage, "ecdsa")
        return staple if staple and staple.der != old.der else None
    return wait_until(newer, f"still the one of {clock(old.produced_at)}")


# ---- one address, three programs -------------------------------------------

def parent_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return int(stat.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def prove_page(stage):
    status, headers, body = get(stage, "/draw")
    found = re.search(rb'id="pid">(\d+)<', body)
    if status != 200 or not found:
        raise Failure(f"GET /draw: {status}, no page of PHP")
    pid = int(found.group(1))
    if parent_of(pid) != stage.pid("php-fpm"):
        raise Failure(f"process {pid} is none of our php-fpm")
    return (f"GET /draw: {status} {headers['Content-Type']}, "
            f"by PHP process {pid}")


def prove_script(stage):
    status, headers, body = get(stage, "/draw/board.js")
    with open(f"{stage.environment['DEMO_SITE']}/draw/board.js", "rb") as file:
        if status != 200 or body != file.read():
            raise Failure(f"GET /draw/board.js: {status}, {len(body)} bytes "
                          "that are not the file")
    return (f"GET /draw/board.js: {status} {headers['Content-Type']}, "
            f"{len(body)} bytes, the same as in the folder")


class Painter:
    """Somebody at the board."""

    def __init__(self, stage):
        self.stage = stage
        self.socket = None
        self.number = None
        self.strokes = 0

    async def __aenter__(self):
        try:
            self.socket = await asyncio.wait_for(websockets.connect(
                f"wss://localhost:{self.stage.port}/draw", max_size=None,
                **dial(self.stage)), ANSWER_S)
        except (OSError, asyncio.TimeoutError,
                websockets.WebSocketException) as error:
            raise Failure(f"Upgrade of /draw: {error or repr(error)}") \
                from error
        hello = await self.wait(lambda m: m["t"] == "hello")
        self.number, self.name = hello["n"], hello["name"]
        return self

    async def __aexit__(self, *_):
        await self.socket.close()

    async def draw(self, *points):
        self.strokes += 1
        stroke = f"{self.number}-{self.strokes}"
        await self.socket.send(json.dumps(
            {"t": "ink", "id": stroke, "c": "#1c7ed6", "w": 9,
             "p": list(points)}))
        return stroke

    async def wait(self, fits):
        """The next message that fits."""
        async def next_one():
            while True:
                message = json.loads(await self.socket.recv())
                if fits(message):
                    return message
        try:
            return await asyncio.wait_for(next_one(), ANSWER_S)
        except asyncio.TimeoutError as error:
            raise Failure("the tunnel is silent") from error
        except websockets.ConnectionClosed as error:
            raise Failure(f"the tunnel closed: {error}") from error

    async def see(self, stroke):
        return await self.wait(
            lambda m: m["t"] == "ink" and m["id"] == stroke)

    async def clear(self):
        await self.socket.send(json.dumps({"t": "clear"}))
        await self.wait(lambda m: m["t"] == "clear")

    async def echo(self, x):
        """The pointer, moved there, as everybody hears of it."""
        await self.socket.send(json.dumps({"t": "at", "x": x, "y": 0}))
        await self.wait(lambda m: m["t"] == "at" and m["n"] == self.number
                        and m["x"] == x)


async def _draw_together(stage):
    async with Painter(stage) as one, Painter(stage) as two:
        first = await one.draw(100, 100, 200, 150)
        await two.see(first)
        second = await two.draw(300, 100, 400, 150)
        await one.see(second)
        async with Painter(stage) as late:
            board = await late.wait(lambda m: m["t"] == "board")
            if [s["id"] for s in board["strokes"]] != [first, second]:
                raise Failure("who comes later does not see what was drawn")
            await late.clear()
        return (f"wss://localhost:{stage.port}/draw: {one.name} and {two.name}"
                f" see each other's strokes, {late.name} comes later and"
                " gets both")


def prove_together(stage):
    return asyncio.run(_draw_together(stage))


async def _knock(stage):
    async with websockets.connect(
            f"wss://localhost:{stage.port}/draw",
            origin="https://elsewhere.example", **dial(stage)):
        pass


def prove_origin(stage):
    try:
        asyncio.run(_knock(stage))
    except websockets.WebSocketException as error:
        if "403" in str(error):
            return "Origin: https://elsewhere.example is answered with 403"
        raise Failure(f"the answer is not 403: {error}") from error
    raise Failure("Origin: https://elsewhere.example was let in")


# ---- what goes on while things change --------------------------------------

class Echoing(threading.Thread):
    """`with Echoing(stage)`: one tunnel stays open and echoes meanwhile."""

    def __init__(self, stage):
        super().__init__(daemon=True)
        self.stage = stage
        self.is_over = False
        self.count = 0
        self.error = None

    def run(self):
        try:
            asyncio.run(self._echo())
        except Exception as error:      # for the one who joins
            self.error = error

    async def _echo(self):
        async with Painter(self.stage) as painter:
            while not self.is_over:
                await painter.echo(self.count % BOARD_WIDTH)
                self.count += 1
                await asyncio.sleep(ECHO_EVERY_S)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        self.is_over = True
        self.join(2 * ANSWER_S)
        if kind is None and (self.error or self.is_alive()):
            raise Failure(f"the tunnel: {self.error or 'hangs'}")


def prove_renewal(stage):
    old = wait_until(lambda: staple_of(stage, "ecdsa"), "no staple")
    with Echoing(stage) as tunnel:
        wait_until(lambda: tunnel.count or tunnel.error, "no echo")
        before = tunnel.count
        new = wait_newer(stage, old)
        seen = tunnel.count
        wait_until(lambda: tunnel.count > seen or tunnel.error,
                   "the tunnel is silent after it")
    return (f"produced {clock(old.produced_at)}, then "
            f"{clock(new.produced_at)} on the wire; one tunnel stayed open, "
            f"{tunnel.count - before} echoes meanwhile")


def still_served(stage):
    staple = staple_of(stage, "ecdsa")
    if not staple or staple.status != "good":
        raise Failure("the staple is gone")
    return f"the staple is still there: {staple}"


def prove_without_responder(stage):
    """Not before ocspd has noticed."""
    pid = stage.pid("responder")
    stage.stop("responder", signal.SIGKILL)
    killed_at = int(time.time())
    note = wait_until(
        lambda: next((n for n in side_files(stage).values() if n["failures"]
                      and n["last_attempt"] >= killed_at), None),
        "ocspd did not notice")
    return (f"responder {pid} killed, ocspd says {note['last_error']!r}; "
            + still_served(stage))


def prove_without_ocspd(stage):
    pid = stage.pid("ocspd")
    stage.stop("ocspd", signal.SIGKILL)
    return f"ocspd {pid} killed; " + still_served(stage)


def prove_back(stage):
    old = wait_until(lambda: staple_of(stage, "ecdsa"), "no staple")
    stage.start_responder()
    stage.start_ocspd()
    new = wait_newer(stage, old)
    return f"renewed again: {new}"


PROOFS = (
    ("staple for ECDSA", lambda stage: prove_staple(stage, "ecdsa")),
    ("staple for RSA", lambda stage: prove_staple(stage, "rsa")),
    ("page from PHP", prove_page),
    ("script from files", prove_script),
    ("drawing together", prove_together),
    ("pages of other sites", prove_origin),
    ("renewal under a tunnel", prove_renewal),
    ("responder killed", prove_without_responder),
    ("ocspd killed", prove_without_ocspd),
    ("both back", prove_back),
)
NAME_WIDTH = max(len(name) for name, _ in PROOFS)
assert WAIT_S > 2 * 7   # two rounds of ocspd with answers of one minute


def prove_all(stage, say):
    """Runs them in order; (name, why) of the first that fails, or None."""
    for name, proof in PROOFS:
        try:
            say(True, name, proof(stage))
        except Exception as error:  # whatever goes wrong is a proof that fails
            why = error if isinstance(error, Failure) else repr(error)
            say(False, name, why)
            return name, str(why)
    return None
