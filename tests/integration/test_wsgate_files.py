"""files: types, ranges, validators, compressed neighbours; nothing leaves the
root."""
import os
import socket

import pytest
from gate import gate, request, shared_gate  # noqa: F401

SECRET = "the secret beside the root"


@pytest.fixture(scope="module")
def site(shared_gate):  # noqa: F811
    folder = shared_gate.folder
    root = folder / "root"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / ".well-known").mkdir()
    (root / ".git").mkdir()
    (folder / "secret.txt").write_text(SECRET)
    (folder / "rooted").mkdir()
    (folder / "rooted" / "x").write_text(SECRET)
    for name, text in {
            "index.html": "<p>home", "a.txt": "0123456789",
            "sub/index.html": "<p>sub", "sub/b.css": "b{}",
            "sub/deep/c.js": "c", "no-ending": "x", "%2e": "percent",
            "with space.txt": "space", ".hidden": SECRET,
            ".git/config": SECRET, ".well-known/x": "known", "empty.txt": "",
            "p.js": "plain" * 100, "p.js.br": "brotli", "p.js.gz": "gzipped",
            "q.css": "q", "q.css.gz": "gz", "only.html.gz": "z",
            "\u00fc.txt": "umlaut", "big.bin": "y" * 3000000}.items():
        (root / name).write_text(text)
    (root / "out").symlink_to(folder / "secret.txt")
    (root / "up").symlink_to("..")
    (root / "abs").symlink_to("/etc/passwd")
    (root / "in").symlink_to("sub/b.css")
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(root / "sock"))
    shared_gate.start({
        "/": {"files": {"root": str(root), "precompressed": ["br", "gzip"]}},
        "/plain/": {"files": {"root": str(root / "sub")}}})
    return shared_gate


@pytest.mark.short
@pytest.mark.row("proxy: Static files")
@pytest.mark.parametrize("target,kind,text", [
    ("/", "text/html; charset=utf-8", "<p>home"),
    ("/a.txt", "text/plain; charset=utf-8", "0123456789"),
    ("/sub/", "text/html; charset=utf-8", "<p>sub"),
    ("/sub/b.css", "text/css; charset=utf-8", "b{}"),
    ("/sub/deep/c.js", "text/javascript; charset=utf-8", "c"),
    ("/plain/b.css", "text/css; charset=utf-8", "b{}"),
    ("/no-ending", "application/octet-stream", "x"),
    ("/with%20space.txt", "text/plain; charset=utf-8", "space"),
    ("/%C3%BC.txt", "text/plain; charset=utf-8", "umlaut"),
    ("/in", "application/octet-stream", "b{}"),
    ("/empty.txt", "text/plain; charset=utf-8", ""),
    ("/.well-known/x", "application/octet-stream", "known"),
    ("/%252e", "application/octet-stream", "percent"),
    ("/a.txt?query", "text/plain; charset=utf-8", "0123456789")])
def test_a_file_with_its_type(site, target, kind, text):
    with site.client() as client:
        got = client.get(target)
        assert (got.status, got.get("Content-Type"), got.text) == \
            (200, kind, text)
        assert got.get("X-Content-Type-Options") == "nosniff"
        head = client.get(target, method="HEAD")
        assert head.status == 200 and head.body == b""
        assert head.get("Content-Length") == str(len(got.body))
        assert head.get("ETag") == got.get("ETag")


@pytest.mark.short
@pytest.mark.row("proxy: Static files")
@pytest.mark.parametrize("target", [
    "/../secret.txt", "/sub/../../secret.txt", "/%2e%2e/secret.txt",
    "/sub/%2e%2e/%2e%2e/secret.txt", "/..%2fsecret.txt",
    "/sub/..%2f..%2fsecret.txt", "/%2e%2e%2fsecret.txt", "/..%5csecret.txt",
    "/..\\secret.txt", "/.%2e/secret.txt", "/%252e%252e/secret.txt",
    "/..%00/secret.txt", "/a.txt%00.html", "/..%c0%afsecret.txt",
    "/%c0%ae%c0%ae/secret.txt", "/....//secret.txt", "/..;/secret.txt",
    "/./../secret.txt", "//secret.txt", "/sub//../../secret.txt",
    "/plain/../../secret.txt", "/plain..%2fsecret.txt", "/plain../a.txt",
    "/out", "/up/secret.txt", "/up/rooted/x", "/abs", "/sub/../up/secret.txt",
    "/.hidden", "/.git/config", "/sub/../.git/config", "/%2egit/config",
    "/.git%2fconfig", "/fifo", "/sock", "/a.txt/", "/a.txt/x",
    "http://www.example.org/../secret.txt", "/" + "a/" * 2000,
    "/" + "a" * 300, "/sub/deep", "/none"])
