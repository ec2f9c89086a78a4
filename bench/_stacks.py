"""The two servers, their clients, and reading the machine."""
import json
import os
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "system"))
from lab import BIN, OPENVPN, Lab, Pki, Server, iperf_server, our_client, run, stock_client, wait  # noqa: E402,F401

CIPHER = "AES-256-GCM"
PORT = 1190
PORTS = (1190, 1191, 1192, 1193)
HOST = "10.99.0.1"
PEER = "OpenVPN 2.6 (Debian)"
TICK = os.sysconf("SC_CLK_TCK")


# ---- reading the machine ----

def process_seconds(pids):
    """CPU time of processes, to the nanosecond: /proc/PID/stat counts in hundredths."""
    return sum(int(task.read_text().split()[0]) for pid in pids
               for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def machine_seconds():
    """CPU time of the whole machine that was not idle."""
    fields = [int(x) for x in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICK


def pss_kib(pids):
    return sum(int(re.search(r"(?m)^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text())[1])
               for pid in pids)


def device_bytes(namespace, device):
    """What a server has written into its tun device."""
    link = json.loads(run("ip", "-n", namespace, "-s", "-j", "link", "show", device).stdout)[0]
    return link["stats64"]["rx"]["bytes"]


# ---- the two servers ----

class Ours:
    """amm-tunneld; gateway i of `gateways` belongs to port i mod n, as amm-fleet shares them out."""

    def __init__(self, pki, gateways=("bench-1",), settings="", ports=(PORT,)):
        self.lab = Lab()
        n = len(ports)
        roster = "".join(f"{name} {ports[i % n]} {i // n + 1}\n" for i, name in enumerate(gateways))
        self.server = Server(self.lab, pki, ports={port: "wrap = none" for port in ports}, roster=roster,
                             settings="published = 80 5201\n" + settings).start()
        self.ports, self.namespace = ports, self.server.tunnels
        self.tunnel_ip, self.device = self.server.tunnel_address(ports[-1]), f"tun{ports[-1]}"

    def pids(self):
        return self.server.engine_pids()

    def restart(self):
        """Everything is lost: holder and engine are killed, and started again at once."""
        engine = self.pids()
        self.server.process.kill()
        for pid in engine:
            run("kill", "-9", pid, check=False)
        self.server.process.popen.wait()
        self.server.start()


class Theirs:
    """OpenVPN, one process a port (it has one thread)."""

    def __init__(self, pki, gateways=(), settings="keepalive 60 240\nreneg-sec 86400\n", ports=(PORT,)):
        self.lab, self.pki, self.settings, self.ports = Lab(), pki, settings, ports
        self.namespace, self.processes = self.lab.srv, []
        self.tunnel_ip, self.device = f"10.{200 + len(ports) - 1}.0.1", f"tunpeer{len(ports) - 1}"
        self.start()

    def start(self):
        self.processes = [self.start_one(i, port) for i, port in enumerate(self.ports)]
        for process in self.processes:
            wait(lambda p=process: p.log, lambda p=process: "Initialization Sequence Completed" in p.log)

    def start_one(self, i, port):
        config = self.lab.folder / f"openvpn-{port}.conf"
        config.write_text(f"""
            mode server
            tls-server
            proto udp4
            port {port}
            dev tunpeer{i}
            dev-type tun
            topology subnet
            ifconfig 10.{200 + i}.0.1 255.255.224.0
            ifconfig-pool 10.{200 + i}.0.2 10.{200 + i}.31.250 255.255.224.0
            push "topology subnet"
            push "route-gateway 10.{200 + i}.0.1"
            tun-mtu 1400
            ca {self.pki.folder}/gateways-ca.crt
            cert {self.pki.folder}/server.crt
            key {self.pki.folder}/server.key
            dh none
            duplicate-cn
            max-clients 8188
            connect-freq-initial 100000 1
            data-ciphers {CIPHER}
            sndbuf 4194304
            rcvbuf 4194304
            fast-io
            txqueuelen 4000
            verb 1
            """ + self.settings)
        return self.lab.start(self.lab.srv, OPENVPN, "--config", config, name=f"server-{port}")

    def pids(self):
        return [process.popen.pid for process in self.processes]

    def restart(self):
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.popen.wait()
        self.start()


SIDES = {"ours": Ours, "theirs": Theirs}


# ---- clients ----

def client_of(stack, pki, kind, name="bench-1", n=1, port=PORT):
    """Joins one gateway; returns its namespace."""
    lab, gateway = stack.lab, stack.lab.gateway(n)
    profile = pki.profile(name, HOST, port, "none", remote_only="udp")
    if kind == "ours":
        client = our_client(lab, gateway, profile)
    else:
        client = stock_client(lab, gateway, profile, "--sndbuf", 4194304, "--rcvbuf", 4194304, "--fast-io",
                              "--txqueuelen", 4000, "--verb", 1)
    wait(lambda: f"joined\n{client.log}", lambda: lab.ping(gateway, stack.tunnel_ip, count=1)[1] == 1, 20)
    return gateway


class Fleet:
    """amm-fleet in gateway 1's namespace: the same clients for both servers."""

    def __init__(self, stack, pki, count, *options, rate=300, patience=240):
        self.count = count
        self.report_path = stack.lab.folder / "fleet.json"
        servers = ",".join(f"{HOST}:{port}" for port in stack.ports)
        self.process = stack.lab.start(stack.lab.gateway(1), BIN / "amm-fleet", "--server", servers, "--pki", pki.folder,
                                       "--prefix", "bench-", "--count", count, "--rate", rate, "--cipher", CIPHER,
                                       "--join-timeout", patience, "--report", self.report_path, *options, name="fleet")
        wait(lambda: f"{count} have joined\n{self.process.log[-500:]}", lambda: self.number("up") >= count, patience + 20,
             0.2)

    def number(self, word):
        """The last progress line's number behind "up" or "lost"."""
        found = re.findall(rf"{word} (\d+)", self.process.log[-2000:])
        return int(found[-1]) if found else 0

    def report(self):
        self.process.stop(30)
        return json.loads(self.report_path.read_text())
