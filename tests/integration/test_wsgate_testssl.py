"""wsgate's TLS as testssl.sh sees it: no old version, no weak cipher, no known
hole, a staple. Minutes, so only in `make check-long`."""
import json
import shutil

import pytest
from gate import gate  # noqa: F401

from harness import run

pytestmark = [pytest.mark.soak, pytest.mark.row("tls: testssl")]
BAD = {"LOW", "MEDIUM", "HIGH", "CRITICAL", "WARN"}
# What a throw-away CA and a site without DNS cannot have.
ABOUT_US = ("cert_chain_of_trust", "cert_trust", "DNS_CAArecord", "HSTS",
            "cert_revocation", "cert_notAfter", "overall_grade", "OCSP",
            "engine_problem", "scanTime", "cert_crlDistributionPoints",
            "cert_extlifeSpan", "cert_expirationStatus", "banner_",
            "security_headers", "HTTP_", "service", "BREACH",
            "cert_certificatePolicyEV", "intermediate_cert", "chain",
            "cert_eTLS", "fingerprint", "certificate_transparency",
            "grade", "HPKP", "optimal_proto", "cert_mustStaple",
            "cert_serialNumberLen", "RC4",  # its own OpenSSL has none
            # all that is left is strong: the client knows which is fast for it
            "cipher_order")


def test_testssl_finds_nothing(gate, tmp_path):  # noqa: F811
    if shutil.which("testssl") is None:
        pytest.skip("testssl is not here (make check-long installs it)")
    gate.start()
    out = tmp_path / "found.json"
    run("testssl", "--quiet", "--color", "0", "--warnings", "off", "--fast",
        "--nodns", "min", "--ip", "127.0.0.1", "--jsonfile", out,
        f"www.example.org:{gate.port}", timeout=600)
    found = json.loads(out.read_text())
    assert len(found) > 50, "testssl did not get far"
    bad = [f"{row['id']}: {row['severity']} {row['finding']}" for row in found
           if row["severity"] in BAD and not row["id"].startswith(ABOUT_US)]
    assert not bad, "\n".join(bad)
    offered = {row["id"]: row["finding"] for row in found}
    for old in ("SSLv2", "SSLv3", "TLS1", "TLS1_1"):
        assert "not offered" in offered[old], offered[old]
    for new in ("TLS1_2", "TLS1_3"):
        assert "offered" in offered[new], offered[new]
