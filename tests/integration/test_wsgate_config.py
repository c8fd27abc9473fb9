"""What wsgate says about configurations: at start, with -t, at a reload."""
import json
import os
import re
import signal
import socket
import subprocess

import harness
import pytest
from backends import Backend, one, reply, serve_echo
from gate import HOST, Client, GateDaemon, gate, request  # noqa: F401
from harness import free_port, wait_until

SITE = """sites:
  - listen: [{address: "127.0.0.1:18999", tls: false}]
    locations: {/: {proxy: "127.0.0.1:1"}}
"""
TLS_SITE = """sites:
  - listen: ["127.0.0.1:18999"]
    certificates: [{%s}]
    locations: {/: {proxy: "127.0.0.1:1"}}
"""
LISTEN = "  - listen: [{address: \"127.0.0.1:18999\", tls: false}]\n"


def located(text):
    """A site with this location's text behind "/: "."""
    return f"sites:\n{LISTEN}    locations:\n      /: {text}\n"


MISTAKES = [
    # sentence, text, place, words that must be there
    ("an unknown key", "sitess: []\n" + SITE, "1:1", ["sitess", "sites"]),
    ("an unknown key inside", located("{proxi: \"a:1\"}"), "4:11",
     ["proxi", "did you mean 'proxy'"]),
    ("an unknown key without likeness", "zzzzzzzz: 1\n" + SITE, "1:1",
     ["zzzzzzzz"]),
    ("a word for a number", "workers: many\n" + SITE, "1:10", ["many", "auto"]),
    ("a list for a word", "spool: [a]\n" + SITE, "1:8", ["spool"]),
    ("a word for a section", "log: loud\n" + SITE, "1:6", ["log"]),
    ("no duration", "drain: {deadline: soon}\n" + SITE, "1:19",
     ["deadline", "soon", "10s"]),
    ("no unit", "drain: {deadline: 10}\n" + SITE, "1:19", ["deadline"]),
    ("no boolean", "sites:\n  - listen: [{address: \"127.0.0.1:18999\", "
     "tls: maybe}]\n    locations: {/: {proxy: \"127.0.0.1:1\"}}\n", "2:48",
     ["tls", "maybe"]),
    ("no choice", "log: {format: xml}\n" + SITE, "1:15",
     ["xml", "json"]),
    ("no size", "sites:\n" + LISTEN + "    limits: {max_body: big}\n"
     "    locations: {/: {proxy: \"127.0.0.1:1\"}}\n", "3:24", ["big"]),
    ("below the range", "sites:\n" + LISTEN +
     "    limits: {header_timeout: 1ms}\n"
     "    locations: {/: {proxy: \"127.0.0.1:1\"}}\n", "3:30",
     ["1ms", "100ms"]),
    ("beyond the range", "workers: 100000\n" + SITE, "1:10", ["256"]),
    ("a key twice", "workers: 1\nworkers: 2\n" + SITE, "2:1",
     ["workers", "1:1"]),
    ("an unset variable", "spool: ${NOPE_NOT_SET}\n" + SITE, "1:8",
     ["NOPE_NOT_SET"]),
    ("no sites", "workers: 1\n", None, ["sites"]),
    ("no listen", "sites:\n  - locations: {/: {proxy: \"a:1\"}}\n", "2:5",
     ["listen"]),
    ("no locations", "sites:\n" + LISTEN, "2:5", ["locations"]),
    ("an address without port", "sites:\n  - listen: [\"127.0.0.1\"]\n"
     "    locations: {/: {proxy: \"127.0.0.1:1\"}}\n", "2:14",
     ["127.0.0.1"]),
    ("a port too large", "sites:\n  - listen: [\"127.0.0.1:70000\"]\n"
     "    locations: {/: {proxy: \"127.0.0.1:1\"}}\n", "2:14", ["70000"]),
    ("a location without slash", "sites:\n" + LISTEN +
     "    locations: {chat: {proxy: \"127.0.0.1:1\"}}\n", "3:17", ["chat"]),
    ("two handlers", located("{proxy: \"127.0.0.1:1\", files: /tmp}"), None,
     ["proxy", "files"]),
    ("no handler", located("{}"), None, ["/"]),
    ("an unknown pool", located("{proxy: {pool: nix}}"), "4:25", ["nix"]),
    ("pool and servers", "pools: {a: [\"127.0.0.1:1\"]}\n" + located(
        "{proxy: {pool: a, servers: [\"127.0.0.1:1\"]}}"), None,
     ["pool", "servers"]),
    ("neither pool nor servers", located("{proxy: {}}"), None, ["servers"]),
    ("no server address", located("{proxy: \"nonsense\"}"), "4:18",
     ["nonsense"]),
    ("an origin with a path", located(
        "{websocket: {servers: [\"127.0.0.1:1\"], "
        "origins: [\"https://a.example/x\"]}}"), None, ["a.example"]),
    ("fastcgi without root", located(
        "{fastcgi: {servers: [\"127.0.0.1:1\"]}}"), None, ["root"]),
    ("a network with host bits", "trusted_proxies: [10.1.2.3/8]\n" + SITE,
     "1:19", ["10.1.2.3/8"]),
    ("the same host twice", "sites:\n" + (LISTEN +
     "    hosts: [a.example]\n    locations: {/: {proxy: \"a:1\"}}\n") * 2,
     None, ["a.example"]),
    ("TLS and plain on one address", "sites:\n" + LISTEN +
     "    locations: {/: {proxy: \"a:1\"}}\n"
     "  - listen: [\"127.0.0.1:18999\"]\n    certificates: [{chain: x}]\n"
     "    hosts: [b.example]\n    locations: {/: {proxy: \"a:1\"}}\n", None,
     ["127.0.0.1:18999"]),
    ("TLS without certificate", "sites:\n  - listen: [\"127.0.0.1:18999\"]\n"
     "    locations: {/: {proxy: \"a:1\"}}\n", "2:5", ["certificates"]),
    ("a redirect without TLS", "sites:\n" + LISTEN +
     "    redirect_from: [\"127.0.0.1:18998\"]\n"
     "    locations: {/: {proxy: \"a:1\"}}\n", "3:21", ["redirect_from"]),
    ("an unknown min_tls", "sites:\n" + LISTEN + "    min_tls: \"1.1\"\n"
     "    locations: {/: {proxy: \"a:1\"}}\n", "3:14", ["1.1", "1.2"]),
    ("a mode for TCP", "sites:\n  - listen: [{address: \"127.0.0.1:18999\", "
     "tls: false, mode: \"0600\"}]\n    locations: {/: {proxy: \"a:1\"}}\n",
     None, ["mode"]),
    ("the PROXY protocol", "sites:\n  - listen: [{address: "
     "\"127.0.0.1:18999\", tls: false, proxy_protocol: true}]\n"
     "    locations: {/: {proxy: \"a:1\"}}\n", None, ["proxy_protocol"]),
    ("a tab", "\tsites: 1\n", "1:1", ["tab"]),
    ("no YAML", "sites: [\n", None, []),
    ("two documents", SITE + "---\n" + SITE, None, ["document"]),
    ("an empty file", "", None, []),
    ("binary", "\x00\x01\x02", None, []),
]


