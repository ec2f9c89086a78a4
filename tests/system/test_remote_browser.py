"""The click in Debian's chromium: console, amm-proxyd, two gateways; and one gateway's page against the other."""
import base64
import html
import http.server
import json
import threading
import urllib.parse

from lab import run
from proxy import Proxy, Remote


class Console(http.server.BaseHTTPRequestHandler):
    """What the operators' console does: a form that is sent to the entry, in a new tab."""

    def log_message(self, *words):
        pass

    def do_GET(self):
        where = urllib.parse.urlsplit(self.path)
        self.server.asked.append((where.path, self.headers.get("Cookie"), self.headers.get("Referer")))
        if where.path == "/link":
            body = f'<a href="{html.escape(urllib.parse.unquote(where.query))}">link</a>'
        else:
            body = "".join(
                f'<form method="post" target="_blank" rel="noopener" action="http://{s.browser_host}:{self.server.proxy.port}'
                f'/.amm/enter"><input type="hidden" name="ticket" value="'
                f'{base64.urlsafe_b64encode(s.ticket).decode().rstrip("=")}"><button name="{s.page}">{s.page}</button></form>'
                for s in self.server.sessions)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Set-Cookie", "console=secret; HttpOnly; SameSite=Strict; Path=/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


def test_click_in_a_browser(tmp_path, browser):
    proxy = Proxy(tmp_path)
    console = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Console)
    console.proxy, console.asked, console.sessions = proxy, [], []
    threading.Thread(target=console.serve_forever, daemon=True).start()
    try:
        for ip, name in (("10.4.32.7", "bus-1"), ("10.4.96.7", "bus-2")):
            where, _ = proxy.gateway(ip, name)
            console.sessions.append(proxy.manager.add(Remote(where, host="192.168.13.31:9443", page=name)))
        done = run("node", browser / "remote.mjs", f"http://127.0.0.1:{console.server_port}", check=False, timeout=120)
        results = json.loads(done.stdout or "{}")
        assert results.get("done"), done.stdout + done.stderr
        attack = results["attack"]
        assert attack["opener"] == "null" and not attack["cookie"]
        assert attack["worker"] == attack["read"] == attack["console"] == attack["socket"] == "refused", attack
        assert attack["frame"] != "same"
        assert all(cookie is None or path in ("/", "/link", "/favicon.ico") for path, cookie, _ in console.asked), console.asked
        assert all(not referer or urllib.parse.urlsplit(referer).hostname == "127.0.0.1" for _, _, referer in console.asked)
        rows = proxy.manager.requests()
        tried = {row[4]: (row[1], row[2]) for row in rows if row[0] == console.sessions[1].label}
        # To SameSite=Strict the other host name is the same site: the door is what stops these.
        assert tried["/attack-write"] == tried["/attack-form"] == (3, 403), tried
        assert tried.get("/attack-read", (3, 403)) == (3, 403), tried
        assert proxy.manager.hear_end(console.sessions[1]) == "left"
    finally:
        console.shutdown()
        proxy.close()
