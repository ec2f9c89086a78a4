"""Network namespaces, servers and clients for the system tests.

    [srv] 10.99.0.1 (and .2, fd99::1) ── [net] router: NAT, loss, MTU ── [gw1] 10.98.1.2, fd98:1::2
                                                                          [gw2] 10.98.2.2 ...

Everything that is made has a name with this process's number in it, lives in namespaces made here, and is taken
back by Lab.close(). Nothing sleeps for a fixed time: wait() polls a condition with a limit."""
import ipaddress
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
BIN = TOP / "build" / "bin"
OPENVPN = "/usr/sbin/openvpn"
PORTS = (1190, 1191, 1192, 1193)
POOLS = {
    1190: ipaddress.ip_network("10.4.32.0/19"),
    1191: ipaddress.ip_network("10.4.96.0/19"),
    1192: ipaddress.ip_network("10.4.160.0/19"),
    1193: ipaddress.ip_network("10.4.224.0/19"),
}
PROXY_UID = 61191
numbers = itertools.count(1)


# Once one answer has come, the ping of iputils waits for the last one no longer than twice the longest round trip or
# one interval: 50 ms here. On a busy machine an answer that comes later is not lost.
PING = textwrap.dedent("""
    import select, socket, struct, sys, time
    address, count, interval, size, patience = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    me, sent, answered = struct.pack("!I", time.monotonic_ns() & 0xffffffff), 0, set()
    def echo(n):
        data = (me + bytes(size))[:max(size, 4)]
        words = struct.pack("!BBHHH", 8, 0, 0, 0, n) + data + bytes(len(data) % 2)
        total = sum(struct.unpack(f"!{len(words) // 2}H", words))
        total = (total & 0xffff) + (total >> 16)
        return struct.pack("!BBHHH", 8, 0, ~(total + (total >> 16)) & 0xffff, 0, n) + data
    start = last = time.monotonic()
    while len(answered) < count:
        now = time.monotonic()
        if sent < count and now >= start + sent * interval:
            try:
                s.sendto(echo(sent), (address, 0))
            except OSError:
                pass
            sent, last = sent + 1, now
        end = start + sent * interval if sent < count else last + (patience if answered else 2)
        if sent == count and now >= end:
            break
        if select.select([s], [], [], max(0, end - now))[0]:
            packet = s.recv(65536)
            reply = packet[(packet[0] & 15) * 4:]
            if reply[:1] == bytes(1) and reply[8:12] == me:
                answered.add(reply[6:8])
    print(sent, len(answered))
""")


