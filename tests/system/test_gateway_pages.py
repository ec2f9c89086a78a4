"""ACEmanager on a gateway with a LAN and a WAN side: where it listens, who gets in, what stays secret.

    [lan] 192.168.13.100 ── lan0 192.168.13.31 [gw1] wan0 10.98.1.2 ── [net]"""
import json
import re
import stat
import textwrap

import pytest
from lab import BIN, TOP, Lab, run, wait

TOKEN = "amm1.AQIDAAAAAAAAAAAAAAAAAA.BAUGAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

SCAN = textwrap.dedent("""
    import selectors, socket, sys
    found, address, first, last = [], sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    for start in range(first, last + 1, 512):
        waiting = selectors.DefaultSelector()
        for port in range(start, min(start + 512, last + 1)):
            s = socket.socket()
            s.setblocking(False)
            try:
                s.connect((address, port))
            except BlockingIOError:
                pass
            except ConnectionRefusedError:
                s.close()
                continue
            waiting.register(s, selectors.EVENT_WRITE, port)
        while waiting.get_map():
            ready = waiting.select(5)
            for key, _ in ready:
                if key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    found.append(key.data)
                waiting.unregister(key.fileobj)
                key.fileobj.close()
            if not ready:
                break
    print(*found)
""")


class Gateway:
    def __init__(self, lab):
        self.lab, self.namespace, self.lan = lab, lab.gateway(1), lab.namespace("lan")
        run("ip", "-n", self.namespace, "link", "add", "lan0", "type", "veth", "peer", "name", "eth0", "netns", self.lan)
        for where, device, address in ((self.namespace, "lan0", "192.168.13.31/24"), (self.lan, "eth0", "192.168.13.100/24")):
            run("ip", "-n", where, "addr", "add", address, "dev", device)
            run("ip", "-n", where, "link", "set", device, "up")
        self.folder = lab.folder / "state"
        self.config = lab.folder / "acemanager.conf"
        self.config.write_text(textwrap.dedent(f"""
            folder = {self.folder}
            run-folder = {lab.folder / 'run'}
            state-socket = {lab.folder / 'run' / 'state'}
            ammer = {BIN / 'ammer'}
            lan = lan0
            model = Virtual
            serial = A1B2C3D4
            set-clock = no
            reboot-command = restart
        """))
        self.start()

    def start(self):
        self.process = self.lab.start(self.namespace, BIN / "acemanager", "--config", self.config, name="acemanager")
        wait(lambda: self.process.log, lambda: "page-open" in self.process.log)

    def password(self):
        return re.search("^password: (.*)$", (self.folder / "page-label").read_text(), re.M)[1]

    def listeners(self):
        """What the kernel says is listened on, TCP and UDP."""
        lines = self.lab.exec(self.namespace, "ss", "-Hlntu").stdout.splitlines()
        return {line.split()[4].replace("[::ffff:192.168.13.", "192.168.13.").replace("]", "") for line in lines
                if line.split()[1] in ("LISTEN", "UNCONN")}

    def curl(self, path, *more, address="192.168.13.31", where=None):
        """(status, body) of a request from the LAN, with its own cookies."""
        jar = self.lab.folder / "cookies"
        done = self.lab.exec(where or self.lan, "curl", "-sk", "-m", "10", "-b", jar, "-c", jar, "-w", "\n%{http_code}",
                             f"https://{address}:9443{path}", *more, check=False)
        body, _, status = done.stdout.rpartition("\n")
        return int(status or 0), body

    def post(self, path, page, **fields):
        """Fills in the form of a page."""
        fields["csrf"] = re.search('name="csrf" value="([^"]*)"', page)[1]
        parts = [part for name, value in fields.items() for part in ("--data-urlencode", f"{name}={value}")]
        return self.curl(path, "-H", "Origin: https://192.168.13.31:9443", *parts)

    def log_in(self, password=None):
        (self.lab.folder / "cookies").unlink(missing_ok=True)
        return self.post("/login", self.curl("/login")[1], account="user", password=password or self.password())[0]


@pytest.fixture(scope="module")
def gateway():
    lab = Lab()
    yield Gateway(lab)
    lab.close()


