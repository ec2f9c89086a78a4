"""Our reading of requests beside those of two others: nginx, on the wire, and llhttp, which
tests/unit/http/compare_llhttp runs over the same bytes.

The whole table of raw requests and a seeded set of mutations of it. Where we and another take a request it is the same
one: method, target, body, and where the next one begins. What both others refuse we refuse too."""
import asyncio
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest
from lab import TOP, run, wait

COMPARE = TOP / "build-asan" / "tests" / "unit" / "http" / "compare_llhttp"
TABLE = TOP / "tests" / "unit" / "http" / "requests.txt"
RULES = TOP / "src" / "http" / "include" / "http" / "rules.h"
PAGE = TOP / "doc" / "protocol" / "http.md"
NOBODY = 65534
REFUSALS = {400, 405, 413, 414, 431, 494, 501, 505}  # not those of what was understood: 412, 416

CONFIG = """
daemon off; worker_processes 1; pid {folder}/pid;
events {{ worker_connections 512; }}
http {{
  log_format seen escape=default '$remote_addr $status $sent_http_connection "$request_method" "$request_uri" "$request_body"';
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  client_max_body_size 0; client_body_buffer_size 64k; client_body_in_single_buffer on;
  large_client_header_buffers 4 32k;
  lingering_close off;             # a request is in the log before its connection ends
  proxy_ignore_client_abort on;    # we close our half as soon as all is sent
  server {{
    listen 127.0.0.1:{port};
    access_log {folder}/seen seen;
    location / {{ proxy_pass http://unix:{folder}/back; }}   # only whole requests are passed on
  }}
  server {{ listen unix:{folder}/back; access_log off; location / {{ return 200; }} }}
}}
"""


class Nginx:
    """Debian's nginx on a port of loopback that the kernel chose, without rights, in a folder of its own."""

    def __init__(self, program):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="amm-nginx-"))
        os.chown(self.folder, NOBODY, NOBODY)
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = listener.getsockname()[1]
        config = self.folder / "conf"
        config.write_text(CONFIG.format(folder=self.folder, port=self.port))
        self.process = subprocess.Popen(
            [program, "-p", self.folder, "-e", self.folder / "errors", "-c", config],
            env={"NGINX": f"{listener.fileno()};"}, pass_fds=[listener.fileno()], cwd=self.folder, user=NOBODY,
            group=NOBODY, extra_groups=[], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        listener.close()
        self.log = None

    def start(self):
        """Until it listens."""
        wait(self.errors, lambda: self.process.poll() is not None or (self.folder / "back").exists())
        assert self.process.poll() is None, self.errors()
        self.log = open(self.folder / "seen", "rb")

    def errors(self):
        return (self.folder / "errors").read_text(errors="replace")

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)
        if self.log:
            self.log.close()
        shutil.rmtree(self.folder)

    def ask(self, inputs):
        """Each on a connection of its own, from an address of its own; a list of what the log says of it."""
        addresses = [f"127.1.{i // 250}.{i % 250 + 1}" for i in range(len(inputs))]
        asyncio.run(self.send_all(addresses, inputs))
        seen = {address: [] for address in addresses}
        for line in self.log.read().splitlines():
            address, status, connection, method, target, body = re.fullmatch(
                rb'(\S+) (\d+) (\S+) "(.*?)" "(.*?)" "(.*)"', line).groups()
            seen[address.decode()].append(
                (int(status), connection == b"close", method, unescape(target), unescape(body)))
        return [seen[address] for address in addresses]

    async def send_all(self, addresses, inputs):
        gate = asyncio.Semaphore(64)

        async def one(address, data):
            async with gate:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))
                try:
                    writer.write(data)
                    writer.write_eof()
                    await asyncio.wait_for(reader.read(), 30)  # to the end
                except TimeoutError:
                    raise
                except OSError:
                    pass  # it had seen enough; the log says what
                writer.close()

        await asyncio.gather(*map(one, addresses, inputs))


def unescape(text):
    return re.sub(rb"\\x([0-9A-F]{2})", lambda m: bytes.fromhex(m[1].decode()), text)


def reading(text):
    """A line of compare_llhttp --print: messages and how it ends."""
    *messages, end = text.split(";")
    parts = (message.split(",") for message in messages)
    return [(method.encode(), bytes.fromhex(target), bytes.fromhex(body)) for method, target, body in parts], end


