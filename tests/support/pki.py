"""Certificates made on the spot: a root, an issuing CA, a sibling of it, leaves
and OCSP signers of every kind. Keys are made once per test run and shared."""
import datetime
import hashlib
import itertools
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import (AuthorityInformationAccessOID,
                                   ExtendedKeyUsageOID, NameOID)

DAY = 86400
_keys = {}
_serials = itertools.count(0x1000)


def key(kind="ec", name="shared"):
    """The key called `name`; made when first asked for. kind: ec or rsa, also
    rsa1024 for weak ones."""
    if (kind, name) not in _keys:
        if kind == "ec":
            made = ec.generate_private_key(ec.SECP256R1())
        else:
            made = rsa.generate_private_key(
                65537, 1024 if kind == "rsa1024" else 2048)
        _keys[kind, name] = made
    return _keys[kind, name]


def _moment(seconds):
    return datetime.datetime.utcfromtimestamp(int(seconds))


class Cert:
    """One certificate with its private key and the one that issued it."""

    def __init__(self, cert, private_key, issuer):
        self.cert = cert
        self.key = private_key
        self.issuer = issuer or self

    @property
    def serial(self):
        return self.cert.serial_number

    @property
    def der(self):
        return self.cert.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self):
        return self.cert.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self):
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption())

    @property
    def fingerprint(self):
        """The name of its files in the spool."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def name_der(self):
        return self.cert.subject.public_bytes()

    @property
    def key_bits(self):
        """The content of the public key's BIT STRING: what CertIDs hash."""
        import der
        info = self.key.public_key().public_bytes(
            serialization.Encoding.DER,
            serialization.PublicFormat.SubjectPublicKeyInfo)
        _, content, _, _ = der.read(info)
        return der.children(content)[1][1][1:]

    @property
    def chain_pem(self):
        """Leaf first, without the root."""
        out, at = self.pem, self.issuer
        while at.issuer is not at:
            out += at.pem
            at = at.issuer
        return out

    def write_chain(self, path):
        path.write_bytes(self.chain_pem)
        return path

    def write(self, path):
        path.write_bytes(self.pem)
        return path

    def write_key(self, path):
        path.write_bytes(self.key_pem)
        path.chmod(0o640)
        return path


def _build(subject, private_key, issuer, days, start, extensions,
           digest=None, public_key=None):
    now = time.time()
    issuer_name = issuer.cert.subject if issuer else subject
    signing_key = issuer.key if issuer else private_key
    builder = (x509.CertificateBuilder()
               .subject_name(subject)
               .issuer_name(issuer_name)
               .public_key(public_key or private_key.public_key())
               .serial_number(next(_serials))
               .not_valid_before(_moment(now + start * DAY))
               .not_valid_after(_moment(now + days * DAY)))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    builder = builder.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(private_key.public_key()),
        False)
    if issuer:
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(
                issuer.key.public_key()), False)
    return Cert(builder.sign(signing_key, digest or hashes.SHA256()),
                private_key, issuer)


def _name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def authority(name, issuer=None, kind="ec", days=3650, private_key=None):
    """A CA; a root when `issuer` is None."""
    return _build(_name(name), private_key or key(kind, name), issuer, days,
                  -365, [
        (x509.BasicConstraints(True, None), True),
        (x509.KeyUsage(False, False, False, False, False, True, True, False,
                       False), True)])


def leaf(issuer, *names, ocsp=(), kind="ec", days=90, start=-1,
         must_staple=False, crl=(), key_name=None):
    """A server certificate. `ocsp`: responder URLs for its AIA, in order."""
    names = names or ("www.example.org",)
    extensions = [
        (x509.SubjectAlternativeName([_san(name) for name in names]), False),
        (x509.BasicConstraints(False, None), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)]
    if ocsp:
        extensions.append((x509.AuthorityInformationAccess([
            x509.AccessDescription(AuthorityInformationAccessOID.OCSP,
                                   x509.UniformResourceIdentifier(url))
            for url in ocsp]), False))
    if crl:
        extensions.append((x509.CRLDistributionPoints([
            x509.DistributionPoint([x509.UniformResourceIdentifier(url)],
                                   None, None, None) for url in crl]), False))
    if must_staple:
        extensions.append(
            (x509.TLSFeature([x509.TLSFeatureType.status_request]), False))
    return _build(_name(names[0]), key(kind, key_name or "leaf"), issuer,
                  days, start, extensions)


def _san(name):
    import ipaddress
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def signer(issuer, name="OCSP signer", kind="ec", eku=True, nocheck=True,
           days=30, start=-1):
    """A delegated OCSP signer, or one that lacks something; issuer None: a
    certificate signed by itself."""
    extensions = [
        (x509.BasicConstraints(False, None), True),
        (x509.KeyUsage(True, False, False, False, False, False, False, False,
                       False), True)]
    if eku:
        extensions.append(
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False))
    if nocheck:
        extensions.append((x509.OCSPNoCheck(), False))
    return _build(_name(name), key(kind, name), issuer, days, start,
                  extensions)


class Pki:
    """root -> issuing CA -> leaves, and a sibling CA of the issuing one."""

    def __init__(self):
        self.root = authority("Test Root")
        self.ca = authority("Test Issuing CA", self.root)
        self.sibling = authority("Test Sibling CA", self.root)
        self.stranger = authority("Stranger Root")
        self.leaves = {}     # serial -> Cert

    def leaf(self, *names, issuer=None, **how):
        made = leaf(issuer or self.ca, *names, **how)
        self.leaves[made.serial] = made
        return made
