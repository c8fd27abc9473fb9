"""HTTP/1.1 on the wire: what is refused, how messages are framed, in which
order they are answered, how long anybody may take."""
import hashlib
import os
import re
import socket
import struct
import threading
import time

import pytest
from backends import Backend, one, reply, serve_echo
from gate import HOST, Pipe, gate, request, shared_gate  # noqa: F401

H = b"Host: www.example.org\r\n"
CHUNKED = b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def echo():
    with Backend(serve_echo) as made:
        yield made


@pytest.fixture(scope="module")
def served(shared_gate, echo):  # noqa: F811
    """One wsgate in front of the echo, for every test that harms nothing."""
    shared_gate.start({"/": {"proxy": echo.server}})
    return shared_gate


def line(text):
    return text.encode("latin-1") + b"\r\n" + H + b"\r\n"


def field(text):
    return b"GET / HTTP/1.1\r\n" + H + text + b"\r\n\r\n"


def post(text):
    return b"POST / HTTP/1.1\r\n" + H + text


REFUSED = [
    # the request line
    ("HTTP/0.9", 400, b"GET /\r\n\r\n"),
    ("HTTP/2.0", 505, line("GET / HTTP/2.0")),
    ("the preface of HTTP/2", 505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("HTTP/1.2", 505, line("GET / HTTP/1.2")),
    ("HTTP/0.9 written out", 505, line("GET / HTTP/0.9")),
    ("a version of two digits", 400, line("GET / HTTP/1.10")),
    ("http in lower case", 400, line("GET / http/1.1")),
    ("RTSP", 400, line("DESCRIBE / RTSP/1.0")),
    ("a method of RTSP", 501, line("SETUP / HTTP/1.1")),
    ("ICE", 400, line("SOURCE / ICE/1.0")),
    ("a method of ICE", 501, line("SOURCE / HTTP/1.1")),
    ("an unknown method", 501, line("BREW / HTTP/1.1")),
    ("a method in lower case", 501, line("get / HTTP/1.1")),
    ("two spaces before the target", 400, line("GET  / HTTP/1.1")),
    ("two spaces before the version", 400, line("GET /  HTTP/1.1")),
    ("a space in the target", 400, line("GET /a b HTTP/1.1")),
    ("a space at the end of the line", 400, line("GET / HTTP/1.1 ")),
    ("a tab in the line", 400, line("GET\t/ HTTP/1.1")),
    ("CONNECT", 501, line("CONNECT www.example.org:443 HTTP/1.1")),
    ("authority form", 400, line("GET www.example.org:443 HTTP/1.1")),
    ("a relative path", 400, line("GET a HTTP/1.1")),
    ("a foreign scheme", 400, line("GET ftp://www.example.org/ HTTP/1.1")),
    ("a fragment", 400, line("GET /a#b HTTP/1.1")),
    ("raw bytes in the target", 400, line("GET /\xe4 HTTP/1.1")),
    ("a backslash", 400, line("GET /a\\b HTTP/1.1")),
    ("an escaped NUL", 400, line("GET /a%00 HTTP/1.1")),
    ("a bad escape", 400, line("GET /a%zz HTTP/1.1")),
    # Host
    ("no Host", 400, b"GET / HTTP/1.1\r\nA: b\r\n\r\n"),
    ("two Hosts", 400, field(b"Host: b.example.org")),
    ("the same Host twice", 400, field(H[:-2])),
    ("an empty Host", 400, b"GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    ("a Host with a path", 400, b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    ("a Host with a user", 400, b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    ("a list of Hosts", 400, b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    # fields
    ("obs-fold", 400, field(b"A: b\r\n c")),
    ("obs-fold with a tab", 400, field(b"A: b\r\n\tc")),
    ("a folded start line", 400, b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    ("a space before the colon", 400, field(b"A : b")),
    ("a space in a name", 400, field(b"A b: c")),
    ("no colon", 400, field(b"Abc")),
    ("an empty name", 400, field(b": b")),
    ("bare LF after the line", 400, b"GET / HTTP/1.1\n" + H + b"\r\n"),
    ("bare LF after a field", 400, field(b"A: b\nC: d")),
    ("bare LF at the end", 400, b"GET / HTTP/1.1\r\n" + H + b"\n"),
    ("bare CR in a value", 400, field(b"A: b\rC: d")),
    ("NUL in a value", 400, field(b"A: b\0c")),
    ("a control byte in a value", 400, field(b"A: \x01")),
    # framing
    ("length and chunked", 400, post(
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
    ("chunked and length", 400, post(
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n")),
    ("two lengths", 400, post(
        b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc")),
    ("the same length twice", 400, post(
        b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc")),
    ("a list of lengths", 400, post(b"Content-Length: 3, 3\r\n\r\nabc")),
    ("a length with a sign", 400, post(b"Content-Length: +3\r\n\r\nabc")),
    ("a negative length", 400, post(b"Content-Length: -3\r\n\r\nabc")),
    ("a hexadecimal length", 400, post(b"Content-Length: 0x3\r\n\r\nabc")),
    ("a length beyond 64 bits", 400, post(
        b"Content-Length: 18446744073709551619\r\n\r\nabc")),
    ("chunked in HTTP/1.0", 400, b"POST / HTTP/1.0\r\n" + H +
     b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("gzip, chunked", 400, post(
        b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")),
    ("chunked, gzip", 400, post(
        b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n")),
    ("chunked, chunked", 400, post(
        b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n")),
    ("xchunked", 400, post(b"Transfer-Encoding: xchunked\r\n\r\n")),
    ("identity", 400, post(b"Transfer-Encoding: identity\r\n\r\n")),
    ("a coding with a vertical tab", 400, post(
        b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n")),
    ("a hidden coding", 400, post(
        b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n")),
    ("two codings", 400, post(
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"
        b"0\r\n\r\n")),
    # limits
    ("a target of 9000 bytes", 414, line(f"GET /{'a' * 9000} HTTP/1.1")),
    ("a field of 40000 bytes", 431, field(b"A: " + b"b" * 40000)),
    ("200 fields", 431, field(b"\r\n".join(b"A: b" for _ in range(200)))),
    ("a start line without end", 414, b"GET /" + b"a" * 70000),
]
HIDDEN = b"GET /hidden HTTP/1.1\r\n" + H + b"\r\n"


@pytest.mark.short
@pytest.mark.row("proxy: Length ambiguity (CL+TE, bare LF, bad chunks)")
@pytest.mark.row("proxy: Header limits")
@pytest.mark.parametrize("status,data", [row[1:] for row in REFUSED],
                         ids=[row[0].replace(" ", "-") for row in REFUSED])
def test_one_refusal_and_the_end(served, echo, status, data):
    """What follows the refused request is never looked at."""
    before = len(echo.seen)
    for cut in (len(data), len(data) // 2):
        with served.client() as client:
            client.send(data[:cut])
            client.send(data[cut:] + HIDDEN)
            out = client.rest()
            assert out.startswith(f"HTTP/1.1 {status} ".encode()), out[:300]
            assert out.count(b"HTTP/1.1 ") == 1
            assert b"Connection: close\r\n" in out
    assert [seen.target for seen in echo.seen[before:]
            if seen.target == "/hidden"] == []
    assert len(echo.seen) == before


BAD_CHUNKS = [
    ("no size", b"\r\nabc\r\n"), ("0x", b"0x3\r\nabc\r\n"),
    ("a sign", b"+3\r\nabc\r\n"), ("minus", b"-3\r\nabc\r\n"),
    ("overflow", b"10000000000000000\r\n"),
    ("a space before", b" 3\r\nabc\r\n"), ("no hex", b"g\r\nabc\r\n"),
    ("bare LF after the size", b"3\nabc\r\n"),
    ("bare LF after the data", b"3\r\nabc\n0\r\n\r\n"),
    ("more data than told", b"3\r\nabcd\r\n0\r\n\r\n"),
    ("no line end after the data", b"3\r\nabc0\r\n\r\n"),
    ("a bare CR after the size", b"3\rabc\r\n"),
    ("LF in an extension", b"3;a\nb\r\nabc\r\n"),
    ("an extension without end", b"3;" + b"a" * 70000 + b"\r\nabc\r\n"),
    ("a folded trailer", b"0\r\nA: b\r\n c\r\n\r\n"),
    ("a trailer with a bare LF", b"0\r\nA: b\n\r\n"),
    ("a trailer without colon", b"0\r\nabc\r\n\r\n"),
    ("endless trailers", b"0\r\n" + b"A: b\r\n" * 20000 + b"\r\n"),
]


@pytest.mark.row("proxy: Length ambiguity (CL+TE, bare LF, bad chunks)")
@pytest.mark.parametrize("data", [row[1] for row in BAD_CHUNKS],
                         ids=[row[0].replace(" ", "-") for row in BAD_CHUNKS])
def test_a_bad_chunk_ends_the_connection(served, echo, data):
    before = [seen.target for seen in echo.seen]
    with served.client() as client:
        client.send(CHUNKED + b"2\r\nxy\r\n" + data + HIDDEN)
        out = client.rest()
    assert re.match(rb"HTTP/1\.1 4\d\d ", out), out[:300]
    assert out.count(b"HTTP/1.1 ") == 1
    # the body never became a whole one for the backend
    assert [seen.target for seen in echo.seen] == before


# What one of two readers may take for a second request: there is one answer,
# or there are two requests in both eyes.
SMUGGLED = [
    ("CL.TE", post(b"Content-Length: 44\r\nTransfer-Encoding: chunked\r\n"
                   b"\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n")),
    ("TE.CL", post(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n"
                   b"24\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n\r\n"
                   b"0\r\n\r\n")),
    ("TE.TE", post(b"Transfer-Encoding: chunked\r\n"
                   b"Transfer-Encoding: x\r\nContent-Length: 3\r\n\r\n"
                   b"0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n")),
    ("a line of its own", post(
        b"X: y\rTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n"
        b"0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n")),
    ("a length after a NUL", post(
        b"X: y\0\r\nContent-Length: 4\r\n\r\nabcdGET /hidden HTTP/1.1\r\n"
        b"Host: a\r\n\r\n")),
    ("Content_Length", post(
        b"Content_Length: 44\r\nContent-Length : 3\r\n\r\nabc" + HIDDEN)),
    ("0.CL in a GET", b"GET / HTTP/1.1\r\n" + H +
     b"Content-Length: 5, 5\r\n\r\nGET /hidden HTTP/1.1\r\n\r\n"),
]


@pytest.mark.short
@pytest.mark.row("proxy: Length ambiguity (CL+TE, bare LF, bad chunks)")
@pytest.mark.parametrize("data", [row[1] for row in SMUGGLED],
                         ids=[row[0].replace(" ", "-") for row in SMUGGLED])
def test_nothing_is_smuggled(served, echo, data):
    before = len(echo.seen)
    with served.client() as client:
        client.send(data)
        out = client.rest()
    assert out.count(b"HTTP/1.1 ") == 1, out
    assert b" 400 " in out.split(b"\r\n")[0]
    assert len(echo.seen) == before


# ---- what passes -----------------------------------------------------------------------

PASSED = [
    ("an absolute target", b"GET http://www.example.org/x?y HTTP/1.1\r\n" +
     H + b"\r\n", "/x?y"),
    ("dot segments", b"GET /a/./b/../c HTTP/1.1\r\n" + H + b"\r\n", "/a/c"),
    ("above the root", b"GET /../../x HTTP/1.1\r\n" + H + b"\r\n", None),
    ("escaped letters", b"GET /%61%2Fb%20 HTTP/1.1\r\n" + H + b"\r\n",
     "/a%2Fb%20"),
    ("two slashes", b"GET //a HTTP/1.1\r\n" + H + b"\r\n", "//a"),
    ("an empty query", b"GET /? HTTP/1.1\r\n" + H + b"\r\n", "/?"),
    ("an empty line before", b"\r\nGET /e HTTP/1.1\r\n" + H + b"\r\n", "/e"),
    ("OPTIONS", b"OPTIONS /o HTTP/1.1\r\n" + H + b"\r\n", "/o"),
    ("a body with GET", b"GET /b HTTP/1.1\r\n" + H +
     b"Content-Length: 3\r\n\r\nabc", "/b"),
    ("a target of 8000 bytes", b"GET /" + b"a" * 7999 + b" HTTP/1.1\r\n" + H +
     b"\r\n", "/" + "a" * 7999),
    ("a field of 20000 bytes", field(b"A: " + b"b" * 20000), "/"),
]


@pytest.mark.row("proxy: Length ambiguity (CL+TE, bare LF, bad chunks)")
@pytest.mark.parametrize("data,target", [row[1:] for row in PASSED],
                         ids=[row[0].replace(" ", "-") for row in PASSED])
def test_what_is_right_passes_in_one_form(served, data, target):
    with served.client() as client:
        got = client.ask(data, "GET")
        if target is None:
            assert got.status in (200, 400)
        else:
            assert got.status == 200 and got.json()["target"] == target
        # the connection is still in step
        if got.status == 200:
            assert client.get("/next").json()["target"] == "/next"


@pytest.mark.short
@pytest.mark.row("proxy: Length ambiguity (CL+TE, bare LF, bad chunks)")
def test_a_request_byte_by_byte(served):
    with served.client() as client:
        client.drip(CHUNKED + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: u\r\n\r\n")
        got = client.response().json()
        assert got["body_sha256"] == hashlib.sha256(b"abcde").hexdigest()
        assert ["T", "u"] in got["trailers"] or got["trailers"] == []
        client.drip(request("/second"))
        assert client.response().json()["target"] == "/second"


@pytest.mark.row("proxy: Length ambiguity (CL+TE, bare LF, bad chunks)")
def test_bodies_are_encoded_anew(served):
    """Chunk sizes and extensions of the client never reach the backend."""
    with served.client() as client:
        got = client.ask(CHUNKED + b"0003;evil=1\r\nabc\r\n0\r\n\r\n")
        names = [name.lower() for name, _ in got.json()["fields"]]
        assert got.json()["body_size"] == 3
        assert ("transfer-encoding" in names) != ("content-length" in names)


@pytest.mark.short
@pytest.mark.row("proxy: 1xx, trailers")
def test_pipelined_requests_are_answered_in_order(served):
    count = 50
    with served.client() as client:
        client.send(b"".join(
            request(f"/{at}", method="POST", body=b"x" * at) if at % 3 else
            request(f"/{at}") for at in range(count)))
        for at in range(count):
            got = client.response().json()
            assert got["target"] == f"/{at}"
            assert got["body_size"] == (at if at % 3 else 0)


@pytest.mark.row("proxy: Length ambiguity (CL+TE, bare LF, bad chunks)")
def test_trace_is_not_served(served):
    with served.client() as client:
        assert client.get("/", method="TRACE").status == 501


@pytest.mark.row("proxy: 1xx, trailers")
def test_a_trailer_that_lies_about_the_framing_is_cut(gate):  # noqa: F811
    front(gate, one(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b"3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n"))
    with gate.client() as client:
        client.send(request("/"))
        out = client.rest()
    assert b"Content-Length" not in out and not out.endswith(b"0\r\n\r\n")


@pytest.mark.row("proxy: 1xx, trailers")
def test_pipelining_stops_after_close(served, echo):
    with served.client() as client:
        client.send(request("/one", "Connection: close") + HIDDEN)
        assert client.response().json()["target"] == "/one"
        assert client.is_ended()
    assert "/hidden" not in [seen.target for seen in echo.seen]


@pytest.mark.row("proxy: 1xx, trailers")
def test_a_half_closed_client_gets_its_answer(served):
    with served.client() as client:
        client.send(request("/last"))
        client.end()
        assert client.response().json()["target"] == "/last"
        assert client.is_ended()


# ---- responses ---------------------------------------------------------------------------

def front(gate, script, **how):  # noqa: F811
    """wsgate before a scripted backend."""
    backend = Backend(script)
    gate._running.callback(backend.close)
    gate.start({"/": {"proxy": {"servers": [backend.server], **how.pop(
        "proxy", {})}}}, **how)
    return backend


@pytest.mark.row("proxy: 1xx, trailers")
def test_head_has_the_length_and_no_body(served):
    with served.client() as client:
        got = client.get("/h", method="HEAD")
        assert got.status == 200 and int(got.get("Content-Length")) > 0
        assert client.get("/after").json()["target"] == "/after"


BODYLESS = [
    ("204", b"HTTP/1.1 204 No Content\r\n\r\n", 204),
    ("204 with a length", b"HTTP/1.1 204 No Content\r\nContent-Length: 0"
     b"\r\n\r\n", 204),
    ("304 with a length", b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n"
     b"Content-Length: 77\r\n\r\n", 304),
    ("200 with length 0", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
     200),
    ("an empty chunked one", b"HTTP/1.1 200 OK\r\n"
     b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200),
]


@pytest.mark.row("proxy: 1xx, trailers")
def test_responses_without_body_keep_the_connection_in_step(gate):  # noqa: F811
    front(gate, one(lambda _, message: BODYLESS[int(message.target[1:])][1]))
    with gate.client() as client:
        for at, (name, _, status) in enumerate(BODYLESS):
            got = client.get(f"/{at}")
            assert (got.status, got.body) == (status, b""), name
            assert status != 204 or got.get("Content-Length") is None
            assert status != 304 or got.get("ETag") == '"a"'


@pytest.mark.short
@pytest.mark.row("proxy: 1xx, trailers")
def test_103_goes_to_http11_and_not_to_http10(gate):  # noqa: F811
    front(gate, one(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
        b"HTTP/1.1 102 Processing\r\n\r\n" + reply(b"done", "A: b")))
    with gate.client() as client:
        got = client.get("/")
        assert [head.status for head in got.interim] == [103, 102]
        assert got.interim[0].get("Link") == "</a.css>"
        assert got.body == b"done" and got.get("A") == "b"
        assert client.get("/").body == b"done"
    with gate.client() as client:
        got = client.ask(request("/", version="1.0"))
        assert got.interim == [] and got.body == b"done"


@pytest.mark.row("proxy: 1xx, trailers")
def test_chunked_both_ways_and_trailers(gate):  # noqa: F811
    def answer(_, message):
        return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                b"Trailer: Sum\r\n\r\n" +
                b"".join(b"%x\r\n%s\r\n" % (len(part), part)
                         for part in (b"got ", message.body)) +
                b"0\r\nSum: 1\r\n\r\n")
    front(gate, one(answer))
    with gate.client() as client:
        got = client.ask(CHUNKED + b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n")
        assert got.get("Transfer-Encoding") == "chunked"
        assert got.body == b"got hello!"
        assert got.trailers == [("Sum", "1")]
        assert client.ask(CHUNKED + b"0\r\n\r\n", "POST") is not None


@pytest.mark.short
@pytest.mark.row("proxy: 1xx, trailers")
def test_an_http10_client_gets_a_body_until_close(gate):  # noqa: F811
    front(gate, one(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b"3\r\nabc\r\n0\r\nA: b\r\n\r\n"))
    with gate.client() as client:
        client.send(request("/", "Connection: keep-alive", version="1.0"))
        out = client.rest()
    head, body = out.split(b"\r\n\r\n", 1)
    assert body == b"abc" and b"chunked" not in head
    assert b"Connection: close" in head


@pytest.mark.row("proxy: 1xx, trailers")
def test_http10_keep_alive_only_when_asked(served):
    with served.client() as client:
        got = client.ask(request("/a", "Connection: keep-alive",
                                 version="1.0"))
        assert got.get("Connection").lower() == "keep-alive"
        got = client.ask(request("/b", version="1.0"))
        assert got.json()["target"] == "/b"
        assert client.is_ended()


@pytest.mark.row("proxy: 1xx, trailers")
def test_a_body_until_close_becomes_chunked(gate):  # noqa: F811
    def script(connection):
        connection.request()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\nsome bytes")
    front(gate, script)
    with gate.client() as client:
        got = client.get("/")
        assert got.get("Transfer-Encoding") == "chunked"
        assert got.body == b"some bytes"
        assert client.get("/").body == b"some bytes"   # still alive


@pytest.mark.short
@pytest.mark.row("proxy: Expect answered by us")
def test_expect_100_continue_is_answered_by_us(served):
    with served.client() as client:
        client.send(b"POST /e HTTP/1.1\r\n" + H +
                    b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert client.head().status == 100
        client.send(b"hello")
        got = client.response().json()
        assert got["body_size"] == 5
        assert "expect" not in [name.lower() for name, _ in got["fields"]]


@pytest.mark.row("proxy: Expect answered by us")
def test_no_100_when_the_body_is_not_wanted(gate):  # noqa: F811
    backend = front(gate, serve_echo, site={"limits": {"max_body": "1K"}})
    with gate.client() as client:
        client.send(b"POST /e HTTP/1.1\r\n" + H +
                    b"Expect: 100-continue\r\nContent-Length: 5000\r\n\r\n")
        got = client.response()
        assert got.status == 413 and got.interim == []
        assert client.is_ended()
    assert backend.seen == []


@pytest.mark.row("proxy: Expect answered by us")
def test_another_expectation_is_refused_or_ignored(served):
    with served.client() as client:
        client.send(b"POST /e HTTP/1.1\r\n" + H +
                    b"Expect: a-miracle\r\nContent-Length: 0\r\n\r\n")
        assert client.response().status in (200, 417)


@pytest.mark.row("proxy: body limit")
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_over_the_limit_is_413(gate, chunked):  # noqa: F811
    front(gate, serve_echo, site={"limits": {"max_body": "1K"}})
    with gate.client() as client:
        if chunked:
            client.send(CHUNKED + b"401\r\n" + b"a" * 1025 + b"\r\n0\r\n\r\n")
        else:
            client.send(request("/", method="POST", body=b"a" * 1025))
        assert client.response().status == 413
        assert client.is_ended()
    got = gate.get("/", method="POST", body=b"a" * 1024)
    assert got.json()["body_size"] == 1024


@pytest.mark.row("proxy: Header limits")
def test_head_limits_follow_the_configuration(gate):  # noqa: F811
    front(gate, serve_echo,
          site={"limits": {"header_size": "4K", "header_count": 10}})
    assert gate.get("/", "A: " + "b" * 3000).status == 200
    assert gate.get("/", "A: " + "b" * 5000).status == 431
    assert gate.get("/", *["A: b"] * 8).status == 200
    assert gate.get("/", *["A: b"] * 12).status == 431


# ---- forwarded fields ----------------------------------------------------------------------

CLAIMS = ("X-Forwarded-For: 9.9.9.9", "X-Forwarded-Proto: gopher",
          "X-Forwarded-Host: evil.example", "X-Forwarded-Port: 1",
          "X-Real-IP: 9.9.9.9", "Forwarded: for=9.9.9.9;host=evil.example",
          "X-Forwarded-Ssl: on", "Front-End-Https: on")


def forwarded(message):
    out = {}
    for name, value in message.json()["fields"]:
        assert name.lower() not in out or name.lower() == "a", name
        out[name.lower()] = value
    return out


@pytest.mark.short
@pytest.mark.row("proxy: X-Forwarded-*, Forwarded")
def test_what_a_client_claims_is_gone(served):
    got = forwarded(served.get("/", *CLAIMS))
    assert got["x-forwarded-for"] == "127.0.0.1"
    assert got["x-real-ip"] == "127.0.0.1"
    assert got["x-forwarded-proto"] == "http"
    assert got["x-forwarded-host"] == HOST
    assert got["x-forwarded-port"] == str(served.plain)
    assert got["forwarded"].startswith("for=127.0.0.1")
    assert "9.9.9.9" not in str(got) and "evil" not in str(got)


@pytest.mark.row("proxy: X-Forwarded-*, Forwarded")
def test_over_tls_they_say_https(served):
    with served.tls() as client:
        got = forwarded(client.get("/", *CLAIMS))
    assert got["x-forwarded-proto"] == "https"
    assert got["x-forwarded-port"] == str(served.port)
    assert "proto=https" in got["forwarded"]


@pytest.mark.short
@pytest.mark.row("proxy: X-Forwarded-*, Forwarded")
def test_a_trusted_proxy_is_believed(gate):  # noqa: F811
    front(gate, serve_echo, trusted_proxies=["127.0.0.2", "10.0.0.0/8"])
    fields = ["X-Forwarded-For: 9.9.9.9, 8.8.8.8", "X-Forwarded-For: 10.1.1.1"]
    with gate.client(source="127.0.0.2") as client:
        got = forwarded(client.get("/", *fields))
    assert got["x-real-ip"] == "8.8.8.8"
    assert got["x-forwarded-for"].endswith("8.8.8.8, 10.1.1.1, 127.0.0.2")
    with gate.client(source="127.0.0.3") as client:
        got = forwarded(client.get("/", *fields))
    assert got["x-real-ip"] == got["x-forwarded-for"] == "127.0.0.3"


@pytest.mark.row("proxy: X-Forwarded-*, Forwarded")
def test_a_request_id_is_passed_or_made(served):
    got = forwarded(served.get("/", "X-Request-Id: abc-123"))
    assert got["x-request-id"] == "abc-123"
    made = {forwarded(served.get("/"))["x-request-id"] for _ in range(3)}
    assert len(made) == 3 and all(len(one_id) >= 16 for one_id in made)
    got = forwarded(served.get("/", "X-Request-Id: a b\"c"))
    assert got["x-request-id"] != 'a b"c'


@pytest.mark.row("proxy: X-Forwarded-*, Forwarded")
def test_hop_by_hop_fields_are_gone(served):
    got = forwarded(served.get(
        "/", "Connection: keep-alive, X-Mine", "X-Mine: 1", "Keep-Alive: 5",
        "Proxy-Connection: keep-alive", "TE: trailers",
        "Proxy-Authorization: x", "Upgrade: h2c", "X-Other: 2"))
    for name in ("x-mine", "keep-alive", "proxy-connection", "te", "upgrade",
                 "connection"):
        assert name not in got or name == "connection" and \
            got[name] in ("keep-alive", "close"), name
    assert got["x-other"] == "2"


# ---- deadlines -----------------------------------------------------------------------------

LIMITS = {"header_timeout": "400ms", "body_timeout": "400ms",
          "idle_timeout": "300ms", "send_timeout": "500ms"}


@pytest.fixture(scope="module")
def quick(pki):
    """A wsgate of its own with short deadlines."""
    import gate as gate_module
    for made in gate_module._gate(pki):
        with Backend(serve_echo) as backend:
            made.start({"/": {"proxy": backend.server}},
                       site={"limits": LIMITS},
                       log={"access": "-", "format": "json"})
            yield made


def ended_after(client):
    start = time.monotonic()
    out = client.rest()
    return out, time.monotonic() - start


@pytest.mark.short
@pytest.mark.row("proxy: Slow clients")
def test_a_slow_head_gets_408(quick):
    with quick.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost:")
        out, took = ended_after(client)
    assert out.startswith(b"HTTP/1.1 408 ") and took > 0.3
    quick.daemon.wait_record("request", status=408, end="header_timeout")


@pytest.mark.row("proxy: Slow clients")
def test_a_head_that_drips_ends_all_the_same(quick):
    """The deadline is for the whole head, not for a byte of it."""
    with quick.client() as client:
        stop = threading.Event()

        def drip():
            try:
                client.send(b"GET / HTTP/1.1\r\n")
                while not stop.wait(0.05):
                    client.send(b"A: b\r\n")
            except OSError:
                pass
        thread = threading.Thread(target=drip)
        thread.start()
        try:
            # the answer may be lost to the reset that our drip provokes
            out, _ = ended_after(client)
        finally:
            stop.set()
            thread.join()
    assert out == b"" or out.startswith(b"HTTP/1.1 408 ")


@pytest.mark.row("proxy: Slow clients")
def test_a_silent_client_is_closed_without_words(quick):
    with quick.client() as client:
        assert ended_after(client)[0] == b""


@pytest.mark.row("proxy: Slow clients")
def test_a_slow_body_gets_408(quick):
    with quick.client() as client:
        client.send(b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 9\r\n\r\nab")
        out, took = ended_after(client)
    assert out.startswith(b"HTTP/1.1 408 ") and took > 0.3


@pytest.mark.row("proxy: Slow clients")
def test_an_idle_connection_is_closed(quick):
    with quick.client() as client:
        assert client.get("/").status == 200
        out, took = ended_after(client)
    assert out == b"" and took > 0.2


@pytest.mark.row("proxy: Slow clients")
def test_a_client_that_does_not_read_is_closed(gate):  # noqa: F811
    from harness import wait_until
    front(gate, one(reply(b"x" * (32 << 20))),
          site={"limits": LIMITS}, log={"access": "-", "format": "json"})
    with gate.client(receive_buffer=4096) as client:
        client.send(request("/"))
        record = gate.daemon.wait_record("request", end="send_timeout")
        assert record["bytes_out"] < 32 << 20
        wait_until(lambda: gate.daemon.is_alive(), "it lives")


@pytest.mark.row("proxy: Slow clients")
def test_a_slow_but_steady_body_is_no_offence(quick):
    """Longer than the deadline in all, never longer between two reads."""
    with quick.client() as client:
        client.send(b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 8\r\n\r\n")
        for _ in range(8):
            time.sleep(0.1)  # pause: the behaviour under test is a rate
            client.send(b"a")
        assert client.response().json()["body_size"] == 8


# ---- nothing is left behind -------------------------------------------------------------------

@pytest.mark.short
@pytest.mark.row("proxy: nothing is left behind")
def test_a_client_may_leave_at_any_byte(served, echo):
    """Cut by FIN or RST within head, body and answer; descriptors come back
    and the worker is the same."""
    from gate import open_fds
    from harness import wait_until
    daemon = served.daemon
    worker = daemon.worker

    def sockets():
        return len(open_fds(worker)) - echo.live
    wait_until(lambda: served.get("/").status == 200, "an answer")
    before = sockets()
    data = CHUNKED + b"5\r\nhello\r\n0\r\nA: b\r\n\r\n"
    for size in range(0, len(data) + 1, 3):
        client = served.client()
        client.send(data[:size])
        client.reset() if size % 2 else client.close()
    wait_until(lambda: sockets() <= before, "descriptors back")
    assert daemon.worker == worker and served.get("/").status == 200
    assert echo.errors == [] or all(
        isinstance(why, (EOFError, AssertionError)) for why in echo.errors)