def same(ours, theirs):
    method, target, body = theirs
    return ours == (method, target, body) or (body == b"-" and ours == (method, target, b""))  # "-": none


def judge(ours, ours_end, llhttp, llhttp_end, nginx):
    """What is wrong; None: nothing."""
    for i in range(max(len(ours), len(nginx))):
        if i >= len(nginx):
            return None if i > 0 and nginx[i - 1][1] else "nginx sees fewer requests"
        status, _, *theirs = nginx[i]
        if i >= len(ours):
            ended = ours_end == "closed" or ours_end.startswith("refused")
            return None if ended or status in REFUSALS else "nginx sees more requests"
        if status in REFUSALS:
            both = len(llhttp) <= i and llhttp_end.startswith("refused")
            return f"we take what nginx ({status}) and llhttp ({llhttp_end}) refuse" if both else None
        if not same(ours[i], tuple(theirs)):
            return "nginx sees another request"
    return None


@pytest.fixture(scope="module")
def nginx():
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("nginx is not installed")
    made = Nginx(program)
    try:
        made.start()
        yield made
    finally:
        made.close()


def compared(runs, seed):
    if not COMPARE.exists():
        pytest.skip("compare_llhttp is not built: the sources of llhttp (package node-llhttp) are not installed")
    lines = run(COMPARE, TABLE, "requests", runs, seed, "--print").stdout.splitlines()
    return [line.split("\t") for line in lines]


def check(nginx, runs, seed):
    rows = compared(runs, seed)
    inputs = [bytes.fromhex(row[0]) for row in rows]
    taken, wrong = 0, []
    for start in range(0, len(rows), 400):
        for data, row, seen in zip(inputs[start:start + 400], rows[start:start + 400], nginx.ask(inputs[start:start + 400])):
            ours, theirs = reading(row[1]), reading(row[2])
            what = judge(*ours, *theirs, seen)
            taken += sum(1 for _, entry in zip(ours[0], seen) if entry[0] not in REFUSALS)
            if what:
                wrong.append(f"{what}\n  {data[:400]}\n  we    {ours}\n  llhttp {theirs}\n  nginx {seen}")
    assert not wrong, f"{len(wrong)} of {len(rows)}\n" + "\n".join(wrong[:10])
    return len(rows), taken


def test_nginx_reads_requests_as_we_do(nginx):
    inputs, taken = check(nginx, 8000, 1)
    assert inputs > 8000 and taken > 1000  # else nothing was compared


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 7))
def test_nginx_reads_mutations_as_we_do(nginx, seed):
    check(nginx, 20000, seed)


def test_the_comparison_can_fail():
    a, b = (b"GET", b"/", b""), (b"GET", b"/b", b"")
    good = (200, False, b"GET", b"/", b"-")
    assert judge([a], "clean", [a], "clean", [good]) is None
    assert judge([b], "clean", [b], "clean", [good]) == "nginx sees another request"
    assert judge([a, a], "clean", [a, a], "clean", [good]) == "nginx sees fewer requests"
    assert judge([a], "clean", [a], "clean", [good, good]) == "nginx sees more requests"
    assert judge([a], "refused method", [a], "clean", [good, good]) is None
    assert judge([a], "clean", [], "refused X", [(400, True, b"", b"", b"-")]).startswith("we take")
    assert judge([a], "clean", [a], "clean", [(400, True, b"", b"", b"-")]) is None


def test_each_rule_has_a_clause():
    """doc/protocol/http.md names every rule of http/rules.h, and no other."""
    rules = set(re.findall(r'^    X\(\w+, "([a-z-]+)"', RULES.read_text(), re.M))
    named = set(re.findall(r"^\| `([a-z-]+)` \|", PAGE.read_text(), re.M))
    assert len(rules) > 30 and named == rules


def test_each_rule_has_a_case():
    cases = "".join((TABLE.parent / name).read_text() for name in ("requests.txt", "responses.txt"))
    shown = set(re.findall(r"^= bad ([a-z-]+) ", cases, re.M))
    assert shown == set(re.findall(r'^    X\(\w+, "([a-z-]+)"', RULES.read_text(), re.M))
