"""TLS as clients see it: versions, certificates, names, and what is no TLS."""
import socket
import ssl

import ocsp
import pytest
from gate import HOST, Client, Handshake, gate, request  # noqa: F401

RSA_13 = ("-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256")
ECDSA_13 = ("-tls1_3", "-sigalgs", "ECDSA+SHA256")
RSA_12 = ("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256")
ECDSA_12 = ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256")


@pytest.fixture
def pair(gate, pki):  # noqa: F811
    """An ECDSA and an RSA certificate of one name, each with its staple."""
    leaves = {"ECDSA": pki.leaf(HOST), "RSA": pki.leaf(HOST, kind="rsa")}
    staples = {}
    for kind, leaf in leaves.items():
        staples[kind] = ocsp.good(leaf)
        gate.store(leaf, staples[kind])
    gate.start(spool=str(gate.spool), site={"certificates": [
        gate.pair(leaf) for leaf in leaves.values()]})
    return staples


@pytest.mark.short
@pytest.mark.row("proxy: RSA + ECDSA on one name")
@pytest.mark.row("proxy: OCSP staple source, default")
@pytest.mark.parametrize("words,kind,version", [
    (RSA_12, "RSA", "TLSv1.2"), (ECDSA_12, "ECDSA", "TLSv1.2"),
    (RSA_13, "RSA", "TLSv1.3"), (ECDSA_13, "ECDSA", "TLSv1.3")],
    ids=["rsa-1.2", "ecdsa-1.2", "rsa-1.3", "ecdsa-1.3"])
def test_each_kind_of_key_has_its_own_staple(gate, pair, words, kind,  # noqa: F811
                                             version):
    shake = Handshake(gate, *words)
    assert shake.is_good, shake
    assert (shake.version, shake.key_kind) == (version, kind)
    assert shake.has_staple() and shake.has_staple(pair[kind])
    other = "RSA" if kind == "ECDSA" else "ECDSA"
    assert not shake.has_staple(pair[other])


@pytest.mark.row("proxy: OCSP staple source, default")
@pytest.mark.parametrize("words", [RSA_12, ECDSA_13], ids=["1.2", "1.3"])
def test_no_staple_for_a_client_that_does_not_ask(gate, pair, words):  # noqa: F811
    shake = Handshake(gate, *words, status=False)
    assert shake.is_good
    assert not any(shake.has_staple(der) for der in pair.values())


@pytest.mark.row("proxy: TLS handshake")
@pytest.mark.parametrize("words", [
    ("-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"),
    ("-tls1", "-cipher", "DEFAULT:@SECLEVEL=0")], ids=["1.1", "1.0"])
def test_older_tls_is_refused(gate, pair, words):  # noqa: F811
    shake = Handshake(gate, *words)
    assert "alert protocol version" in shake.out, shake


@pytest.mark.row("proxy: TLS handshake")
def test_min_tls_refuses_1_2(gate):  # noqa: F811
    gate.start(site={"min_tls": "1.3"})
    assert "alert protocol version" in Handshake(gate, "-tls1_2").out
    assert Handshake(gate, "-tls1_3").is_good


@pytest.mark.row("proxy: TLS handshake")
def test_client_renegotiation_is_refused(gate, pair):  # noqa: F811
    import subprocess
    peer = subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{gate.port}",
         "-servername", HOST, "-tls1_2", "-legacy_renegotiation"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)
    try:
        out = b""
        while b"Extended master secret" not in out:
            data = peer.stdout.read1(4096)
            assert data, out
            out += data
        peer.stdin.write(b"R\n")
        peer.stdin.flush()
        out, _ = peer.communicate(timeout=20)
    finally:
        peer.kill()
    assert b"RENEGOTIATING" in out
    assert b"no renegotiation" in out or b"alert" in out, out
    assert Handshake(gate).is_good


# ---- names --------------------------------------------------------------------------

