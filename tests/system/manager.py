"""ammd alone on loopback, and a small client of its API. In a network namespace of its own there would be nothing
more to see: everything goes over 127.0.0.1."""
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
BIN = TOP / "build" / "bin"


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def wait(what, condition, seconds=15, pause=0.02):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(pause)
    raise AssertionError(f"{what}: not in {seconds} s")


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.bytes = response.read()
        try:
            self.json = json.loads(self.bytes) if self.bytes else None
        except ValueError:
            self.json = None

    def __repr__(self):
        return f"{self.status} {self.bytes[:300]!r}"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(self.path))


class Client:
    """Somebody who asks: root on the unix socket, a login's cookie, or a token."""

    def __init__(self, manager, local=False, token=None):
        self.manager, self.local, self.token, self.cookie = manager, local, token, None
        self.connection, self.run = None, manager.runs

    def ask(self, method, path, body=None, headers=None, raw=None):
        if self.run != self.manager.runs:  # the connection of another process
            self.connection, self.run = None, self.manager.runs
        if self.connection is None:
            self.connection = UnixConnection(self.manager.socket) if self.local else http.client.HTTPConnection(
                "127.0.0.1", self.manager.port, timeout=20)
        sent = {}
        if body is not None or raw is not None:
            sent["Content-Type"] = "application/json"
        if self.cookie:
            sent.update({"Cookie": f"amm={self.cookie}", "X-AMM-Request": "1"})
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        sent.update(headers or {})
        try:
            self.connection.request(method, path, raw if raw is not None else json.dumps(body) if body is not None else None, sent)
            answer = Answer(self.connection.getresponse())
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            raise
        if answer.headers.get("Connection") == "close":
            self.connection.close()
            self.connection = None
        return answer

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.ask("POST", path, body if body is not None else {}, **more)

    def patch(self, path, body):
        return self.ask("PATCH", path, body)

    def delete(self, path):
        return self.ask("DELETE", path)

    def log_in(self, user, password):
        answer = self.post("/api/v1/login", {"user": user, "password": password})
        if answer.status == 200:
            self.cookie = re.match(r"amm=([^;]+);", answer.headers["Set-Cookie"]).group(1)
        return answer

    def items(self, path):
        """All pages of a list."""
        found, after = [], ""
        while True:
            page = self.get(path + ("&" if "?" in path else "?") + "limit=1000" + after)
            assert page.status == 200, page
            found += page.json["items"]
            if "next" not in page.json:
                return found
            after = f"&after={page.json['next']}"


class Manager:
    def __init__(self, folder=None, settings="", database=None):
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="amm-manager-"))
        self.folder.chmod(0o755)
        self.port, self.gateways, self.metrics = free_port(), free_port(), free_port()
        self.socket = self.folder / "ammd.sock"
        self.database = pathlib.Path(database or self.folder / "db" / "fleet.db")
        subprocess.run([BIN / "ammctl", "pki", "init", "--pki", self.folder / "pki"], check=True, capture_output=True)
        self.config = self.folder / "amm.conf"
        self.config.write_text(f"""
pki = {self.folder}/pki
[remote-access]
socket = {self.socket}-remote
[manager]
user = nobody
database = {self.database}
backups = {self.folder}/backups
socket = {self.socket}
console = 127.0.0.1:{self.port}
gateways = 127.0.0.1:{self.gateways}
metrics = 127.0.0.1:{self.metrics}
{settings}
""")
        self.process = None
        self.runs = 0

    def start(self, *wrapper):
        self.runs += 1
        self.out = self.folder / f"out-{self.runs}"
        self.err = self.folder / f"err-{self.runs}"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen([*wrapper, BIN / "ammd", "--config", self.config], stdout=out, stderr=err)
        wait("ammd has started", lambda: self.answers() or self.process.poll() is not None)
        assert self.process.poll() is None, self.err.read_text()
        return self

    def answers(self):
        try:
            return Client(self, local=True).get("/api/v1/server").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(10) == 0, self.err.read_text()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def run(self, *argv):
        return subprocess.run([BIN / "ammd", "--config", self.config, *argv], capture_output=True, text=True, timeout=60)

    def password(self):
        """The one-time password of this start; None if it printed none."""
        found = re.search(r"^    (\S+)$", self.out.read_text(), re.M)
        return found.group(1) if found else None

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Clock:
    """The wall clock of one process; its monotonic clock, and the machine's, are left alone."""

    def __init__(self, folder):
        self.file = folder / "clock"
        self.jump("+0")
        library = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
        self.wrapper = ["env", f"LD_PRELOAD={library}", f"FAKETIME_TIMESTAMP_FILE={self.file}", "FAKETIME_NO_CACHE=1",
                        "DONT_FAKE_MONOTONIC=1"]

    def jump(self, offset):
        self.file.write_text(offset)
        self.file.chmod(0o644)
