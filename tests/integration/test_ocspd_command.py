"""The command line and the configuration file: exit codes, words, places."""
import json
import re

import pytest

import ocsp
from ocsp import Response
from responder import Answer

USAGE, CONFIG, TEMPORARY = 64, 78, 75      # sysexits.h


@pytest.mark.short
def test_help_is_on_stdout_and_version_too(world):
    done = world.run("--help", code=0)
    assert "fetch" in done.out and done.err == ""
    done = world.run("--version", code=0)
    assert re.search(r"\d+\.\d+\.\d+", done.out)
    for verb in ("fetch", "check", "status", "show", "wait"):
        done = world.run(verb, "--help", code=0)
        assert done.out and done.err == "", verb


@pytest.mark.short
@pytest.mark.parametrize("words", [
    ["no-such-verb"], ["--no-such-option"], ["fetch", "--no-such-option"],
    ["fetch", "--spool"], ["status", "one", "two", "three"]],
    ids=lambda words: "-".join(words))
def test_a_usage_error_is_one_line_and_64(world, words):
    done = world.run(*words, code=USAGE)
    assert done.out == "" and done.err.count("\n") == 1, done


WRONG = [   # sentence, text, place, words
    ("unknown key", "spool: /tmp\ncertificats: []\n", "2:1",
     ["certificats", "certificates"]),
    ("unknown nested key", "fetch:\n  timeot: 5s\n", "2:3",
     ["timeot", "timeout"]),
    ("no duration", "fetch:\n  timeout: five\n", "2:12", ["five"]),
    ("out of range", "fetch:\n  timeout: 10d\n", "2:12", ["10d"]),
    ("no URL", "certificates:\n  - path: /a.pem\n    responder: ocsp\n",
     r"3:\d+", ["responder"]),
    ("no address range", "allow_addresses: [loopback]\n", "1:19",
     ["loopback"]),
    ("no such policy", "defaults:\n  on_revoked: ignore\n", "2:15",
     ["ignore", "withdraw"]),
    ("a key twice", "spool: /a\nspool: /b\n", "2:1", ["spool"]),
    ("the same path twice",
     "certificates:\n  - path: /a.pem\n  - path: /a.pem\n", r"3:\d+",
     ["/a.pem"]),
    ("two documents", "spool: /a\n---\nspool: /b\n", r"\d+:\d+", []),
    ("a tab", "fetch:\n\ttimeout: 1s\n", "2:1", []),
    ("cut short", "certificates: [\n", r"\d+:\d+", []),
    ("an unset variable", "spool: ${NO_SUCH_VARIABLE_HERE}\n", r"1:\d+",
     ["NO_SUCH_VARIABLE_HERE"]),
    ("a merge key", "a: &a {spool: /x}\n<<: *a\n", r"\d+:\d+", []),
]


@pytest.mark.short
@pytest.mark.parametrize("sentence,text,place,words", WRONG,
                         ids=[row[0].replace(" ", "-") for row in WRONG])
@pytest.mark.parametrize("how", [["-t"], []], ids=["test", "start"])
def test_a_mistake_has_its_place_and_78(world, sentence, text, place, words,
                                        how):
    path = world.folder / "bad.yaml"
    path.write_text(text)
    done = world.run(*how, "-c", path, code=CONFIG)
    assert re.search(rf"bad\.yaml:{place}\b", done.err), done
    for word in words:
        assert word in done.err, done


def test_a_configuration_that_is_not_there_is_78(world):
    done = world.run("-t", "-c", world.folder / "none.yaml", code=CONFIG)
    assert "none.yaml" in done.err


@pytest.mark.short
def test_a_good_configuration_passes_the_test_and_touches_nothing(world):
    leaf = world.leaf()
    world.run("-t", "-c", world.config(leaf), code=0)
    assert world.responder.count() == 0
    assert list(world.spool.iterdir()) == []


@pytest.mark.row("ocsp: all relative paths and variables")
def test_paths_start_at_the_file_and_variables_are_filled_in(world):
    leaf = world.leaf(path="a.pem")
    path = world.folder / "c.yaml"
    path.write_text("spool: ${SPOOL}\nallow_addresses: [127.0.0.0/8]\n"
                    "certificates:\n  - path: certs/${NAME:-a}.pem\n")
    world.run("fetch", "-c", path, env={"SPOOL": world.spool}, code=0)
    assert world.der(leaf)


@pytest.mark.short
def test_fetch_says_which_is_live_and_exits_0_or_75(world):
    fine, bad = world.leaf("fine.example.org"), world.leaf("bad.example.org")
    world.responder.serve(Answer(Response(outer=ocsp.TRY_LATER)), bad)
    done = world.fetch(fine, code=0)
    assert len(done.out.splitlines()) == 1 and "good" in done.out
    done = world.fetch(bad, code=TEMPORARY)
    assert len(done.out.splitlines()) == 1 and "try-later" in done.out
    done = world.fetch(fine, bad, code=TEMPORARY)
    assert len(done.out.splitlines()) == 2


def test_fetch_of_a_file_that_is_not_there_says_so(world):
    done = world.run("fetch", "--spool", world.spool,
                     world.folder / "none.pem")
    assert done.code != 0 and "none.pem" in done.err + done.out


def test_fetch_into_a_spool_that_cannot_be_says_so(world):
    leaf = world.leaf()
    done = world.run("fetch", "--spool", leaf.path / "nowhere", leaf.path)
    assert done.code != 0 and "nowhere" in done.err, done


def test_a_private_key_in_the_file_is_no_hindrance(world):
    leaf = world.leaf()
    leaf.path.write_bytes(leaf.key_pem + leaf.chain_pem)
    world.fetch(leaf, code=0)


def test_the_order_of_the_chain_does_not_matter(world, pki):
    leaf = world.leaf()
    leaf.path.write_bytes(pki.root.pem + pki.ca.pem + leaf.pem)
    world.fetch(leaf, code=0)


@pytest.mark.row("ocsp: dry run / explain")
def test_check_explains_a_refusal_and_how_to_mend_it(world):
    leaf = world.leaf()
    world.responder.serve(Answer(Response(forge=True)))
    done = world.run("check", "-c", world.config(leaf), leaf.path)
    assert done.code != 0
    assert "bad-signature" in done.out, done
    assert world.responder.url in done.out
    assert world.der(leaf) is None, "check changes nothing"


@pytest.mark.row("ocsp: dry run / explain")
def test_check_of_a_good_certificate_is_0(world):
    leaf = world.leaf()
    done = world.run("check", "-c", world.config(leaf), leaf.path, code=0)
    assert "good" in done.out
    assert world.der(leaf) is None, "check changes nothing"


@pytest.mark.row("ocsp: show status")
def test_status_tells_each_certificate_as_json(world):
    fine, bad = world.leaf("fine.example.org"), world.leaf("bad.example.org")
    world.responder.serve(Answer(code=500), bad)
    config = world.config(fine, bad)
    world.fetch_config(config, code=75)
    done = world.run("status", "--json", "-c", config)
    text = json.dumps(json.loads(done.out))
    for leaf in (fine, bad):
        assert leaf.fingerprint in text
    assert "http-status" in text and "good" in text


@pytest.mark.row("ocsp: show status")
def test_show_prints_a_response(world):
    leaf = world.leaf()
    world.fetch(leaf, code=0)
    done = world.run("show", world.der_path(leaf), code=0)
    assert "good" in done.out
