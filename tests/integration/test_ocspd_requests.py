"""What ocspd asks and whom: the form of its requests as the responder sees
them, which addresses it talks to, and how long it waits."""
import base64
import threading
import time
import urllib.parse

import pytest

import harness
import ocsp
from ocsp import Response, Single
from responder import Answer, Responder
from world import says


# ---- form ------------------------------------------------------------------------

@pytest.mark.short
@pytest.mark.row("ocsp: method")
@pytest.mark.row("ocsp: CertID hash")
@pytest.mark.row("ocsp: nonce")
def test_asks_by_get_with_a_sha1_certid_and_nothing_else(world):
    leaf = world.leaf()
    world.fetch(leaf, code=0)
    (seen,) = world.responder.requests
    assert seen.method == "GET"
    assert seen.asked == ocsp.Asked("sha1", leaf.serial, 1, False)
    assert len(world.responder.url) - 1 + len(seen.path) <= 255
    text = seen.path[1:]
    assert not set("+/=") & set(text), text
    base64.b64decode(urllib.parse.unquote(text), validate=True)
    headers = {name.lower(): value for name, value in seen.headers.items()}
    assert headers["accept"] == "application/ocsp-response"
    assert not {"cookie", "expect", "referer"} & set(headers)


@pytest.mark.row("ocsp: method")
@pytest.mark.parametrize("path", ["", "/", "/ocsp", "/ocsp/"])
def test_puts_exactly_one_slash_before_the_request(world, path):
    base = world.responder.url.rstrip("/")
    leaf = world.leaf(urls=[base + path])
    world.fetch(leaf, code=0)
    (seen,) = world.responder.requests
    before = seen.path.rsplit("/", 1)[0]
    assert before == path.rstrip("/")
    assert seen.asked.serial == leaf.serial


@pytest.mark.short
@pytest.mark.row("ocsp: method")
def test_asks_by_post_when_the_url_would_be_too_long(world):
    leaf = world.leaf(urls=[world.responder.url + "x" * 200])
    world.fetch(leaf, code=0)
    (seen,) = world.responder.requests
    assert seen.method == "POST"
    assert seen.headers["Content-Type"] == "application/ocsp-request"
    assert seen.asked == ocsp.Asked("sha1", leaf.serial, 1, False)
    assert seen.path == "/" + "x" * 200
    assert "Expect" not in seen.headers


@pytest.mark.short
@pytest.mark.row("ocsp: method")
@pytest.mark.parametrize("bad", [
    Answer(only_post=True), ], ids=["GET-refused"])
def test_falls_back_to_post_once(world, bad):
    leaf = world.leaf()
    world.responder.serve(bad)
    world.fetch(leaf, code=0)
    assert [seen.method for seen in world.responder.requests] == [
        "GET", "POST"]


@pytest.mark.row("ocsp: method")
@pytest.mark.parametrize("bad", [
    Answer(b"<html>", content_type="text/html"), Answer(b"no", code=404),
    Answer(b"noise")], ids=["HTML", "404", "noise"])
def test_a_bad_get_is_asked_again_by_post(world, bad):
    leaf = world.leaf()
    world.responder.serve([bad, Answer()])
    world.fetch(leaf, code=0)
    assert [seen.method for seen in world.responder.requests] == [
        "GET", "POST"]


@pytest.mark.row("ocsp: CertID hash")
@pytest.mark.parametrize("first", [
    Response(outer=ocsp.UNAUTHORIZED), Response([Single(serial=7)])],
    ids=["unauthorized", "wrong-cert"])
def test_asks_with_sha256_where_sha1_is_not_known(world, first):
    leaf = world.leaf()

    def answer(_, now):
        asked = world.responder.requests[-1].asked
        if asked.digest == "sha1":
            return first.write(leaf, now)
        return ocsp.good(leaf, now, digest="sha256")
    world.responder.serve(Answer(answer))
    result = world.fetch(leaf, code=0)
    assert says(result, "good"), result
    assert world.responder.requests[-1].asked.digest == "sha256"


@pytest.mark.row("ocsp: method")
def test_an_expired_answer_is_asked_again_past_the_cache(world):
    leaf = world.leaf()
    old = Response([Single(this=-86400, next=-1)])
    world.responder.serve([Answer(old), Answer()])
    world.fetch(leaf, code=0)
    first, second = world.responder.requests[:2]
    assert "Cache-Control" not in first.headers
    assert second.headers["Cache-Control"] == "no-cache"


# ---- which responder ----------------------------------------------------------------

@pytest.mark.row("ocsp: several AIA URLs tried")
def test_the_next_url_is_asked_when_the_first_is_down(world):
    dead = f"http://127.0.0.1:{harness.free_port()}/"
    leaf = world.leaf(urls=[dead, world.responder.url])
    world.fetch(leaf, code=0)
    assert world.meta(leaf)["source"].startswith(world.responder.url)


