"""What ocspd believes and what it refuses: each kind of signer, and each step
of the verification, as responses that a responder really serves."""
from datetime import timezone

import pytest

import ocsp
from ocsp import HOUR, Response, Single
from pki import signer
from responder import Answer
from world import says

DAY = 24 * HOUR


# sentence, (pki, leaf) -> ocsp.Response, verdict
SIGNERS = [
    ("the issuer itself",
     lambda pki, leaf: Response(), "good"),
    ("the issuer, named by its name",
     lambda pki, leaf: Response(by_name=True), "good"),
    ("the issuer, its certificate included",
     lambda pki, leaf: Response(certs=[pki.ca]), "good"),
    ("a delegate, its certificate included",
     lambda pki, leaf: Response(signer=signer(pki.ca)), "good"),
    ("a delegate, named by its name",
     lambda pki, leaf: Response(signer=signer(pki.ca), by_name=True), "good"),
    ("an RSA delegate",
     lambda pki, leaf: Response(signer=signer(pki.ca, kind="rsa")), "good"),
    ("a delegate without nocheck",
     lambda pki, leaf: Response(signer=signer(pki.ca, nocheck=False)), "good"),
    ("a delegate among other certificates",
     lambda pki, leaf: Response(
         signer=(it := signer(pki.ca)),
         certs=[pki.root, pki.sibling, it, pki.ca]), "good"),
    ("a delegate without the right in its certificate",
     lambda pki, leaf: Response(signer=signer(pki.ca, eku=False)),
     "not-authorised"),
    ("an expired delegate",
     lambda pki, leaf: Response(signer=signer(pki.ca, days=-1, start=-30)),
     "signer-expired"),
    ("a delegate of tomorrow",
     lambda pki, leaf: Response(signer=signer(pki.ca, start=1)),
     "signer-expired"),
    ("the leaf's own key",
     lambda pki, leaf: Response(signer=leaf), "not-authorised"),
    ("another leaf of the same issuer",
     lambda pki, leaf: Response(signer=pki.leaf("other.example.org",
                                                key_name="other")),
     "not-authorised"),
    ("a sibling CA",
     lambda pki, leaf: Response(signer=pki.sibling), "not-authorised"),
    ("the root above the issuer",
     lambda pki, leaf: Response(signer=pki.root), "not-authorised"),
    ("the sibling CA's delegate",
     lambda pki, leaf: Response(signer=signer(pki.sibling)),
     "not-authorised"),
    ("the root's delegate",
     lambda pki, leaf: Response(signer=signer(pki.root)), "not-authorised"),
    ("a stranger who calls himself an OCSP signer",
     lambda pki, leaf: Response(signer=signer(None)), "not-authorised"),
    ("a stranger's delegate, his whole chain included",
     lambda pki, leaf: Response(
         signer=(it := signer(pki.stranger)), certs=[it, pki.stranger]),
     "not-authorised"),
    ("a delegate whose certificate is left out",
     lambda pki, leaf: Response(signer=signer(pki.ca), certs=[]),
     "no-signer-cert"),
    ("a stranger in the issuer's name",
     lambda pki, leaf: Response(signer=pki.stranger, claims=pki.ca, certs=[]),
     "bad-signature"),
    ("the issuer, one bit turned",
     lambda pki, leaf: Response(forge=True), "bad-signature"),
    ("a delegate, one bit turned",
     lambda pki, leaf: Response(signer=signer(pki.ca), forge=True),
     "bad-signature"),
    ("the issuer with SHA-1",
     lambda pki, leaf: Response(digest="sha1"), "weak-signature"),
    ("a delegate with a short RSA key",
     lambda pki, leaf: Response(signer=signer(pki.ca, kind="rsa1024")),
     "weak-signature"),
]