def test_nothing_leaves_the_root(site, target):
    with site.client() as client:
        got = client.get(target)
        assert got.status in (301, 400, 404), got
        assert SECRET not in got.text and "root:" not in got.text
        assert got.status != 301 or target == "/sub/deep"


@pytest.mark.row("proxy: Static files")
def test_a_folder_is_a_redirect_and_never_a_listing(site):
    with site.client() as client:
        got = client.get("/sub?x=1")
        assert (got.status, got.get("Location")) == (301, "/sub/?x=1")
        assert client.get("/sub/deep/").status == 404
        # never to another host
        got = client.get("//sub")
        assert got.status in (400, 404)


@pytest.mark.row("proxy: Static files")
@pytest.mark.parametrize("value,status,text,extent", [
    ("bytes=0-3", 206, "0123", "bytes 0-3/10"),
    ("bytes=4-", 206, "456789", "bytes 4-9/10"),
    ("bytes=-3", 206, "789", "bytes 7-9/10"),
    ("bytes=0-0", 206, "0", "bytes 0-0/10"),
    ("bytes=5-999", 206, "56789", "bytes 5-9/10"),
    ("bytes=-999", 206, "0123456789", "bytes 0-9/10"),
    ("bytes=10-", 416, None, "bytes */10"),
    ("bytes=-0", 416, None, "bytes */10"),
    ("bytes=99999999999999999999-", 416, None, None),
    ("bytes=3-2", 200, "0123456789", None),
    ("bytes=a-b", 200, "0123456789", None),
    ("chars=0-3", 200, "0123456789", None),
    ("bytes=", 200, "0123456789", None)])
def test_a_range(site, value, status, text, extent):
    with site.client() as client:
        got = client.get("/a.txt", f"Range: {value}")
        if value.startswith("bytes=9999"):
            assert got.status in (200, 416)
            return
        assert got.status == status
        assert got.get("Content-Range") == extent
        assert text is None or got.text == text
        assert client.get("/a.txt").text == "0123456789"   # still in step


@pytest.mark.row("proxy: Static files")
def test_a_range_for_head_and_of_a_large_file(site):
    with site.client() as client:
        got = client.get("/a.txt", "Range: bytes=0-3", method="HEAD")
        assert got.status == 200      # RFC 9110 14.2: only for GET
        got = client.get("/big.bin", "Range: bytes=1000000-1999999")
        assert got.status == 206 and got.body == b"y" * 1000000
        got = client.get("/a.txt", "Range: bytes=0-1,3-4")
        assert got.status in (200, 206)


@pytest.mark.short
@pytest.mark.row("proxy: Static files")
def test_validators(site):
    with site.client() as client:
        first = client.get("/a.txt")
        tag, date = first.get("ETag"), first.get("Last-Modified")
        for fields, status in [
                ([f"If-None-Match: {tag}"], 304),
                ([f"If-None-Match: W/{tag}"], 304),
                ([f'If-None-Match: "x", {tag}'], 304),
                (["If-None-Match: *"], 304),
                (['If-None-Match: "x"'], 200),
                ([f"If-Modified-Since: {date}"], 304),
                (["If-Modified-Since: Thu, 01 Jan 1970 00:00:10 GMT"], 200),
                (["If-Modified-Since: rubbish"], 200),
                ([f"If-None-Match: {tag}", "If-Modified-Since: Thu, 01 Jan "
                  "1970 00:00:10 GMT"], 304),
                (['If-None-Match: "x"', f"If-Modified-Since: {date}"], 200),
                ([f"If-Range: {tag}", "Range: bytes=0-1"], 206),
                (['If-Range: "x"', "Range: bytes=0-1"], 200),
                ([f"If-Range: {date}", "Range: bytes=0-1"], None)]:
            got = client.get("/a.txt", *fields)
            assert got.status == status or status is None, fields
            if got.status == 304:
                assert got.get("ETag") == tag and got.body == b""


