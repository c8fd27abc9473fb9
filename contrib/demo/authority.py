"""A throw-away certificate authority: root, intermediate, a delegated OCSP
signer, one leaf per kind of key. All by the openssl program, in one folder."""
import datetime
import pathlib
import subprocess

NAMES = "DNS:localhost,IP:127.0.0.1,IP:::1"
LEAVES = {"ecdsa": ("EC", "ec_paramgen_curve:P-256"),
          "rsa": ("RSA", "rsa_keygen_bits:2048")}
DAYS = 7
EXTENSIONS = {
    "root": ["basicConstraints=critical,CA:TRUE",
             "keyUsage=critical,keyCertSign,cRLSign"],
    "intermediate": ["basicConstraints=critical,CA:TRUE,pathlen:0",
                     "keyUsage=critical,keyCertSign,cRLSign"],
    "ocsp-signer": ["basicConstraints=critical,CA:FALSE",
                    "keyUsage=critical,digitalSignature",
                    "extendedKeyUsage=OCSPSigning", "noCheck=ignored"],
    "leaf": ["basicConstraints=critical,CA:FALSE",
             "keyUsage=critical,digitalSignature",
             "extendedKeyUsage=serverAuth", "subjectAltName=" + NAMES],
}
BOTH = ["subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid"]


def openssl(*words, folder):
    """Its standard output; an error says what openssl said."""
    done = subprocess.run(["openssl", *map(str, words)], cwd=folder,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {words[0]}: {done.stderr.strip()}")
    return done.stdout


class Authority:
    """Writes NAME.key and NAME.pem; those of leaves are whole chains."""

    def __init__(self, folder, ocsp_url):
        self.folder = pathlib.Path(folder)
        self.serial = 4096
        self.serials = {}
        ec = LEAVES["ecdsa"]
        self._certificate("root", "Demo root", ec, None, EXTENSIONS["root"])
        self._certificate("intermediate", "Demo intermediate", ec, "root",
                          EXTENSIONS["intermediate"])
        self._certificate("ocsp-signer", "Demo OCSP signer", ec,
                          "intermediate", EXTENSIONS["ocsp-signer"])
        for name, kind in LEAVES.items():
            self._certificate(
                name, "localhost", kind, "intermediate", EXTENSIONS["leaf"] +
                [f"authorityInfoAccess=OCSP;URI:{ocsp_url}"])
            with open(self.folder / f"{name}.pem", "a") as chain:
                chain.write((self.folder / "intermediate.pem").read_text())

    def _certificate(self, name, common_name, kind, issuer, extensions):
        self.serial += 1
        self.serials[name] = self.serial
        algorithm, option = kind
        lines = BOTH[:1] if issuer is None else BOTH
        (self.folder / f"{name}.ext").write_text(
            "\n".join([*extensions, *lines]) + "\n")
        signed_by = (["-key", f"{name}.key"] if issuer is None else
                     ["-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key"])
        openssl("genpkey", "-algorithm", algorithm, "-pkeyopt", option,
                "-out", f"{name}.key", folder=self.folder)
        openssl("req", "-new", "-key", f"{name}.key", "-out", f"{name}.csr",
                "-subj", f"/CN={common_name}", folder=self.folder)
        signing = (["-signkey", f"{name}.key"] if issuer is None
                   else signed_by)
        openssl("x509", "-req", "-in", f"{name}.csr", *signing,
                "-set_serial", self.serial, "-days", DAYS, "-sha256",
                "-extfile", f"{name}.ext", "-out", f"{name}.pem",
                folder=self.folder)

    def write_index(self, is_revoked=False):
        """What `openssl ocsp -index` answers from."""
        now = datetime.datetime.now(datetime.timezone.utc)
        end = (now + datetime.timedelta(days=DAYS)).strftime("%y%m%d%H%M%SZ")
        state, when = "V", ""
        if is_revoked:
            state = "R"
            when = now.strftime("%y%m%d%H%M%SZ") + ",keyCompromise"
        path = self.folder / "index.txt"
        path.write_text("".join(
            f"{state}\t{end}\t{when}\t{self.serials[name]:X}\tunknown\t"
            f"/CN=localhost/OU={name}\n" for name in LEAVES))
        return path

    def spki_pin(self):
        """The intermediate's key as browsers name it (SHA-256, base64)."""
        text = "openssl x509 -in intermediate.pem -noout -pubkey |" \
            " openssl pkey -pubin -outform der | openssl dgst -sha256 -binary" \
            " | openssl base64"
        return subprocess.run(["sh", "-c", text], cwd=self.folder, check=True,
                              capture_output=True, text=True).stdout.strip()
