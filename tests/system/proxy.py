"""amm-proxyd as a process, a small ammd that speaks the messages of src/ipc/include/ipc/proxy.h, and gateways' pages in a
network namespace of their own. Browsers are the test, on loopback."""
import base64
import hashlib
import http.client
import ipaddress
import os
import pathlib
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

from lab import BIN, PROXY_UID, numbers, run, wait

WELCOME, SESSION, TICKET, CLOSE, SYNCED, TEST = range(1, 7)
HELLO, ENTERED, KEY, REQUESTS, ACTIVE, ENDED, RESULT = range(32, 39)
PAGE, FORWARD = 1, 2
HTTP, HTTPS = 1, 2
NO_CREDENTIALS, ASSERTION, BASIC = range(3)
ENDS = {1: "idle", 2: "life", 3: "left", 4: "closed", 5: "logout", 6: "rights", 7: "removed", 8: "tunnel", 9: "gateway",
        10: "unused", 11: "unknown"}
DOMAIN = "localhost"
HERE = pathlib.Path(__file__).parent


def text(words):
    raw = words.encode()
    return struct.pack(">H", len(raw)) + raw


def address(where):
    if where is None:
        return bytes(19)
    ip, port = where
    return struct.pack(">BH", 4, port) + ipaddress.ip_address(ip).packed + bytes(12)


def optional(secret):
    return b"\0" if secret is None else b"\1" + secret


def new_label():
    return base64.b32encode(os.urandom(16)).decode().lower().rstrip("=")


class Remote:
    """A remote session, as ammd tells it."""

    def __init__(self, where, scheme=HTTP, **more):
        self.label = new_label()
        self.where, self.scheme, self.kind, self.role, self.epoch = where, scheme, PAGE, 2, 0x0102030405060708
        self.name, self.operator, self.reason, self.host, self.pin = "bus 1", "anna", "", "", None
        self.credentials, self.user, self.secret, self.view_only = NO_CREDENTIALS, "", "", False
        self.idle, self.until, self.cookie, self.serial = 900, int(time.time()) + 3600, None, "TEST-0001"
        self.__dict__.update(more)
        self.new_ticket()

    def new_ticket(self):
        self.ticket = os.urandom(32)
        self.ticket_until = int(time.time()) + 30

    @property
    def browser_host(self):
        return f"{self.label}.{DOMAIN}"

    def body(self):
        has_ticket = self.ticket and hashlib.sha256(self.ticket).digest()
        return (self.label.encode() + bytes([self.kind, self.role, self.scheme]) + struct.pack(">QQ", 7, self.epoch)
                + text(self.serial) + text("bus-1") + text(self.name) + text(self.operator) + text(self.reason)
                + address(("198.51.100.7", 0)) + address(self.where) + text(self.host) + address(None)
                + optional(self.pin) + bytes([self.credentials]) + text(self.user) + text(self.secret)
                + optional(has_ticket) + struct.pack(">Q", self.ticket_until) + optional(self.cookie)
                + struct.pack(">IQQB", self.idle, int(time.time()), self.until, self.view_only))