@pytest.mark.row("proxy: Static files")
def test_a_changed_file_has_another_tag(site):
    path = site.folder / "root" / "changes.txt"
    path.write_text("one")
    first = site.get("/changes.txt").get("ETag")
    path.write_text("two")
    os.utime(path, (1, 1))
    got = site.get("/changes.txt", f"If-None-Match: {first}")
    assert (got.status, got.text) == (200, "two")


@pytest.mark.short
@pytest.mark.row("proxy: Static files")
@pytest.mark.parametrize("target,accepted,coding,text", [
    ("/p.js", "br, gzip", "br", "brotli"),
    ("/p.js", "gzip", "gzip", "gzipped"),
    ("/p.js", "br;q=0, gzip", "gzip", "gzipped"),
    ("/p.js", "identity", None, "plain" * 100),
    ("/p.js", "br;q=0, gzip;q=0.000", None, "plain" * 100),
    ("/p.js", None, None, "plain" * 100),
    ("/q.css", "br, gzip", "gzip", "gz"),
    ("/a.txt", "br, gzip", None, "0123456789")])
def test_a_compressed_neighbour(site, target, accepted, coding, text):
    fields = [f"Accept-Encoding: {accepted}"] if accepted else []
    got = site.get(target, *fields)
    assert (got.get("Content-Encoding"), got.text) == (coding, text)
    assert "javascript" in got.get("Content-Type") or target != "/p.js"
    assert "accept-encoding" in got.get("Vary").lower()


@pytest.mark.row("proxy: Static files")
def test_representations_differ_in_their_tag(site):
    tags = {site.get("/p.js", f"Accept-Encoding: {coding}").get("ETag")
            for coding in ("br", "gzip", "identity")}
    assert len(tags) == 3
    assert site.get("/only.html", "Accept-Encoding: gzip").status == 404


@pytest.mark.row("proxy: Static files")
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_405(site, method):
    with site.client() as client:
        got = client.get("/a.txt", method=method, body=b"abc")
        assert got.status == 405 and got.get("Allow") == "GET, HEAD"


@pytest.mark.row("proxy: Static files")
def test_pipelined_files_over_tls(site):
    """Small and large ones, in order, on one connection."""
    targets = ["/a.txt", "/big.bin", "/sub/b.css", "/none", "/big.bin"]
    with site.tls() as client:
        client.send(b"".join(request(target) for target in targets))
        sizes = [len(client.response().body) for _ in targets]
    assert sizes[:3] == [10, 3000000, 3] and sizes[4] == 3000000


@pytest.mark.row("proxy: Static files")
def test_a_file_that_shrinks_while_it_is_sent_is_a_cut(gate):  # noqa: F811
    path = gate.folder / "shrinks.bin"
    path.write_bytes(b"x" * (64 << 20))
    gate.start({"/": {"files": {"root": str(gate.folder)}}})
    with gate.client(receive_buffer=4096) as client:
        client.send(request("/shrinks.bin"))
        assert client.head().get("Content-Length") == str(64 << 20)
        os.truncate(path, 10)
        assert len(client.rest()) < 64 << 20


@pytest.mark.row("proxy: Static files")
def test_a_root_that_is_swapped_by_rename(gate):  # noqa: F811
    """A deploy: root is a link that comes to point elsewhere."""
    for name in ("one", "two"):
        (gate.folder / name).mkdir()
        (gate.folder / name / "v").write_text(name)
    (gate.folder / "current").symlink_to("one")
    gate.start({"/": {"files": {"root": str(gate.folder / "current")}}})
    assert gate.get("/v").text == "one"
    (gate.folder / "next").symlink_to("two")
    (gate.folder / "next").rename(gate.folder / "current")
    assert gate.get("/v").text == "two"
    (gate.folder / "current").unlink()
    assert gate.get("/v").status in (404, 500)
