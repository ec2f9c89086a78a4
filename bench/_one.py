"""Figures with one gateway: bulk, small packets, round trips, bytes of an idle day."""
import concurrent.futures
import json
import re
import statistics
import time

from _figures import say
from _stacks import HOST, PEER, PORT, SIDES, Fleet, Ours, Theirs, client_of, iperf_server, machine_seconds, \
    process_seconds, run

DAY = 86400


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


def bulk(figures, pki, runs):
    rows = {("ours", "ours"): [], ("ours", "stock"): [], ("theirs", "stock"): []}
    for number in range(runs):
        for (side, client), got in rows.items():
            say(f"bulk: run {number + 1} of {runs}, server {side}, client {client}")
            stack = SIDES[side](pki)
            try:
                gateway = client_of(stack, pki, client)
                got.append({"up": tcp(stack, gateway, False), "down": tcp(stack, gateway, True)})
            finally:
                stack.lab.close()
    ours, stock, theirs = rows.values()
    for way in ("up", "down"):
        for figure, unit, better, key, mine in (
                (f"tcp_{way}_gbps", "Gbit/s", "higher", "gbps", ours),
                (f"cpu_s_per_gb_{way}", "CPU-s/GB", "lower", "cpu", ours),
                (f"machine_cpu_s_per_gb_{way}", "CPU-s/GB", "lower", "machine", ours),
                (f"stock_tcp_{way}_gbps", "Gbit/s", "higher", "gbps", stock),
                (f"stock_cpu_s_per_gb_{way}", "CPU-s/GB", "lower", "cpu", stock),
                (f"stock_machine_cpu_s_per_gb_{way}", "CPU-s/GB", "lower", "machine", stock)):
            figures.add(figure, unit, better, [run[way][key] for run in mine], [run[way][key] for run in theirs], PEER)


# ---- round trips ----

def rtt_ms(lab, gateway, address, count=400):
    """The median: a mean tells how often the machine was busy with something else."""
    done = lab.exec(gateway, "ping", "-n", "-c", count, "-i", 0.004, address)
    return statistics.median(float(ms) for ms in re.findall(r"time=([\d.]+)", done.stdout))


def rtt(figures, pki, runs):
    """All three tunnels are up at the same time and take turns, each beside the bare path."""
    kinds = {("ours", "ours"): [], ("ours", "stock"): [], ("theirs", "stock"): []}
    stacks = [(SIDES[side](pki), client) for side, client in kinds]
    try:
        gateways = [client_of(stack, pki, client) for stack, client in stacks]
        for number in range(2 * runs):
            say(f"rtt: round {number + 1} of {2 * runs}")
            for (stack, _), gateway, got in zip(stacks, gateways, kinds.values()):
                got.append(rtt_ms(stack.lab, gateway, stack.tunnel_ip) - rtt_ms(stack.lab, gateway, HOST))
    finally:
        for stack, _ in stacks:
            stack.lab.close()
    ours, stock, theirs = kinds.values()
    figures.add("added_rtt_ms", "ms", "lower", ours, theirs, PEER)
    figures.add("stock_added_rtt_ms", "ms", "lower", stock, theirs, PEER)


# ---- small packets ----

def passes(stack, gateway, rate, reverse, size=128):
    report, _, _ = iperf(stack, gateway, "-u", "-l", size, "-b", int(rate * size * 8), "--pacing-timer", 1000,
                         *(["-R"] if reverse else []), seconds=1)
    total = report["end"]["sum"]
    return total["lost_percent"] < 0.1 and total["packets"] / total["seconds"] > rate * 0.95


def pps(stack, gateway, reverse):
    """The highest rate of plain UDP packets with less than 0.1 % loss, in packets a second: bisection; a rate that
    failed once is tried once more, as one pause of the machine fails a step."""
    low, high = 10_000, 300_000
    for _ in range(6):
        rate = (low * high) ** 0.5
        if passes(stack, gateway, rate, reverse) or passes(stack, gateway, rate, reverse):
            low = rate
        else:
            high = rate
    return low