class Manager:
    """ammd: listens, tells its sessions to whoever comes, keeps what it hears."""

    def __init__(self, path):
        self.path, self.sessions, self.heard, self.link = path, {}, [], None
        self.lock = threading.Condition()
        self.listener = None
        self.open()

    def open(self):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(self.path))
        os.chown(self.path, 0, PROXY_UID)
        os.chmod(self.path, 0o660)
        self.listener.listen(4)
        threading.Thread(target=self.serve, args=(self.listener,), daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.path.unlink(missing_ok=True)
        if self.link:
            self.link.shutdown(socket.SHUT_RDWR)

    def serve(self, listener):
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            try:
                self.talk(link)
            except OSError:
                pass

    def talk(self, link):
        while True:
            packet = link.recv(65536)
            if not packet:
                return
            version, kind, length = struct.unpack(">BBH", packet[:4])
            assert version == 1 and length == len(packet) - 4
            if kind == HELLO:
                with self.lock:
                    self.link = link
                    self.send(WELCOME)
                    for session in self.sessions.values():
                        self.send(SESSION, session.body())
                    self.send(SYNCED)
            with self.lock:
                self.heard.append((kind, packet[4:]))
                self.lock.notify_all()

    def send(self, kind, body=b""):
        self.link.send(struct.pack(">BBH", 1, kind, len(body)) + body)

    def add(self, session):
        with self.lock:
            self.sessions[session.label] = session
            self.send(SESSION, session.body())
        return session

    def end(self, session, reason=5):
        with self.lock:
            self.sessions.pop(session.label, None)
            self.send(CLOSE, session.label.encode() + bytes([reason]))

    def hear(self, kind, matches=lambda body: True, seconds=20):
        """The body of the first message of this kind that matches; it is taken out."""
        end = time.monotonic() + seconds
        with self.lock:
            while True:
                for i, (what, body) in enumerate(self.heard):
                    if what == kind and matches(body):
                        del self.heard[i]
                        return body
                left = end - time.monotonic()
                assert left > 0, f"ammd has not heard {kind}: {[k for k, _ in self.heard]}"
                self.lock.wait(left)

    def hear_end(self, session):
        return ENDS[self.hear(ENDED, lambda body: body[:26] == session.label.encode())[26]]

    def requests(self):
        """Rows of the record so far: (label, kind, status, method, path, to the gateway, from it)."""
        rows = []
        with self.lock:
            for kind, body in self.heard:
                if kind != REQUESTS:
                    continue
                n, at = struct.unpack(">H", body[:2])[0], 2
                for _ in range(n):
                    label = body[at:at + 26].decode()
                    what, status, _, _, to, back = struct.unpack(">BHQIQQ", body[at + 26:at + 57])
                    at += 57
                    words = []
                    for _ in range(2):
                        size = struct.unpack(">H", body[at:at + 2])[0]
                        words.append(body[at + 2:at + 2 + size].decode())
                        at += 2 + size
                    rows.append((label, what, status, *words, to, back))
        return rows


class Proxy:
    """amm-proxyd, its manager, and the namespace of the tunnels."""

    def __init__(self, folder, secure=False):
        self.folder, self.secure = folder, secure
        self.namespace = f"ammp{os.getpid()}n{next(numbers)}"
        run("ip", "netns", "add", self.namespace)
        self.in_namespace("ip", "link", "set", "lo", "up")
        for part in (folder, *folder.parents):
            if str(part).startswith("/tmp/"):
                part.chmod(0o755)
        self.processes = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.manager = Manager(folder / "remote.sock")
        self.make_config()
        self.process = None
        self.start()

    def in_namespace(self, *argv, **more):
        return run("ip", "netns", "exec", self.namespace, *argv, **more)

    def make_certificate(self, name="first"):
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:*.{DOMAIN}", "-keyout", self.folder / "proxy.key",
            "-out", self.folder / "proxy.crt")
        (self.folder / "proxy.key").chmod(0o644)

    def make_config(self):
        run("openssl", "genpkey", "-algorithm", "ed25519", "-out", self.folder / "remote-access.key")
        secure = ""
        if self.secure:
            self.make_certificate()
            secure = f"certificate = {self.folder}/proxy.crt\nkey = {self.folder}/proxy.key\n"
        self.config = self.folder / "amm.conf"
        self.config.write_text(f"pki = {self.folder}\nnamespace = {self.namespace}\nproxy-user = {PROXY_UID}\n"
                               f"[manager]\nuser = nobody\n"
                               f"[remote-access]\nlisten = 127.0.0.1:{self.port}\ndomain = {DOMAIN}\n"
                               f"socket = {self.manager.path}\n{secure}")

    def start(self):
        self.log = self.folder / "proxyd.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([BIN / "amm-proxyd", "--config", self.config], stderr=log)
        self.manager.hear(HELLO)
        return self

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(20)

    def close(self):
        status = self.stop()
        for process in self.processes:
            process.kill()
            process.wait()
        self.manager.close()
        run("ip", "netns", "delete", self.namespace)
        assert status == 0, self.log.read_text()

    # ---- gateways ----

    def gateway(self, ip, name, port=9443, tls=False, *options):
        """A page at that address; where it is, and its process."""
        self.in_namespace("ip", "address", "replace", f"{ip}/32", "dev", "lo")
        return (ip, port), self.page(ip, name, port, tls, *options)

    def page(self, ip, name, port=9443, tls=False, *options):
        arguments = ["--tls", self.folder / f"{name}.pem"] if tls else []
        process = subprocess.Popen(["ip", "netns", "exec", self.namespace, "/usr/bin/python3", HERE / "gateway_server.py", ip,
                                    str(port), name, *map(str, arguments), *map(str, options)],
                                   stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    # ---- browsers ----

    def open(self):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        if self.secure:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = context.wrap_socket(connection)
        return connection

    def browser(self, session):
        return Browser(self, session)


class Browser:
    """Keeps the cookies of one host name, as a browser does."""

    def __init__(self, proxy, session):
        self.proxy, self.session, self.cookies = proxy, session, {}

    def connection(self):
        connection = http.client.HTTPConnection(f"{self.session.browser_host}:{self.proxy.port}", timeout=20)
        connection.sock = self.proxy.open()
        return connection

    @property
    def origin(self):
        return f"{'https' if self.proxy.secure else 'http'}://{self.session.browser_host}:{self.proxy.port}"

    def fields(self):
        cookies = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        return {"Cookie": cookies} if cookies else {}

    def ask(self, path, method="GET", body=None, **fields):
        """(status, fields as a list of pairs, body)"""
        connection = self.connection()
        connection.request(method, path, body, {**self.fields(), **fields})
        answer = connection.getresponse()
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                self.cookies[key] = rest.split(";")[0]
        content = answer.read()
        connection.close()
        return answer.status, answer.getheaders(), content

    def enter(self, ticket=None):
        ticket = base64.urlsafe_b64encode(ticket or self.session.ticket).decode().rstrip("=")
        return self.ask("/.amm/enter", "POST", f"ticket={ticket}",
                        **{"Content-Type": "application/x-www-form-urlencoded"})

    def raw(self, request):
        """A connection on which the head has been sent."""
        connection = self.proxy.open()
        cookies = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        head = request.replace("\n", "\r\n").format(host=f"{self.session.browser_host}:{self.proxy.port}",
                                                    cookie=cookies, origin=self.origin)
        connection.sendall(head.encode())
        return connection


def until_closed(connection, seconds=5):
    """Reads to the end; the bytes. It must come in time."""
    end, got = time.monotonic() + seconds, b""
    while True:
        connection.settimeout(max(0.01, end - time.monotonic()))
        try:
            some = connection.recv(65536)
        except (ConnectionResetError, ssl.SSLError, BrokenPipeError):
            return got
        except TimeoutError as late:
            raise AssertionError(f"still open after {seconds} s") from late
        if not some:
            return got
        got += some
