"""wsgate's surroundings in a test: certificates, a configuration, the program
with its workers, and clients that speak in bytes."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import struct
import tempfile
import threading

import pytest

import harness
import pki as pki_module
from harness import free_port, wait_until

HOST = "www.example.org"
IO_S = 30            # no byte for so long: the test fails


# ---- messages ------------------------------------------------------------------------

class Message:
    """A head as it came: start line, fields in order; and its body."""

    def __init__(self, head):
        lines = head.decode("latin-1").split("\r\n")
        self.start = lines[0]
        self.fields = []
        for line in lines[1:]:
            if line:
                name, colon, value = line.partition(":")
                assert colon and name == name.strip(), f"bad field {line!r}"
                self.fields.append((name, value.strip()))
        self.body = b""
        self.trailers = []
        self.interim = []        # heads of 1xx before it

    def all(self, name):
        return [value for found, value in self.fields
                if found.lower() == name.lower()]

    def get(self, name):
        """The field's value, None without it; two of them are a failure."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} stands there twice: {self.fields}"
        return values[0] if values else None

    @property
    def status(self):
        return int(self.start.split(" ")[1])

    @property
    def method(self):
        return self.start.split(" ")[0]

    @property
    def target(self):
        return self.start.split(" ")[1]

    @property
    def text(self):
        return self.body.decode(errors="replace")

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.start} {self.fields} {self.body[:200]!r}"


class Pipe:
    """Reads messages from a socket, without leniency."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""

    def send(self, data):
        self.sock.sendall(data)

    def close(self):
        self.sock.close()

    def reset(self):
        """RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))
        self.sock.close()

    def end(self):
        """No more bytes from us (plain connections)."""
        self.sock.shutdown(socket.SHUT_WR)

    def some(self, size=65536):
        """Bytes as they come; b"" at the end."""
        if self.buffer:
            out, self.buffer = self.buffer[:size], self.buffer[size:]
            return out
        return self.sock.recv(size)

    def fill(self):
        data = self.sock.recv(262144)
        self.buffer += data
        return bool(data)

    def exact(self, size):
        parts, have = [self.buffer[:size]], min(size, len(self.buffer))
        self.buffer = self.buffer[size:]
        while have < size:
            data = self.sock.recv(min(size - have, 262144))
            if not data:
                raise EOFError(f"end after {have} of {size} bytes: "
                               f"{b''.join(parts)[:200]!r}")
            parts.append(data)
            have += len(data)
        return b"".join(parts)

    def until(self, mark, limit=1 << 20):
        while mark not in self.buffer:
            assert len(self.buffer) < limit, "no end of the head"
            if not self.fill():
                raise EOFError(f"end within {self.buffer[:200]!r}")
        out, _, self.buffer = self.buffer.partition(mark)
        return out

    def rest(self):
        """Everything up to the peer's end (or its reset)."""
        with contextlib.suppress(ConnectionResetError, ssl.SSLError):
            while self.fill():
                pass
        out, self.buffer = self.buffer, b""
        return out

    def is_ended(self):
        """Is the next thing the peer's end? Waits for it."""
        try:
            return not self.buffer and not self.fill()
        except (ConnectionResetError, ssl.SSLError):
            return True

    def head(self):
        return Message(self.until(b"\r\n\r\n"))

    def chunk(self):
        """One chunk's bytes; b"" for the last (trailers stay unread)."""
        size = self.until(b"\r\n")
        assert re.fullmatch(rb"[0-9a-f]+", size), size
        data = self.exact(int(size, 16))
        if data:
            assert self.exact(2) == b"\r\n"
        return data

    def read_body(self, message, may_close):
        """By the framing that the head tells; it must tell one only."""
        length = message.get("Content-Length")
        coding = message.get("Transfer-Encoding")
        assert length is None or coding is None, f"two framings: {message}"
        if coding is not None:
            assert coding == "chunked"
            parts = []
            while data := self.chunk():
                parts.append(data)
            message.body = b"".join(parts)
            while line := self.until(b"\r\n"):
                name, _, value = line.decode("latin-1").partition(":")
                message.trailers.append((name, value.strip()))
        elif length is not None:
            message.body = self.exact(int(length))
        elif may_close:
            message.body = self.rest()