def small_packets(figures, pki, runs):
    """Gateways may send no UDP to their tunnel address, so the inner checks are off for this one figure."""
    rows = {("ours", "ours"): [], ("ours", "stock"): [], ("theirs", "stock"): []}
    for number in range(runs):
        for (side, client), got in rows.items():
            say(f"small_packets: run {number + 1} of {runs}, server {side}, client {client}")
            stack = Ours(pki, settings="isolation-engine = no\nisolation-nft = no\n") if side == "ours" else Theirs(pki)
            try:
                gateway = client_of(stack, pki, client)
                got.append({"up": pps(stack, gateway, False), "down": pps(stack, gateway, True)})
            finally:
                stack.lab.close()
    ours, stock, theirs = rows.values()
    for prefix, mine in (("", ours), ("stock_", stock)):
        for suffix, value in (("", lambda run: min(run.values())), ("_up", lambda run: run["up"]),
                              ("_down", lambda run: run["down"])):
            figures.add(f"{prefix}pps_128{suffix}", "packets/s", "higher", [value(run) for run in mine],
                        [value(run) for run in theirs], PEER)


# ---- bytes of an idle day ----

COUNT_RULES = f"""
    table ip count {{
      chain forward {{
        type filter hook forward priority 0; policy accept;
        udp sport {PORT} counter
        udp dport {PORT} counter
      }}
    }}
"""


def on_the_wire(lab):
    """(packets, IP bytes) of the tunnel that have passed the router, both directions."""
    rules = lab.exec(lab.router, "nft", "list", "ruleset").stdout
    found = re.findall(r"counter packets (\d+) bytes (\d+)", rules)
    return sum(int(packets) for packets, _ in found), sum(int(size) for _, size in found)


def bursts(lab, seconds):
    """Sizes of the bursts of that time; two seconds of silence end one."""
    end, sizes = time.monotonic() + seconds, []
    before, open_until = on_the_wire(lab)[1], 0.0
    while time.monotonic() < end or open_until > time.monotonic():
        time.sleep(0.1)
        now = on_the_wire(lab)[1]
        if now > before:
            if time.monotonic() > open_until:
                sizes.append(0)
            sizes[-1] += now - before
            open_until = time.monotonic() + 2
        before = now
    return sizes


def with_tunnel(side, pki, ping, renegotiate, measure):
    """measure(lab) with one tunnel up: our client with our server, OpenVPN's with OpenVPN."""
    settings = (f"ping = {ping}\nping-restart = {4 * ping}\nrenegotiate = {renegotiate}\n" if side == "ours"
                else f"keepalive {ping} {4 * ping}\nreneg-sec {renegotiate}\n")
    stack = SIDES[side](pki, ["bench-1"], settings=settings)
    try:
        if side == "ours":
            Fleet(stack, pki, 1)
        else:
            client_of(stack, pki, "stock")
        for namespace in (stack.lab.gateway(1), stack.namespace):  # no router solicitations through the tunnel
            stack.lab.exec(namespace, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        stack.lab.nft(COUNT_RULES)
        time.sleep(12)  # what OpenVPN asks once at the start is over
        return measure(stack.lab)
    finally:
        stack.lab.close()


def keep_alives(lab, ping=2, rounds=10):
    """Bytes of one keep-alive interval: the size of a packet is exact, their number is that of ten intervals rounded."""
    packets, size = on_the_wire(lab)
    time.sleep(ping * rounds)
    packets, size = on_the_wire(lab)[0] - packets, on_the_wire(lab)[1] - size
    return size / packets * round(packets / rounds)


def idle_bytes(figures, pki, runs):
    """All four measurements at the same time: they are about bytes, and nearly nothing happens."""
    say("idle_bytes")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pings = {side: pool.submit(with_tunnel, side, pki, 2, 0, keep_alives) for side in SIDES}
        renewals = {side: pool.submit(with_tunnel, side, pki, 600, 6, lambda lab: bursts(lab, 24)) for side in SIDES}
        per_ping = {side: future.result() for side, future in pings.items()}
        per_renewal = {side: statistics.median(future.result()) for side, future in renewals.items()}
    for side in SIDES:
        say(f"{side}: one keep-alive interval {per_ping[side]:.0f} B, one renegotiation {per_renewal[side]:.0f} B")
    for figure, ping in (("idle_bytes_per_day", 60), ("idle_low_bytes_per_day", 300)):
        day = {side: per_ping[side] * DAY / ping + per_renewal[side] * (1 if side == "ours" else 24) for side in SIDES}
        figures.add(figure, "B", "lower", [day["ours"]], [day["theirs"]], f"{PEER}, ping {ping}, its hourly renegotiation")
