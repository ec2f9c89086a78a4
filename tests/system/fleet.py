"""A whole server (amm-cad, ammd, amm-tunneld, each as a user of its own) and gateways with acemanager and ammer, in
the namespaces of lab.py. Nothing is faked but the network: people speak through ammctl and the API, gateways are
handled on their own page.

    [srv] 10.99.0.1: 1190-1193, 8443 ── [net] router ── [gwN] wan0 10.98.N.2, lan0 192.168.13.31, amm0 / amm1 the tunnel
    [amm] tun1190 ... tun1193"""
import ctypes
import http.client
import json
import os
import re
import signal
import socket
import ssl
import struct
import sys
import textwrap
import threading

from lab import BIN, POOLS, PROXY_UID, TOP, numbers, run, wait

ENGINE_UID, MANAGER_UID, CAD_UID = 61190, 61192, 61193
LAN = "192.168.13.31"
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


def story(function):
    """A test that runs beside the other stories of its file, because it waits most of its time. `function` gets the
    file's `fleet`; the fixture `told` (conftest.py) starts all that were selected, the test takes its result."""

    def test(told):
        told[function].result()

    test.__name__, test.__doc__, test.story = function.__name__, function.__doc__, function
    return test


class ApiConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class FleetServer:
    """`tunneld`, `ports`, `manager`: more lines of amm.conf; `port_lines`: of one port's section."""

    def __init__(self, lab, tunneld="", manager="", port_lines=None):
        self.lab = lab
        self.tunnels = f"{lab.id}-amm"
        lab.namespaces.append(self.tunnels)  # deleted by close() even if the server was killed
        self.folder = lab.folder / "server"
        self.sockets, self.data = self.folder / "run", self.folder / "data"
        for folder in (self.folder, self.sockets, self.data):
            folder.mkdir(mode=0o755)
        self.pki = self.folder / "pki"
        run(BIN / "ammctl", "pki", "init", "--pki", self.pki)
        (self.data / "gateways.conf").touch()
        (self.data / "crl.pem").write_text((self.pki / "crl.pem").read_text())
        for path in (self.sockets, self.data, *self.data.iterdir()):
            os.chown(path, MANAGER_UID, MANAGER_UID)
        self.config = self.folder / "amm.conf"
        sections = "".join(f"[port {port}]\n{textwrap.dedent(lines)}\n" for port, lines in (port_lines or {}).items())
        self.config.write_text(textwrap.dedent(f"""\
            namespace = {self.tunnels}
            pki = {self.pki}
            gateways = {self.data}/gateways.conf
            crl = {self.data}/crl.pem
            control-socket = {self.sockets}/tunneld.sock
            user = {ENGINE_UID}
            proxy-user = {PROXY_UID}
            manager-user = {MANAGER_UID}
            workers = 2
            handshake-threads = 1
        """) + textwrap.dedent(tunneld) + "\n" + sections + textwrap.dedent(f"""\
            [cad]
            user = {CAD_UID}
            socket = {self.sockets}/cad.sock
            state = {self.folder}/cad
            [remote-access]
            listen = 127.0.0.1:8081
            socket = {self.sockets}/remote.sock
            [manager]
            user = {MANAGER_UID}
            database = {self.data}/fleet.db
            backups = {self.data}/backups
            socket = {self.sockets}/ammd.sock
        """) + textwrap.dedent(manager) + "\n")
        self.cad = self.manager = self.tunneld = self.proxyd = None

    # ---- programs

    def start(self):
        self.start_cad()
        self.start_manager()
        self.start_tunneld()
        return self

    def begin(self, program, is_there):
        process = self.lab.start(self.lab.srv, BIN / program, "--config", self.config, name=program)
        wait(lambda: f"{program} serves\n{process.log}", lambda: not process.running or is_there(process), 30)
        assert process.running, process.log
        return process

    def start_cad(self):
        self.cad = self.begin("amm-cad", lambda process: "event=ready" in process.log)

    def start_manager(self):
        self.manager = self.begin("ammd", lambda _: self.serves())

    def start_tunneld(self):
        self.tunneld = self.begin("amm-tunneld", lambda _: self.ctl("tunnel", "status", check=False).returncode == 0)

    def start_proxyd(self):
        self.proxyd = self.begin("amm-proxyd", lambda process: "event=manager-ready" in process.log)

    def serves(self):
        try:
            return self.api("GET", "/server")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    # ---- people

    def ctl(self, *argv, **more):
        return run(BIN / "ammctl", "--config", self.config, *argv, **more)

    def read(self, *argv):
        return json.loads(self.ctl("-o", "json", *argv).stdout)

    def api(self, method, path, body=None):
        """(status, JSON) as root on the unix socket."""
        connection = ApiConnection(self.sockets / "ammd.sock")
        try:
            headers = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, "/api/v1" + path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, json.loads(content) if content else None
        finally:
            connection.close()

    def group(self, name, **template):
        """A group with a template: group("buses", _60001="Enable")."""
        self.ctl("group", "add", name)
        if template:
            self.ctl("gateway", "set", "--group", name, *(f"{k.lstrip('_')}={v}" for k, v in template.items()))

    def add(self, name, *more):
        """Makes a gateway known; its enrolment token (None for another maker's router)."""
        words = self.ctl("gateway", "add", name, *more).stdout.split()
        return next((w for w in words if w.startswith("amm1.")), None)

    def show(self, name):
        return self.read("gateway", "show", name)

    def parameters(self, name):
        return {p["id"]: p for p in self.read("gateway", "parameters", name)}

    def stat(self, name, stat="ManagementTunnel-IPAddress"):
        return self.show(name)["stats"].get(stat)

    def peers(self, name):
        return [p for p in self.read("tunnel", "status")["peers"] if p["name"] == name]

    def is_up(self, name, port=None):
        """Tunnel server and manager say the same of the tunnel; its address, or None."""
        for peer in self.peers(name):
            if peer["port"] == port or port is None:
                return peer["address"] if self.stat(name) == peer["address"] else None
        return None

    def wait_up(self, gateway, port=None, seconds=40):
        return wait(lambda: f"{gateway.name} is up\n{self.story(gateway)}", lambda: self.is_up(gateway.name, port), seconds)

    def story(self, gateway=None):
        """The logs, for a test that has failed."""
        processes = [self.cad, self.manager, self.tunneld] + ([gateway.process] if gateway else [])
        return "\n".join(f"--- {p.log_path.name}\n{p.log[-2500:]}" for p in [*processes, self.proxyd] if p)

    def fetch(self, name, path="/login", user=PROXY_UID, address=None, timeout=5):
        """The status of a page of a gateway, asked from the tunnels' namespace as `user`; None: no answer."""
        address = address or self.peers(name)[0]["address"]
        done = run("ip", "netns", "exec", self.tunnels, "setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups",
                   "curl", "-sk", "-m", timeout, "-o", "/dev/null", "-w", "%{http_code}", f"https://{address}:9443{path}", check=False)
        return int(done.stdout) if done.returncode == 0 else None


