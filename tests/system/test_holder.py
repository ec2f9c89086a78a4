"""The holder: what it makes, what it refuses to start with, what outlives an engine, what is left behind."""
import os
import signal
import socket
import subprocess

import pytest

from lab import BIN, Server, run, wait


def names(server):
    return run("ip", "netns", "list").stdout.split()


def devices(namespace):
    return run("ip", "-n", namespace, "-br", "link").stdout


def sockets(server):
    return run("ip", "netns", "exec", server.lab.srv, "ss", "-Hlnut", "sport >= 1190 and sport <= 1193").stdout


def start_refused(server):
    """Exit code and words of a server that does not start."""
    server.start(check=False)
    server.process.popen.wait(20)
    return server.process.popen.returncode, server.process.log


@pytest.fixture
def server(lab, pki):
    return Server(lab, pki)


def test_everything_is_made_and_nothing_is_left(server):
    server.start()
    listed = sockets(server)
    assert listed.count("udp") == 4 * 3 and listed.count("tcp") == 4 * 1  # 1 handshake thread, 2 workers
    for port in (1190, 1191, 1192, 1193):
        link = run("ip", "-n", server.tunnels, "-d", "addr", "show", f"tun{port}").stdout
        assert "user 61190" in link and "mtu 1400" in link and str(server.tunnel_address(port)) in link
        assert "inet6" not in link
    status = open(f"/proc/{server.engine_pids()[0]}/status").read()
    assert "Uid:\t61190\t61190\t61190\t61190" in status and "CapBnd:\t0000000000000000" in status
    assert server.process.stop() == 0
    assert server.tunnels not in names(server) and sockets(server) == ""
    assert not os.path.exists(server.folder / "tunneld.sock")


def test_a_start_that_is_ended_half_way_leaves_nothing(server):
    server.start(check=False)
    wait("the namespace is there", lambda: server.tunnels in names(server), pause=0)
    server.process.kill(signal.SIGTERM)
    server.process.popen.wait(20)
    assert server.process.popen.returncode == 0
    assert server.tunnels not in names(server) and sockets(server) == ""


def test_silent_clients_of_the_control_socket_lock_nobody_out(server):
    server.start()
    silent = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(40)]
    for client in silent:
        client.connect(str(server.folder / "tunneld.sock"))
    assert server.ctl("tunnel", "status").returncode == 0
    for client in silent:
        client.close()


def test_gateways_that_are_added_at_the_same_moment_all_get_their_place(server):
    names = [f"bus-{i}" for i in range(40)]
    running = [subprocess.Popen([BIN / "ammctl", "--config", server.config, "gateway", "add", name],
                                stdout=subprocess.DEVNULL) for name in names]
    assert [process.wait(60) for process in running] == [0] * len(names)
    assert sorted(line.split()[0] for line in server.roster.read_text().splitlines()) == sorted(names)


def test_after_a_killed_holder_the_next_one_cleans_up(server):
    server.start()
    server.process.kill(signal.SIGKILL)
    server.process.popen.wait()
    assert server.tunnels in names(server)
    server.start()
    assert "tun1190" in devices(server.tunnels)
    assert server.process.stop() == 0
    assert server.tunnels not in names(server)


def test_a_killed_engine_is_replaced_with_sockets_and_devices_kept(server):
    server.start()
    before, links = sockets(server), devices(server.tunnels)
    old = server.engine_pids()
    os.kill(old[0], signal.SIGKILL)
    wait("another engine", lambda: server.engine_pids() not in ([], old))
    wait("it answers", lambda: server.ctl("tunnel", "status", check=False).returncode == 0)
    assert sockets(server) == before and devices(server.tunnels) == links
    assert server.status()["server"]["engine_restarts"] == 1


def test_engines_that_die_at_once_are_not_started_for_ever(server):
    server.start()
    seen = set()

    def kill_next():
        for pid in server.engine_pids():
            seen.add(pid)
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return not server.process.running

    wait(lambda: f"holder gives up\n{server.process.log}", kill_next, pause=0.02)
    assert server.process.popen.returncode == 1 and "more than 5 times in 10 seconds" in server.process.log
    assert len(seen) <= 7 and server.tunnels not in names(server)


def test_a_taken_tcp_port_is_named_with_its_process(server):
    other = server.lab.start(server.lab.srv, "python3", "-c",
                             "import socket, time; s = socket.create_server(('0.0.0.0', 1192))\n"
                             "print('up', flush=True); time.sleep(60)", name="other")
    wait("other program", lambda: "up" in other.log)
    code, log = start_refused(server)
    assert code == 1 and "tcp [::]:1192 is taken by python3 (pid " in log
    assert server.tunnels not in names(server)


def test_a_second_server_is_refused(server, lab, pki):
    server.start()
    second = lab.start(lab.srv, server.process.popen.args[4], "--config", server.config, name="second")
    second.popen.wait(20)
    assert second.popen.returncode == 1 and "is taken by amm-tunneld" in second.log
    assert server.ctl("tunnel", "status").returncode == 0


def test_a_pool_inside_a_connected_network_is_refused(lab, pki):
    server = Server(lab, pki)
    server.config.write_text(server.config.read_text().replace(f"namespace = {server.tunnels}", "namespace = host"))
    run("ip", "-n", lab.srv, "route", "add", "10.4.0.0/16", "dev", "wan0")
    code, log = start_refused(server)
    assert code == 2 and "pool 10.4.32.0/19 overlaps the network 10.4.0.0/16 of wan0" in log
    assert "tun1190" not in devices(lab.srv)


def test_in_the_hosts_namespace_rules_and_devices_go_with_the_server(lab, pki):
    server = Server(lab, pki)
    server.config.write_text(server.config.read_text().replace(f"namespace = {server.tunnels}", "namespace = host"))
    server.start()
    assert "tun1193" in devices(lab.srv)
    assert "chain gw1193" in run("ip", "netns", "exec", lab.srv, "nft", "list", "ruleset").stdout
    assert server.process.stop() == 0
    assert "tun1193" not in devices(lab.srv)
    assert "amm" not in run("ip", "netns", "exec", lab.srv, "nft", "list", "ruleset").stdout


def test_a_namespace_of_somebody_else_is_not_touched(server, lab):
    run("ip", "netns", "add", server.tunnels)
    run("ip", "-n", server.tunnels, "link", "add", "mine0", "type", "veth", "peer", "name", "mine1")
    code, log = start_refused(server)
    assert code == 1 and f"network namespace {server.tunnels} is in use: it has the device mine" in log
    assert "mine0" in devices(server.tunnels)


def test_bad_configuration_ends_with_2_and_says_where(server):
    server.config.write_text(server.config.read_text() + "limit = many\n")
    code, log = start_refused(server)
    line = len(server.config.read_text().splitlines())
    assert code == 2 and f"{server.config}:{line}: limit: \"many\" is not a number (allowed: 0 to 8191)" in log