@pytest.mark.row("ocsp: several AIA URLs tried")
def test_the_next_url_is_asked_when_the_first_lies(world, pki):
    with Responder(pki) as liar:
        liar.serve(Answer(Response(forge=True)))
        leaf = world.leaf(urls=[liar.url, world.responder.url])
        world.fetch(leaf, code=0)
        assert liar.count() >= 1
        assert world.responder.count() == 1


@pytest.mark.row("ocsp: responder override")
def test_a_configured_responder_comes_instead_of_the_certificates(world, pki):
    with Responder(pki) as own:
        leaf = world.leaf()
        world.fetch(leaf, words=["--responder", own.url], code=0)
        assert own.count() == 1 and world.responder.count() == 0


@pytest.mark.row("ocsp: responder override")
def test_an_empty_responder_means_nobody_is_asked(world):
    leaf = world.leaf()
    config = world.config(rows=[{"path": str(leaf.path), "responder": ""}])
    world.fetch_config(config)
    assert world.responder.count() == 0
    assert world.der(leaf) is None


def test_a_certificate_without_a_url_is_named_and_not_asked_about(world):
    leaf = world.leaf(urls=[])
    result = world.fetch(leaf)
    assert world.responder.count() == 0
    assert says(result, "none"), result


@pytest.mark.row("ocsp: issuer found by")
def test_the_issuer_may_come_from_a_file_of_its_own(world):
    leaf = world.leaf()
    leaf.write(leaf.path)     # the leaf alone
    result = world.fetch(leaf)
    assert result.code != 0 and world.der(leaf) is None
    world.fetch(leaf, words=["--issuer", world.ca_file], code=0)


@pytest.mark.row("ocsp: several certs per site (RSA+ECDSA)")
def test_several_certificates_of_one_name_each_get_their_own(world):
    ec_leaf = world.leaf()
    rsa_leaf = world.leaf(kind="rsa")
    result = world.fetch(ec_leaf, rsa_leaf, code=0)
    assert len([line for line in result.out.splitlines() if line]) == 2
    assert world.der(ec_leaf) and world.der(rsa_leaf)
    assert world.der(ec_leaf) != world.der(rsa_leaf)


@pytest.mark.row("ocsp: stuck job isolated")
def test_one_bad_certificate_does_not_spoil_the_others(world):
    fine, bad = world.leaf(), world.leaf("bad.example.org")
    world.responder.serve(Answer(Response(forge=True)), bad)
    result = world.fetch(bad, fine, code=75)
    assert world.der(fine) and world.der(bad) is None
    assert says(result, "good") and says(result, "bad-signature"), result


# ---- addresses ------------------------------------------------------------------------

@pytest.mark.short
@pytest.mark.row("ocsp: SSRF screening of AIA URL")
def test_loopback_from_a_certificate_is_refused_by_default(world):
    leaf = world.leaf()
    result = world.fetch(leaf, allow=False, code=75)
    assert says(result, "address-refused"), result
    assert world.responder.count() == 0


@pytest.mark.row("ocsp: SSRF screening of AIA URL")
@pytest.mark.parametrize("host", ["localhost", "0.0.0.0", "[::1]",
                                  "[::ffff:127.0.0.1]", "2130706433",
                                  "0x7f.1", "127.1"])
def test_no_spelling_of_loopback_gets_through(world, host):
    leaf = world.leaf(urls=[f"http://{host}:{world.responder.port}/"])
    world.fetch(leaf, allow=False, code=75)
    assert world.responder.count() == 0


@pytest.mark.row("ocsp: redirects")
@pytest.mark.row("ocsp: SSRF screening of AIA URL")
def test_each_hop_of_a_redirect_is_screened(world, pki):
    with Responder(pki, address="127.0.0.2") as inner:
        leaf = world.leaf()
        world.responder.serve(Answer(code=302, location=inner.url + "x"))
        config = world.config(leaf, allow_addresses=["127.0.0.1/32"])
        result = world.fetch_config(config, code=75)
        assert says(result, "address-refused"), result
        assert world.responder.count() >= 1 and inner.count() == 0


def test_a_responder_that_the_operator_named_is_not_screened(world):
    leaf = world.leaf()
    world.fetch(leaf, allow=False,
                words=["--responder", world.responder.url], code=0)


@pytest.mark.row("ocsp: SSRF screening of AIA URL")
def test_public_only_refuses_what_is_allowed_by_default(world):
    leaf = world.leaf(urls=["http://10.255.255.1:9/"])
    config = world.config(leaf, fetch={"public_only": "true",
                                       "timeout": "2s"})
    result = world.fetch_config(config, code=75)
    assert says(result, "address-refused"), result


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "file:///etc/passwd",
                                 "gopher://127.0.0.1/", "ldap://127.0.0.1/"])
@pytest.mark.row("ocsp: SSRF screening of AIA URL")
def test_other_schemes_are_not_even_urls(world, url):
    leaf = world.leaf(urls=[url])
    result = world.fetch(leaf)
    assert world.der(leaf) is None
    assert says(result, "none"), result


# ---- redirects and time ------------------------------------------------------------------