class FleetGateway:
    """acemanager and ammer in the namespace of gateway `n`. `clock`: what its system's clock says at the start."""

    def __init__(self, lab, n, name, token=None, server="https://10.99.0.1:8443", **settings):
        self.lab, self.n, self.name = lab, n, name
        self.namespace = lab.gateway(n)
        if "lan0" not in run("ip", "-n", self.namespace, "-o", "link").stdout:
            run("ip", "-n", self.namespace, "link", "add", "lan0", "type", "veth", "peer", "name", "lan0-plug")
            run("ip", "-n", self.namespace, "addr", "add", f"{LAN}/24", "dev", "lan0")
            for device in ("lan0", "lan0-plug"):
                run("ip", "-n", self.namespace, "link", "set", device, "up")
        self.folder = lab.folder / f"{name}-{next(numbers)}"
        self.folder.mkdir()
        self.state, self.run_folder = self.folder / "state", self.folder / "run"
        values = {"folder": self.state, "run-folder": self.run_folder, "state-socket": self.folder / "status",
                  "ammer": BIN / "ammer", "lan": "lan0", "model": "Virtual", "serial": name.upper(),
                  "label": self.folder / "label", "server": server, "set-clock": "no", "reboot-command": "restart"}
        values |= {k.replace("_", "-"): v for k, v in settings.items()}
        self.config = self.folder / "acemanager.conf"
        self.config.write_text("".join(f"{k} = {v}\n" for k, v in values.items()))
        if token:
            (self.folder / "label").write_text(token + "\n")
        self.process = None

    def start(self, clock=None):
        environment = dict(os.environ)
        if clock:
            environment |= {"LD_PRELOAD": FAKETIME, "FAKETIME": f"@{clock} 00:00:00", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                            "DONT_FAKE_MONOTONIC": "1", "TZ": "UTC"}
        self.process = self.lab.start(self.namespace, BIN / "acemanager", "--config", self.config,
                                      name=f"acemanager-{self.name}", env=environment)
        return self

    def stop(self):
        self.process.stop(15)

    def status(self):
        done = run(BIN / "acemanager", "--config", self.config, "--status", check=False)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def core(self):
        """Process id of the half that has no rights."""
        children = run("pgrep", "-P", self.process.popen.pid, "-x", "acemanager", check=False).stdout.split()
        return int(children[0]) if children else None

    def page(self, *words):
        """Logs in to its page on the LAN, fills in 60001=Enable ..., then: then reboot | activate | checkin | nothing."""
        return self.lab.exec(self.namespace, sys.executable, TOP / "lab" / "acemanager.py", LAN, self.state / "page-label", *words)

    def page_refuses(self, *words):
        """What its page says to a change that it does not take."""
        done = self.lab.exec(self.namespace, sys.executable, TOP / "lab" / "acemanager.py", LAN, self.state / "page-label", *words,
                             "then", "nothing", check=False)
        assert done.returncode != 0, words
        return done.stderr

    def wait_page(self):
        wait(lambda: f"the page of {self.name}\n{self.process.log}", lambda: "page-open" in self.process.log)

    def check_in(self):
        self.page("then", "checkin")

    def ask(self, method, path, body=None, timeout=10):
        """(status, JSON) of a request to the server that bears its certificate, past its own programs."""
        context = ssl.create_default_context(cafile=str(self.state / "server-ca.crt"))
        context.check_hostname = False
        context.load_cert_chain(str(self.state / "gateway.crt"), str(self.state / "gateway.key"))

        def talk():
            connection = http.client.HTTPSConnection("10.99.0.1", 8443, context=context, timeout=timeout)
            try:
                connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                content = answer.read()
                return answer.status, json.loads(content) if content else None
            finally:
                connection.close()

        return in_namespace(self.namespace, talk)

    def cut(self, is_cut=True):
        """Cuts the WAN as a lost radio link does: nothing comes, nobody says so."""
        drop(self.lab, f"cut{self.n}", f'iifname "gw{self.n}" drop; oifname "gw{self.n}" drop', is_cut)


