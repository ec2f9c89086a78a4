"""A gateway reaches its tunnel address and nothing else. Counted at the receiver, each layer alone."""
import json
import textwrap

import pytest
from lab import POOLS, PROXY_UID, Server, run, stock_client, wait

# Sends raw IPv4 packets through a tun device as a hostile gateway would: any source, any destination.
PROBE = textwrap.dedent("""
    import socket, struct, sys
    def checksum(data):
        total = sum(struct.unpack(f"!{len(data) // 2}H", data))
        while total >> 16:
            total = (total & 0xffff) + (total >> 16)
        return ~total & 0xffff
    source, destination, protocol, port, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    s.setsockopt(socket.SOL_SOCKET, 25, b"tun0")
    for i in range(count):
        if protocol == "icmp":
            body = struct.pack("!BBHHH", 8, 0, 0, 7, i)
            body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
            number = 1
        else:
            number = 6 if protocol == "tcp" else 17
            body = struct.pack("!HHIIBBHHH", 40000 + i, port, 1, 0, 0x50, 2, 1024, 0, 0) if number == 6 else struct.pack("!HHHH", 40000 + i, port, 8, 0)
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), i, 0, 64, number, 0, socket.inet_aton(source), socket.inet_aton(destination))
        s.sendto(head + body, (destination, 0))
""")


# A SYN to every port, a little slower than the tunnel can take.
SCAN = textwrap.dedent("""
    import socket, struct, sys, time
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    s.setsockopt(socket.SOL_SOCKET, 25, b"tun0")
    source, destination = socket.inet_aton(sys.argv[1]), socket.inet_aton(sys.argv[2])
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 1, 0, 64, 6, 0, source, destination)
    for port in range(1, 65536):
        s.sendto(head + struct.pack("!HHIIBBHHH", 40000, port, 1, 0, 0x50, 2, 1024, 0, 0), (sys.argv[2], 0))
        if port % 100 == 0:
            time.sleep(0.004)
""")

# Writes into tun0 below IP, where nothing is put right.
GARBAGE = textwrap.dedent("""
    import random, socket, struct, sys, time
    s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
    source, destination = socket.inet_aton(sys.argv[1]), socket.inet_aton(sys.argv[2])
    rng = random.Random(3)
    def ip(first=0x45, total=None, fragment=0, protocol=17, body=b"x" * 40, source=source):
        total = 20 + len(body) if total is None else total
        return struct.pack("!BBHHHBBH4s4s", first, 0, total, 1, fragment, 64, protocol, 0, source, destination) + body
    kinds = (
        lambda: bytes([rng.randrange(16) << 4 & 0xf0 | rng.randrange(16)]) + rng.randbytes(rng.randrange(0, 1300)),
        lambda: ip(first=0x40 | rng.randrange(5)),
        lambda: ip(first=0x4f, body=b"x" * 10),
        lambda: ip(total=rng.randrange(0, 20)),
        lambda: ip(total=rng.randrange(61, 65536)),
        lambda: ip(fragment=rng.choice((0x2000, 1, 0x1fff, 0x2001))),
        lambda: ip(protocol=rng.choice((0, 2, 4, 17, 41, 47, 50, 132, 255))),
        lambda: ip(protocol=6, body=b"x" * rng.randrange(20)),
        lambda: ip(protocol=1, body=b"x" * rng.randrange(8)),
        lambda: bytes([0x60]) + rng.randbytes(60),
        lambda: ip(source=rng.randbytes(4)),
    )
    for i in range(3000):
        s.sendto(rng.choice(kinds)(), ("tun0", 0x0800))
        if i % 50 == 0:
            time.sleep(0.004)
""")


def counting(lab, namespace, device):
    """Counts what comes out of a device, in the receiver."""
    run("ip", "netns", "exec", namespace, "nft", "-f", "-", input=textwrap.dedent(f"""
        table inet arrivals {{
          counter arrived {{ }}
          chain input {{ type filter hook prerouting priority -400; policy accept;
            iifname "{device}" counter name arrived
          }}
        }}
    """))


def arrived(namespace):
    listing = json.loads(run("ip", "netns", "exec", namespace, "nft", "-j", "list", "counters").stdout)
    return next(c["counter"]["packets"] for c in listing["nftables"] if "counter" in c)


LAYERS = {"all": "", "without-engine": "isolation-engine = no", "without-nft": "isolation-nft = no",
          "without-namespace": "isolation-namespace = no"}


def taken_in(server):
    """How many packets the kernel took in from a tun: what the engine let through."""
    links = json.loads(run("ip", "-n", server.tunnels, "-s", "-j", "link", "show", "tun1190").stdout)
    return links[0]["stats64"]["rx"]["packets"]