@pytest.fixture
def two_sites(gate, pki):  # noqa: F811
    """Two named sites, no default one."""
    sites = []
    for name in ("one.example.org", "*.two.example.org"):
        root = gate.folder / name.strip("*.")
        root.mkdir()
        (root / "index.html").write_text(name)
        sites.append(gate.site({"/": {"files": {"root": str(root)}}},
                               pki.leaf(name), hosts=[name]))
    gate.start(sites=sites)
    return sites


@pytest.mark.short
@pytest.mark.row("proxy: TLS")
def test_the_name_chooses_the_certificate(gate, two_sites):  # noqa: F811
    for name in ("one.example.org", "a.two.example.org"):
        # the context checks that the certificate has the name
        with gate.tls(name) as client:
            got = client.get("/", host=name)
            assert got.status == 200
            assert got.text.strip("*.") in name


@pytest.mark.row("proxy: TLS")
def test_an_unknown_name_gets_unrecognized_name(gate, two_sites):  # noqa: F811
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        gate.tls("three.example.org")
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        gate.tls("two.example.org")


@pytest.mark.short
@pytest.mark.row("proxy: TLS")
@pytest.mark.parametrize("host,status", [
    ("one.example.org", 200), ("ONE.example.org", 200),
    ("one.example.org:443", 200), ("one.example.org.", None),
    ("a.two.example.org", 421), ("unknown.example.org", 421)])
def test_another_host_than_the_name_is_misdirected(gate, two_sites,  # noqa: F811
                                                   host, status):
    with gate.tls("one.example.org") as client:
        got = client.get("/", host=host)
        assert got.status == status or status is None and \
            got.status in (200, 421)


@pytest.mark.row("proxy: TLS")
def test_without_a_name_the_default_site_serves(gate, pki):  # noqa: F811
    leaf = pki.leaf(HOST)
    other = pki.leaf("other.example.org")
    gate.start(sites=[gate.site(None, other, hosts=["other.example.org"]),
                      gate.site(None, leaf, hosts=["*"])])
    shake = Handshake(gate, name=None)
    assert leaf.der in shake.bytes and other.der not in shake.bytes


# ---- what is no TLS ------------------------------------------------------------------

@pytest.mark.short
@pytest.mark.row("proxy: TLS")
def test_plain_http_on_a_tls_port_is_told_so(gate):  # noqa: F811
    gate.start()
    with Client(gate.port) as client:
        client.send(request("/"))
        out = client.rest()
    assert out.startswith(b"HTTP/1.1 400 "), out
    assert out.count(b"HTTP/1.1") == 1
    assert Handshake(gate).is_good


