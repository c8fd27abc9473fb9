"""OCSP requests read and responses written by hand: right ones and every wrong
one that a client must not believe (RFC 6960, OCSPResponse and friends)."""
import hashlib
import time
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

import der

DIGESTS = {"sha1": "1.3.14.3.2.26", "sha256": "2.16.840.1.101.3.4.2.1",
           "sha384": "2.16.840.1.101.3.4.2.2"}
SIGNATURES = {("ec", "sha1"): "1.2.840.10045.4.1",
              ("ec", "sha256"): "1.2.840.10045.4.3.2",
              ("rsa", "sha1"): "1.2.840.113549.1.1.5",
              ("rsa", "sha256"): "1.2.840.113549.1.1.11"}
BASIC = "1.3.6.1.5.5.7.48.1.1"
HOUR = 3600

MALFORMED, INTERNAL, TRY_LATER, SIG_REQUIRED, UNAUTHORIZED = 1, 2, 3, 5, 6


def algorithm(digest):
    return der.sequence(der.oid(DIGESTS[digest]), der.null())


def cert_id(leaf, digest="sha1", issuer=None, serial=None):
    issuer = issuer or leaf.issuer
    return der.sequence(
        algorithm(digest),
        der.octets(hashlib.new(digest, issuer.name_der).digest()),
        der.octets(hashlib.new(digest, issuer.key_bits).digest()),
        der.integer(leaf.serial if serial is None else serial))


@dataclass
class Single:
    """One SingleResponse. Times are seconds from now, or text as it is to
    stand there; next=None leaves nextUpdate out."""
    status: str = "good"
    this: object = -HOUR
    next: object = 71 * HOUR
    digest: str = "sha1"
    issuer: object = None       # whose hashes; None: the leaf's issuer
    serial: int = None          # None: the leaf's
    revoked: object = -2 * HOUR
    reason: int = 1

    def write(self, leaf, now):
        if self.status == "good":
            status = der.implicit(0, b"")
        elif self.status == "revoked":
            parts = [der.generalized_time(_at(now, self.revoked))]
            if self.reason is not None:
                parts.append(der.explicit(0, der.enumerated(self.reason)))
            status = der.explicit(1, *parts)
        else:
            status = der.implicit(2, b"")
        parts = [cert_id(leaf, self.digest, self.issuer, self.serial), status,
                 der.generalized_time(_at(now, self.this))]
        if self.next is not None:
            parts.append(der.explicit(
                0, der.generalized_time(_at(now, self.next))))
        return der.sequence(*parts)


def _at(now, when):
    return when if isinstance(when, str) else now + when


@dataclass
class Response:
    """What a whole OCSPResponse is made of. signer: a pki.Cert, None = the
    leaf's issuer; certs: what to include, None = the signer unless it is the
    issuer."""
    singles: list = field(default_factory=lambda: [Single()])
    signer: object = None
    certs: list = None
    digest: str = "sha256"       # of the signature
    by_name: bool = False        # ResponderID byName instead of byKey
    claims: object = None        # a pki.Cert: whose ResponderID; None: signer's
    produced: object = 0
    outer: int = 0
    forge: bool = False          # one bit of the signature is turned
    trailing: bytes = b""        # after the OCSPResponse

    def write(self, leaf, now=None):
        now = time.time() if now is None else now
        if self.outer:
            return der.sequence(der.enumerated(self.outer)) + self.trailing
        signer = self.signer or leaf.issuer
        named = self.claims or signer
        if self.by_name:
            who = der.explicit(1, named.name_der)
        else:
            who = der.explicit(
                2, der.octets(hashlib.sha1(named.key_bits).digest()))
        data = der.sequence(
            who, der.generalized_time(_at(now, self.produced)),
            der.sequence(*[one.write(leaf, now) for one in self.singles]))
        signature = _sign(signer.key, data, self.digest)
        if self.forge:
            signature = signature[:-1] + bytes([signature[-1] ^ 1])
        parts = [data, _signature_algorithm(signer.key, self.digest),
                 der.bits(signature)]
        certs = self.certs
        if certs is None:
            certs = [] if signer is leaf.issuer else [signer]
        if certs:
            parts.append(der.explicit(
                0, der.sequence(*[cert.der for cert in certs])))
        basic = der.sequence(*parts)
        return der.sequence(
            der.enumerated(0),
            der.explicit(0, der.sequence(der.oid(BASIC), der.octets(basic)))
        ) + self.trailing


def _kind(private_key):
    return "ec" if isinstance(private_key, ec.EllipticCurvePrivateKey) \
        else "rsa"


def _signature_algorithm(private_key, digest):
    kind = _kind(private_key)
    parts = [der.oid(SIGNATURES[kind, digest])]
    if kind == "rsa":
        parts.append(der.null())
    return der.sequence(*parts)


def _sign(private_key, data, digest):
    algorithm_ = hashes.SHA1() if digest == "sha1" else hashes.SHA256()
    if _kind(private_key) == "ec":
        return private_key.sign(data, ec.ECDSA(algorithm_))
    return private_key.sign(data, padding.PKCS1v15(), algorithm_)


def good(leaf, now=None, **single):
    """The DER of an ordinary good response."""
    return Response([Single(**single)]).write(leaf, now)


@dataclass
class Asked:
    """The one CertID of an OCSPRequest."""
    digest: str
    serial: int
    requests: int
    extensions: bool


def read_request(data):
    tag, request, _, rest = der.read(data)
    if tag != 0x30 or rest:
        raise ValueError("no OCSPRequest")
    parts = der.children(request)
    tbs = der.children(parts[0][1])
    lists = [part for part in tbs if part[0] == 0x30]
    one = der.children(lists[0][1])
    first = der.children(one[0][1])
    fields = der.children(first[0][1])
    digest_oid = der.children(fields[0][1])[0][2]
    digest = next(name for name, dotted in DIGESTS.items()
                  if der.oid(dotted) == digest_oid)
    return Asked(digest, int.from_bytes(fields[3][1], "big", signed=True),
                 len(one), len(tbs) > 1 or len(first) > 1)
