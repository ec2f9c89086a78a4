"""Who listens where: doc/ports.md against the kernel's own list, and a gateway's WAN side against a scan."""
import re
import textwrap

import pytest
from fleet import LAN, FleetGateway, FleetServer
from lab import POOLS, TOP, Lab, run, wait
from test_gateway_pages import SCAN

# Every 37th UDP port, well-known ones, and those named: garbage, and what begins an OpenVPN session. Prints who answers.
UDP_SCAN = textwrap.dedent("""
    import os, select, socket, sys
    address, ports = sys.argv[1], {53, 67, 68, 69, 123, 161, 500, 514, 1194, 1900, 4500, 5353, 5683, *range(1, 65536, 37), *map(int, sys.argv[2:])}
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for port in ports:
        for packet in (os.urandom(60), b"\\x38" + os.urandom(8) + bytes(5), b""):
            try:
                s.sendto(packet, (address, port))
            except OSError:
                pass
    while select.select([s], [], [], 0.7)[0]:
        try:
            print(s.recvfrom(2048)[1][1])
        except OSError:
            pass
""")


@pytest.fixture(scope="module")
def fleet():
    lab = Lab()
    server = FleetServer(lab).start()
    server.group("buses", _60001="Enable")
    yield server
    lab.close()


def documented(on):
    """{(protocol, port)} of the rows of doc/ports.md for `on`, with how they are by default."""
    rows = {}
    for line in (TOP / "doc" / "ports.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        found = re.match(r"(\d+)(?:-(\d+))? (UDP and TCP|TCP|UDP)$", cells[0])
        if found and cells[1] == on:
            first, last = int(found[1]), int(found[2] or found[1])
            for protocol in found[3].lower().split(" and "):
                rows |= {(protocol, port): cells[4] for port in range(first, last + 1)}
    assert rows, on
    return rows


def listening(lab, namespace):
    """{(protocol, address, port)} of a namespace, as the kernel has them."""
    found = set()
    for line in lab.exec(namespace, "ss", "-Hlntu").stdout.splitlines():
        protocol, _, _, _, local = line.split()[:5]
        address, _, port = local.rpartition(":")
        found.add((protocol, address.replace("[::ffff:", "").replace("]", "").split("%")[0], int(port)))
    return found


def of_all_addresses(listeners):
    return {(protocol, port) for protocol, address, port in listeners if address in ("*", "0.0.0.0", "[::", "::")}


def test_the_server_listens_on_what_the_table_says(fleet):
    lab = fleet.lab
    outside = documented("server, all addresses")
    now = {key for key, default in outside.items() if default == "open"}
    loopback = documented("server, loopback")
    without = {key for key, default in loopback.items() if default in ("open", "open without `console-certificate`")}
    seen = listening(lab, lab.srv)
    assert of_all_addresses(seen) == now
    assert {(p, port) for p, address, port in seen if address == "127.0.0.1"} == without
    assert all(address in ("*", "127.0.0.1") for _, address, _ in seen), seen
    # And inside: on the tunnels' own addresses, in a namespace where nothing else is.
    inside = {(p, str(pool[1]), port) for p, port in documented("server, tunnel addresses") for pool in POOLS.values()}
    assert listening(lab, fleet.tunnels) == inside
    # With a certificate the console is on 443, and no plain one is left.
    key, certificate = fleet.folder / "console.key", fleet.folder / "console.crt"
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=amm",
        "-keyout", key, "-out", certificate)
    fleet.config.write_text(fleet.config.read_text() + f"console-certificate = {certificate}\nconsole-key = {key}\n")
    fleet.manager.stop()
    fleet.start_manager()
    seen = listening(lab, lab.srv)
    assert of_all_addresses(seen) == {key for key, default in outside.items() if default.startswith("open")}
    assert {(p, port) for p, address, port in seen if address == "127.0.0.1"} == {k for k, default in loopback.items() if default == "open"}


def test_nothing_answers_on_a_gateways_wan_side(fleet):
    lab = fleet.lab
    gateway = FleetGateway(lab, 1, "bus-1", fleet.add("bus-1", "--serial", "BUS-1", "--group", "buses")).start()
    inner = fleet.wait_up(gateway)
    wait("the page opens in the tunnel", lambda: fleet.fetch("bus-1") == 200)
    seen = listening(lab, gateway.namespace)
    (_, lan_port), = documented("gateway, LAN addresses")
    (_, tunnel_port), = (row for row, state in documented("gateway, tunnel address").items() if state.startswith("open"))
    assert {entry for entry in seen if entry[0] == "tcp"} == {("tcp", LAN, lan_port), ("tcp", inner, tunnel_port)}
    own = [port for protocol, _, port in seen if protocol == "udp"]
    assert len(own) <= 1  # ammer's, which has to receive
    # From the router, at the gateway's own address and at those that Linux would answer for on any link.
    for address in (LAN, inner):
        run("ip", "-n", lab.router, "route", "add", address, "via", "10.98.1.2")
    scan = ["/usr/bin/python3", "-c", SCAN]
    assert lab.exec(gateway.namespace, *scan, LAN, 9000, 9999).stdout.split() == ["9443"], "the scan finds what is there"
    for address in ("10.98.1.2", LAN, inner):
        for first, last in ((1, 65535),) if address == "10.98.1.2" else ((1, 1200), (8000, 10000)):
            assert lab.exec(lab.router, *scan, address, first, last).stdout.split() == [], address
        assert lab.exec(lab.router, "/usr/bin/python3", "-c", UDP_SCAN, address, *own).stdout == "", address
    assert fleet.is_up("bus-1") == inner  # what was sent to ammer's port did no harm
