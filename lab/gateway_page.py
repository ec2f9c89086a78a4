"""The local web page of a virtual gateway: HTTPS on port 9443, on the LAN and the tunnel, never on the WAN.

Stands in for a router's own page (ACEmanager). Each listening socket is bound to one device, so that a request
that comes in from the WAN finds a closed port. The tunnel device comes and goes: it is looked for each second."""
import argparse
import html
import http.server
import socket
import ssl
import threading
import time

SO_BINDTODEVICE = 25


class Page(http.server.BaseHTTPRequestHandler):
    name = ""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = (
            "<!doctype html><html lang=en><title>ACEmanager</title>"
            f"<h1>{html.escape(self.name)}</h1><p>Local page, asked from {html.escape(self.client_address[0])} "
            f"at address {html.escape(self.connection.getsockname()[0])}.</p></html>\n"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    timeout = 10

    def __init__(self, device, port, context):
        super().__init__(("0.0.0.0", port), Page, bind_and_activate=False)
        self.context = context
        self.socket.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, device.encode())
        self.server_bind()
        self.server_activate()

    def finish_request(self, request, client_address):
        # The TLS handshake happens here, in the request's own thread: a silent client blocks nobody else.
        request.settimeout(10)
        try:
            with self.context.wrap_socket(request, server_side=True) as secure:
                super().finish_request(secure, client_address)
        except OSError:
            pass


def keep(device, port, context):
    """Serves on `device` whenever it exists; a device that was made anew needs a new socket."""
    server, index = None, 0
    while True:
        try:
            now = socket.if_nametoindex(device)
        except OSError:
            now = 0
        if now != index and server:
            server.shutdown()
            server.server_close()
            server, index = None, 0
        if now and not server:
            try:
                server = Server(device, port, context)
                threading.Thread(target=server.serve_forever, daemon=True).start()
                index = now
            except OSError:
                server = None
        time.sleep(0.2)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--name", required=True)
    options.add_argument("--certificate", required=True)
    options.add_argument("--key", required=True)
    options.add_argument("--port", type=int, default=9443)
    options.add_argument("device", nargs="+")
    given = options.parse_args()
    Page.name = given.name
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(given.certificate, given.key)
    threads = [threading.Thread(target=keep, args=(d, given.port, context)) for d in given.device]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


main()
