"""Who may not join, and that both sides are told why."""

import pytest
from lab import BIN, Pki, Server, our_client, run, stock_client, wait


@pytest.fixture
def own_pki(lab):
    """A PKI of this test alone, to revoke in."""
    return Pki(lab.folder / "pki")


@pytest.fixture
def server(lab, own_pki):
    made = Server(lab, own_pki, ports={1190: "wrap = none", 1191: "wrap = tls-crypt"}).start()
    made.add("bus-1", 1190)
    return made


def refused_for(server, reason, client):
    return wait(lambda: f"refused: {reason}\n{server.refused()}\n--- client\n{client.log[-2000:]}\n--- server\n{server.process.log[-2000:]}",
                lambda: [r for r in server.refused() if r["reason"] == reason], 20)


def profile(pki, name="bus-1", port=1190, wrap="none"):
    return pki.profile(name, "10.99.0.1", port, wrap, remote_only="udp")


def swap(path, tag, text):
    """Replaces an inline block of a connection file."""
    head, rest = path.read_text().split(f"<{tag}>", 1)
    path.write_text(f"{head}<{tag}>\n{text}</{tag}>{rest.split(f'</{tag}>', 1)[1]}")


def test_unknown_name_is_refused_and_heals_when_it_is_added(lab, own_pki, server):
    client = stock_client(lab, lab.gateway(1), profile(own_pki, "bus-9"))
    refusal = refused_for(server, "not-on-roster", client)[0]
    assert refusal["name"] == "bus-9" and "gateway add" in refusal["text"]
    assert client.running, "a stock client must not give up"
    assert "AUTH" in client.log or "RESTART" in client.log or "auth-failure" in client.log
    server.add("bus-9", 1190)
    server.wait_up("bus-9", client, 90)


def test_wrong_port_sends_the_stock_client_to_its_next_remote(lab, own_pki, server):
    path = own_pki.profile("bus-1", "10.99.0.1", 1191, "none", remote_only="udp")
    # tls-crypt guards 1191, so take another plain port: the file's second remote is the right one.
    text = path.read_text().replace("remote 10.99.0.1 1191 udp", "remote 10.99.0.2 1190 udp\nremote 10.99.0.1 1190 udp")
    path.write_text(text)
    server.wait_up("bus-1", stock_client(lab, lab.gateway(1), path), 30)


def test_revoked_certificate_is_refused_and_a_live_tunnel_is_cut(lab, own_pki, server):
    client = stock_client(lab, lab.gateway(1), profile(own_pki))
    server.wait_up("bus-1", client)
    own_pki.ctl("pki", "revoke", "bus-1")
    wait("the live tunnel is cut", lambda: server.peer("bus-1") is None, 6)
    refused_for(server, "revoked", client)
    assert client.running or "AUTH_FAILED" in client.log


def test_broken_revocation_list_keeps_the_last_good_one_and_raises_an_alarm(lab, own_pki, server):
    client = stock_client(lab, lab.gateway(1), profile(own_pki))
    server.wait_up("bus-1", client)
    before = server.peer("bus-1")["peer_id"]
    for crl in own_pki.folder.glob("*crl*.pem"):
        crl.write_text("-----BEGIN X509 CRL-----\nnonsense\n")
    server.ctl("tunnel", "reload", check=False)
    wait("an alarm", lambda: "revocation-list" in server.status()["server"]["alarms"], 10)
    assert server.peer("bus-1")["peer_id"] == before, "the live tunnel was hurt"
    client.stop()
    again = stock_client(lab, lab.gateway(2), profile(own_pki))
    server.wait_up("bus-1", again)


def test_broken_gateways_file_keeps_the_last_good_one(lab, own_pki, server):
    server.roster.write_text("bus-1 1190 one\n")
    server.ctl("tunnel", "reload", check=False)
    wait("an alarm", lambda: "gateways-file" in server.status()["server"]["alarms"], 10)
    server.wait_up("bus-1", stock_client(lab, lab.gateway(1), profile(own_pki)))


def test_certificate_of_another_ca_is_refused(lab, own_pki, server):
    other = Pki(lab.folder / "other")
    path = profile(other)
    swap(path, "ca", (own_pki.folder / "server-ca.crt").read_text())
    client = stock_client(lab, lab.gateway(1), path)
    refused_for(server, "unknown-issuer", client)


@pytest.mark.parametrize("made, reason", [("2020-01-01", "expired"), ("2035-01-01", "not-yet-valid")])
def test_certificate_outside_its_dates_is_refused(lab, own_pki, server, made, reason):
    path = lab.folder / "dated.ovpn"
    run("faketime", made, BIN / "ammctl", "gateway", "profile", "bus-1", "--pki", own_pki.folder, "--remote", "10.99.0.1",
        "--wrap", "none", "--days", "30", "--output", path)
    client = stock_client(lab, lab.gateway(1), path)
    refused_for(server, reason, client)
    assert server.peer("bus-1") is None


