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


@pytest.fixture
def fleet(lab, pki, request):
    settings = LAYERS[getattr(request, "param", "all")]
    server = Server(lab, pki, ports={1190: "wrap = none", 1191: "wrap = none"}, settings=settings)
    if "namespace" in settings:
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


@pytest.mark.parametrize("fleet", ["all", "without-engine", "without-nft"], indirect=True)
def test_server_answers_published_ports_only(lab, fleet):
    """Listeners on every address of the server and of the tunnels' namespace; none hears a thing but port 80."""
    code = ("import socket,sys,threading\n"
            "def serve(port):\n"
            " s=socket.socket(); s.setsockopt(1,2,1); s.bind(('0.0.0.0',port)); s.listen()\n"
            " while True:\n"
            "  c,_=s.accept(); print('heard',port,flush=True); c.close()\n"
            "for p in (22,80,443,8080,9443): threading.Thread(target=serve,args=(p,)).start()\n"
            "print('ready',flush=True)\n")
    inside = lab.start(fleet.tunnels, "/usr/bin/python3", "-c", code)
    outside = lab.start(lab.srv, "/usr/bin/python3", "-c", code)
    wait("listening", lambda: "ready" in inside.log and "ready" in outside.log)
    connect = ("import socket,sys\n"
               "s=socket.socket(); s.settimeout(0.5); s.setsockopt(1,25,b'tun0')\n"
               "sys.exit(s.connect_ex((sys.argv[1],int(sys.argv[2]))) != 0)\n")
    own, other = fleet.tunnel_address(1190), fleet.tunnel_address(1191)
    for address in (own, other, "10.99.0.1"):
        for port in (22, 443, 8080, 9443):
            assert lab.exec(lab.gateway(1), "/usr/bin/python3", "-c", connect, address, port, check=False).returncode != 0
    assert lab.exec(lab.gateway(1), "/usr/bin/python3", "-c", connect, own, 80, check=False).returncode == 0
    assert set(inside.log.split("\n")) - {""} == {"ready", "heard 80"} and outside.log.strip() == "ready"


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
    fleet.as_proxy("ping", "-c", "2", "-W", "1", address, check=False)
    fleet.as_proxy("curl", "-s", "-m", "1", f"http://{address}:22/", check=False)
    fleet.as_root("curl", "-sk", "-m", "1", f"https://{address}:9443/", check=False)
    assert arrived(lab.gateway(1)) == 0
    fleet.as_proxy("curl", "-sk", "-m", "1", f"https://{address}:9443/", check=False)
    assert arrived(lab.gateway(1)) > 0
