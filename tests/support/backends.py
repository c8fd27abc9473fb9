"""Servers behind wsgate: scripted ones that see and send bytes, nginx and
php-fpm."""
import base64
import contextlib
import hashlib
import json
import os
import socket
import struct
import threading

import harness
from gate import IO_S, Pipe
from harness import can_connect, free_port, wait_until

WS_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_key(key):
    return base64.b64encode(
        hashlib.sha1(key.encode() + WS_GUID).digest()).decode()


def reply(body=b"", *fields, code=200, length=True):
    """A response's bytes."""
    lines = [f"HTTP/1.1 {code} Word", *fields]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Connection(Pipe):
    """One connection of wsgate to a scripted backend."""

    def __init__(self, backend, sock, number):
        super().__init__(sock)
        self.backend = backend
        self.number = number       # the how manieth of this backend
        self.count = 0             # of requests on it

    def request(self):
        """The next one, whole; None at the end."""
        while b"\r\n\r\n" not in self.buffer:
            if not self.fill():
                assert not self.buffer, f"cut: {self.buffer!r}"
                return None
        return self.complete(self.head())

    def complete(self, message):
        self.read_body(message, False)
        self.keep(message)
        return message

    def keep(self, message):
        message.connection = self.number
        self.count += 1
        self.backend.seen.append(message)

    def accept_upgrade(self, message, *fields, extra=b""):
        """The right 101; `extra` leaves in the same packet."""
        key = message.get("Sec-WebSocket-Key")
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket",
                 "Connection: Upgrade",
                 f"Sec-WebSocket-Accept: {accept_key(key)}", *fields]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + extra)


def serve_echo(connection):
    """Tells each request in JSON, keeps the connection."""
    while (message := connection.request()) is not None:
        body = json.dumps({
            "method": message.method, "target": message.target,
            "fields": message.fields, "body_size": len(message.body),
            "body_sha256": hashlib.sha256(message.body).hexdigest(),
            "trailers": message.trailers}).encode()
        if message.method == "HEAD":
            connection.send(reply(body)[:-len(body)])
        else:
            connection.send(reply(body, "Content-Type: application/json"))


def tunnel_echo(connection):
    """Upgrades, then sends every byte back; FIN for FIN."""
    message = connection.request()
    if message is None:
        return
    connection.accept_upgrade(message)
    while data := connection.some():
        connection.send(data)


def one(answer):
    """A script: each request gets these bytes, or what the function makes of
    (connection, message) when it returns bytes."""
    def script(connection):
        while (message := connection.request()) is not None:
            out = answer(connection, message) if callable(answer) else answer
            if out is None:
                return
            connection.send(out)
    return script


class Backend:
    """Runs `script(connection)` in a thread for every connection; at its end
    the connection is closed."""

    def __init__(self, script=serve_echo, unix=None):
        self.script = script
        self.seen = []           # requests, in order
        self.accepted = 0
        self.errors = []
        self._open = set()
        self._lock = threading.Lock()
        if unix:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.bind(str(unix))
            os.chmod(unix, 0o666)
            self.server = f"unix:{unix}"
        else:
            self.port = free_port()
            self.sock = socket.socket()
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.sock.bind(("127.0.0.1", self.port))
            self.server = f"127.0.0.1:{self.port}"
        self.sock.listen(1024)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def live(self):
        """Connections that stand now."""
        with self._lock:
            return len(self._open)

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            sock.settimeout(4 * IO_S)
            if sock.family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.accepted += 1
                number = self.accepted
                self._open.add(sock)
            threading.Thread(target=self._serve, args=(sock, number),
                             daemon=True).start()

    def _serve(self, sock, number):
        try:
            self.script(Connection(self, sock, number))
        except OSError:
            pass                  # whoever hangs up is part of the game
        except Exception as why:  # for the test to look at
            self.errors.append(why)
        finally:
            with self._lock:
                self._open.discard(sock)
            sock.close()


# ---- frames (RFC 6455 5.2) -----------------------------------------------------------------

def frame(payload, opcode=2, mask=None, fin=True):
    head = bytes([(0x80 if fin else 0) | opcode])
    bit = 0x80 if mask else 0
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", len(payload))
    if not mask:
        return head + payload
    return head + mask + bytes(
        byte ^ mask[at % 4] for at, byte in enumerate(payload))


# ---- real servers ----------------------------------------------------------------------------

class Nginx:
    """nginx over TCP and a unix socket; `locations`: text for its server."""

    def __init__(self, folder, locations="", root=None):
        self.folder = folder / "nginx"
        self.folder.mkdir()
        self.root = root or self.folder / "www"
        self.root.mkdir(exist_ok=True)
        self.port = free_port()
        self.server = f"127.0.0.1:{self.port}"
        self.unix = f"unix:{self.folder}/n.sock"
        self.log = self.folder / "access.log"
        config = self.folder / "nginx.conf"
        config.write_text(f"""
daemon off; worker_processes 1; pid {self.folder}/pid; user root;
error_log {self.folder}/error.log info;
events {{ worker_connections 512; }}
http {{
    log_format c '$connection $connection_requests $request_method '
                 '$request_uri $status $request_length';
    access_log {self.log} c;
    client_body_temp_path {self.folder}/body; proxy_temp_path {self.folder}/p;
    fastcgi_temp_path {self.folder}/f; uwsgi_temp_path {self.folder}/u;
    scgi_temp_path {self.folder}/s;
    client_max_body_size 0; keepalive_timeout 600;
    default_type text/plain;
    server {{
        listen 127.0.0.1:{self.port}; listen {self.unix};
        root {self.root}; dav_methods PUT;
        {locations}
    }}
}}
""")
        words = harness.peer_command("nginx", folder)
        self.daemon = harness.Daemon(*words, "-c", config, "-p", self.folder,
                                     "-e", self.folder / "error.log",
                                     code=None)
        wait_until(lambda: can_connect(self.port), "nginx")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.daemon.kill()

    def rows(self):
        """connection, its request's number, method, target, status, size."""
        return [line.split() for line in self.log.read_text().splitlines()]


class PhpFpm:
    """php-fpm on a unix socket over scripts in .root."""

    def __init__(self, folder):
        self.folder = folder / "php"
        self.root = self.folder / "www"
        self.root.mkdir(parents=True)
        self.socket = self.folder / "p.sock"
        self.server = f"unix:{self.socket}"
        config = self.folder / "fpm.conf"
        # limit_extensions is empty: whatever it is told to run, it runs
        config.write_text(f"""
[global]
error_log = {self.folder}/error.log
daemonize = no
[www]
user = root
group = root
listen = {self.socket}
pm = static
pm.max_children = 2
security.limit_extensions =
php_admin_value[post_max_size] = 64M
php_admin_value[log_errors] = on
php_admin_value[display_errors] = off
""")
        words = harness.peer_command("php-fpm", folder)
        self.daemon = harness.Daemon(*words, "-n", "-R", "-F", "-y", config,
                                     code=None)
        wait_until(self._is_up, "php-fpm")

    def _is_up(self):
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.daemon.kill()

    def script(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("<?php\n" + text)
        return path
