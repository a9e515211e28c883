"""Certificates for the tests, made by openssl in a folder of the test."""
import datetime
import subprocess

CONFIG = """
[ca]
default_ca = ours
[ours]
dir = {folder}
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
default_md = sha256
default_crl_days = 2
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
"""
EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True,
                   capture_output=True)


class Authority:
    """Who signs: `ca` is its certificate, `crl` what it has revoked."""

    def __init__(self, folder, name="Test CA"):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.ca = folder / "ca.pem"
        self.crl = folder / "crl.pem"
        self.config = folder / "config"
        self.config.write_text(CONFIG.format(folder=folder))
        (folder / "index").write_text("")
        (folder / "serial").write_text("01\n")
        openssl("req", "-x509", *EC, "-keyout", folder / "ca.key", "-out",
                self.ca, "-days", "2", "-subj", "/CN=" + name)
        self.write_crl()

    def write_crl(self):
        openssl("ca", "-config", self.config, "-gencrl", "-out", self.crl)

    def sign(self, name, file=None, names="DNS:localhost,IP:127.0.0.1,IP:::1",
             days=(-1, 2)):
        """A certificate for `name`; returns it and its key."""
        file = file or name
        key, cert = (self.folder / (file + end) for end in (".key", ".pem"))
        asked = self.folder / (file + ".csr")
        now = datetime.datetime.now(datetime.timezone.utc)
        begin, end = ((now + datetime.timedelta(days=d))
                      .strftime("%Y%m%d%H%M%SZ") for d in days)
        openssl("req", "-new", *EC, "-keyout", key, "-out", asked, "-subj",
                "/CN=" + name, "-addext", "subjectAltName=" + names)
        openssl("ca", "-batch", "-notext", "-config", self.config, "-in",
                asked, "-out", cert, "-startdate", begin, "-enddate", end)
        return cert, key

    def revoke(self, cert):
        openssl("ca", "-config", self.config, "-revoke", cert)
        self.write_crl()
