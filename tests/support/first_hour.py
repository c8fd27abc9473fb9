"""What an operator puts on a machine (machine.py) in the first hour: a pair, two
configurations, a page; and the ways to look at what came of it."""
import asyncio
import ssl
import threading

import websockets

import harness
from responder import Responder

NAME = "www.example.org"

OCSPD_YAML = """spool: /var/spool/ocspd
# The responder of this test is on this machine.
allow_addresses: ["127.0.0.0/8"]
certificates:
  - path: "/etc/ocspd/certs/*.pem"
"""

WSGATE_YAML = """spool: /var/spool/ocspd
sites:
  - hosts: ["*"]
    listen: ["0.0.0.0:443", "[::]:443"]
    certificates: [{chain: certs/site.pem}]
    locations: {/: {files: /srv/www}}
"""


def put_pair(host, leaf, name="site"):
    """Chain and key in one file for wsgate, the chain alone for ocspd."""
    host.write(f"/etc/wsgate/certs/{name}.pem",
               leaf.chain_pem + leaf.key_pem, 0o640, "root:wsgate")
    host.write(f"/etc/ocspd/certs/{name}.pem", leaf.chain_pem, 0o640,
               "root:ocspd")


def put_site(host, leaf, ocspd_yaml=OCSPD_YAML, wsgate_yaml=WSGATE_YAML):
    """All of it, nothing started."""
    put_pair(host, leaf)
    host.write("/etc/ocspd/ocspd.yaml", ocspd_yaml)
    host.write("/etc/wsgate/wsgate.yaml", wsgate_yaml)
    host.write("/srv/www/index.html", "good day\n")


def responder(host, pki, port=8888):
    """A responder on the machine's own loopback address."""
    with host.network():
        return Responder(pki, port=port)


def new_leaf(pki, *names, port=8888, **how):
    return pki.leaf(*(names or [NAME]), ocsp=[f"http://127.0.0.1:{port}/"],
                    **how)


def wait_staple(host, leaf, timeout=harness.WAIT_S):
    """The spool's bytes for this certificate, once they are there."""
    path = host.path(f"/var/spool/ocspd/{leaf.fingerprint}.der")
    harness.wait_until(path.exists, f"a staple for {leaf.fingerprint[:12]}",
                       timeout)
    return path.read_bytes()


def handshakes(host, root, count=1, name=NAME, port=443, address="127.0.0.1",
               per_second=100):
    """What clients that ask for a staple see: (leaf's SHA-256, staple's SHA-256,
    "ok" or what is wrong) for each handshake."""
    with host.network():
        done = harness.run(harness.tool("handshakes"), root, address, port, name,
                           per_second, count, code=0, timeout=count + 60)
    return [tuple(line.split()) for line in done.out.splitlines()]


def steady_handshakes(host, root, name=NAME, port=443, per_second=100):
    """A harness.Daemon that shakes hands until it is stopped; its .lines are
    what handshakes() gives."""
    with host.network():
        return harness.Daemon(harness.tool("handshakes"), root, "127.0.0.1",
                              port, name, per_second, 10 ** 9, code=None)


WEBSOCKET_SERVER = """
import asyncio, websockets
async def echo(socket):
    async for message in socket:
        await socket.send(message)
async def main():
    async with websockets.serve(echo, "127.0.0.1", %d):
        print("listening", flush=True)
        await asyncio.Future()
asyncio.run(main())
"""


def websocket_server(host, port=9000):
    """python3-websockets, echoing, on the machine's loopback."""
    with host.network():
        server = harness.Daemon("/usr/bin/python3", "-c",
                                WEBSOCKET_SERVER % port, code=None)
    server.wait_log("listening")
    return server


class Tunnel:
    """A client that sends and gets back one message after the other until it
    is closed: `echoed` counts, `error` is what ended it."""

    def __init__(self, host, root, target="/", name=NAME, port=443):
        self.echoed, self.error = 0, None
        self._closing = threading.Event()
        self._name, self._uri = name, f"wss://{name}:{port}{target}"
        self._context = ssl.create_default_context(cafile=str(root))
        with host.network():      # the thread stays there
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _run(self):
        try:
            asyncio.run(self._echo())
        except Exception as error:
            self.error = error

    async def _echo(self):
        async with websockets.connect(self._uri, ssl=self._context,
                                      host="127.0.0.1",
                                      server_hostname=self._name,
                                      open_timeout=20,
                                      ping_interval=None) as socket:
            while not self._closing.is_set():
                wanted = f"message {self.echoed}"
                await socket.send(wanted)
                got = await asyncio.wait_for(socket.recv(), harness.WAIT_S)
                assert got == wanted, got
                self.echoed += 1
                await asyncio.sleep(0.01)

    def wait_echo(self, more=1):
        """So many more, from now on."""
        goal = self.echoed + more
        harness.wait_until(lambda: self.echoed >= goal or self.error,
                           f"{more} more echoes")
        assert self.error is None, repr(self.error)

    def close(self):
        self._closing.set()
        self._thread.join(harness.WAIT_S)
        assert self.error is None, repr(self.error)