# What is said, rightly signed: sentence, ocsp.Response, verdict
CONTENTS = [
    ("good for three days", Response(), "good"),
    ("under a SHA-256 CertID only",
     Response([Single(digest="sha256")]), "good"),
    ("under a SHA-384 CertID only",
     Response([Single(digest="sha384")]), "good"),
    ("under two CertIDs alike",
     Response([Single(), Single(digest="sha256")]), "good"),
    ("among answers about others",
     Response([Single(serial=7), Single(serial=8), Single()]), "good"),
    ("revoked", Response([Single("revoked")]), "revoked"),
    ("revoked without a reason",
     Response([Single("revoked", reason=None)]), "revoked"),
    ("unknown", Response([Single("unknown")]), "unknown"),
    ("another serial number", Response([Single(serial=7)]), "wrong-cert"),
    ("nothing at all", Response([]), "wrong-cert"),
    ("good and revoked at once",
     Response([Single(), Single("revoked")]), "conflict"),
    ("good under one digest, revoked under another",
     Response([Single(), Single("revoked", digest="sha256")]), "conflict"),
    ("a fraction of a second in nextUpdate",
     Response([Single(next="20200101000000.5Z")]), "bad-time"),
    ("an offset instead of Z in nextUpdate",
     Response([Single(next="20300101000000+0000")]), "bad-time"),
    ("no seconds in thisUpdate",
     Response([Single(this="202001010000Z")]), "bad-time"),
    ("a thirteenth month", Response([Single(this="20201301000000Z")]),
     "bad-time"),
    ("thisUpdate four minutes ahead",
     Response([Single(this=240)], produced=240), "good"),
    ("thisUpdate an hour ahead",
     Response([Single(this=HOUR)]), "not-yet-valid"),
    ("producedAt an hour ahead",
     Response(produced=HOUR), "not-yet-valid"),
    ("no nextUpdate", Response([Single(next=None)]), "no-next-update"),
    ("nextUpdate a second ago",
     Response([Single(this=-DAY, next=-1)]), "expired"),
    ("nextUpdate years ago",
     Response([Single(this="20200101000000Z", next="20200108000000Z")]),
     "expired"),
    ("a hundred seconds left of an hour",
     Response([Single(next=100)]), "life-too-short"),
    ("ten minutes left", Response([Single(next=600)]), "good"),
]

# Not a successful response: sentence, Answer, verdict
BODIES = [
    ("malformedRequest", Answer(Response(outer=ocsp.MALFORMED)),
     "malformed-request"),
    ("internalError", Answer(Response(outer=ocsp.INTERNAL)),
     "internal-error"),
    ("tryLater", Answer(Response(outer=ocsp.TRY_LATER)), "try-later"),
    ("sigRequired", Answer(Response(outer=ocsp.SIG_REQUIRED)),
     "sig-required"),
    ("unauthorized", Answer(Response(outer=ocsp.UNAUTHORIZED)),
     "unauthorized"),
    ("bytes behind the response", Answer(Response(trailing=b"\0")),
     "trailing-bytes"),
    ("bytes behind tryLater",
     Answer(Response(outer=ocsp.TRY_LATER, trailing=b"x")), "trailing-bytes"),
    ("a page of HTML", Answer(b"<html>Please log in</html>",
                              content_type="text/html"), "not-ocsp"),
    ("noise", Answer(bytes(range(256))), "not-ocsp"),
    ("half a response",
     Answer(lambda leaf, now: ocsp.good(leaf, now)[:200]), "not-ocsp"),
    ("an empty body", Answer(b""), "empty"),
    ("65 KiB", Answer(b"\x30" * (65 * 1024 + 1)), "too-large"),
    ("a good response behind 65 KiB of certificates",
     Answer(lambda leaf, now: Response(
         certs=[leaf.issuer] * 250).write(leaf, now)), "too-large"),
    ("HTTP 404", Answer(b"no", code=404), "http-status"),
    ("HTTP 500", Answer(b"no", code=500), "http-status"),
    ("HTTP 500 around a good response", Answer(code=500), "http-status"),
    ("an unusual Content-Type, rightly signed",
     Answer(content_type="text/plain"), "good"),
]


