"""What a TLS client is given: the stapled OCSP response as it was on the wire,
read and verified by the openssl program."""
import re
import subprocess

from authority import openssl
from stage import Failure

SIGNATURES = {"ecdsa": "ECDSA+SHA256", "rsa": "RSA-PSS+SHA256"}
CERTIFICATE, STATUS_REQUEST, OCSP = 11, 5, 1    # RFC 8446 4.4.2, RFC 6066 8
CONNECT_S = 10


class Reader:
    """Bytes of a TLS message, eaten from the front."""

    def __init__(self, data):
        self.data = data

    def number(self, size):
        taken, self.data = self.data[:size], self.data[size:]
        if len(taken) < size:
            raise Failure("the Certificate message ends too early")
        return int.from_bytes(taken, "big")

    def block(self, size):
        length = self.number(size)
        if len(self.data) < length:
            raise Failure("the Certificate message ends too early")
        taken, self.data = self.data[:length], self.data[length:]
        return taken


def staple_in(message):
    """The OCSP response in the first entry of a TLS 1.3 Certificate message;
    None: there is none."""
    reader = Reader(message)
    reader.number(1)                            # CERTIFICATE
    body = Reader(reader.block(3))
    body.block(1)                               # certificate_request_context
    entry = Reader(body.block(3))
    entry.block(3)                              # the leaf
    extensions = Reader(entry.block(2))
    while extensions.data:
        kind = extensions.number(2)
        value = Reader(extensions.block(2))
        if kind == STATUS_REQUEST and value.number(1) == OCSP:
            return value.block(3)
    return None


def certificate_message(text):
    """The bytes of the Certificate message in what s_client -msg printed."""
    lines = text.split("<<< TLS 1.3, Handshake")
    for part in lines[1:]:
        rows = re.findall(r"^    ((?:[0-9a-f]{2} ?)+)$",
                          re.split(r"^[<>]{3} ", part, flags=re.M)[0], re.M)
        data = bytes.fromhex("".join(rows))
        if data[:1] == bytes([CERTIFICATE]):
            return data
    return None


def handshake(stage, kind):
    """A verified TLS 1.3 handshake of a client that takes one kind of
    signature and asks for a staple: (text of s_client, staple or None)."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{stage.port}",
         "-servername", "localhost", "-verify_hostname", "localhost",
         "-tls1_3", "-sigalgs", SIGNATURES[kind], "-status", "-msg",
         "-CAfile", "root.pem", "-no-CApath", "-no-CAstore",
         "-verify_return_error"], cwd=stage.folder, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, errors="replace", check=False,
        timeout=CONNECT_S)
    message = certificate_message(done.stdout)
    if done.returncode != 0 or not message:
        said = (done.stderr.strip().splitlines() or ["no handshake"])[-1]
        raise Failure(f"openssl s_client: {said}")
    return done.stdout, staple_in(message)


class Staple:
    """A response that openssl verified, with what it says."""

    def __init__(self, stage, kind, der):
        (stage.folder / "staple.der").write_bytes(der)
        text = openssl(
            "ocsp", "-respin", "staple.der", "-issuer", "intermediate.pem",
            "-cert", f"{kind}.pem", "-CAfile", "root.pem", "-no-CApath",
            "-no-CAstore", "-verify_other", "intermediate.pem", "-resp_text",
            folder=stage.folder)
        self.der = der
        self.status = self._find(text, rf"^{kind}\.pem: (\w+)$")
        self.signer = self._find(text, r"Responder Id: .*CN ?= ?(.+)$")
        self.produced_at = self._find(text, r"Produced At: (.+)$")
        self.this_update = self._find(text, r"^\tThis Update: (.+)$")
        self.next_update = self._find(text, r"^\tNext Update: (.+)$")

    @staticmethod
    def _find(text, pattern):
        found = re.search(pattern, text, re.M)
        if not found:
            raise Failure(f"openssl ocsp does not tell {pattern}")
        return found.group(1).strip()

    def __str__(self):
        return (f"{self.status}, produced {clock(self.produced_at)}, "
                f"valid until {clock(self.next_update)}, "
                f"signed by {self.signer}")


def clock(text):
    """"Oct  1 12:34:56 2025 GMT" -> "12:34:56"."""
    return re.search(r"\d\d:\d\d:\d\d", text).group(0)


def staple_of(stage, kind):
    """The verified staple of a new handshake, or None."""
    der = handshake(stage, kind)[1]
    return Staple(stage, kind, der) if der else None
