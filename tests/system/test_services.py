"""What the manager serves inside the tunnels: it is handed the listeners, can accept there, and can connect nowhere."""
import textwrap

import pytest
from lab import Server, our_client, run, stock_client, wait

MANAGER_UID = 61192

# The client of the control socket that ammd will be: asks for the listeners and prints them, or why not. With "serve"
# it answers on each of them; with "connect ADDRESS PORT" it tries everything that a broken-in manager could try.
MANAGER = textwrap.dedent("""
    import array, ipaddress, select, socket, struct, sys
    control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        control.connect(sys.argv[1])
    except PermissionError:
        sys.exit("may not connect")
    control.send(bytes((3, 8, 0, 0)))
    listeners = {}
    while True:
        packet, ancillary, _, _ = control.recvmsg(4096, socket.CMSG_SPACE(64))
        if packet[1] == 39:
            port, service, address = struct.unpack("!HHI", packet[4:])
            fds = array.array("i", ancillary[0][2])
            listeners[port, service] = socket.socket(fileno=fds[0])
            print("listener", port, service, ipaddress.ip_address(address), len(fds), flush=True)
        else:
            print("done" if packet[1] == 37 else packet[6:].decode(), flush=True)
            break

    def serve():
        while True:
            for listener in select.select(list(listeners.values()), [], [])[0]:
                connection, peer = listener.accept()
                connection.recv(1000)
                connection.send(f"hello {peer[0]}".encode())
                connection.close()

    def attempt(name, s, target):
        s.settimeout(1)
        if s.family == socket.AF_INET6:
            target = ("::ffff:" + target[0], target[1])
        try:
            s.connect(target)
            print(name, "CONNECTED", flush=True)
        except OSError as problem:
            print(name, "refused", flush=True)

    def disconnect(s):
        # connect(AF_UNSPEC): the socket is as new, in the namespace that it was made in
        import ctypes
        ctypes.CDLL(None).connect(s.fileno(), bytes(16), 16)

    def connect(address, port):
        target = (address, int(port))
        attempt("own socket", socket.socket(), target)
        select.select([listeners[1190, 8443]], [], [])
        accepted, _ = listeners[1190, 8443].accept()
        print("accepted", flush=True)
        disconnect(accepted)
        attempt("accepted socket", accepted, target)
        listener = listeners[1190, 80]
        listener.shutdown(socket.SHUT_RDWR)
        attempt("listener", listener, target)

    if len(sys.argv) > 2:
        {"serve": serve, "connect": connect}[sys.argv[2]](*sys.argv[3:])
""")

ASK = "import socket,sys\ns=socket.create_connection((sys.argv[1],int(sys.argv[2])),3)\ns.send(b'x')\nprint(s.recv(100).decode())\n"
LISTEN = "import socket\ns=socket.create_server(('0.0.0.0',9443))\nprint('ready',flush=True)\nwhile True:\n c,_=s.accept()\n print('heard',flush=True)\n"


def as_user(uid, server, *argv):
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "/usr/bin/python3", "-c", MANAGER,
            server.folder / "tunneld.sock", *argv]


@pytest.fixture
def server(lab, pki):
    made = Server(lab, pki, ports={1190: "wrap = none", 1191: "wrap = none"}, settings=f"manager-user = {MANAGER_UID}").start()
    made.add("bus-1", 1190)
    return made


def join(lab, pki, server, start=stock_client, transport="udp"):
    client = start(lab, lab.gateway(1), pki.profile("bus-1", "10.99.0.1", 1190, "none", remote_only=transport))
    server.wait_up("bus-1", client)
    wait("ping", lambda: lab.ping(lab.gateway(1), "10.4.32.1", count=1)[1])
    return client


def ask(lab, address, port, check=True):
    return lab.exec(lab.gateway(1), "/usr/bin/python3", "-c", ASK, address, port, check=check)


def serve(lab, server):
    manager = lab.start(lab.srv, *as_user(MANAGER_UID, server, "serve"), name="manager")
    wait(lambda: manager.log, lambda: "done" in manager.log)
    return manager