def ids(table):
    return [row[0].replace(" ", "-").replace(",", "") for row in table]


def expect(world, leaf, word):
    result = world.fetch(leaf)
    assert says(result, word), result
    meta = world.meta(leaf)
    if word == "good":
        assert result.code == 0, result
        assert world.der(leaf), "no staple"
        assert meta["status"] == "good"
    else:
        assert result.code == 75, result
        assert world.der(leaf) is None, "a staple that is none"
    if word not in ("good", "revoked"):
        assert meta["last_error_kind"] == word
        assert meta["failures"] >= 1
    assert world.strays() == []


@pytest.mark.short
@pytest.mark.row("ocsp: signature and signer verified")
@pytest.mark.row("ocsp: delegated signer handled right")
@pytest.mark.parametrize("sentence,make,word", SIGNERS, ids=ids(SIGNERS))
def test_signed_by(world, pki, sentence, make, word):
    leaf = world.leaf()
    world.responder.serve(Answer(make(pki, leaf)))
    expect(world, leaf, word)


@pytest.mark.short
@pytest.mark.row("ocsp: matches own CertID")
@pytest.mark.row("ocsp: thisUpdate/nextUpdate checked")
@pytest.mark.row("ocsp: several SingleResponses")
@pytest.mark.parametrize("sentence,response,word", CONTENTS,
                         ids=ids(CONTENTS))
def test_says(world, sentence, response, word):
    leaf = world.leaf()
    world.responder.serve(Answer(response))
    expect(world, leaf, word)


@pytest.mark.short
@pytest.mark.row("ocsp: body cap")
@pytest.mark.row("ocsp: content-type must match")
@pytest.mark.parametrize("sentence,answer,word", BODIES, ids=ids(BODIES))
def test_answers(world, sentence, answer, word):
    leaf = world.leaf()
    world.responder.serve(answer)
    expect(world, leaf, word)


@pytest.mark.row("ocsp: matches own CertID")
def test_refuses_the_response_of_another_issuer_with_the_same_serial(
        world, pki):
    leaf = world.leaf()
    world.responder.serve(Answer(Response([Single(issuer=pki.sibling)])))
    # the signer has no right over the issuer that the CertID names
    expect(world, leaf, "not-authorised")


@pytest.mark.row("ocsp: matches own CertID")
def test_refuses_the_genuine_response_of_another_leaf(world):
    leaf, other = world.leaf(), world.leaf("other.example.org")
    world.responder.serve(
        Answer(lambda _, now: ocsp.good(other, now)), leaf)
    expect(world, leaf, "wrong-cert")


@pytest.mark.short
@pytest.mark.row("ocsp: signature and signer verified")
def test_publishes_the_very_bytes_it_received(world):
    leaf = world.leaf()
    body = Response(certs=[world.pki.ca]).write(leaf)
    world.responder.serve(Answer(body))
    world.fetch(leaf, code=0)
    assert world.der(leaf) == body


# ---- policies that open a door -------------------------------------------------

def fetch_with(world, leaf, **row):
    config = world.config(rows=[{"path": str(leaf.path), **row}])
    return world.fetch_config(config)


def test_strict_refuses_a_delegate_without_nocheck(world, pki):
    leaf = world.leaf()
    world.responder.serve(Answer(Response(signer=signer(pki.ca,
                                                        nocheck=False))))
    result = fetch_with(world, leaf, strict="true")
    assert says(result, "no-nocheck") and result.code == 75, result


def test_allow_weak_accepts_sha1_for_a_legacy_issuer(world):
    leaf = world.leaf()
    world.responder.serve(Answer(Response(digest="sha1")))
    result = fetch_with(world, leaf, allow_weak="true")
    assert says(result, "good") and result.code == 0, result


@pytest.mark.row("ocsp: missing nextUpdate")
def test_max_age_accepts_a_response_without_next_update_for_so_long(world):
    leaf = world.leaf()
    world.responder.serve(Answer(Response([Single(next=None)])))
    result = fetch_with(world, leaf, max_age="12h")
    assert says(result, "good") and result.code == 0, result
    meta = world.meta(leaf)
    assert meta["life_end"] - meta["this_update"] <= 12 * HOUR