@pytest.mark.row("ocsp: redirects")
def test_a_redirect_is_followed(world, pki):
    with Responder(pki) as second:
        leaf = world.leaf()
        world.responder.serve(Answer(
            lambda _, now: b"", code=301,
            location=second.url + "there"))
        second.serve(Answer(lambda _, now: ocsp.good(leaf, now)))
        world.fetch(leaf, code=0)
        assert second.requests[0].path == "/there"


@pytest.mark.short
@pytest.mark.row("ocsp: redirects")
def test_a_loop_of_redirects_ends(world):
    leaf = world.leaf()
    world.responder.serve(Answer(location="loop"))
    result = world.fetch(leaf, code=75)
    assert says(result, "redirects"), result
    # GET and POST, each with two redirects followed
    assert world.responder.count() <= 6


@pytest.mark.row("ocsp: redirects")
def test_a_redirect_to_another_scheme_is_refused(world):
    leaf = world.leaf()
    world.responder.serve(Answer(code=302, location="file:///etc/passwd"))
    result = world.fetch(leaf, code=75)
    assert says(result, "redirects"), result


SLOW = [
    ("hangs", Answer(hang=True), "timeout"),
    ("drips a byte at a time", Answer(drip=0.3), "timeout"),
]


@pytest.mark.row("ocsp: connect / total timeout")
@pytest.mark.parametrize("sentence,answer,word", SLOW,
                         ids=["hangs", "drips"])
def test_a_responder_that_takes_too_long_is_given_up(world, sentence, answer,
                                                     word):
    leaf = world.leaf()
    world.responder.serve(answer)
    config = world.config(leaf, fetch={"timeout": "1s"})
    start = time.monotonic()
    result = world.fetch_config(config, code=75)
    assert says(result, word), result
    assert world.der(leaf) is None
    # GET and POST at most, a second each, and a slow machine
    assert time.monotonic() - start < 15


@pytest.mark.row("ocsp: connect / total timeout")
@pytest.mark.parametrize("answer", [Answer(reset=True), Answer(cut=50)],
                         ids=["reset", "cut"])
def test_a_connection_that_breaks_gives_no_staple(world, answer):
    leaf = world.leaf()
    world.responder.serve(answer)
    world.fetch(leaf, code=75)
    assert world.der(leaf) is None
    assert world.meta(leaf)["failures"] >= 1


def test_nobody_listening_is_said(world):
    leaf = world.leaf(urls=[f"http://127.0.0.1:{harness.free_port()}/"])
    result = world.fetch(leaf, code=75)
    assert says(result, "connect"), result


def test_a_name_that_does_not_resolve_is_said(world):
    leaf = world.leaf(urls=["http://no-such-host.invalid/"])
    config = world.config(leaf, fetch={"timeout": "3s"})
    result = world.fetch_config(config, code=75)
    assert says(result, "dns") or says(result, "timeout"), result


@pytest.mark.row("ocsp: stuck job isolated")
def test_a_hanging_responder_delays_only_its_own(world, pki):
    with Responder(pki) as stuck:
        stuck.serve(Answer(hang=True))
        bad = [world.leaf(f"{n}.bad.example.org", urls=[stuck.url])
               for n in range(4)]
        fine = [world.leaf(f"{n}.example.org") for n in range(4)]
        config = world.config(*bad, *fine, fetch={"timeout": "20s"})
        with world.daemon(config):
            for leaf in fine:
                world.wait_staple(leaf, timeout=10)
            assert not any(world.der(leaf) for leaf in bad)


@pytest.mark.row("ocsp: concurrency")
def test_at_most_two_requests_at_once_to_one_responder(world):
    gate, most = threading.Event(), [0, 0]
    lock = threading.Lock()

    def answer(leaf, now):
        with lock:
            most[0] += 1
            most[1] = max(most)
        gate.wait(0.05)
        with lock:
            most[0] -= 1
        return ocsp.good(leaf, now)
    world.responder.serve(Answer(answer))
    leaves = [world.leaf(f"{n}.example.org") for n in range(12)]
    world.fetch(*leaves, code=0)
    assert all(world.der(leaf) for leaf in leaves)
    assert most[1] <= 2


@pytest.mark.row("ocsp: http proxy")
def test_a_proxy_from_the_configuration_is_used(world, pki):
    """The responder plays the proxy: it gets the whole URL as its path."""
    leaf = world.leaf(urls=["http://ocsp.example.invalid/"])
    config = world.config(rows=[{
        "path": str(leaf.path), "proxy": world.responder.url.rstrip("/")}])
    world.fetch_config(config, code=0)
    assert world.responder.requests[0].path.startswith(
        "http://ocsp.example.invalid/")


@pytest.mark.row("ocsp: http proxy")
def test_a_proxy_from_the_environment_is_not_used(world, pki):
    with Responder(pki) as proxy:
        leaf = world.leaf()
        world.run("fetch", "--spool", world.spool, "--allow-address",
                  "127.0.0.0/8", leaf.path, code=0,
                  env={"http_proxy": proxy.url, "ALL_PROXY": proxy.url})
        assert proxy.count() == 0 and world.responder.count() == 1