def drop(lab, name, rules, is_on=True):
    """Rules of the router in a table of their own, beside those of other stories; or takes them away."""
    text = f"table ip {name} {{\nchain forward {{\ntype filter hook forward priority 0; policy accept;\n{rules}\n}}\n}}\n"
    run("ip", "netns", "exec", lab.router, "nft", "-f", "-", input=text if is_on else f"delete table ip {name}\n")


# An echo request to each port's tunnel address every `interval` seconds. One that any of them answers is a ping that went
# through; the routes decide which are reachable.
PINGS = textwrap.dedent("""
    import select, signal, socket, struct, sys, time
    interval, addresses = float(sys.argv[1]), sys.argv[2:]
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    me, sent, answered, is_over = struct.pack("!I", time.monotonic_ns() & 0xffffffff), 0, set(), []
    signal.signal(signal.SIGTERM, lambda *_: is_over.append(time.monotonic() + 1))
    def echo(n):
        words = struct.pack("!BBHHH", 8, 0, 0, n >> 16, n & 0xffff) + me
        total = sum(struct.unpack("!6H", words))
        total = (total & 0xffff) + (total >> 16)
        return struct.pack("!BBHHH", 8, 0, ~(total + (total >> 16)) & 0xffff, n >> 16, n & 0xffff) + me
    start = time.monotonic()
    while not is_over or time.monotonic() < is_over[0]:
        due = start + sent * interval
        if not is_over and time.monotonic() >= due:
            for address in addresses:
                try:
                    s.sendto(echo(sent), (address, 0))
                except OSError:
                    pass
            sent += 1
            continue
        if select.select([s], [], [], min(0.05, max(0, due - time.monotonic())))[0]:
            packet = s.recv(65536)
            reply = packet[(packet[0] & 15) * 4:]
            if reply[:1] == bytes(1) and reply[8:12] == me:
                if not answered:
                    print("first", flush=True)
                answered.add(int.from_bytes(reply[4:8], "big"))
    longest = run = 0
    for n in range(sent):
        run = 0 if n in answered else run + 1
        longest = max(longest, run)
    print("total", sent, sent - len(answered), longest, flush=True)
""")