@pytest.mark.row("ocsp: missing nextUpdate")
def test_max_age_refuses_an_older_response_without_next_update(world):
    leaf = world.leaf()
    world.responder.serve(Answer(Response([Single(this=-13 * HOUR,
                                                  next=None)])))
    result = fetch_with(world, leaf, max_age="12h")
    assert result.code == 75, result
    assert world.der(leaf) is None


# ---- signers the operator lists --------------------------------------------------

def listed(world, responder_signer, *in_file, certs=(), leaf=None):
    leaf = leaf or world.leaf()
    path = world.folder / "signers.pem"
    path.write_bytes(b"".join(cert.pem for cert in in_file))
    world.responder.serve(Answer(Response(signer=responder_signer,
                                          certs=list(certs))), leaf)
    return leaf, fetch_with(world, leaf, signers=str(path))


def test_a_listed_signer_of_a_foreign_root_is_accepted(world, pki):
    authority = signer(pki.stranger)
    leaf, result = listed(world, authority, authority, certs=[authority])
    assert says(result, "good") and result.code == 0, result
    assert world.der(leaf)


def test_a_listed_delegate_may_leave_out_its_certificate(world, pki):
    delegate = signer(pki.ca)
    _, result = listed(world, delegate, delegate)
    assert says(result, "good") and result.code == 0, result


def test_a_signer_listed_for_one_issuer_counts_for_no_other(world, pki):
    authority = signer(pki.stranger)
    mine, other = world.leaf(), world.leaf("sibling.example.org",
                                           issuer=pki.sibling)
    path = authority.write(world.folder / "signers.pem")
    world.responder.serve(Answer(Response(signer=authority)))
    config = world.config(rows=[
        {"path": str(mine.path), "signers": str(path)},
        {"path": str(other.path)}])
    result = world.fetch_config(config, code=75)
    assert world.der(mine) and world.der(other) is None, result
    assert says(result, "not-authorised"), result


def test_an_expired_listed_signer_is_refused(world, pki):
    authority = signer(pki.stranger, days=-1, start=-30)
    leaf, result = listed(world, authority, authority, certs=[authority])
    assert says(result, "signer-expired") and result.code == 75, result
    assert world.der(leaf) is None


def test_a_listed_signer_does_not_vouch_for_others(world, pki):
    authority, other = signer(pki.stranger), signer(pki.stranger, "Other")
    leaf, result = listed(world, other, authority, certs=[other])
    assert says(result, "not-authorised") and result.code == 75, result
    assert world.der(leaf) is None


def test_a_listed_signers_response_must_be_about_this_certificate(world, pki):
    authority = signer(pki.stranger)
    leaf = world.leaf()
    path = authority.write(world.folder / "signers.pem")
    world.responder.serve(Answer(Response([Single(serial=7)],
                                          signer=authority)))
    result = fetch_with(world, leaf, signers=str(path))
    assert says(result, "wrong-cert") and result.code == 75, result


# ---- how long it lives -----------------------------------------------------------

@pytest.mark.row("ocsp: signer cert expiry shortens life")
def test_life_ends_with_the_signers_certificate(world, pki):
    leaf = world.leaf()
    delegate = signer(pki.ca, days=1)
    world.responder.serve(Answer(Response(signer=delegate)))
    world.fetch(leaf, code=0)
    assert world.meta(leaf)["life_end"] == int(
        delegate.cert.not_valid_after.replace(tzinfo=timezone.utc).timestamp())


@pytest.mark.row("ocsp: response outliving the leaf")
def test_life_ends_with_the_certificate(world):
    leaf = world.leaf(days=1)
    world.fetch(leaf, code=0)
    assert world.meta(leaf)["life_end"] == int(
        leaf.cert.not_valid_after.replace(tzinfo=timezone.utc).timestamp())
