"""The whole system with one gateway, in network namespaces: amm-cad, ammd, amm-tunneld; acemanager and its ammer."""
import json
import pathlib
import re
import textwrap

from _figures import say
from _stacks import BIN, HOST, Lab, run, wait

CHECKIN_PORT = 8443
SEGMENT = 1448  # TCP payload of a full segment on an Ethernet
MODEM = pathlib.Path(__file__).resolve().parents[1] / "lab" / "modem-1.json"

# Prints, for each TCP packet of a port as it passes an interface: the client's port, whether the client sent it, the
# payload, the IP bytes. A packet that the kernel has not cut yet counts as the segments that a network card makes of it.
CAPTURE = textwrap.dedent("""
    import socket, struct, sys
    device, port, segment = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    s.bind((device, 3))
    print("ready", flush=True)
    while True:
        packet, address = s.recvfrom(65536)
        if address[1] != 0x0800 or packet[9] != 6:
            continue
        ip, length = (packet[0] & 15) * 4, struct.unpack("!H", packet[2:4])[0]
        ports, tcp = struct.unpack("!HH", packet[ip:ip + 4]), (packet[ip + 12] >> 4) * 4
        if port in ports:
            payload = length - ip - tcp
            headers = (ip + tcp) * max(1, -(-payload // segment))
            print(ports[ports[0] == port], int(ports[1] == port), payload, payload + headers, flush=True)
""")


class Bytes:
    """Of one connection: both directions, with IP and TCP headers, and what the gateway sent."""

    def __init__(self):
        self.payload = self.all = self.up = 0

    def __repr__(self):
        return f"{self.payload} B, {self.up} of them up, {self.all} with headers"


def libraries(*programs):
    """The shared libraries that programs load, with the loader."""
    found = set()
    for program in programs:
        found |= set(re.findall(r"(/\S+) \(0x", run("ldd", program).stdout))
    return sorted(found)


