"""ammd with an amm-cad beside it, and what gateways and people say to them."""
import base64
import http.client
import json
import signal
import socket
import ssl
import subprocess

from cad import Cad, new_key, wait_for
from lab import BIN, run


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


def talk(connection, method, path, body, headers):
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


class Manager:
    """amm-cad and ammd of one server; everything lies in `folder`."""

    def __init__(self, folder, settings="", tunneld="", per_minute=100000):
        self.folder = folder
        self.cad = Cad(folder, per_minute=per_minute)
        self.port = free_port()
        self.socket = folder / "ammd.sock"
        self.config = folder / "amm.conf"
        self.crl = folder / "tunnel" / "crl.pem"
        self.process = None
        cad = self.cad.config.read_text().split("[cad]")[1]
        self.config.write_text(f"""\
pki = {self.cad.pki}
gateways = {folder}/tunnel/gateways.conf
crl = {self.crl}
control-socket = {folder}/tunneld.sock
{tunneld}
[remote-access]
socket = {self.socket}-remote
[manager]
user = root
database = {folder}/fleet.db
backups = {folder}/backups
socket = {self.socket}
console = 127.0.0.1:{free_port()}
gateways = 127.0.0.1:{self.port}
metrics = 127.0.0.1:{free_port()}
{settings}
[cad]{cad}""")
        self.cad.config = self.config

    def start(self, with_cad=True):
        if with_cad:
            self.cad.start()
        log = self.folder / "ammd.log"
        at = log.stat().st_size if log.exists() else 0
        with open(log, "a") as file:
            self.process = subprocess.Popen([BIN / "ammd", "--config", self.config], stdout=subprocess.DEVNULL, stderr=file)
        wanted = ["event=started"] + ["event=cad-up"] * with_cad
        said = lambda: log.read_text()[at:]
        wait_for(lambda: all(w in said() for w in wanted) or self.process.poll() is not None)
        assert self.process.poll() is None, said()
        if with_cad:
            self.wait(lambda: self.gateway("GET", "/.well-known/est/cacerts").status == 200)
        return self

    @staticmethod
    def wait(condition, seconds=20):
        wait_for(condition, seconds)

    def stop(self, how=signal.SIGTERM):
        if self.process:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None
        self.cad.stop()

    # ---- people

    def api(self, method, path, body=None):
        """As root on the unix socket."""
        text = None if body is None else json.dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        return talk(UnixConnection(self.socket), method, "/api/v1" + path, text, headers)

    def tokens(self, count=1, **more):
        answer = self.api("POST", "/enrolment-tokens", {"tenant": "1", "count": count, **more})
        assert answer.status == 201, answer
        return [item["token"] for item in answer.json["items"]]

    def find(self, serial):
        """The gateway with this serial number, as the API shows it; None: there is none."""
        found = [g for g in self.api("GET", "/gateways?limit=1000").json["items"] if g["serial"] == serial]
        return found[0] if found else None

    # ---- gateways

    def gateway(self, method, path, body=None, headers=None, certificate=None):
        """`certificate`: (PEM file, key file) of the gateway."""
        context = ssl.create_default_context(cafile=str(self.cad.pki / "server-ca.crt"))
        context.check_hostname = False
        if certificate:
            context.load_cert_chain(*map(str, certificate))
        return talk(http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=30), method, path, body, headers or {})

    def enrol(self, serial, token, request):
        basic = base64.b64encode(f"{serial}:{token}".encode()).decode()
        return self.gateway("POST", "/.well-known/est/simpleenroll", request,
                            {"Authorization": "Basic " + basic, "Content-Type": "application/pkcs10"})

    def renew(self, certificate, request):
        return self.gateway("POST", "/.well-known/est/simplereenroll", request, {"Content-Type": "application/pkcs10"}, certificate)


class Gateway:
    """A key, and the certificate that it got."""

    def __init__(self, folder, serial):
        self.serial = serial
        self.folder = folder / serial.replace("/", "-")
        self.folder.mkdir()
        self.key, self.public = new_key(self.folder)
        self.certificate = self.folder / "gateway.pem"
        self.request = csr(self.key, serial.replace("/", "-"))

    def take(self, answer):
        assert answer.status == 200, answer
        self.certificate.write_text(from_pkcs7(answer.body)[0])
        return self

    @property
    def pair(self):
        return self.certificate, self.key

    def serial_number(self):
        return run("openssl", "x509", "-noout", "-serial", "-in", self.certificate).stdout.strip().split("=")[1]


def csr(key, name="x", *more):
    der = subprocess.run(["openssl", "req", "-new", "-key", key, "-subj", f"/CN={name}", "-outform", "DER", *more],
                         capture_output=True, check=True).stdout
    return base64.b64encode(der)


def from_pkcs7(body):
    """The certificates of an EST answer, read by openssl."""
    text = subprocess.run(["openssl", "pkcs7", "-inform", "DER", "-print_certs"], input=base64.b64decode(body), capture_output=True,
                          check=True).stdout.decode()
    return ["-----BEGIN" + part.split("-----END")[0] + "-----END CERTIFICATE-----\n" for part in text.split("-----BEGIN")[1:]]