class Client(Pipe):
    """A connection to wsgate; `tls`: a name for SNI, None for plain."""

    def __init__(self, port, tls=None, context=None, timeout=IO_S,
                 receive_buffer=None, source=None):
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF,
                            receive_buffer)
        sock.settimeout(timeout)
        if source:
            sock.bind((source, 0))
        sock.connect(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            sock = context.wrap_socket(sock, server_hostname=tls or None)
        super().__init__(sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def drip(self, data):
        """One byte per packet."""
        for at in range(len(data)):
            self.sock.sendall(data[at:at + 1])

    def response(self, method="GET"):
        interim = []
        while True:
            message = self.head()
            if message.status == 101 or message.status >= 200:
                break
            interim.append(message)
        message.interim = interim
        if method != "HEAD" and message.status not in (101, 204, 304):
            self.read_body(message, True)
        return message

    def ask(self, data, method=None):
        """Sends a request, reads the response."""
        self.send(data)
        return self.response(method or data.split(b" ", 1)[0].decode())

    def get(self, target="/", *fields, host=HOST, method="GET", body=None):
        return self.ask(request(target, *fields, host=host, method=method,
                                body=body), method)


def request(target="/", *fields, host=HOST, method="GET", body=None,
            version="1.1"):
    """A request's bytes; fields are "Name: value"."""
    lines = [f"{method} {target} HTTP/{version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += fields
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


# ---- the program ----------------------------------------------------------------------

class GateDaemon(harness.Daemon):
    @property
    def workers(self):
        """Their pids."""
        path = f"/proc/{self.pid}/task/{self.pid}/children"
        try:
            return [int(pid) for pid in pathlib.Path(path).read_text().split()]
        except FileNotFoundError:
            return []

    @property
    def worker(self):
        found = self.workers
        assert len(found) == 1, found
        return found[0]

    def reload(self, good=True):
        """SIGHUP; until it is said how it went. The line."""
        import signal
        mark = self.mark
        self.send(signal.SIGHUP)
        return self.wait_log(r"\breloaded\b" if good else "reload failed",
                             since=mark)

    def records(self, event=None, since=0):
        """The access log's, when it is JSON on stderr."""
        out = []
        for line in self.lines[since:]:
            with contextlib.suppress(ValueError):
                record = json.loads(line[line.index("{"):])
                if "event" in record and \
                        record["event"] in (event, record["event"]
                                            if event is None else None):
                    out.append(record)
        return out

    def wait_record(self, event, **wanted):
        """The first record of that kind with these values."""
        def there():
            return [record for record in self.records(event) if all(
                record.get(key) == value for key, value in wanted.items())]
        try:
            return wait_until(there, f"a record {event} {wanted}")[0]
        except AssertionError:
            print(self.tail())
            raise


def open_fds(pid):
    """What the process holds open: a row of links, /dev/null left out (a
    reserve descriptor is opened with the first need)."""
    out = []
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except PermissionError:
        pytest.skip("needs root, to look into a process that is not dumpable")
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            out.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return [link for link in out if link != "/dev/null"]


def memory(pid, what="VmHWM"):
    """Bytes; VmHWM is the peak, VmRSS what it has now."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{what}:\s+(\d+) kB", text, re.M)[1]) * 1024


is_sanitized = harness.is_sanitized


# ---- a test's own wsgate ----------------------------------------------------------------

class Gate:
    """One TLS address and one plain one over the same locations, unless told
    otherwise."""

    def __init__(self, folder, pki):
        self.folder, self.pki = folder, pki
        self.port, self.plain = free_port(), free_port()
        self.spool = folder / "spool"
        self._running = contextlib.ExitStack()
        self.daemon = None

    # ---- certificates -----------------------------------------------------------------

    def pair(self, leaf, **more):
        """Chain and key in files, as an item of `certificates`."""
        base = self.folder / f"{leaf.serial:x}"
        leaf.write_chain(base.with_suffix(".pem"))
        key = base.with_suffix(".key")
        key.write_bytes(leaf.key_pem)
        key.chmod(0o600)
        return {"chain": str(base.with_suffix(".pem")), "key": str(key),
                **more}

    def context(self, **how):
        """A client's TLS that trusts the root."""
        made = ssl.create_default_context(
            cadata=self.pki.root.pem.decode())
        for name, value in how.items():
            setattr(made, name, value)
        return made

    def store(self, leaf, der):
        """A response into the spool, as ocspd does it."""
        self.spool.mkdir(exist_ok=True)
        store(self.spool, leaf, der)

    # ---- configuration -----------------------------------------------------------------

    def site(self, locations=None, leaf=None, **more):
        site = {"hosts": ["*"], "locations": locations or {
                    "/": {"files": {"root": str(self.folder)}}},
                "listen": [f"127.0.0.1:{self.port}",
                           {"address": f"127.0.0.1:{self.plain}",
                            "tls": False}]}
        if "certificates" not in more:
            site["certificates"] = [self.pair(leaf or self.leaf())]
        site.update(more)
        return site

    def leaf(self):
        if not hasattr(self, "_leaf"):
            self._leaf = self.pki.leaf(HOST)
        return self._leaf

    def config(self, locations=None, sites=None, name="wsgate.yaml",
               site=None, **top):
        """Writes a configuration; top-level keys come as Python values,
        `site`: more keys of the one site."""
        tree = {"workers": 1, "log": {"access": "off", "level": "info"},
                "drain": {"deadline": "2s"}}
        tree.update(top)
        tree["sites"] = sites or [self.site(locations, **(site or {}))]
        path = self.folder / name
        path.write_text(json.dumps(tree, indent=1))   # JSON is YAML
        return path

    # ---- the program --------------------------------------------------------------------

    def start(self, locations=None, words=(), **how):
        """Configured and serving; stopped with the test."""
        env = how.pop("env", None)
        code = how.pop("code", 0)
        path = self.config(locations, **how)
        daemon = self._running.enter_context(GateDaemon(
            harness.program("wsgate"), "-c", path, *words, env=env,
            code=code))
        self.daemon = daemon
        daemon.wait_log(r"\bready\b.*generation")
        return daemon

    def run(self, *words, **how):
        return harness.run(harness.program("wsgate"), *words, **how)

    def close(self):
        """Stops what runs; pytest shows its last lines when a test failed."""
        try:
            self._running.close()
        finally:
            if self.daemon:
                print(self.daemon.tail())

    # ---- clients ---------------------------------------------------------------------------

    def client(self, **how):
        """Over plain TCP."""
        return Client(self.plain, **how)

    def tls(self, name=HOST, context=None, **how):
        return Client(self.port, name, context or self.context(), **how)

    def get(self, target="/", *fields, **how):
        with self.client() as client:
            return client.get(target, *fields, **how)


def store(spool, leaf, der):
    temp = spool / f".{leaf.fingerprint}.new"
    temp.write_bytes(der)
    temp.chmod(0o644)
    temp.rename(spool / f"{leaf.fingerprint}.der")


def _gate(pki):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="t-"))
    folder.chmod(0o755)
    made = Gate(folder, pki)
    try:
        yield made
        made.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def gate(pki):
    """A wsgate of this test alone."""
    yield from _gate(pki)


@pytest.fixture(scope="module")
def shared_gate(pki):
    """One for all tests of a file: whoever starts it, starts it once."""
    yield from _gate(pki)


# ---- openssl s_client ------------------------------------------------------------------------

class Handshake:
    """What a full handshake brought to light."""

    def __init__(self, gate, *words, name=HOST, status=True, port=None):
        argv = ["openssl", "s_client", "-connect",
                f"127.0.0.1:{port or gate.port}", "-CAfile",
                str(gate.pki.root.write(gate.folder / "root.pem")),
                "-verify_return_error", "-msg", "-ign_eof"]
        argv += ["-servername", name] if name else ["-noservername"]
        argv += ["-status"] if status else []
        # HTTP/1.0: the server closes after the answer
        done = harness.run(*argv, *words, timeout=IO_S,
                           stdin=b"GET / HTTP/1.0\r\nHost: " +
                           (name or "a").encode() + b"\r\n\r\n")
        self.code, self.out = done.code, done.out + done.err
        self.bytes = bytes.fromhex("".join(re.findall(
            r"^    ((?:[0-9a-f]{2} ?)+)$", done.out, re.M)))

    @property
    def is_good(self):
        return "Verify return code: 0 (ok)" in self.out and \
            "\nNew, TLS" in self.out

    @property
    def version(self):
        return re.search(r"^New, (\S+), Cipher", self.out, re.M)[1]

    @property
    def key_kind(self):
        """"RSA" or "ECDSA": who signed the handshake."""
        kind = re.search(r"^Peer signature type: (\S+)", self.out, re.M)[1]
        return "RSA" if kind.startswith("RSA") else kind

    def has_staple(self, der=None):
        """A staple at all; with `der`: these very bytes."""
        if der is None:
            return "OCSP Response Status: successful" in self.out
        return der in self.bytes

    def __repr__(self):
        return self.out[-3000:]


class Tunnel(threading.Thread):
    """Sends and checks numbered bytes over a stream until told to stop."""

    def __init__(self, pipe, size=64):
        super().__init__(daemon=True)
        self.pipe, self.size = pipe, size
        self.rounds = 0
        self.problem = None
        self.stop = threading.Event()

    def run(self):
        try:
            while not self.stop.is_set():
                sent = struct.pack(">Q", self.rounds) * (self.size // 8)
                self.pipe.send(sent)
                got = self.pipe.exact(len(sent))
                assert got == sent, f"round {self.rounds}: other bytes"
                self.rounds += 1
        except Exception as why:        # told by the one who joins
            self.problem = why
