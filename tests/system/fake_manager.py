"""A manager for one gateway, as doc/gateway-protocol.md says and as the test orders: keys by openssl, HTTPS by Python. It
can lose answers, lie about the time, and answer anything. And a stand-in for ammer that only tells a state."""
import base64
import hashlib
import http.server
import json
import os
import pathlib
import socket
import ssl
import struct
import subprocess
import textwrap
import threading
import time
import urllib.parse


def run(*argv, data=None, **more):
    return subprocess.run([str(a) for a in argv], input=data, check=True, capture_output=True, **more).stdout


class Pki:
    def __init__(self, folder, name="amm"):
        self.folder = folder
        folder.mkdir()
        self.ca("server-ca", f"{name} server CA")
        self.ca("gateway-ca", f"{name} gateway CA")
        self.leaf("manager", "amm-manager", "server-ca", "serverAuth")
        run("openssl", "genpkey", "-algorithm", "ed25519", "-out", self.path("time.key"))
        self.sign_leaf("time", "amm-time", "server-ca", "critical,timeStamping")

    def path(self, name):
        return self.folder / name

    def read(self, name):
        return self.path(name).read_text()

    def key(self, name):
        run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.path(f"{name}.key"))

    def ca(self, name, subject):
        self.key(name)
        run("openssl", "req", "-x509", "-new", "-key", self.path(f"{name}.key"), "-days", "3650", "-subj", f"/CN={subject}",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", self.path(f"{name}.crt"))

    def leaf(self, name, subject, issuer, purpose):
        self.key(name)
        self.sign_leaf(name, subject, issuer, purpose)

    def sign_leaf(self, name, subject, issuer, purpose):
        csr = run("openssl", "req", "-new", "-key", self.path(f"{name}.key"), "-subj", f"/CN={subject}")
        self.path(f"{name}.crt").write_bytes(self.sign(csr, subject, issuer, purpose))

    def sign(self, csr, subject, issuer, purpose, days=90, age=0):
        """A certificate of so many days, the first of them `age` days ago."""
        extensions = self.path("extensions")
        extensions.write_text(f"basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
                              f"extendedKeyUsage={purpose}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
        at = ["faketime", "-f", f"-{age}d"] if age else []
        return run(*at, "openssl", "x509", "-req", "-inform", "PEM", "-CA", self.path(f"{issuer}.crt"),
                   "-CAkey", self.path(f"{issuer}.key"), "-subj", f"/CN={subject}", "-days", days,
                   "-set_serial", int.from_bytes(os.urandom(8), "big") >> 1, "-extfile", extensions, data=csr)

    def pin(self, name="server-ca"):
        spki = run("openssl", "x509", "-in", self.path(f"{name}.crt"), "-pubkey", "-noout")
        der = run("openssl", "pkey", "-pubin", "-outform", "DER", data=spki)
        return run("openssl", "dgst", "-sha256", "-binary", data=der)

    def certs_only(self, *pem):
        path = self.path("bundle.pem")
        path.write_text("".join(pem))
        return base64.encodebytes(run("openssl", "crl2pkcs7", "-nocrl", "-certfile", path, "-outform", "DER"))

    def sign_time(self, nonce, now, key="time.key"):
        message = self.path("message")
        message.write_bytes(b"amm-time-1\0" + nonce + struct.pack(">q", now))
        return run("openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.path(key), "-in", message)


def token(pki, secret=bytes(range(16))):
    def text(data):
        return base64.urlsafe_b64encode(data).decode().rstrip("=")
    return f"amm1.{text(secret)}.{text(pki.pin())}"


class Manager:
    """Members may be changed at any time; `lose` answers are computed, and the connection is closed instead."""

    def __init__(self, pki, port=0, address="127.0.0.1"):
        self.pki, self.lock = pki, threading.Lock()
        self.requests, self.checkins = [], []  # (path, headers, body), bodies that were taken
        self.time, self.forge, self.lose, self.refuse = lambda: int(time.time()), None, 0, None
        self.certificate = {}                  # more for Pki.sign
        self.desired, self.revision = None, 0  # (revision, set), sent until it is reported or refused
        self.operations, self.results = [], {}
        self.hash, self.seq, self.events = "", 0, []
        self.stats, self.parameters = {}, {}
        self.tunnel = None
        self.remote_key = None                 # 32 bytes, told to who asks
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        chain = pki.path("chain.pem")
        chain.write_text(pki.read("manager.crt") + pki.read("server-ca.crt"))
        context.load_cert_chain(chain, pki.path("manager.key"))
        context.load_verify_locations(pki.path("gateway-ca.crt"))
        context.verify_mode = ssl.CERT_OPTIONAL
        manager = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                length = int(self.headers.get("Content-Length") or 0)
                manager.handle(self, self.rfile.read(length))

            do_GET = do_POST = handle_any

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def finish_request(self, request, address):
                try:
                    super().finish_request(context.wrap_socket(request, server_side=True), address)
                except OSError:
                    pass

            def handle_error(self, *_):
                pass

        self.server = Server((address, port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"https://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def paths(self):
        return [path.split("?")[0].rsplit("/", 1)[-1] for path, _, _ in self.requests]

    # ---- answers ----

    def handle(self, http, body):
        with self.lock:
            self.requests.append((http.path, dict(http.headers), body))
            path = urllib.parse.urlsplit(http.path)
            status, kind, content, fields = self.route(path, http, body)
            if self.lose > 0 and path.path == "/checkin":
                self.lose -= 1
                http.close_connection = True
                http.connection.close()
                return
        http.send_response(status)
        http.send_header("Content-Type", kind)
        http.send_header("Content-Length", str(len(content)))
        for name, value in fields.items():
            http.send_header(name, value)
        http.end_headers()
        http.wfile.write(content)

    def route(self, path, http, body):
        def answer(status, content, kind="application/json", **fields):
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            return status, kind, data, {k.replace("_", "-"): v for k, v in fields.items()}

        refuse = self.refuse and self.refuse(path.path)
        if refuse:
            return answer(refuse[0], refuse[1], **(refuse[2] if len(refuse) > 2 else {}))
        if path.path.endswith("/cacerts"):
            return answer(200, self.pki.certs_only(self.pki.read("server-ca.crt"), self.pki.read("gateway-ca.crt")),
                          "application/pkcs7-mime")
        if path.path.endswith("enroll"):
            csr = run("openssl", "req", "-inform", "DER", data=base64.b64decode(body))
            certificate = self.pki.sign(csr, "gw1", "gateway-ca", "clientAuth", **self.certificate)
            return answer(200, self.pki.certs_only(certificate.decode()), "application/pkcs7-mime")
        if path.path == "/time":
            return answer(200, self.tell_time(bytes.fromhex(urllib.parse.parse_qs(path.query)["nonce"][0])))
        if not http.connection.getpeercert():
            return answer(401, {"error": "certificate-missing", "text": "no certificate"})
        if path.path == "/tunnel":
            return answer(200, self.tunnel) if self.tunnel else answer(503, {"error": "later"}, Retry_After="3600")
        return answer(200, self.take(json.loads(body)))

    def tell_time(self, nonce):
        now, key, certificate = self.time(), "time.key", self.pki.read("time.crt")
        if self.forge == "old-nonce":
            nonce = bytes(16)
        if self.forge == "key":
            run("openssl", "genpkey", "-algorithm", "ed25519", "-out", self.pki.path("forged.key"))
            key = "forged.key"
        signature = self.pki.sign_time(nonce, now, key)
        if self.forge == "changed":
            now += 1
        return {"time": now, "nonce": nonce.hex(), "certificate": certificate,
                "signature": base64.b64encode(signature).decode()}

    def take(self, message):
        """A check-in as the server takes it: once by its number, deltas only on the right base."""
        answer = {"time": self.time(), "seq": max(message["seq"], self.seq)}
        is_new = message["seq"] > self.seq
        if is_new and message["base"] not in ("", self.hash):
            answer["full"] = True
        elif is_new:
            if message["base"] == "":
                self.stats, self.parameters = {}, {}
            for mine, theirs in ((self.stats, message.get("stats", {})), (self.parameters, message.get("parameters", {}))):
                for name, value in theirs.items():
                    mine.pop(name, None)
                    if value is not None:
                        mine[name] = value
            self.hash = message["hash"]
        if is_new:
            self.seq = message["seq"]
            self.events += [e for e in message.get("events", []) if not self.events or e["id"] > self.events[-1]["id"]]
            self.checkins.append(message)
        for result in message.get("results", []):
            self.results.setdefault(result["id"], []).append(result)
            if result["state"] != "running":
                self.operations = [o for o in self.operations if o["id"] != result["id"]]
        if self.events:
            answer["events"] = self.events[-1]["id"]
        if self.tunnel:
            answer["tunnel"] = self.tunnel["hash"]
        asked = message.get("remote_access_key")
        if self.remote_key and asked not in (None, hashlib.sha256(self.remote_key).hexdigest()[:16]):
            answer["remote_access_key"] = base64.b64encode(self.remote_key).decode()
        if self.operations:
            answer["operations"] = self.operations
        self.revision = message.get("revision", self.revision) if is_new else self.revision
        if self.desired and self.desired[0] > self.revision and f"settings-{self.desired[0]}" not in self.results:
            answer["revision"], answer["set"] = self.desired
        return answer


def tunnel_settings(pki, digest="03ac674216f3e15c"):
    return {"hash": digest, "remotes": ["127.0.0.1"], "ports": [1190, 1191, 1192, 1193], "server_name": "amm-server",
            "ca": pki.read("server-ca.crt"), "wrap": "none", "wrap_key": "", "ciphers": "AES-256-GCM:AES-128-GCM", "mtu": 1400}


# Reads the port from its configuration, and tells that it is up unless `down-PORT` lies beside it.
AMMER = textwrap.dedent("""\
    #!/usr/bin/python3
    import os, pathlib, re, socket, sys, time
    conf = pathlib.Path(sys.argv[sys.argv.index("--config") + 1])
    text = conf.read_text()
    port = re.search(r"^remote = \\S+ (\\d+) udp", text, re.M).group(1)
    path = re.search(r"^state-socket = (.*)$", text, re.M).group(1)
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    os.chown(path, 0, int(re.search(r"^state-group = (\\d+)$", text, re.M).group(1)))
    os.chmod(path, 0o660)
    listener.listen(8)
    conf.with_name("runs-" + port).write_text(str(os.getpid()))
    while True:
        client, _ = listener.accept()
        up = not conf.with_name("down-" + port).exists()
        client.send(f"state={'up' if up else 'backing-off'}\\naddress=\\ninner={'10.4.32.6' if up else ''}\\nserver_inner=\\n"
                    f"since=1\\nremote=127.0.0.1:{port}/udp\\ntun=amm0\\nserver=\\ncipher=\\ntls=\\njoins=1\\nnext_try=0\\n"
                    f"rx_packets=1\\nrx_bytes=1000\\ntx_packets=1\\ntx_bytes=500\\n"
                    f"last_error={'' if up else 'no answer'}\\n".encode())
        client.close()
    """)


class Gateway:
    """acemanager with folders of its own; every file of it is below `folder`."""

    def __init__(self, binary, folder, url, **settings):
        self.binary, self.folder = binary, folder
        self.state, self.run_folder = folder / "state", folder / "run"
        folder.mkdir(exist_ok=True)
        ammer = folder / "ammer"
        ammer.write_text(AMMER)
        ammer.chmod(0o755)
        values = {"folder": self.state, "run-folder": self.run_folder, "ammer": ammer, "set-clock": "no", "pages": "no",
                  "reboot-command": "restart", "serial": "SN1", "lan": "none", "state-socket": self.run_folder / "state",
                  "server": url, "label": folder / "label"} | {k.replace("_", "-"): v for k, v in settings.items()}
        self.conf = folder / "acemanager.conf"
        self.conf.write_text("".join(f"{k} = {v}\n" for k, v in values.items()))
        self.process, self.log = None, folder / "log"

    def label(self, text):
        (self.folder / "label").write_text(text)

    def start(self, clock=None):
        environment = dict(os.environ)
        if clock:  # the system's clock as the gateway sees it, "@1970-01-01 00:00:00"
            environment |= {"LD_PRELOAD": "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "FAKETIME": clock,
                            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "TZ": "UTC"}
        self.process = subprocess.Popen([self.binary, "--config", self.conf], stdout=open(self.log, "ab"),
                                        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment)
        return self

    def status(self):
        done = subprocess.run([self.binary, "--config", self.conf, "--status"], capture_output=True)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def core(self):
        """Process id of the unprivileged half."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        name = pathlib.Path(self.binary).name
        return next((int(c) for c in children if pathlib.Path(f"/proc/{c}/comm").read_text().strip() == name), None)

    def kill(self):
        """The privileged half, as a bad day would."""
        self.process.kill()
        self.process.wait(20)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)
        return self.process.returncode if self.process else None