@pytest.mark.short
@pytest.mark.row("proxy: Config test; hot reload")
@pytest.mark.parametrize("text,place,words", [row[1:] for row in MISTAKES],
                         ids=[row[0].replace(" ", "-") for row in MISTAKES])
def test_a_mistake_is_named_with_its_place(gate, text, place, words):  # noqa: F811
    """By -t and by a start alike: one line, exit code 78."""
    path = gate.folder / "bad.yaml"
    path.write_text(text)
    for options in (["-t"], []):
        got = gate.run(*options, "-c", path)
        assert got.code == 78, got
        line = next(line for line in got.err.splitlines()
                    if "bad.yaml" in line)
        if place:
            assert f"bad.yaml:{place}: " in line, line
        else:
            assert "bad.yaml" in line
        for word in words:
            assert word in line, line


@pytest.mark.row("proxy: Config test; hot reload")
def test_a_good_file_is_good(gate):  # noqa: F811
    path = gate.config()
    got = gate.run("-t", "-c", path, code=0)
    assert "good" in got.out and got.err == ""
    dumped = gate.run("--dump", "-c", path, code=0).out
    again = gate.folder / "again.yaml"
    again.write_text(dumped)
    assert gate.run("--dump", "-c", again, code=0).out == dumped
    assert gate.run("-t", "-c", again).code == 0