GARBAGE = [
    ("zeros", b"\0" * 600), ("text", b"hello there\r\n" * 50),
    ("a record of 64 KiB", b"\x16\x03\x01\xff\xff" + b"\0" * 9000),
    ("an alert", b"\x15\x03\x01\x00\x02\x02\x28"),
    ("application data", b"\x17\x03\x03\x00\x20" + b"\0" * 32),
    ("a cut hello", b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03"),
    ("nothing", b""), ("a proxy line", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n"),
    ("random", bytes((at * 197 + 13) % 256 for at in range(5000))),
]


@pytest.mark.short
@pytest.mark.row("proxy: TLS")
def test_garbage_ends_that_connection_only(gate):  # noqa: F811
    daemon = gate.start()
    worker = daemon.worker
    for name, data in GARBAGE:
        with Client(gate.port) as client:
            client.send(data)
            client.end()
            out = client.rest()
            assert not out.startswith(b"HTTP/1.1 2"), name
    assert Handshake(gate).is_good
    assert daemon.worker == worker


@pytest.mark.row("proxy: Slow clients")
def test_a_silent_handshake_ends_by_its_deadline(gate):  # noqa: F811
    gate.start(site={"limits": {"handshake_timeout": "300ms"}})
    with Client(gate.port) as client:
        client.send(b"\x16\x03\x01")
        assert client.is_ended()
    with Client(gate.port) as client:
        assert client.is_ended()


@pytest.mark.short
@pytest.mark.row("proxy: TLS")
def test_a_handshake_byte_by_byte(gate):  # noqa: F811
    """The client's flights arrive in single bytes, so do its records."""
    gate.start()
    inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = gate.context().wrap_bio(inside, outside, server_hostname=HOST)
    with Client(gate.port) as raw:
        def pump(step):
            while True:
                try:
                    done = step()
                except ssl.SSLWantReadError:
                    done = None
                raw.drip(outside.read())
                if done is not None:
                    return done
                data = raw.sock.recv(65536)
                assert data
                inside.write(data)
        pump(lambda: tls.do_handshake() or True)
        pump(lambda: tls.write(request("/", "Connection: close")))
        assert pump(lambda: tls.read(100)).startswith(b"HTTP/1.1 ")


@pytest.mark.row("proxy: TLS")
def test_a_handshake_may_end_at_any_point(gate):  # noqa: F811
    """A hello cut at each of its bytes leaves no descriptor behind."""
    from gate import open_fds
    from harness import wait_until
    daemon = gate.start()
    outside = ssl.MemoryBIO()
    tls = gate.context().wrap_bio(ssl.MemoryBIO(), outside,
                                  server_hostname=HOST)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outside.read()
    assert Handshake(gate).is_good
    before = len(open_fds(daemon.worker))
    for size in range(0, len(hello) + 1, 7):
        client = Client(gate.port)
        client.send(hello[:size])
        client.reset() if size % 2 else client.close()
    wait_until(lambda: len(open_fds(daemon.worker)) <= before,
               "descriptors back")


@pytest.mark.row("proxy: TLS")
def test_close_notify_is_answered(gate):  # noqa: F811
    gate.start()
    client = gate.tls()
    client.get("/")
    plain = client.sock.unwrap()       # raises when it was not answered
    assert plain.recv(1) == b""
    plain.close()


@pytest.mark.row("proxy: TLS")
def test_a_response_that_waits_for_close_ends_with_close_notify(gate):  # noqa: F811
    """Truncation is seen: our end is told inside TLS (RFC 8446 6.1)."""
    gate.start()
    client = gate.tls(context=gate.context())
    client.sock.suppress_ragged_eofs = False
    client.send(request("/", "Connection: close"))
    out = b""
    while data := client.sock.recv(65536):
        out += data
    assert out.startswith(b"HTTP/1.1 ")
    client.close()


@pytest.mark.row("proxy: Session tickets")
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_session_resumes(gate, version):  # noqa: F811
    gate.start()
    context = gate.context(maximum_version=getattr(ssl.TLSVersion, version))
    with gate.tls(context=context) as client:
        client.get("/")
        session = client.sock.session
    sock = socket.create_connection(("127.0.0.1", gate.port), 20)
    again = context.wrap_socket(sock, server_hostname=HOST, session=session)
    assert again.session_reused
    again.close()


@pytest.mark.row("proxy: HTTP/2")
def test_alpn_offers_http_1_1_and_nothing_else(gate):  # noqa: F811
    gate.start()
    context = gate.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with gate.tls(context=context) as client:
        assert client.sock.selected_alpn_protocol() == "http/1.1"
        assert client.get("/").status in (200, 404)
    context.set_alpn_protocols(["h2"])
    try:
        with gate.tls(context=context) as client:
            assert client.sock.selected_alpn_protocol() is None
    except ssl.SSLError as why:
        said = str(why).lower().replace("_", " ")
        assert "no application protocol" in said


@pytest.mark.row("proxy: Session tickets")
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_session_of_one_site_is_none_of_another(gate, two_sites, version):  # noqa: F811
    context = gate.context(maximum_version=getattr(ssl.TLSVersion, version))
    with gate.tls("one.example.org", context) as client:
        client.get("/", host="one.example.org")
        session = client.sock.session
    sock = socket.create_connection(("127.0.0.1", gate.port), 20)
    again = context.wrap_socket(sock, server_hostname="a.two.example.org",
                                session=session)
    assert not again.session_reused
    again.close()


@pytest.mark.row("proxy: TLS")
def test_an_absolute_target_cannot_pass_by_the_name(gate, two_sites):  # noqa: F811
    """Its authority counts, not the Host beside it (RFC 9112 3.2.2)."""
    with gate.tls("one.example.org") as client:
        got = client.get("https://a.two.example.org/",
                         host="one.example.org")
        assert got.status == 421


@pytest.mark.row("proxy: TLS")
def test_a_listener_of_ipv6(gate):  # noqa: F811
    from backends import Backend, serve_echo
    from gate import Pipe
    if not socket.has_ipv6:
        pytest.skip("no IPv6 on this machine")
    with Backend(serve_echo) as backend:
        gate.start({"/": {"proxy": backend.server}}, site={"listen": [
            {"address": f"[::1]:{gate.plain}", "tls": False}]})
        pipe = Pipe(socket.create_connection(("::1", gate.plain), 20))
        pipe.send(request("/", host=f"[::1]:{gate.plain}"))
        got = pipe.head()
        pipe.read_body(got, True)
        seen = dict(got.json()["fields"])
        assert seen["X-Forwarded-For"] == seen["X-Real-IP"] == "::1"
        assert 'for="[::1]"' in seen["Forwarded"]
        pipe.close()


@pytest.mark.short
@pytest.mark.row("proxy: TLS")
def test_a_key_update_within_a_tunnel(gate):  # noqa: F811
    """Both sides' keys change between two pieces of data (RFC 8446 4.6.3)."""
    import subprocess
    from backends import Backend, tunnel_echo
    with Backend(tunnel_echo) as backend:
        gate.start({"/": {"websocket": backend.server}})
        peer = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{gate.port}",
             "-servername", HOST, "-tls1_3"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        seen = b""

        def say(data, until):
            nonlocal seen
            peer.stdin.write(data)
            peer.stdin.flush()
            while until not in seen:
                piece = peer.stdout.read1(65536)
                assert piece, seen[-2000:]
                seen += piece
            seen = seen.split(until, 1)[1]
        try:
            say(b"", b"Verify return code")
            say(request("/", "Connection: Upgrade", "Upgrade: websocket",
                        "Sec-WebSocket-Version: 13",
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
                b" 101 ")
            for at in range(5):
                say(b"K\n", b"KEYUPDATE")
                text = b"some data %d" % at
                say(text + b"\n", text)
                say(b"k\n", b"KEYUPDATE")
        finally:
            peer.kill()
            peer.wait()
        assert Handshake(gate).is_good


@pytest.mark.row("proxy: Half-close")
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_close_notify_is_a_half_close_of_a_tunnel(gate, version):  # noqa: F811
    """What the backend still says behind it arrives (RFC 8446 6.1)."""
    from backends import Backend

    def script(connection):
        connection.accept_upgrade(connection.request())
        got = connection.rest()
        connection.send(b"after your end: " + got)
    with Backend(script) as backend:
        gate.start({"/": {"websocket": backend.server}})
        inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = gate.context(maximum_version=getattr(
            ssl.TLSVersion, version)).wrap_bio(inside, outside,
                                               server_hostname=HOST)
        with Client(gate.port) as raw:
            def pump(step, feed=True):
                while True:
                    try:
                        done = step()
                    except ssl.SSLWantReadError:
                        done = None
                    raw.send(outside.read())
                    if done is not None or not feed:
                        return done
                    data = raw.sock.recv(65536)
                    inside.write(data) if data else inside.write_eof()
            pump(lambda: tls.do_handshake() or True)
            pump(lambda: tls.write(request(
                "/", "Connection: Upgrade", "Upgrade: websocket",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")))
            assert b" 101 " in pump(lambda: tls.read(4096))
            pump(lambda: tls.write(b"x" * 10000))
            pump(tls.unwrap, feed=False)        # our close_notify
            out = b""
            if version == "TLSv1_2":
                # OpenSSL's client reads nothing behind its own close_notify:
                # what came is seen on the wire, as more than an alert
                while data := raw.sock.recv(65536):
                    out += data
                assert len(out) > 10000
                return
            while True:
                try:
                    data = pump(lambda: tls.read(65536))
                except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                    break
                if not data:
                    break
                out += data
            assert out == b"after your end: " + b"x" * 10000