class Stack:
    """`alone`: the gateway's programs have copies of the shared libraries that nothing else uses, as on a router."""

    def __init__(self, tunnel, alone=False):
        self.lab, self.alone = Lab(), alone
        try:
            self.start_server()
            self.start_gateway(tunnel)
        except BaseException:
            self.lab.close()
            raise

    def start_server(self):
        lab, folder = self.lab, self.lab.folder
        self.pki, self.config = folder / "pki", folder / "amm.conf"
        self.tunnels = f"{lab.id}-amm"
        lab.namespaces.append(self.tunnels)
        run(BIN / "ammctl", "pki", "init", "--pki", self.pki)
        manager = folder / "manager"
        manager.mkdir()
        (manager / "gateways.conf").touch()
        (manager / "crl.pem").write_bytes((self.pki / "crl.pem").read_bytes())
        run("chown", "-R", "nobody", manager)
        run("chown", "nobody", folder)  # each program makes its socket there and then is another user
        self.config.write_text(textwrap.dedent(f"""\
            pki = {self.pki}
            namespace = {self.tunnels}
            user = 61190
            proxy-user = 61191
            manager-user = nobody
            gateways = {manager}/gateways.conf
            crl = {manager}/crl.pem
            control-socket = {folder}/tunneld.sock
            [cad]
            user = 61193
            socket = {folder}/cad.sock
            state = {folder}/cad
            [manager]
            user = nobody
            database = {manager}/fleet.db
            backups = {manager}/backups
            socket = {folder}/ammd.sock
            console = 127.0.0.1:8080
            tunnel-hosts = {HOST}
        """))
        for program, question in (("amm-cad", None), ("ammd", ("tenant", "list")), ("amm-tunneld", ("tunnel", "status"))):
            process = lab.start(lab.srv, BIN / program, "--config", self.config, name=program)
            wait(lambda p=process: f"{program} answers\n{p.log}",
                 lambda: self.ctl(*question, check=False).returncode == 0 if question else (folder / "cad.sock").exists(), 20)

    def start_gateway(self, tunnel):
        lab, folder = self.lab, self.lab.folder / "gateway"
        folder.mkdir()
        self.namespace = lab.gateway(1)
        run("ip", "-n", self.namespace, "link", "add", "lan0", "type", "veth", "peer", "name", "lan0-plug")
        run("ip", "-n", self.namespace, "addr", "add", "192.168.13.31/24", "dev", "lan0")
        for end in ("lan0", "lan0-plug"):
            run("ip", "-n", self.namespace, "link", "set", end, "up")
        added = self.ctl("gateway", "add", "bench-1", "--serial", "BENCH-1")
        self.ctl("gateway", "set", "bench-1", "60003=60", f"60001={'Enable' if tunnel else 'Disable'}")
        (folder / "label").write_text(added.stdout.strip().splitlines()[-1] + "\n")
        (folder / "acemanager.conf").write_text(textwrap.dedent(f"""\
            folder = {folder}/state
            run-folder = {folder}/run
            state-socket = {folder}/acemanager.sock
            ammer = {BIN}/ammer
            lan = lan0
            model = Bench
            serial = BENCH-1
            modem = {MODEM}
            label = {folder}/label
            server = https://{HOST}:{CHECKIN_PORT}
            set-clock = no
            reboot-command = restart
        """))
        self.capture = lab.start(lab.router, "/usr/bin/python3", "-c", CAPTURE, "gw1", CHECKIN_PORT, SEGMENT, name="capture")
        wait("the capture runs", lambda: "ready" in self.capture.log)
        program = [BIN / "acemanager", "--config", folder / "acemanager.conf"]
        if self.alone:
            mounts = "".join(f"cp {library} {folder}/lib-{i} && mount --bind {folder}/lib-{i} {library} && "
                             for i, library in enumerate(libraries(BIN / "acemanager", BIN / "ammer")))
            program = ["unshare", "-m", "sh", "-c", mounts + 'exec "$@"', "sh", *program]
        self.process = lab.start(self.namespace, *program, name="acemanager")

    def ctl(self, *argv, **more):
        return run(BIN / "ammctl", "--config", self.config, *argv, **more)

    def connections(self):
        """Of check-ins, enrolment and time, in the order in which they began."""
        found = {}
        for line in self.capture.log.splitlines()[1:]:
            client, is_up, payload, everything = map(int, line.split())
            one = found.setdefault(client, Bytes())
            one.payload += payload
            one.all += everything
            one.up += payload * is_up
        return list(found.values())

    def show(self):
        """The gateway as the manager shows it."""
        done = self.ctl("gateway", "show", "bench-1", "-o", "json", check=False)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def settled(self):
        """True if nothing has passed since the last call."""
        before, self.passed = getattr(self, "passed", -1), len(self.capture.log)
        return before == self.passed

    def wait_for_checkin(self, number, seconds):
        wait(lambda: f"check-in {number}\n{self.process.log}", lambda: self.show().get("seq", 0) >= number, seconds, 0.2)

    def pids(self, program):
        """All processes of a program in the gateway's namespace."""
        every = run("ip", "netns", "pids", self.namespace).stdout.split()
        return [int(p) for p in every if pathlib.Path(f"/proc/{p}/comm").read_text().strip() == program]

    def close(self):
        self.lab.close()


def checkin_sizes(idle=3):
    """(the first check-in, idle ones): what passes between gateway and server while the tunnel is off. The first is the
    connection that carries most upwards before the second check-in, for all stats and settings go there. From the third
    on, by then everything is said, there is one connection for each check-in, with a resumed TLS session."""
    stack = Stack(tunnel=False)
    try:
        stack.wait_for_checkin(1, 40)
        first = max(stack.connections(), key=lambda one: one.up)
        stack.wait_for_checkin(2, 90)
        before = len(stack.connections())
        say(f"waiting for {idle} idle check-ins, one a minute")
        stack.wait_for_checkin(2 + idle, 90 * idle)
        wait("the end of the last connection", lambda: stack.settled(), 10, 0.5)
        found = stack.connections()[before:]
        assert len(found) == idle, f"{idle} check-ins made {len(found)} connections"
        say(f"first {first}; idle " + "; ".join(map(repr, found)))
        return first, found
    finally:
        stack.close()