@pytest.mark.row("proxy: thousands of sites")
def test_thousands_of_sites_in_many_files(gate):  # noqa: F811
    """Together they are more than one file may be."""
    folder = gate.folder / "conf.d"
    folder.mkdir()
    for part in range(6):
        sites = [gate.site(hosts=[f"h{part}-{n}.example.org"])
                 for n in range(500)]
        (folder / f"{part}.yaml").write_text(json.dumps({"sites": sites}))
    gate.start({"/": {"files": {"root": str(gate.folder)}}})
    (gate.folder / "word").write_text("served")
    assert gate.get("/word", host="h5-499.example.org").text == "served"


@pytest.mark.row("proxy: Env in config")
def test_variables(gate):  # noqa: F811
    path = gate.config()
    text = path.read_text().replace(
        '"workers": 1', '"workers": "${COUNT:-3}", "spool": "${SPOOL}"')
    path.write_text(text)
    got = gate.run("--dump", "-c", path, env={"SPOOL": "/a/b"}, code=0)
    assert "workers: 3" in got.out and "/a/b" in got.out
    got = gate.run("--dump", "-c", path, env={"SPOOL": "", "COUNT": "2"})
    assert got.code == 78 and "SPOOL" in got.err


def test_the_schema_is_json(gate):  # noqa: F811
    schema = json.loads(gate.run("schema", code=0).out)
    assert "sites" in schema["properties"]


# ---- files that are named ---------------------------------------------------------------

@pytest.mark.short
@pytest.mark.row("proxy: Config test; hot reload")
def test_files_that_do_not_serve(gate, pki):  # noqa: F811
    leaf, other = pki.leaf(HOST), pki.leaf(HOST, key_name="other")
    good = gate.pair(leaf)
    wrong = gate.pair(other)
    (gate.folder / "text").write_text("no PEM")
    (gate.folder / "empty").write_text("")
    missing = str(gate.folder / "missing.pem")
    for pair, codes, words in [
            ({"chain": missing, "key": good["key"]}, {71, 78},
             ["missing.pem"]),
            ({"chain": good["chain"], "key": missing}, {71, 78},
             ["missing.pem"]),
            ({"chain": good["chain"]}, {78}, ["key"]),
            ({"chain": good["chain"], "key": wrong["key"]}, {78},
             ["key"]),
            ({"chain": str(gate.folder / "text"), "key": good["key"]}, {78},
             ["text"]),
            ({"chain": str(gate.folder / "empty"), "key": good["key"]},
             {78}, ["empty"]),
            ({"chain": good["chain"], "key": str(gate.folder)}, {71, 78},
             [gate.folder.name])]:
        path = gate.config(site={"certificates": [pair]})
        for options in (["-t"], []):
            got = gate.run(*options, "-c", path)
            assert got.code in codes, got
            assert re.search(r"wsgate\.yaml:\d+:\d+", got.err), got
            assert all(word in got.err for word in words), got
            assert "PRIVATE" not in got.err


@pytest.mark.row("proxy: Config test; hot reload")
def test_a_missing_file_and_a_wrong_option(gate):  # noqa: F811
    got = gate.run("-c", gate.folder / "none.yaml")
    assert got.code in (71, 78) and "none.yaml" in got.err
    for words in (["--nope"], ["-t", "-c"], ["fly"], ["-t", "/=http:a:1"]):
        got = gate.run(*words)
        assert got.code in (64, 78), got
        assert got.err and got.out == ""


@pytest.mark.short
@pytest.mark.row("proxy: Config test; hot reload")
def test_an_address_in_use(gate):  # noqa: F811
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", gate.plain))
        holder.listen()
        got = gate.run("-c", gate.config())
        assert got.code == 71, got
        assert str(gate.plain) in got.err
        assert "address already in use" in got.err.lower() or \
            "taken" in got.err.lower()


@pytest.mark.row("proxy: Config test; hot reload")
def test_an_address_that_is_not_ours(gate):  # noqa: F811
    path = gate.config(site={"listen": [
        {"address": "203.0.113.1:8080", "tls": False}]})
    got = gate.run("-c", path)
    assert got.code == 71 and "203.0.113.1" in got.err