def test_the_manager_serves_gateways_through_their_tunnels_only(lab, pki, server):
    join(lab, pki, server)
    manager = serve(lab, server)
    assert manager.log.split("\n")[:4] == ["listener 1190 80 10.4.32.1 1", "listener 1190 8443 10.4.32.1 1",
                                           "listener 1191 80 10.4.96.1 1", "listener 1191 8443 10.4.96.1 1"]
    inner = server.peer("bus-1")["address"]
    for port in (80, 8443):
        assert ask(lab, "10.4.32.1", port).stdout == f"hello ::ffff:{inner}\n"
    lab.exec(lab.gateway(1), "ip", "route", "add", "10.4.96.1", "dev", "tun0")
    assert ask(lab, "10.4.96.1", 8443, check=False).returncode != 0, "the address of another port"
    assert ask(lab, "10.99.0.1", 8443, check=False).returncode != 0, "from outside"


def test_the_listeners_outlive_engine_and_manager(lab, pki, server):
    join(lab, pki, server)
    manager = serve(lab, server)
    first = server.engine_pids()
    run("kill", "-9", *first)
    wait("another engine", lambda: server.engine_pids() not in ([], first))
    assert ask(lab, "10.4.32.1", 8443).stdout.startswith("hello ")
    wait("the engine answers", lambda: server.ctl("tunnel", "status", check=False).returncode == 0)
    manager.stop()
    serve(lab, server)
    assert ask(lab, "10.4.32.1", 8443).stdout.startswith("hello ")


def test_nobody_else_is_handed_the_listeners(lab, server):
    for uid, words in ((61190, "for the manager only"), (61191, "may not connect"), (1000, "may not connect")):
        done = lab.exec(lab.srv, *as_user(uid, server), check=False)
        assert words in done.stdout + done.stderr and "listener" not in done.stdout.split(), done


def test_without_a_manager_nothing_listens(lab, pki):
    Server(lab, pki, ports={1190: "wrap = none"}).start()
    assert "10.4.32.1" not in run("ip", "netns", "exec", f"{lab.id}-amm", "ss", "-Hltn").stdout


@pytest.mark.parametrize("rules", ("yes", "no"))
def test_the_manager_can_open_no_connection_to_a_gateway(lab, pki, server, rules):
    """Not with a socket of its own, and not with one that was made in the tunnels' namespace: those would get through
    but for the rules."""
    server.process.stop()
    server.config.write_text(f"isolation-nft = {rules}\n" + server.config.read_text())
    server.start()
    join(lab, pki, server)
    page = lab.start(lab.gateway(1), "/usr/bin/python3", "-c", LISTEN, name="page")
    wait("the page listens", lambda: "ready" in page.log)
    inner = server.peer("bus-1")["address"]
    manager = lab.start(lab.srv, *as_user(MANAGER_UID, server, "connect", inner, "9443"), name="manager")
    wait(lambda: manager.log, lambda: "own socket refused" in manager.log)
    ask(lab, "10.4.32.1", 8443, check=False)
    wait(lambda: manager.log, lambda: not manager.running)
    result = "refused" if rules == "yes" else "CONNECTED"
    assert f"accepted socket {result}\n" in manager.log and f"listener {result}\n" in manager.log, manager.log
    assert ("heard" in page.log) == (rules == "no")
    # The page does answer to whoever may ask.
    server.as_proxy("/usr/bin/python3", "-c", f"import socket; socket.create_connection(('{inner}', 9443), 3)")
    wait("the proxy's user is heard", lambda: "heard" in page.log)


@pytest.mark.parametrize("users", ("manager-user = 61191", "manager-user = 61190", "manager-user = 0"))
def test_a_manager_with_the_rights_of_others_is_refused(lab, pki, users):
    server = Server(lab, pki, settings=users).start(check=False)
    wait("it ends", lambda: not server.process.running)
    assert server.process.popen.returncode == 2 and "must be different users" in server.process.log


def test_our_client_reaches_the_services_too(lab, pki, server):
    join(lab, pki, server, our_client, "tcp")
    serve(lab, server)
    assert ask(lab, "10.4.32.1", 8443).stdout.startswith("hello ")