@pytest.fixture
def fleet(lab, pki, request):
    settings = LAYERS[getattr(request, "param", "all")]
    server = Server(lab, pki, ports={1190: "wrap = none", 1191: "wrap = none"}, settings=settings)
    if "namespace" in settings:
        # The hardest case: the host is a router.
        lab.exec(lab.srv, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        server.config.write_text(server.config.read_text().replace(f"namespace = {server.tunnels}", "namespace = host")
                                 .replace("isolation-namespace = no\n", ""))
        server.tunnels = lab.srv
    server.start()
    for n, port in ((1, 1190), (2, 1190), (3, 1191)):
        server.add(f"bus-{n}", port)
        client = stock_client(lab, lab.gateway(n), pki.profile(f"bus-{n}", "10.99.0.1", port, "none", remote_only="udp"))
        server.wait_up(f"bus-{n}", client)
        lab.exec(lab.gateway(n), "ip", "route", "add", "10.4.0.0/16", "dev", "tun0")
        wait("ping", lambda: lab.ping(lab.gateway(n), server.tunnel_address(port), count=1)[1])
    return server


def probe(lab, source, destination, protocol="icmp", port=0, count=20, n=1):
    lab.exec(lab.gateway(n), "/usr/bin/python3", "-c", PROBE, source, destination, protocol, port, count)


@pytest.mark.parametrize("fleet", LAYERS, indirect=True)
def test_no_packet_reaches_another_gateway(lab, fleet):
    me, same, other = (fleet.peer(f"bus-{n}")["address"] for n in (1, 2, 3))
    for n in (2, 3):
        counting(lab, lab.gateway(n), "tun0")
    for destination in (same, other):
        for protocol, port in (("icmp", 0), ("tcp", 9443), ("udp", 53)):
            probe(lab, me, destination, protocol, port)
    # A packet that may pass proves that what was sent before it has been handled.
    assert lab.ping(lab.gateway(1), fleet.tunnel_address(1190), count=3) == (3, 3)
    assert arrived(lab.gateway(2)) == 0 and arrived(lab.gateway(3)) == 0


LISTEN = textwrap.dedent("""
    import socket, threading, time
    def serve(port):
        s = socket.socket(); s.setsockopt(1, 2, 1); s.bind(("0.0.0.0", port)); s.listen()
        while True:
            c, _ = s.accept(); print("heard", port, flush=True); c.close()
    for p in (22, 80, 443, 8080, 9443):
        threading.Thread(target=serve, args=(p,)).start()
    print("ready", flush=True)
""")
# Tries ADDRESS:PORT... all at once and prints those that answer.
CONNECT = textwrap.dedent("""
    import select, socket, sys, time
    poll, open_ones, names = select.poll(), {}, set()
    for name in sys.argv[1:]:
        s = socket.socket(); s.setblocking(False); s.setsockopt(1, 25, b"tun0")
        address, port = name.split(":")
        s.connect_ex((address, int(port)))
        open_ones[s.fileno()] = (s, name)
        poll.register(s, select.POLLOUT)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        for fd, _ in poll.poll(100):
            poll.unregister(fd)
            s, name = open_ones[fd]
            if s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                print(name)
""")


@pytest.mark.parametrize("fleet", LAYERS, indirect=True)
def test_server_answers_published_ports_only(lab, fleet):
    """Listeners on every address of the server and of the tunnels' namespace; none hears a thing but port 80."""
    inside = lab.start(fleet.tunnels, "/usr/bin/python3", "-c", LISTEN)
    outside = lab.start(lab.srv, "/usr/bin/python3", "-c", LISTEN) if fleet.tunnels != lab.srv else inside
    wait("listening", lambda: "ready" in inside.log and "ready" in outside.log)
    own, other = fleet.tunnel_address(1190), fleet.tunnel_address(1191)
    for n in (1, 2, 3):
        lab.exec(lab.gateway(n), "ip", "route", "add", "10.99.0.2/32", "dev", "tun0")
    names = [f"{a}:{p}" for a in (own, other, "10.99.0.2") for p in (22, 80, 443, 8080, 9443)]
    assert lab.exec(lab.gateway(1), "/usr/bin/python3", "-c", CONNECT, *names).stdout.split() == [f"{own}:80"]
    wait("port 80 heard it", lambda: "heard" in inside.log)
    assert inside.log.split() == ["ready", "heard", "80"] and outside.log in (inside.log, "ready\n")


def test_of_all_ports_only_the_published_ones_arrive(lab, fleet):
    """A SYN to each of 65 535 ports; the receiver notes what comes out of the tun."""
    run("ip", "netns", "exec", fleet.tunnels, "nft", "-f", "-", input=textwrap.dedent("""
        table inet arrivals {
          set seen { type inet_service; flags dynamic; size 65535; }
          chain input { type filter hook prerouting priority -400; policy accept;
            iifname "tun1190" tcp flags & (syn | ack) == syn add @seen { tcp dport }
          }
        }
    """))
    me, server = fleet.peer("bus-1")["address"], fleet.tunnel_address(1190)
    lab.exec(lab.gateway(1), "/usr/bin/python3", "-c", SCAN, me, server)
    for port in (80, 8443):
        probe(lab, me, server, "tcp", port, 5)  # in case the scan's own was lost

    def seen():
        listing = json.loads(run("ip", "netns", "exec", fleet.tunnels, "nft", "-j", "list", "set", "inet", "arrivals", "seen").stdout)
        return set(next(e["set"] for e in listing["nftables"] if "set" in e).get("elem", []))
    wait(seen, lambda: seen() == {80, 8443})
    # Loss in a sender's burst is no isolation: most of the scan must have been refused by the engine.
    wait(lambda: f"{fleet.counters()}", lambda: fleet.counters().get("inner-service", 0) > 30_000)


def test_garbage_inside_a_tunnel_arrives_nowhere(lab, fleet):
    """A gateway that is let in sends what is no packet: every version, header length and total length, fragments,
    options, protocols that nobody serves."""
    me, server = fleet.peer("bus-1")["address"], fleet.tunnel_address(1190)
    before = taken_in(fleet)
    lab.exec(lab.gateway(1), "/usr/bin/python3", "-c", GARBAGE, me, server)
    drops = ("inner-malformed", "inner-ipv6", "inner-fragment", "inner-service", "data-unknown-inner", "inner-source")
    wait(lambda: f"{fleet.counters()}", lambda: all(fleet.counters().get(drop, 0) > 20 for drop in drops))
    assert taken_in(fleet) == before
    assert lab.ping(lab.gateway(1), server, count=3) == (3, 3)


@pytest.mark.parametrize("fleet", ["without-engine"], indirect=True)
def test_foreign_source_is_no_connection_without_the_engine_either(lab, fleet):
    """The rules cannot tell one gateway of a port from another, but they know the port's network."""
    inside = lab.start(fleet.tunnels, "/usr/bin/python3", "-c", LISTEN)
    wait("listening", lambda: "ready" in inside.log)
    run("ip", "netns", "exec", fleet.tunnels, "nft", "-f", "-", input=textwrap.dedent("""
        table inet arrivals {
          counter arrived { }
          chain input { type filter hook input priority 100; policy accept; iifname "tun1190" counter name arrived; }
        }
    """))
    before = taken_in(fleet)
    sources = ("8.8.8.8", "10.99.0.1", "224.0.0.1", fleet.peer("bus-3")["address"], fleet.tunnel_address(1191))
    for source in sources:
        probe(lab, source, fleet.tunnel_address(1190), "tcp", 80, count=10)
        probe(lab, source, fleet.tunnel_address(1190), count=10)
    wait("all came out of the tun", lambda: taken_in(fleet) >= before + 20 * len(sources))
    assert arrived(fleet.tunnels) == 0


def test_spoofed_inner_addresses_are_counted_drops(lab, fleet):
    me = fleet.peer("bus-1")["address"]
    counting(lab, fleet.tunnels, "tun1190")
    before = arrived(fleet.tunnels)
    for source in (fleet.peer("bus-2")["address"], "127.0.0.1", "10.99.0.1", "8.8.8.8", "224.0.0.1"):
        probe(lab, source, fleet.tunnel_address(1190), count=10)
    probe(lab, me, "8.8.8.8", count=10)
    wait("counted", lambda: fleet.counters().get("inner-source", 0) >= 50 and fleet.counters().get("inner-destination", 0) >= 10)
    assert arrived(fleet.tunnels) == before


def test_no_other_user_can_attach_a_queue_to_a_tun(lab, fleet):
    attach = ("import fcntl,os,struct,sys\n"
              "os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))\n"
              "f=os.open('/dev/net/tun',os.O_RDWR)\n"
              # IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE | IFF_VNET_HDR
              "fcntl.ioctl(f,0x400454ca,struct.pack('16sH22x',b'tun1190',0x1|0x1000|0x100|0x4000))\n")
    for uid in (65534, PROXY_UID, 1000):
        done = fleet.as_root("/usr/bin/python3", "-c", attach, uid, check=False)
        assert done.returncode != 0 and "PermissionError" in done.stderr, done.stderr


def test_proxys_user_opens_pages_and_nothing_else(lab, fleet):
    address = fleet.peer("bus-1")["address"]
    counting(lab, lab.gateway(1), "tun0")
    lab.exec(lab.gateway(1), "true")
    fleet.as_root("ping", "-c", "2", "-W", "1", address, check=False)
    fleet.as_proxy("curl", "-s", "-m", "1", f"http://{address}:22/", check=False)
    fleet.as_root("curl", "-sk", "-m", "1", f"https://{address}:9443/", check=False)
    assert arrived(lab.gateway(1)) == 0
    fleet.as_proxy("curl", "-sk", "-m", "1", f"https://{address}:9443/", check=False)
    assert arrived(lab.gateway(1)) > 0