def test_server_certificate_is_no_gateway(lab, own_pki, server):
    path = profile(own_pki)
    swap(path, "cert", (own_pki.folder / "server.crt").read_text())
    swap(path, "key", (own_pki.folder / "server.key").read_text())
    client = stock_client(lab, lab.gateway(1), path)
    wait(lambda: f"refused\n{server.refused()}\n{client.log[-1500:]}",
         lambda: [r for r in server.refused() if r["reason"] in ("unknown-issuer", "wrong-role")], 20)


@pytest.mark.parametrize("start", (stock_client, our_client))
def test_clients_refuse_a_server_of_another_ca(lab, own_pki, server, start):
    other = Pki(lab.folder / "other")
    path = profile(own_pki)
    swap(path, "ca", (other.folder / "server-ca.crt").read_text())
    client = start(lab, lab.gateway(1), path)
    wait(lambda: f"the client says why\n{client.log}", lambda: "certificate" in client.log.lower() or "issuer" in client.log, 20)
    assert server.peer("bus-1") is None


def test_wrong_tls_crypt_key_is_a_counted_drop(lab, own_pki, server):
    server.add("bus-2", 1191)
    other = Pki(lab.folder / "other")
    path = profile(own_pki, "bus-2", 1191, "tls-crypt")
    swap(path, "tls-crypt", (other.folder / "tls-crypt.key").read_text())
    stock_client(lab, lab.gateway(1), path)
    wait("a counted drop", lambda: server.counters().get("wrap-auth", 0) >= 2, 20)
    assert server.refused() == [], "an unauthenticated packet made a log entry"


def test_full_port_refuses_in_words_and_heals(lab, own_pki):
    server = Server(lab, own_pki, ports={1190: "wrap = none\nlimit = 1"}).start()
    server.roster.write_text("bus-1 1190 1\nbus-2 1190 2\n")
    server.ctl("tunnel", "reload")
    first = stock_client(lab, lab.gateway(1), profile(own_pki, "bus-1"))
    server.wait_up("bus-1", first)
    second = stock_client(lab, lab.gateway(2), profile(own_pki, "bus-2"))
    refused_for(server, "port-full", second)
    wait(lambda: f"the client is told\n{second.log[-2000:]}", lambda: "full" in second.log, 20)
    first.stop()
    server.wait_up("bus-2", second, 90)


def test_clock_of_1970_waits_for_time_in_words(lab, own_pki, server):
    client = lab.start(lab.gateway(1), "faketime", "-f", "@1970-01-01 00:00:10", BIN / "ammer", "--ovpn", profile(own_pki),
                       "--tun", "tun0", "--state", lab.folder / "state.sock", name="ammer")
    wait(lambda: client.log, lambda: "clock is 1970-01-01" in client.log and "waiting for time" in client.log, 10)
    assert server.refused() == []


@pytest.mark.parametrize("line, words", [
    ("mtu = 90000", ("amm.conf:", "mtu", "allowed")),
    ("colour = red", ("amm.conf:", "colour")),
    ("workers = many", ("amm.conf:", "workers", "many")),
    ("[port 1195]\npool = 10.4.32.0/20", ("pool", "overlap")),
    ("[port 1195]\npool = 10.4.33.1/19", ("pool",)),
])
def test_configuration_error_names_file_line_key_and_what_is_allowed(lab, own_pki, line, words):
    server = Server(lab, own_pki)
    text = server.config.read_text()
    server.config.write_text(line + "\n" + text if not line.startswith("[") else text + line + "\n")
    done = run("ip", "netns", "exec", lab.srv, BIN / "amm-tunneld", "--config", server.config, check=False)
    assert done.returncode == 2
    for word in words:
        assert word in done.stderr, done.stderr


def test_pool_that_overlaps_a_network_of_its_namespace_is_refused(lab, own_pki):
    run("ip", "-n", lab.srv, "addr", "add", "10.4.40.1/24", "dev", "wan0")
    server = Server(lab, own_pki)
    server.config.write_text(server.config.read_text().replace(f"namespace = {server.tunnels}", "namespace = host"))
    done = run("ip", "netns", "exec", lab.srv, BIN / "amm-tunneld", "--config", server.config, check=False)
    assert done.returncode == 2 and "10.4.40" in done.stderr, done.stderr


def test_taken_port_is_named_with_its_process(lab, own_pki):
    holder = lab.start(lab.srv, "python3", "-c", "import socket,time\ns=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM)\n"
                       "s.bind(('::',1190))\nprint('bound',flush=True)\ntime.sleep(60)")
    wait("bound", lambda: "bound" in holder.log)
    server = Server(lab, own_pki)
    done = run("ip", "netns", "exec", lab.srv, BIN / "amm-tunneld", "--config", server.config, check=False)
    assert done.returncode != 0 and "1190" in done.stderr and "python3" in done.stderr, done.stderr
