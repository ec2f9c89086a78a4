"""./amm bench tunnel: our server beside Debian's OpenVPN, in one run, in the same namespaces, with the same cipher.

Each figure is measured in turn, ours and theirs, because the machine's speed drifts. OpenVPN gets what its users tune
(big socket buffers, fast-io). What each figure means stands in bench/README.md."""
import argparse
import json
import os
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "system"))
from _figures import Figures  # noqa: E402
from lab import BIN, OPENVPN, Lab, Pki, Server, iperf_server, our_client, run, stock_client, wait  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
CIPHER = "AES-256-GCM"
PORT = 1190
HOST = "10.99.0.1"
PEER = "OpenVPN 2.6 (Debian)"


# ---- reading the machine ----

def process_seconds(pids):
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def machine_seconds():
    """CPU time of the whole machine that was not idle."""
    fields = [int(x) for x in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICK


def pss_kib(pids):
    return sum(int(re.search(r"(?m)^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text())[1])
               for pid in pids)


# ---- the two servers ----

class Ours:
    def __init__(self, pki, gateways=("bench-1",), settings="", ports=(PORT,)):
        self.lab = Lab()
        share = -(-len(gateways) // len(ports))
        roster = "".join(f"{name} {ports[i // share]} {i % share + 1}\n" for i, name in enumerate(gateways))
        self.server = Server(self.lab, pki, ports={port: "wrap = none" for port in ports}, roster=roster,
                             settings="published = 80 5201\n" + settings).start()
        self.namespace, self.tunnel_ip = self.server.tunnels, self.server.tunnel_address(PORT)

    def pids(self):
        return self.server.engine_pids()

    def up(self):
        return sum(port["up"] for port in self.server.status()["ports"])


class Theirs:
    def __init__(self, pki, gateways=()):
        self.lab = Lab()
        self.namespace, self.tunnel_ip = self.lab.srv, "10.200.0.1"
        self.status = self.lab.folder / "status"
        config = self.lab.folder / "openvpn.conf"
        config.write_text(f"""
            mode server
            tls-server
            proto udp4
            port {PORT}
            dev tunpeer
            dev-type tun
            topology subnet
            ifconfig 10.200.0.1 255.255.224.0
            ifconfig-pool 10.200.0.2 10.200.31.250 255.255.224.0
            push "topology subnet"
            push "route-gateway 10.200.0.1"
            tun-mtu 1400
            ca {pki.folder}/gateway-ca.crt
            cert {pki.folder}/server.crt
            key {pki.folder}/server.key
            dh none
            duplicate-cn
            max-clients 8188
            connect-freq-initial 100000 1
            data-ciphers {CIPHER}
            keepalive 60 240
            sndbuf 4194304
            rcvbuf 4194304
            fast-io
            txqueuelen 4000
            status {self.status} 1
            verb 1
        """)
        self.process = self.lab.start(self.lab.srv, OPENVPN, "--config", config, name="server")
        wait(lambda: self.process.log, lambda: "Initialization Sequence Completed" in self.process.log)

    def pids(self):
        return [self.process.popen.pid]

    def up(self):
        text = self.status.read_text() if self.status.exists() else ""
        return text.split("ROUTING TABLE")[0].count("\n") - 3


# ---- one gateway with bulk traffic ----

def client_of(stack, pki, kind):
    """Joins one gateway; returns its namespace."""
    lab, gateway = stack.lab, stack.lab.gateway(1)
    profile = pki.profile("bench-1", HOST, PORT, "none", remote_only="udp")
    if kind == "ours":
        client = our_client(lab, gateway, profile)
    else:
        client = stock_client(lab, gateway, profile, "--verb", 1, "--sndbuf", 4194304, "--rcvbuf", 4194304,
                              "--fast-io", "--txqueuelen", 4000)
    wait(lambda: f"joined\n{client.log}", lambda: lab.ping(gateway, stack.tunnel_ip, count=1)[1] == 1, 20)
    return gateway


def iperf(stack, gateway, *options, seconds=3):
    """Runs iperf3 from the gateway to the server's tunnel address; its report and the CPU that it took."""
    listener = iperf_server(stack.lab, stack.namespace, stack.tunnel_ip)
    pids = stack.pids()
    before, machine = process_seconds(pids), machine_seconds()
    done = run("ip", "netns", "exec", gateway, "iperf3", "-c", stack.tunnel_ip, "-t", seconds, "-J", *options,
               timeout=seconds + 30, check=False)
    cpu, machine = process_seconds(pids) - before, machine_seconds() - machine
    listener.popen.wait(10)
    report = json.loads(done.stdout)
    if "error" in report:
        raise AssertionError(report["error"])
    return report, cpu, machine


def tcp(stack, gateway, reverse):
    report, cpu, machine = iperf(stack, gateway, *(["-R"] if reverse else []))
    gigabytes = report["end"]["sum_received"]["bytes"] / 1e9
    return {"gbps": report["end"]["sum_received"]["bits_per_second"] / 1e9, "cpu": cpu / gigabytes,
            "machine": machine / gigabytes}


def pps(stack, gateway, reverse, size=128):
    """The highest rate of plain UDP packets with less than 0.1 % loss, in packets a second: bisection."""
    low, high = 10_000, 400_000
    for _ in range(6):
        rate = (low * high) ** 0.5
        report, _, _ = iperf(stack, gateway, "-u", "-l", size, "-b", int(rate * size * 8), "--pacing-timer", 1000,
                             *(["-R"] if reverse else []), seconds=2)
        total = report["end"]["sum"]
        sent = total["packets"] / total["seconds"]
        if total["lost_percent"] < 0.1 and sent > rate * 0.95:
            low = rate
        else:
            high = min(rate, high)
    return low


def rtt_ms(lab, gateway, address):
    done = lab.exec(gateway, "ping", "-n", "-q", "-c", 200, "-i", 0.01, address)
    return float(re.search(r"= [\d.]+/([\d.]+)/", done.stdout)[1])


def bulk(figures, pki, runs):
    rows = {(side, client): {"up": [], "down": [], "rtt": []} for side in ("ours", "theirs") for client in ("own", "stock")}
    for _ in range(runs):
        for (side, client), got in rows.items():
            if side == "theirs" and client == "own":
                continue
            stack = Ours(pki) if side == "ours" else Theirs(pki)
            try:
                gateway = client_of(stack, pki, "ours" if client == "own" else "stock")
                got["up"].append(tcp(stack, gateway, False))
                got["down"].append(tcp(stack, gateway, True))
                got["rtt"].append(rtt_ms(stack.lab, gateway, stack.tunnel_ip) - rtt_ms(stack.lab, gateway, HOST))
            finally:
                stack.lab.close()
    theirs = rows["theirs", "stock"]
    for way in ("up", "down"):
        pick = lambda row, key: [value[key] for value in row[way]]  # noqa: E731
        ours, stock = rows["ours", "own"], rows["ours", "stock"]
        figures.add(f"tcp_{way}_gbps", "Gbit/s", "higher", pick(ours, "gbps"), pick(theirs, "gbps"), PEER)
        figures.add(f"cpu_s_per_gb_{way}", "CPU-s/GB", "lower", pick(ours, "cpu"), pick(theirs, "cpu"), PEER)
        figures.add(f"machine_cpu_s_per_gb_{way}", "CPU-s/GB", "lower", pick(ours, "machine"), pick(theirs, "machine"), PEER)
        figures.add(f"stock_tcp_{way}_gbps", "Gbit/s", "higher", pick(stock, "gbps"), pick(theirs, "gbps"), PEER)
        figures.add(f"stock_cpu_s_per_gb_{way}", "CPU-s/GB", "lower", pick(stock, "cpu"), pick(theirs, "cpu"), PEER)
    figures.add("added_rtt_ms", "ms", "lower", rows["ours", "own"]["rtt"], theirs["rtt"], PEER)
    figures.add("stock_added_rtt_ms", "ms", "lower", rows["ours", "stock"]["rtt"], theirs["rtt"], PEER)


def small_packets(figures, pki, runs):
    """UDP through the tunnel is not published to gateways, so the inner checks are off for this one figure."""
    found = {"ours": {"up": [], "down": []}, "theirs": {"up": [], "down": []}}
    for _ in range(runs):
        for side in found:
            stack = Ours(pki, settings="isolation-engine = no\nisolation-nft = no\n") if side == "ours" else Theirs(pki)
            try:
                gateway = client_of(stack, pki, "ours" if side == "ours" else "stock")
                found[side]["up"].append(pps(stack, gateway, False))
                found[side]["down"].append(pps(stack, gateway, True))
            finally:
                stack.lab.close()
    worst = {side: [min(pair) for pair in zip(found[side]["up"], found[side]["down"])] for side in found}
    figures.add("pps_128", "packets/s", "higher", worst["ours"], worst["theirs"], PEER)
    for way in ("up", "down"):
        figures.add(f"pps_128_{way}", "packets/s", "higher", found["ours"][way], found["theirs"][way], PEER)


# ---- many gateways ----

def fleet(stack, pki, count, *options, rate=200, server=f"{HOST}:{PORT}"):
    """amm-fleet in its own namespace, the same client for both servers."""
    report = stack.lab.folder / "fleet.json"
    process = stack.lab.start(stack.lab.gateway(1), BIN / "amm-fleet", "--server", server, "--pki", pki.folder,
                              "--prefix", "bench-", "--count", count, "--rate", rate, "--wrap", "none", "--report", report,
                              *options, name="fleet")
    return process, report


def sessions(figures, pki, runs, count=1000):
    cpu, rss, idle = {"ours": [], "theirs": []}, {"ours": [], "theirs": []}, {"ours": [], "theirs": []}
    names = [f"bench-{i + 1}" for i in range(count)]
    for _ in range(runs):
        for side, stack_of in (("ours", Ours), ("theirs", Theirs)):
            stack = stack_of(pki, names)
            try:
                pids = stack.pids()
                seconds, memory = process_seconds(pids), pss_kib(pids)
                process, _ = fleet(stack, pki, count, "--idle", "--duration", 600)
                wait(lambda: f"{count} up, {stack.up()} now\n{process.log[-500:]}", lambda: stack.up() >= count, 90, 0.5)
                cpu[side].append((process_seconds(pids) - seconds) / count * 1000)
                time.sleep(10)  # what a handshake left behind is given back; then 20 s of keep-alives only
                rss[side].append((pss_kib(pids) - memory) / count)
                seconds, begin = process_seconds(pids), time.monotonic()
                time.sleep(20)
                idle[side].append((process_seconds(pids) - seconds) / (time.monotonic() - begin) * 100)
            finally:
                stack.lab.close()
    figures.add("session_cpu_ms", "ms", "lower", cpu["ours"], cpu["theirs"], PEER)
    figures.add("session_rss_kib", "KiB", "lower", rss["ours"], rss["theirs"], PEER)
    figures.add(f"idle_cpu_{count}_pct", "% of a core", "lower", idle["ours"], idle["theirs"], PEER)


GROUPS = {"bulk": bulk, "small_packets": small_packets, "sessions": sessions}


def main():
    options = argparse.ArgumentParser(prog="./amm bench tunnel")
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--only", choices=GROUPS, action="append")
    given = options.parse_args()
    figures = Figures("./amm bench tunnel")
    folder = Lab()
    try:
        pki = Pki(folder.folder / "pki")
        print(f"{'figure':28} {'unit':12} {'ours: min / median / max':30} {'peer: min / median / max':30}")
        for name in given.only or GROUPS:
            GROUPS[name](figures, pki, given.runs)
    finally:
        folder.close()


main()