@pytest.mark.row("proxy: Config test; hot reload")
def test_a_port_we_may_not_bind(gate):  # noqa: F811
    """As somebody without rights; the mend is told."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become nobody")
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as file:
        if int(file.read()) <= 80:
            pytest.skip("every port is free to all on this machine")
    path = gate.config(site={"listen": [
        {"address": "127.0.0.1:80", "tls": False}], "certificates": []})
    path.chmod(0o644)
    argv = ["setpriv", "--reuid=65534", "--clear-groups",
            "--bounding-set=-all", "--no-new-privs",
            harness.program("wsgate"), "-c", str(path)]
    done = subprocess.run(argv, capture_output=True, timeout=30, check=False)
    err = done.stderr.decode()
    assert done.returncode == 77, err
    assert ":80" in err and "1024" in err


# ---- reload ---------------------------------------------------------------------------------

BROKEN = [
    ("an unknown key", lambda gate, path: path.write_text("sitess: []\n"),
     r"wsgate\.yaml:1:1.*sitess"),
    ("no YAML", lambda gate, path: path.write_text("sites: [\n"),
     r"wsgate\.yaml"),
    ("the file is gone", lambda gate, path: path.unlink(),
     r"wsgate\.yaml.*No such file"),
    ("a certificate is gone", lambda gate, path: gate.config(site={
        "certificates": [{"chain": "/none.pem"}]}), r"none\.pem"),
    ("a key that does not fit", lambda gate, path: gate.config(site={
        "certificates": [{"chain": gate.pair(gate.leaf())["chain"],
                          "key": gate.pair(gate.pki.leaf(
                              HOST, key_name="other"))["key"]}]}), "key"),
    ("an address that is not ours", lambda gate, path: gate.config(site={
        "listen": ["203.0.113.1:8443"]}), r"203\.0\.113\.1"),
]


@pytest.mark.short
@pytest.mark.row("proxy: Config test; hot reload")
def test_a_bad_reload_keeps_the_old_configuration(gate):  # noqa: F811
    with Backend(serve_echo) as backend:
        daemon = gate.start({"/": {"proxy": backend.server}})
        worker = daemon.worker
        with gate.tls() as client:
            for sentence, spoil, pattern in BROKEN:
                path = gate.config({"/": {"proxy": backend.server}})
                spoil(gate, path)
                line = daemon.reload(good=False)
                assert re.search(pattern, line), (sentence, line)
                assert client.get("/old").status == 200, sentence
                assert gate.get("/new").status == 200, sentence
                assert daemon.worker == worker
        gate.config({"/": {"proxy": backend.server}})
        daemon.reload()
        assert gate.get("/").status == 200


@pytest.mark.short
@pytest.mark.row("proxy: Config test; hot reload")
def test_a_reload_takes_effect_on_live_connections(gate):  # noqa: F811
    """A keep-alive connection has the new routes at its next request; what is
    under way finishes with the old ones."""
    import threading
    go = threading.Event()

    def slow(connection, message):
        if message.target == "/slow":
            go.wait(60)
        return reply(b"old")
    with Backend(one(slow)) as old, Backend(one(reply(b"new"))) as new:
        gate.start({"/": {"proxy": old.server}})
        with gate.tls() as client, gate.client() as busy:
            assert client.get("/").text == "old"
            busy.send(request("/slow"))
            wait_until(lambda: len(old.seen) == 2, "the slow call")
            gate.config({"/": {"proxy": new.server}})
            gate.daemon.reload()
            assert client.get("/").text == "new"
            assert gate.get("/").text == "new"
            go.set()
            assert busy.response().text == "old"
            assert busy.get("/").text == "new"


@pytest.mark.row("proxy: Config test; hot reload")
def test_listeners_come_and_go(gate):  # noqa: F811
    with Backend(one(reply(b"x"))) as backend:
        where = {"/": {"proxy": backend.server}}
        daemon = gate.start(where)
        port = free_port()
        base = [f"127.0.0.1:{gate.port}",
                {"address": f"127.0.0.1:{gate.plain}", "tls": False}]
        path = gate.folder / "u.sock"
        for _ in range(3):
            gate.config(where, site={"listen": base + [
                {"address": f"127.0.0.1:{port}", "tls": False},
                {"address": f"unix:{path}", "tls": False, "mode": "0600"}]})
            daemon.reload()
            with Client(port) as client:
                assert client.get("/").text == "x"
            assert path.is_socket() and path.stat().st_mode & 0o777 == 0o600
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(30)
                sock.connect(str(path))
                sock.sendall(request("/", "Connection: close"))
                assert sock.recv(4096).startswith(b"HTTP/1.1 200 ")
            gate.config(where)
            daemon.reload()
            wait_until(lambda: not harness.can_connect(port),
                       "the address is closed")
            wait_until(lambda: not path.exists(), "the socket is removed")
            assert gate.get("/").text == "x"


@pytest.mark.row("proxy: Config test; hot reload")
def test_a_connection_whose_address_is_gone_is_closed_politely(gate):  # noqa: F811
    with Backend(one(reply(b"x"))) as backend:
        where = {"/": {"proxy": backend.server}}
        daemon = gate.start(where)
        with gate.client() as client:
            assert client.get("/").get("Connection") != "close"
            gate.config(where, site={"listen": [f"127.0.0.1:{gate.port}"]})
            daemon.reload()
            got = client.get("/")
            assert (got.status, got.get("Connection")) == (200, "close")
            assert client.is_ended()


@pytest.mark.row("proxy: Config test; hot reload")
def test_a_new_certificate_by_reload(gate, pki):  # noqa: F811
    from gate import Handshake
    old, new = pki.leaf(HOST), pki.leaf(HOST)
    daemon = gate.start(site={"certificates": [gate.pair(old)]})
    assert old.der in Handshake(gate).bytes
    gate.config(site={"certificates": [gate.pair(new)]})
    daemon.reload()
    shake = Handshake(gate)
    assert new.der in shake.bytes and old.der not in shake.bytes


@pytest.mark.row("proxy: Config test; hot reload")
@pytest.mark.row("done: reload under load")
def test_reloads_under_load_lose_no_request(gate):  # noqa: F811
    import threading
    with Backend(serve_echo) as backend:
        where = {"/": {"proxy": backend.server}}
        daemon = gate.start(where, workers=2)
        stop, problems, counts = threading.Event(), [], []

        def load(fresh):
            count = 0
            try:
                client = gate.client()
                while not stop.is_set():
                    if fresh:
                        client.close()
                        client = gate.client()
                    assert client.get(f"/{count}").status == 200
                    count += 1
                client.close()
            except Exception as why:
                problems.append(why)
            counts.append(count)
        threads = [threading.Thread(target=load, args=(at % 2 == 0,))
                   for at in range(6)]
        for thread in threads:
            thread.start()
        pids = sorted(daemon.workers)
        for at in range(15):
            gate.config(where, workers=2, trusted_proxies=[f"10.{at}.0.0/16"])
            daemon.reload()
        stop.set()
        for thread in threads:
            thread.join(30)
        assert problems == [] and min(counts) > 0
        assert sorted(daemon.workers) == pids


# ---- without a file ---------------------------------------------------------------------------

@pytest.mark.short
@pytest.mark.row("proxy: form without a file")
def test_the_form_without_a_file(gate):  # noqa: F811
    import pathlib
    leaf = gate.leaf()
    pair = gate.pair(leaf)
    whole = gate.folder / "site.pem"
    whole.write_bytes(pathlib.Path(pair["chain"]).read_bytes() +
                      pathlib.Path(pair["key"]).read_bytes())
    whole.chmod(0o600)
    (gate.folder / "www").mkdir()
    (gate.folder / "www" / "a.txt").write_text("a file")
    with Backend(serve_echo) as backend:
        with GateDaemon(
                harness.program("wsgate"), "--certificate", whole,
                "--listen", f"127.0.0.1:{gate.port}",
                f"/files/=files:{gate.folder}/www",
                f"/=http:{backend.server}") as daemon:
            daemon.wait_log(r"\bready\b.*generation")
            with gate.tls() as client:
                assert client.get("/x").json()["target"] == "/x"
                assert client.get("/files/a.txt").text == "a file"


@pytest.mark.row("done: config errors")
def test_a_mistyped_verb_is_a_usage_error():
    done = harness.run(harness.program("wsgate"), "relaod", code=64)
    assert "did you mean 'reload'?" in done.err
    done = harness.run(harness.program("wsgate"), "dance", code=64)
    assert "'dance' is neither a verb (run, schema, reload, status) nor a " \
        "route" in done.err


@pytest.mark.row("done: config errors")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes users")
def test_an_unknown_user_is_named_by_t(gate):  # noqa: F811
    path = gate.config(user="nobody-of-that-name")
    done = harness.run(harness.program("wsgate"), "-t", "-c", path, code=78)
    assert "'nobody-of-that-name' is not known" in done.err


@pytest.mark.row("done: config errors")
def test_t_leaves_no_log_behind(gate):  # noqa: F811
    """Root's check must not make a file that the service cannot open."""
    log = gate.folder / "access.log"
    path = gate.config(log={"access": str(log)})
    harness.run(harness.program("wsgate"), "-t", "-c", path, code=0)
    assert not log.exists()
