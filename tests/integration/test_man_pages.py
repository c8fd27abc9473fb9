"""The man pages say what the programs are: directives from their own schema,
options and verbs from --help, examples that the programs accept."""
import json
import re

import pytest

import harness

PAGES = {"ocspd": ("ocspd/ocspd.8", "ocspd/ocspd.yaml.5"),
         "wsgate": ("wsgate/wsgate.8", "wsgate/wsgate.yaml.5")}


def page(path):
    return (harness.ROOT / path).read_text()


def plain(text):
    """mdoc without its macros, near enough to look for words."""
    text = re.sub(r"\\\(dq", '"', text)
    text = re.sub(r"\\.", "", text)
    return re.sub(r"^\.[A-Z][a-z]\b|(?<= )(Fl|Cm|Ar|Ns|Op|Ic)(?= )", " ", text,
                  flags=re.M)


# ---- options and verbs --------------------------------------------------------------

def verbs(program):
    out = harness.run(harness.program(program), "--help", code=0).out
    part = out.split("Verbs:\n")[1].split("Options:")[0]
    return re.findall(r"^  ([a-z-]+)", part, re.M)


def options(program):
    found = set()
    for words in [[]] + [[verb] for verb in verbs(program)]:
        out = harness.run(harness.program(program), *words, "--help",
                          code=0).out
        found |= set(re.findall(r"^  .{4}--([a-z-]+)", out, re.M))
    return found


@pytest.mark.parametrize("program", PAGES)
def test_the_page_has_every_option_and_no_other(program):
    text = page(PAGES[program][0])
    items = re.findall(r"^\.It Fl .*", text, re.M)
    told = {name for item in items for name in
            re.findall(r"Fl -([a-z-]+)", item)}
    assert told == options(program)


@pytest.mark.parametrize("program", PAGES)
def test_the_page_has_every_verb_and_no_other(program):
    text = page(PAGES[program][0])
    part = text.split(".Sh VERBS")[1].split(".Sh ")[0]
    assert re.findall(r"^\.It Cm (\S+)", part, re.M) == verbs(program)


# ---- examples -------------------------------------------------------------------------

def examples():
    for program, (_, path) in PAGES.items():
        text = page(path).split(".Sh EXAMPLES")[1]
        blocks = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", text,
                            re.M | re.S)
        for number, block in enumerate(blocks):
            yield pytest.param(program, block, id=f"{program} {number + 1}")
    for program in PAGES:
        path = harness.ROOT / f"contrib/examples/{program}.yaml"
        yield pytest.param(program, path.read_text(), id=path.name)


@pytest.mark.parametrize("program,text", examples())
def test_every_example_is_accepted(program, text, folder, pki):
    """Files that it names beside it are there."""
    for name in re.findall(r"certs/(\w+)\.pem", text):
        (folder / "certs").mkdir(exist_ok=True)
        leaf = pki.leaf("www.example.org",
                        kind="rsa" if name == "rsa" else "ec")
        pair = folder / f"certs/{name}.pem"     # with the key, or beside it
        pair.write_bytes(leaf.chain_pem + leaf.key_pem)
        pair.chmod(0o640)
        leaf.write_key(folder / f"certs/{name}.key")
    (folder / "static").mkdir()
    path = folder / f"{program}.yaml"
    path.write_text(text)
    harness.run(harness.program(program), "-t", "-c", path,
                env={"OCSPD_SPOOL": folder}, code=0)


def test_the_schema_is_json():
    out = harness.run(harness.program("wsgate"), "schema", code=0).out
    assert json.loads(out)["properties"]