class Pings:
    """Pings from a gateway through whichever of its tunnels are up, until end()."""

    def __init__(self, lab, namespace, interval=0.05):
        self.interval = interval
        addresses = [str(pool[1]) for pool in POOLS.values()]
        self.process = lab.start(namespace, sys.executable, "-u", "-c", PINGS, interval, *addresses, name="pings")
        wait("a first ping comes back", lambda: "first" in self.process.log)

    def end(self):
        """(sent, lost, seconds of the longest outage)."""
        self.process.kill(signal.SIGTERM)
        self.process.popen.wait(20)
        sent, lost, longest = map(int, re.search(r"total (\d+) (\d+) (\d+)", self.process.log).groups())
        return sent, lost, longest * self.interval


NTP = textwrap.dedent("""
    import socket, struct, time
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("0.0.0.0", 123))
    print("ready", flush=True)
    def stamp():
        now = time.time() + 2208988800
        return struct.pack("!II", int(now), int(now % 1 * 2**32))
    while True:
        request, peer = s.recvfrom(512)
        now = stamp()
        s.sendto(struct.pack("!BBbb3I", 0x24, 1, 6, -20, 0, 0, 0x4c4f434c) + now + request[40:48] + now + stamp(), peer)
""")


def in_namespace(namespace, work):
    """Runs work() in a thread that is in the namespace: sockets belong to where they were made. Its value."""
    made = []

    def enter():
        with open(f"/run/netns/{namespace}") as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0x40000000) != 0:
                made.append((None, OSError(ctypes.get_errno(), "setns")))
                return
        try:
            made.append((work(), None))
        except BaseException as error:  # the caller's to see
            made.append((None, error))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    value, error = made[0]
    if error:
        raise error
    return value


def payload_by_stream(path):
    """TCP payload of a capture, both directions, by the gateway's address and port, in the order of the first packets."""
    data, streams, at = path.read_bytes(), {}, 24
    if len(data) < at:
        return streams
    assert data[:4] == b"\xd4\xc3\xb2\xa1" and data[20] == 1  # little endian, Ethernet
    while at + 16 <= len(data):
        length, = struct.unpack_from("<I", data, at + 8)
        packet = data[at + 16 + 14 : at + 16 + length]
        at += 16 + length
        if at > len(data):
            break  # still being written
        head = (packet[0] & 15) * 4
        source, destination = struct.unpack_from("!HH", packet, head)
        size = int.from_bytes(packet[2:4], "big") - head - (packet[head + 12] >> 4) * 4
        client = (packet[16:20], destination) if source == 8443 else (packet[12:16], source)
        streams[client] = streams.get(client, 0) + size
    return streams


class Capture:
    """Check-ins of a gateway on their way over the router."""

    def __init__(self, lab, n):
        self.lab, self.n = lab, n
        self.path = lab.folder / f"capture-{next(numbers)}.pcap"
        self.process = lab.start(lab.router, "tcpdump", "-i", f"gw{n}", "-U", "--immediate-mode", "-Z", "root", "-s", "128", "-w", self.path,
                                 "ip and tcp port 8443", name="tcpdump")
        wait(lambda: self.process.log, lambda: "listening on" in self.process.log)

    def end(self):
        """The bytes of each stream of the gateway. A packet of the router's own says that all before it was written."""
        router = f"10.98.{self.n}.1"
        self.lab.exec(self.lab.router, "/usr/bin/python3", "-c",
                      f"import socket; socket.socket().connect_ex(('10.98.{self.n}.2', 8443))")
        mark = socket.inet_aton(router)
        streams = wait("the mark", lambda: (s := payload_by_stream(self.path)) and any(a == mark for a, _ in s) and s)
        self.process.stop()
        return [size for (address, _), size in streams.items() if address != mark]


def ntp_server(lab):
    """Tells the right time on 10.99.0.1."""
    process = lab.start(lab.srv, sys.executable, "-u", "-c", NTP, name="ntp")
    wait(lambda: process.log, lambda: "ready" in process.log)
    return process
