"""An OCSP responder that tells the truth, lies, or behaves badly, as scripted;
it keeps every request it saw.

    responder = Responder(pki)
    responder.serve(Answer())                      # good, for every leaf
    responder.serve(Answer(ocsp.Response(forge=True)), leaf)
    responder.serve([Answer(code=503), Answer()])  # one after the other
    responder.url, responder.requests
"""
import base64
import http.server
import socket
import struct
import threading
import time
import urllib.parse
from dataclasses import dataclass, field

import ocsp


@dataclass
class Answer:
    """What one request gets. body: an ocsp.Response, bytes, or a function
    (leaf, now) -> bytes; None = an ordinary good response."""
    body: object = None
    code: int = 200
    content_type: str = "application/ocsp-response"
    headers: dict = field(default_factory=dict)
    only_post: bool = False      # GET gets 405
    wait: object = None          # threading.Event to be set before answering
    hang: bool = False           # never answers
    drip: float = 0              # seconds between single bytes of the body
    reset: bool = False          # TCP reset instead of an answer
    cut: int = None              # the body is cut after so many bytes
    location: str = None         # a redirect; "loop" = to itself

    def bytes_for(self, leaf, now):
        if isinstance(self.body, bytes):
            return self.body
        if callable(self.body):
            return self.body(leaf, now)
        if leaf is None:
            return ocsp.Response(outer=ocsp.UNAUTHORIZED).write(None)
        return (self.body or ocsp.Response()).write(leaf, now)


@dataclass
class Seen:
    """One request as it came."""
    method: str
    path: str
    headers: dict
    body: bytes
    asked: object     # ocsp.Asked, or None when it could not be read
    at: float


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.responder.handle(self, b"")

    def do_POST(self):
        size = int(self.headers.get("Content-Length") or 0)
        self.server.responder.handle(self, self.rfile.read(size))

    def date_time_string(self, timestamp=None):
        return super().date_time_string(
            self.server.responder.now() if timestamp is None else timestamp)

    def log_message(self, *_):
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass      # clients that hang up are part of the game


class Responder:
    def __init__(self, pki, address="127.0.0.1", port=0, clock=None):
        self.pki = pki
        self.clock = clock       # harness.Clock: what "now" is
        self.requests = []
        self._answers = {None: [Answer()]}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = _Server((address, port), _Handler)
        self._server.responder = self
        self.port = self._server.server_address[1]
        self.url = f"http://{address}:{self.port}/"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def serve(self, answer, leaf=None):
        """From now on; a list is used up one by one, its last one stays."""
        answers = list(answer) if isinstance(answer, list) else [answer]
        with self._lock:
            self._answers[leaf.serial if leaf else None] = answers

    def count(self, leaf=None):
        return len([seen for seen in self.requests if leaf is None or
                    (seen.asked and seen.asked.serial == leaf.serial)])

    def now(self):
        return time.time() + (self.clock.offset if self.clock else 0)

    # ---- one request, in its own thread --------------------------------------

    def _read(self, handler, body):
        try:
            if handler.command == "GET":
                text = urllib.parse.unquote(handler.path.rsplit("/", 1)[1])
                body = base64.b64decode(text, validate=True)
            return ocsp.read_request(body)
        except Exception:       # whatever a client may send
            return None

    def _choose(self, serial):
        with self._lock:
            answers = self._answers.get(serial) or self._answers[None]
            return answers.pop(0) if len(answers) > 1 else answers[0]

    def handle(self, handler, body):
        asked = self._read(handler, body)
        seen = Seen(handler.command, handler.path, dict(handler.headers),
                    body, asked, time.monotonic())
        serial = asked.serial if asked else None
        answer = self._choose(serial)
        with self._lock:
            self.requests.append(seen)
        if answer.wait:
            while not answer.wait.wait(0.05) and not self._closing.is_set():
                pass
        if answer.hang:
            self._closing.wait(120)
            handler.close_connection = True
        elif answer.reset:
            self._reset(handler)
        else:
            self._reply(handler, answer, self.pki.leaves.get(serial))

    @staticmethod
    def _reset(handler):
        handler.connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
        handler.close_connection = True

    def _reply(self, handler, answer, leaf):
        code, body = answer.code, answer.bytes_for(leaf, self.now())
        headers = {"Content-Type": answer.content_type, **answer.headers}
        if answer.only_post and handler.command == "GET":
            code, body = 405, b"POST only"
        if answer.location:
            code = code if 300 <= code < 400 else 302
            headers["Location"] = handler.path \
                if answer.location == "loop" else answer.location
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if answer.cut is not None:
            body = body[:answer.cut]
            handler.close_connection = True
        if not answer.drip:
            handler.wfile.write(body)
            return
        for byte in body:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            if self._closing.wait(answer.drip):
                return
