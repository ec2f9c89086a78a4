"""amm-cad as a process, and the messages of its socket (src/ipc/include/ipc/cad.h)."""
import os
import signal
import socket
import struct
import subprocess
import time

from lab import BIN, run

STATUS, TIME, ISSUE, REVOKE, LISTS, REVOCATIONS, AUTHORITIES, WRAP = range(1, 9)
STATE, SIGNED_TIME, ISSUED, PART, REVOKED, TEXT, DONE, FAILED = range(32, 40)
GATEWAY, PROFILE = 1, 2
REFUSED, CONFLICT, REVOKED_BEFORE, BUSY, BROKEN = range(1, 6)


class Link:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(20)
        self.socket.connect(str(path))
        self.next = 0

    def send(self, kind, body=b""):
        self.next += 1
        self.socket.send(struct.pack(">BBHQ", 1, kind, len(body), self.next) + body)
        return self.next

    def receive(self):
        packet = self.socket.recv(65536)
        if not packet:
            raise ConnectionError("amm-cad has closed the connection")
        version, kind, length, number = struct.unpack(">BBHQ", packet[:12])
        assert version == 1 and length == len(packet) - 12
        return kind, number, packet[12:]

    def ask(self, kind, body=b""):
        wanted = self.send(kind, body)
        answer, number, body = self.receive()
        assert number == wanted
        return answer, body

    def text(self, kind, which):
        answer, body = self.ask(kind, bytes([which]))
        assert answer == TEXT, body
        return body[2:].decode()

    def parts(self, kind):
        self.send(kind)
        while True:
            answer, _, body = self.receive()
            if answer == DONE:
                return
            assert answer in (PART, REVOKED), body
            yield body

    def issue(self, key, name="gw-1", approval=None, kind=GATEWAY, days=0, renews=bytes(20)):
        """(ISSUED, (serial, PEM)) or (FAILED, (reason, words))."""
        name = name.encode()
        body = ((approval or os.urandom(16)) + struct.pack(">BHH", kind, days, len(name)) + name + key + renews)
        answer, body = self.ask(ISSUE, body)
        if answer == FAILED:
            return answer, (body[0], body[7:].decode())
        return answer, (body[:20], body[20 + 32 + 16 + 2 :].decode())

    def revoke(self, serial, kind=GATEWAY):
        return self.ask(REVOKE, serial + bytes([kind]) + bytes(8))[0]


class Cad:
    """amm-cad with a PKI of its own; `user` may ask."""

    def __init__(self, folder, manager="root", per_minute=100000, pki=None):
        self.folder = folder
        self.pki = pki or folder / "pki"
        self.path = folder / "cad.sock"
        self.config = folder / "cad.conf"
        if not self.pki.exists():
            run(BIN / "ammctl", "pki", "init", "--pki", self.pki)
        self.config.write_text(f"pki = {self.pki}\n[manager]\nuser = {manager}\n[cad]\nuser = nobody\nsocket = {self.path}\n"
                               f"state = {folder}/state\ncertificates-per-minute = {per_minute}\n")
        self.process = None

    def start(self):
        log = self.folder / "cad.log"
        at = log.stat().st_size if log.exists() else 0
        with open(log, "a") as file:
            self.process = subprocess.Popen([BIN / "amm-cad", "--config", self.config], stderr=file)
        said = lambda: log.read_text()[at:]
        wait_for(lambda: "event=ready" in said() or self.process.poll() is not None)
        assert self.process.poll() is None, said()
        self.ready = [line for line in said().splitlines() if "event=ready" in line][0]
        return self

    def link(self):
        return Link(self.path)

    def stop(self, how=signal.SIGTERM):
        if self.process:
            self.process.send_signal(how)
            self.process.wait(20)
            self.process = None

    def certificate(self, pem):
        """What openssl says about a certificate."""
        return run("openssl", "x509", "-noout", "-text", input=pem).stdout


def new_key(folder, name="key.pem"):
    """(path, SubjectPublicKeyInfo) of a new P-256 key."""
    path = folder / name
    run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)
    der = subprocess.run(["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"], capture_output=True, check=True).stdout
    assert len(der) == 91
    return path, der


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
