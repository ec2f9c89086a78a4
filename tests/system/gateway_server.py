"""A gateway's page for the tests of amm-proxyd: says its name, shows what it was sent, and behaves oddly where asked.

usage: gateway_server.py ADDRESS PORT NAME [--tls FILE] [--acemanager]"""
import base64
import hashlib
import http.server
import json
import os
import signal
import ssl
import subprocess
import sys
import time

IP, PORT, NAME = sys.argv[1], int(sys.argv[2]), sys.argv[3]
TLS = sys.argv[sys.argv.index("--tls") + 1] if "--tls" in sys.argv else None
ACEMANAGER = "--acemanager" in sys.argv


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def answer(self, body, status=200, **fields):
        body = body if isinstance(body, bytes) else body.encode()
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def echo(self, body=b""):
        fields = [[name, value] for name, value in self.headers.items()]
        self.answer(json.dumps({"name": NAME, "method": self.command, "path": self.path, "fields": fields, "body": len(body),
                                "sha256": hashlib.sha256(body).hexdigest()}))

    def do_GET(self):
        if self.path.startswith("/redirect/"):
            host = self.headers["Host"] if self.path.endswith("same") else f"{IP}:{PORT}"
            self.answer("", 302, Location=f"https://{host}/name", Set_Cookie="sid=1; Domain=.localhost; Path=/",
                        Strict_Transport_Security="max-age=1; includeSubDomains", Clear_Site_Data='"*"')
        elif self.path == "/stream":
            self.stream()
        elif self.path == "/ws":
            self.websocket()
        elif self.path == "/name":
            self.answer(f"<title>Page of {NAME}</title>{NAME}\n", Set_Cookie=f"who={NAME}; Path=/")
        elif self.path == "/" and "--login" in sys.argv:
            self.answer("", 303, Location="/login")
        elif self.path in ("/", "/login"):
            self.answer(f"<html><title>Page of {NAME}</title></html>", Content_Type="text/html")
        elif self.path == "/links":
            base = f"https://{self.headers['Host']}" if TLS else f"http://{self.headers['Host']}"
            self.answer(f'<a href="{base}/name">' * 3000, Content_Type="text/html; charset=utf-8")
        elif self.path == "/ended":
            self.answer("", 401, AMM_Remote_Session="ended")
        else:
            self.echo()

    do_HEAD = do_OPTIONS = do_GET

    def do_POST(self):
        if self.headers.get("Transfer-Encoding"):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/remote-session":
            self.sign_in()
        else:
            self.echo(body)

    do_PUT = do_DELETE = do_POST

    def sign_in(self):
        words = self.headers.get("AMM-Assertion", "")
        if not ACEMANAGER or words.count(".") != 1:
            self.answer('{"error":"no-key","text":"The gateway does not know the server yet."}', 403)
            return
        claim = base64.urlsafe_b64decode(words.split(".")[0] + "==").decode().split("\n")
        self.send_response(204)
        self.send_header("Set-Cookie", f"__Host-ace=login-of-{claim[3]}; Secure; HttpOnly; SameSite=Strict; Path=/")
        self.send_header("Set-Cookie", f"claim={base64.urlsafe_b64encode(json.dumps(claim).encode()).decode()}; Path=/")
        self.end_headers()

    def stream(self):
        """A download without end."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while True:
            self.wfile.write(b"1000\r\n" + bytes(4096) + b"\r\n")
            time.sleep(0.01)

    def websocket(self):
        """Agrees, and then gives every byte back."""
        key = self.headers.get("Sec-WebSocket-Key", "")
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(
            (key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode())
        self.end_headers()
        self.close_connection = True
        while data := self.connection.recv(65536):
            self.connection.sendall(data)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        pass


server = Server((IP, PORT), Page)
if TLS:
    if not os.path.exists(TLS):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                        "2", "-subj", f"/CN={NAME}", "-keyout", TLS, "-out", TLS + ".crt"], check=True, capture_output=True)
        with open(TLS, "a") as out:
            out.write(open(TLS + ".crt").read())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)


def swap(*_):
    """Another gateway has the address from now on."""
    global NAME
    NAME = {"bus-1": "bus-2", "bus-2": "bus-1"}[NAME]
    print("swapped", flush=True)


signal.signal(signal.SIGUSR1, swap)
print("ready", flush=True)
server.serve_forever()