def test_nothing_listens_on_the_wan_side(gateway):
    lab = gateway.lab
    run("ip", "-n", lab.router, "route", "add", "192.168.13.0/24", "via", "10.98.1.2")
    assert gateway.listeners() == {"192.168.13.31%lan0:9443"}
    scan = ["/usr/bin/python3", "-c", SCAN]
    assert lab.exec(gateway.lan, *scan, "192.168.13.31", "9000", "9999").stdout.split() == ["9443"], "the scan finds what is there"
    assert lab.exec(lab.router, *scan, "10.98.1.2", "1", "65535").stdout.split() == []
    # the address of the LAN, asked for from the WAN side: Linux would answer
    assert lab.exec(lab.router, *scan, "192.168.13.31", "9000", "9999").stdout.split() == []


def test_only_addresses_are_taken_as_host(gateway):
    assert gateway.curl("/login")[0] == 200
    assert gateway.curl("/login", "-H", "Host: evil.example:9443")[0] == 421
    assert gateway.curl("/status")[0] == 303


def test_the_first_password_is_on_the_label_and_nowhere_else(gateway):
    for name in ("page-label", "page-accounts", "page-tls.pem"):
        assert stat.S_IMODE((gateway.folder / name).stat().st_mode) == 0o600, name
    password = gateway.password()
    assert gateway.log_in("wrong-wrong-wrong") == 403
    assert gateway.log_in() == 303
    assert gateway.curl("/status")[0] == 200
    for path in gateway.folder.rglob("*"):
        assert not path.is_file() or path.name == "page-label" or password not in path.read_text(errors="replace"), path
    assert password not in gateway.process.log


@pytest.mark.slow
@pytest.mark.parametrize("how", ("reboot", pytest.param("activate", marks=pytest.mark.slow)))
def test_a_person_enables_the_tunnel_in_a_browser(gateway, browser, how):
    """Services > MSCI > Enable, 1192, Apply, then Activate now or Reboot. No server here: the tunnel waits."""

    def press(*argv):
        return gateway.lab.exec(gateway.lan, "node", browser / "gateway.mjs", "https://192.168.13.31:9443", gateway.password(),
                                *argv, timeout=150).stdout

    assert "no server is set" in press("enable", "1192", how, "Waiting")
    status = json.loads(run(BIN / "acemanager", "--status", "--config", gateway.config).stdout)
    assert status["tunnel"]["state"] == "waiting" and status["tunnel"]["port"] == 1192, status
    assert "Disabled" in press("disable", how)


def test_settings_survive_a_power_cut_and_the_token_stays_secret(gateway):
    assert gateway.log_in() == 303
    page = gateway.curl("/services/msci")[1]
    status, body = gateway.post("/services/msci", page, p10034="1194", p60009=TOKEN)
    assert status == 422 and "1194 is no tunnel port. Allowed: 1190, 1191, 1192, 1193." in body and TOKEN not in body
    status, _ = gateway.post("/services/msci", page, p60001="Enable", p10034="1192", p60003="600", p60009=TOKEN,
                             p60002="10.99.0.1", p1154="Bus 1047")
    assert status == 303
    gateway.process.kill()
    gateway.process.stop()
    gateway.start()
    assert gateway.log_in() == 303
    page = gateway.curl("/services/msci")[1]
    assert '<option value="1192" selected>' in page and 'value="600"' in page and "Bus 1047" in page
    assert "https://10.99.0.1:8443" in page
    for path in ("/status", "/services/msci", "/security", "/admin/diagnostics", "/admin/diagnostics/bundle"):
        status, body = gateway.curl(path)
        assert status == 200 and "AQIDAAAA" not in body, path
    assert "AQIDAAAA" not in gateway.process.log


def test_the_page_follows_the_address_of_the_lan(gateway):
    run("ip", "-n", gateway.namespace, "addr", "del", "192.168.13.31/24", "dev", "lan0")
    run("ip", "-n", gateway.namespace, "addr", "add", "192.168.13.32/24", "dev", "lan0")
    wait(gateway.listeners, lambda: gateway.listeners() == {"192.168.13.32%lan0:9443"}, seconds=40)
    assert gateway.curl("/login", address="192.168.13.32")[0] == 200
