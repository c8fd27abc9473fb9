"""ocspd's surroundings in a test: certificates on disk, a spool, a responder,
and the program run over them."""
import json
import re

import harness

LOOPBACK = "127.0.0.0/8"


class World:
    def __init__(self, folder, pki, responder, clock=None):
        self.folder, self.pki, self.responder = folder, pki, responder
        self.clock = clock
        self.spool = folder / "spool"
        self.certs = folder / "certs"
        self.spool.mkdir()
        self.certs.mkdir()
        self.ca_file = pki.ca.write(folder / "ca.pem")
        if clock:
            responder.clock = clock

    @property
    def env(self):
        return self.clock.env if self.clock else {}

    def leaf(self, *names, path=None, urls=None, **how):
        """A new leaf whose AIA names the responder, and its chain file."""
        urls = [self.responder.url] if urls is None else urls
        made = self.pki.leaf(*names, ocsp=urls, **how)
        made.path = self.certs / (path or f"{made.serial:x}.pem")
        made.write_chain(made.path)
        return made

    # ---- the spool -----------------------------------------------------------------

    def der_path(self, leaf):
        return self.spool / f"{leaf.fingerprint}.der"

    def der(self, leaf):
        """The staple's bytes; None when there is none."""
        try:
            return self.der_path(leaf).read_bytes()
        except FileNotFoundError:
            return None

    def meta(self, leaf):
        """The side file; {} when there is none."""
        try:
            text = (self.spool / f"{leaf.fingerprint}.json").read_text()
        except FileNotFoundError:
            return {}
        return json.loads(text)

    def strays(self):
        """Files in the spool that are no staple and no side file."""
        return [path.name for path in self.spool.iterdir() if not
                re.fullmatch(r"[0-9a-f]{64}\.(der|json)", path.name)]

    # ---- the program ------------------------------------------------------------------

    def config(self, *leaves, rows=None, name="ocspd.yaml", **top):
        """Writes a configuration. Top-level keys come as Python values; rows:
        the certificates' list, else one row for each leaf."""
        tree = {"spool": str(self.spool), "allow_addresses": [LOOPBACK],
                "log": {"level": "debug"},
                "fetch": {"timeout": "3s", "connect_timeout": "2s"}}
        tree.update(top)
        tree["certificates"] = rows if rows is not None else [
            {"path": str(leaf.path)} for leaf in leaves]
        path = self.folder / name
        # Every JSON text of this kind is YAML too.
        path.write_text(json.dumps(tree, indent=1))
        return path

    def run(self, *words, **how):
        how.setdefault("env", self.env)
        return harness.run(harness.program("ocspd"), *words, **how)

    def fetch(self, *leaves, allow=True, code=None, words=()):
        """`ocspd fetch` without a configuration file."""
        allowed = ["--allow-address", LOOPBACK] if allow else []
        return self.run("fetch", "--spool", self.spool, *allowed, *words,
                        *[leaf.path for leaf in leaves], code=code)

    def fetch_config(self, config, code=None):
        return self.run("fetch", "-c", config, code=code)

    def daemon(self, config, **how):
        how.setdefault("env", self.env)
        return harness.Daemon(harness.program("ocspd"), "-c", config, **how)

    def wait_staple(self, leaf, wanted=None, timeout=harness.WAIT_S):
        """Until the leaf's staple is there; with `wanted`: is these bytes."""
        def there():
            found = self.der(leaf)
            return found if wanted is None or found == wanted else None
        return harness.wait_until(
            there, f"staple of {leaf.fingerprint[:8]}", timeout)


def verdicts(result):
    """The words of each line that `ocspd fetch` printed."""
    return [line.split() for line in result.out.splitlines() if line.strip()]


def says(result, word):
    """Is the word a verdict on stdout?"""
    return any(word in [part.strip(":,;()") for part in line]
               for line in verdicts(result))
