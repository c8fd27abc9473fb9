"""ocspd against the responder that comes with OpenSSL: nothing of ours on the
other side."""
import datetime

import pytest

import harness
from pki import signer
from world import says


class OpensslResponder:
    """`openssl ocsp` over an index file."""

    def __init__(self, world, authority, delegate, leaves, words=()):
        self.index = world.folder / "index.txt"
        expiry = (datetime.datetime.utcnow() +
                  datetime.timedelta(days=90)).strftime("%y%m%d%H%M%SZ")
        self.index.write_text("".join(
            f"{state}\t{expiry}\t{when}\t{leaf.serial:X}\tunknown\t"
            f"/CN=x{leaf.serial}\n" for leaf, state, when in leaves))
        self.port = harness.free_port()
        folder = world.folder
        self.daemon = harness.Daemon(
            "openssl", "ocsp", "-index", self.index, "-port", self.port,
            "-CA", authority.write(folder / "peer-ca.pem"),
            "-rsigner", delegate.write(folder / "signer.pem"),
            "-rkey", delegate.write_key(folder / "signer.key"),
            "-ndays", "2", "-rmd", "sha256", *words, code=None)
        self.url = f"http://127.0.0.1:{self.port}/"
        # No connection to try it: one without a request keeps it for ever.
        self.daemon.wait_log("ACCEPT|waiting for .*connections")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.daemon.kill()


YESTERDAY = "250101000000Z,keyCompromise"


@pytest.mark.short
@pytest.mark.parametrize("kind", ["the issuer", "an EC delegate",
                                  "an RSA delegate", "no certificate"])
def test_openssl_says_good_revoked_and_unknown(world, pki, kind):
    delegate = {"the issuer": lambda: pki.ca,
                "no certificate": lambda: pki.ca,
                "an EC delegate": lambda: signer(pki.ca),
                "an RSA delegate": lambda: signer(pki.ca, kind="rsa")}[kind]()
    words = ["-resp_no_certs"] if kind == "no certificate" else []
    fine, bad, other = (world.leaf(f"{name}.example.org", urls=[])
                        for name in ("fine", "bad", "other"))
    with OpensslResponder(world, pki.ca, delegate,
                          [(fine, "V", ""), (bad, "R", YESTERDAY)],
                          words) as peer:
        words = ["--responder", peer.url]
        assert says(world.fetch(fine, words=words, code=0), "good")
        assert says(world.fetch(bad, words=words, code=75), "revoked")
        assert says(world.fetch(other, words=words, code=75), "unknown")
    assert world.der(fine)
    assert world.meta(bad)["status"] == "revoked"
    # and OpenSSL's client takes what was spooled
    done = harness.run(
        "openssl", "ocsp", "-respin", world.der_path(fine), "-issuer",
        world.ca_file, "-cert", fine.path, "-CAfile",
        pki.root.write(world.folder / "root.pem"), "-no_nonce", code=0)
    assert "good" in done.out and "verify OK" in done.err