def run(*argv, check=True, input=None, timeout=60):
    done = subprocess.run([str(a) for a in argv], input=input, capture_output=True, text=True, timeout=timeout)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, argv))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def wait(what, condition, seconds=15, pause=0.05):
    """Polls until condition() is true and returns its value; fails with `what` after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(pause)


class Process:
    """A program in a namespace, its output in a file."""

    def __init__(self, lab, namespace, argv, name, **more):
        self.log_path = lab.folder / f"{name}-{next(numbers)}.log"
        self.log_file = open(self.log_path, "wb")
        self.disposable = OPENVPN in argv  # nobody asks how it ends
        prefix = ["ip", "netns", "exec", namespace] if namespace else []
        self.popen = subprocess.Popen([str(a) for a in prefix + list(argv)], stdout=self.log_file,
                                      stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **more)
        lab.processes.append(self)

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    @property
    def running(self):
        return self.popen.poll() is None

    def kill(self, number=signal.SIGKILL):
        if self.running:
            self.popen.send_signal(number)

    def stop(self, seconds=10):
        """TERM, then KILL; the exit code."""
        self.kill(signal.SIGTERM)
        try:
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            self.popen.wait()
        self.log_file.close()
        return self.popen.returncode


class Lab:
    def __init__(self):
        self.id = f"ammt{os.getpid()}x{next(numbers)}"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.id}-"))
        self.folder.chmod(0o755)
        self.namespaces, self.processes = [], []
        self.router = self.namespace("net")
        run("ip", "netns", "exec", self.router, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        self.srv = self.namespace("srv")
        self.join(self.srv, "10.99.0.1/24", "10.99.0.254/24", "srv")
        run("ip", "-n", self.srv, "addr", "add", "10.99.0.2/24", "dev", "wan0")
        self.join_ipv6(self.srv, "fd99::1", "fd99::fe", "srv")
        self.gateways = {}

    def namespace(self, name):
        full = f"{self.id}-{name}"
        run("ip", "netns", "add", full)
        self.namespaces.append(full)
        run("ip", "-n", full, "link", "set", "lo", "up")
        return full

    def join(self, namespace, address, router_address, link):
        """A veth from the namespace (wan0) to the router, with addresses and a default route."""
        run("ip", "-n", namespace, "link", "add", "wan0", "type", "veth", "peer", "name", link, "netns", self.router)
        for where, device, value in ((namespace, "wan0", address), (self.router, link, router_address)):
            run("ip", "-n", where, "addr", "add", value, "dev", device)
            run("ip", "-n", where, "link", "set", device, "up")
        run("ip", "-n", namespace, "route", "add", "default", "via", router_address.split("/")[0])

    def join_ipv6(self, namespace, address, router_address, link):
        """IPv6 beside IPv4 on a link that is there."""
        for where, device, value in ((namespace, "wan0", address), (self.router, link, router_address)):
            run("ip", "-n", where, "addr", "add", f"{value}/64", "dev", device, "nodad")
        run("ip", "-n", namespace, "route", "add", "default", "via", router_address)

    def gateway(self, n=1):
        """The namespace of gateway n behind the router; made at first use."""
        if n not in self.gateways:
            namespace = self.namespace(f"gw{n}")
            self.join(namespace, f"10.98.{n}.2/24", f"10.98.{n}.1/24", f"gw{n}")
            self.join_ipv6(namespace, f"fd98:{n}::2", f"fd98:{n}::1", f"gw{n}")
            self.gateways[n] = namespace
        return self.gateways[n]

    def nft(self, rules, namespace=None):
        """Replaces the router's (or another namespace's) rules."""
        run("ip", "netns", "exec", namespace or self.router, "nft", "-f", "-", input="flush ruleset\n" + textwrap.dedent(rules))

    def loss(self, per_cent):
        self.nft(f"""
            table ip lossy {{
              chain forward {{ type filter hook forward priority 0; policy accept;
                numgen random mod 100 < {per_cent} counter drop
              }}
            }}
        """ if per_cent else "")

    def mtu(self, mtu):
        """The MTU of the way to the server; the router answers with ICMP as routers do."""
        run("ip", "-n", self.srv, "link", "set", "wan0", "mtu", mtu)
        run("ip", "-n", self.router, "link", "set", "srv", "mtu", mtu)

    def exec(self, namespace, *argv, **more):
        return run("ip", "netns", "exec", namespace, *argv, **more)

    def start(self, namespace, *argv, name="process", **more):
        return Process(self, namespace, argv, name, **more)

    def ping(self, namespace, address, count=3, interval=0.05, size=56, seconds=5):
        """(sent, received). The last answers have `seconds`, or 2 s if none has come."""
        done = self.exec(namespace, "/usr/bin/python3", "-c", PING, address, count, interval, size, seconds, check=False,
                         timeout=2 * seconds + count * interval + 10)
        sent, received = done.stdout.split() or (0, 0)
        return int(sent), int(received)

    def close(self):
        for process in self.processes:  # all at once: one that says goodbye takes seconds
            process.kill(signal.SIGKILL if process.disposable else signal.SIGTERM)
        for process in reversed(self.processes):
            process.stop()
        for namespace in reversed(self.namespaces):
            for pid in run("ip", "netns", "pids", namespace, check=False).stdout.split():
                os.kill(int(pid), signal.SIGKILL)
            run("ip", "netns", "del", namespace, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


class Pki:
    """Keys and certificates made with ammctl, as an operator would."""

    def __init__(self, folder):
        self.folder = folder
        run(BIN / "ammctl", "pki", "init", "--pki", folder)

    def ctl(self, *argv, **more):
        return run(BIN / "ammctl", *argv, "--pki", self.folder, **more)

    def profile(self, name, server, port, wrap="tls-crypt", extra="", remote_only=None):
        """A connection file. `remote_only` = "udp" or "tcp" leaves just that one remote of `port`."""
        path = self.folder / f"{name}-{next(numbers)}.ovpn"
        self.ctl("gateway", "profile", name, "--port", port, "--remote", server, "--wrap", wrap, "--output", path)
        text = path.read_text()
        if remote_only:
            text = re.sub(r"(?s)<connection>.*?</connection>\n?", "", text)
            text = re.sub(r"(?m)^remote .*\n", "", text)
            text = f"remote {server} {port} {remote_only}\n" + text
        for line in extra.splitlines():
            text = re.sub(rf"(?m)^{line.split()[0]} .*\n", "", text)  # a directive that is given twice is the caller's
        if "lport" in extra:
            text = text.replace("\nnobind\n", "\n")
        path.write_text(extra + ("\n" if extra else "") + text)
        return path


class Server:
    """amm-tunneld in the namespace `srv`, its tuns in a namespace of their own."""

    def __init__(self, lab, pki, settings="", ports=None, roster=None, program=BIN / "amm-tunneld"):
        self.lab, self.pki, self.program = lab, pki, program
        self.tunnels = f"{lab.id}-amm"
        lab.namespaces.append(self.tunnels)  # deleted by close() even if the server was killed
        self.folder = lab.folder
        self.roster = self.folder / "gateways.conf"
        self.roster.write_text(roster or "")
        self.config = self.folder / "amm.conf"
        ports = ports or {p: "" for p in PORTS}
        text = textwrap.dedent(f"""\
            namespace = {self.tunnels}
            user = 61190
            proxy-user = {PROXY_UID}
            pki = {pki.folder}
            gateways = {self.roster}
            control-socket = {self.folder}/tunneld.sock
            workers = 2
            handshake-threads = 1
        """) + settings + "\n"
        for port, lines in ports.items():
            text += f"[port {port}]\n" + textwrap.dedent(lines) + "\n"
        self.config.write_text(text)
        self.process = None

    def start(self, check=True):
        self.process = self.lab.start(self.lab.srv, self.program, "--config", self.config, name="tunneld")
        if check:
            wait(lambda: f"server answers\n{self.process.log}",
                 lambda: not self.process.running or self.ctl("tunnel", "status", check=False).returncode == 0)
            assert self.process.running, self.process.log
        return self

    def ctl(self, *argv, **more):
        return run(BIN / "ammctl", "--config", self.config, *argv, **more)

    def status(self):
        return json.loads(self.ctl("tunnel", "status", "-o", "json").stdout)

    def counters(self):
        return json.loads(self.ctl("tunnel", "counters", "-o", "json").stdout)

    def refused(self):
        lines = self.ctl("tunnel", "refused", "-o", "json").stdout.splitlines()
        return [json.loads(line) for line in lines]

    def add(self, name, port):
        self.ctl("gateway", "add", name, "--port", port)

    def peer(self, name):
        """The newest tunnel of a gateway, or None."""
        peers = [p for p in self.status()["peers"] if p["name"] == name]
        return max(peers, key=lambda p: p["since"]) if peers else None

    def wait_up(self, name, client=None, seconds=20):
        return wait(lambda: f"{name} is up\n--- client\n{client.log if client else ''}\n--- server\n{self.process.log}",
                    lambda: self.peer(name), seconds)

    def tunnel_address(self, port):
        return str(POOLS[port][1])

    def as_proxy(self, *argv, **more):
        """A command in the tunnels' namespace as the proxy's user."""
        return run("ip", "netns", "exec", self.tunnels, "setpriv", f"--reuid={PROXY_UID}", f"--regid={PROXY_UID}",
                   "--clear-groups", *argv, **more)

    def as_root(self, *argv, **more):
        return run("ip", "netns", "exec", self.tunnels, *argv, **more)

    def engine_pids(self):
        """The processes that parse what comes from the network: children of the holder."""
        return [int(p) for p in run("ps", "-o", "pid=", "--ppid", self.process.popen.pid, check=False).stdout.split()]


def iperf_server(lab, namespace, address):
    """Serves one iperf3 test."""
    listener = lab.start(namespace, "iperf3", "-s", "-1", "--forceflush", "-B", address, name="iperf3")
    wait(lambda: f"iperf3 listens\n{listener.log}", lambda: "listening" in listener.log)
    return listener


def stock_client(lab, namespace, profile, *more, device="tun0", name="openvpn"):
    return lab.start(namespace, OPENVPN, "--config", profile, "--dev", device, "--verb", 4, "--connect-retry", 1, 2,
                     *more, name=name)


def our_client(lab, namespace, profile, *more, device="tun0", name="ammer"):
    return lab.start(namespace, BIN / "ammer", "--ovpn", profile, "--tun", device,
                     "--state", lab.folder / f"ammer-{next(numbers)}.sock", *more, name=name)


def page(lab, namespace, name="gateway", devices=("wan0x", "tun0")):
    """The gateway's own page on port 9443, on the given devices only."""
    folder = lab.folder / f"page-{next(numbers)}"
    folder.mkdir()
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", f"/CN={name}", "-keyout", folder / "key", "-out", folder / "crt")
    return lab.start(namespace, sys.executable, TOP / "lab" / "gateway_page.py", "--name", name, "--certificate",
                     folder / "crt", "--key", folder / "key", *devices, name="page")
