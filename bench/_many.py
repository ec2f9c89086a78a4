"""Figures with many gateways: joining, memory, steady traffic, idling, and what a crash costs."""
import os
import re
import signal
import statistics
import time

from _figures import say
from _stacks import HOST, PEER, PORT, PORTS, SIDES, Fleet, Ours, Theirs, client_of, device_bytes, process_seconds, \
    pss_kib, run, wait

ALL = 8188


def names(count):
    return [f"bench-{i + 1}" for i in range(count)]


def sessions(figures, pki, runs, count=1000):
    cpu, rss = {side: [] for side in SIDES}, {side: [] for side in SIDES}
    for number in range(runs):
        for side, stack_of in SIDES.items():
            say(f"sessions: run {number + 1} of {runs}, {side}")
            stack = stack_of(pki, names(count))
            try:
                pids = stack.pids()
                seconds, memory = process_seconds(pids), pss_kib(pids)
                Fleet(stack, pki, count)
                cpu[side].append((process_seconds(pids) - seconds) / count * 1000)
                time.sleep(10)  # what handshakes left behind is given back
                rss[side].append((pss_kib(pids) - memory) / count)
            finally:
                stack.lab.close()
    figures.add("session_cpu_ms", "ms", "lower", cpu["ours"], cpu["theirs"], PEER)
    figures.add("session_rss_kib", "KiB", "lower", rss["ours"], rss["theirs"], PEER,
                limit=statistics.median(rss["theirs"]) / 10)


def many(figures, pki, runs, count=500, rate=40, size=1200, seconds=8):
    """Steady traffic up: echo requests that nobody answers."""
    found = {side: [] for side in SIDES}
    for number in range(runs):
        for side, stack_of in SIDES.items():
            say(f"many: run {number + 1} of {runs}, {side}")
            stack = stack_of(pki, names(count))
            try:
                stack.lab.exec(stack.namespace, "sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=1")
                Fleet(stack, pki, count, "--traffic", rate, size)
                pids = stack.pids()
                cpu, got = process_seconds(pids), device_bytes(stack.namespace, stack.device)
                time.sleep(seconds)
                cpu, got = process_seconds(pids) - cpu, device_bytes(stack.namespace, stack.device) - got
                if got < count * rate * size * seconds * 0.9:
                    say(f"only {got / 1e6:.0f} MB of {count * rate * size * seconds / 1e6:.0f} MB arrived")
                found[side].append(cpu / (got / 1e9))
            finally:
                stack.lab.close()
    figures.add("many_cpu_s_per_gb", "CPU-s/GB", "lower", found["ours"], found["theirs"], PEER)


# ---- all gateways of four ports ----

def idle_percents(stacks, seconds=60):
    """A whole keep-alive interval, so that each tunnel's are in it."""
    time.sleep(5)
    cpu, begin = {side: process_seconds(stack.pids()) for side, stack in stacks.items()}, time.monotonic()
    time.sleep(seconds)
    return {side: (process_seconds(stack.pids()) - cpu[side]) / (time.monotonic() - begin) * 100
            for side, stack in stacks.items()}


def kill9_gaps_ms(stack, pki, fleet, kills=8):
    """The longest silence of a stock client's ping, 200 a second, after each kill -9 of the engine; the other tunnels
    are checked at the end."""
    gateway = client_of(stack, pki, "stock", f"bench-{ALL}", 2, PORTS[-1])
    ping = stack.lab.start(gateway, "ping", "-n", "-D", "-i", 0.005, stack.tunnel_ip, name="ping")
    begins = []
    for _ in range(kills):
        time.sleep(2.5)  # the holder gives up on engines that die more than five times in ten seconds
        begins.append(time.time())
        os.kill(stack.pids()[0], signal.SIGKILL)
    time.sleep(2.5)
    ping.stop()
    replies = [float(at) for at in re.findall(r"(?m)^\[([\d.]+)\].*icmp_seq=", ping.log)]
    if fleet.number("lost") or fleet.number("up") != fleet.count:
        raise AssertionError(f"tunnels were lost: {fleet.process.log[-300:]}")
    return [max(b - a for a, b in zip(replies, replies[1:]) if begin - 0.1 < b < begin + 2.5) * 1000 for begin in begins]


def peer_gaps_ms(pki, kills=3):
    """OpenVPN is killed and started again at once; its client notices by its ping-restart, here the shortest that is
    used in earnest."""
    gaps = []
    stack = Theirs(pki, settings="keepalive 1 5\n")
    try:
        gateway = client_of(stack, pki, "stock")
        for _ in range(kills):
            begin = time.monotonic()
            stack.restart()
            wait("the peer's client is back", lambda: stack.lab.ping(gateway, stack.tunnel_ip, count=1)[1] == 1, 60)
            gaps.append((time.monotonic() - begin) * 1000)
    finally:
        stack.lab.close()
    return gaps


def all_idle(figures, pki, runs):
    stacks, fleets = {}, {}
    try:
        for side, stack_of in SIDES.items():
            say(f"all_idle: {ALL} tunnels join, {side}")
            stacks[side] = stack_of(pki, names(ALL), ports=PORTS)
            fleets[side] = Fleet(stacks[side], pki, ALL - 1)
        say("one keep-alive interval")
        idle = idle_percents(stacks)
        stacks.pop("theirs").lab.close()
        say("kill -9 of the engine")
        gaps = kill9_gaps_ms(stacks["ours"], pki, fleets["ours"])
    finally:
        for stack in stacks.values():
            stack.lab.close()
    figures.add("idle_cpu_8188_pct", "% of a core", "lower", [idle["ours"]], [idle["theirs"]], f"{PEER}, 4 processes")
    say("kill -9 of the peer")
    figures.add("kill9_gap_ms", "ms", "lower", gaps, peer_gaps_ms(pki), f"{PEER}, 1 tunnel, keepalive 1 5", limit=1000)


def seconds_until_all_are_back(stack, fleet, patience):
    """After everything was killed: 99.8 % of them, as OpenVPN refuses a few for good; `patience` if it takes longer."""
    begin, lost = time.monotonic(), fleet.number("lost")
    stack.restart()
    while fleet.number("lost") < lost + ALL * 0.998 or fleet.number("up") < ALL * 0.998:
        if time.monotonic() > begin + patience:
            say(f"not all are back after {patience} s: {fleet.process.log[-200:]}")
            break
        time.sleep(0.2)
    return time.monotonic() - begin


def storm(figures, pki, runs, patience=150):
    """Everything is lost with all tunnels up; both servers' clients notice after 9 s of silence."""
    found = {}
    settings = {"ours": "ping = 3\nping-restart = 9\n", "theirs": "keepalive 3 9\n"}
    for side, stack_of in SIDES.items():
        say(f"storm: {ALL} tunnels join, {side}")
        stack = stack_of(pki, names(ALL), settings=settings[side], ports=PORTS)
        try:
            fleet = Fleet(stack, pki, ALL)
            say("up; everything is killed")
            found[side] = seconds_until_all_are_back(stack, fleet, patience)
        finally:
            stack.lab.close()
    figures.add("storm_8188_s", "s", "lower", [found["ours"]], [found["theirs"]],
                f"{PEER}, 4 processes, ping-restart 9 as ours", limit=patience)
