#!/usr/bin/env python3
"""Makes handshake-*.txt again: a stock openvpn server and client in network namespaces of their own, their UDP
payloads captured with tcpdump. Needs root, openvpn, openssl, tcpdump, iproute2. Run in tests/golden."""

import base64
import os
import struct
import subprocess
import sys
import tempfile
import time

SERVER, CLIENT = f"ammsim-s{os.getpid()}", f"ammsim-c{os.getpid()}"
KEY = bytes(range(256))  # throw-away; the same as in vectors.txt


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options)


def inside(namespace, *command):
    return ("ip", "netns", "exec", namespace) + command


def make_certificates(d):
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", "/CN=golden-ca", "-keyout", f"{d}/ca.key", "-out", f"{d}/ca.crt")
    for name, usage in (("server", "serverAuth"), ("gw-1", "clientAuth")):
        run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-keyout", f"{d}/{name}.key", "-out", f"{d}/{name}.csr")
        with open(f"{d}/ext", "w") as ext:
            ext.write(f"extendedKeyUsage={usage}\nkeyUsage=digitalSignature\n")
        run("openssl", "x509", "-req", "-in", f"{d}/{name}.csr", "-CA", f"{d}/ca.crt", "-CAkey", f"{d}/ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", f"{d}/ext", "-out", f"{d}/{name}.crt")


def write_static_key(path):
    lines = [KEY.hex()[i:i + 32] for i in range(0, 512, 32)]
    with open(path, "w") as out:
        out.write("-----BEGIN OpenVPN Static key V1-----\n" + "\n".join(lines) +
                  "\n-----END OpenVPN Static key V1-----\n")


def read_pem(path):
    return base64.b64decode("".join(line for line in open(path).read().split("\n") if not line.startswith("-----")))


def make_v2_keys(d):
    run("openvpn", "--genkey", "tls-crypt-v2-server", f"{d}/v2server.key")
    run("openvpn", "--tls-crypt-v2", f"{d}/v2server.key", "--genkey", "tls-crypt-v2-client", f"{d}/v2client.key")


def payloads(pcap):
    """Yields (to server, UDP payload) of an Ethernet capture with IPv4."""
    data = open(pcap, "rb").read()
    at = 24
    while at + 16 <= len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        frame = data[at + 16:at + 16 + length]
        at += 16 + length
        if frame[12:14] != b"\x08\x00" or frame[23] != 17:
            continue
        udp = 14 + (frame[14] & 15) * 4
        source, destination, size = struct.unpack_from(">HHH", frame, udp)
        yield destination == 1194, frame[udp + 8:udp + size]


def capture(mode, d):
    extra = {"none": [], "tls-crypt": ["--tls-crypt", f"{d}/static.key"], "tls-crypt-v2": ["--tls-crypt-v2"],
             "tls-auth": ["--tls-auth", f"{d}/static.key"]}[mode]
    common = ["--dev", "tun", "--proto", "udp", "--ca", f"{d}/ca.crt", "--verb", "3"]
    server = common + ["--port", "1194", "--server", "10.128.0.0", "255.255.255.0", "--topology", "net30", "--dh", "none",
                       "--cert", f"{d}/server.crt", "--key", f"{d}/server.key", "--keepalive", "10", "60"]
    client = common + ["--client", "--remote", "192.0.2.1", "1194", "--nobind", "--cert", f"{d}/gw-1.crt",
                       "--key", f"{d}/gw-1.key", "--explicit-exit-notify", "1"]
    if mode == "tls-auth":
        server += extra + ["0"]
        client += extra + ["1"]
    elif mode == "tls-crypt-v2":
        server += extra + [f"{d}/v2server.key"]
        client += extra + [f"{d}/v2client.key"]
    else:
        server += extra
        client += extra
    pcap = f"{d}/{mode}.pcap"
    started = []
    try:
        started.append(subprocess.Popen(inside(SERVER, "tcpdump", "-i", "v", "-U", "-w", pcap, "udp", "port", "1194"),
                                        stderr=subprocess.DEVNULL))
        started.append(subprocess.Popen(inside(SERVER, "openvpn", *server), stdout=open(f"{d}/server.log", "w")))
        time.sleep(2)
        started.append(subprocess.Popen(inside(CLIENT, "openvpn", *client), stdout=open(f"{d}/client.log", "w")))
        for _ in range(100):
            time.sleep(0.1)
            if "Initialization Sequence Completed" in open(f"{d}/client.log").read():
                break
        else:
            sys.exit(open(f"{d}/client.log").read() + open(f"{d}/server.log").read())
        time.sleep(1)
        started[2].terminate()
        time.sleep(2)
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()
    return list(payloads(pcap))


def main():
    version = subprocess.run(["openvpn", "--version"], capture_output=True, text=True).stdout.split()[1]
    with tempfile.TemporaryDirectory() as d:
        make_certificates(d)
        write_static_key(f"{d}/static.key")
        make_v2_keys(d)
        try:
            run("ip", "netns", "add", SERVER)
            run("ip", "netns", "add", CLIENT)
            run("ip", "link", "add", "v", "netns", SERVER, "type", "veth", "peer", "name", "v", "netns", CLIENT)
            for namespace, address in ((SERVER, "192.0.2.1/24"), (CLIENT, "192.0.2.2/24")):
                run(*inside(namespace, "ip", "address", "add", address, "dev", "v"))
                run(*inside(namespace, "ip", "link", "set", "v", "up"))
                run(*inside(namespace, "ip", "link", "set", "lo", "up"))
            for mode in ("none", "tls-auth", "tls-crypt", "tls-crypt-v2"):
                with open(f"handshake-{mode}.txt", "w") as out:
                    out.write(f"# openvpn {version}, client and server, UDP, wrap {mode}: from the first reset to the exit.\n"
                              "# > client to server, < server to client; UDP payload in hex. The static key is\n"
                              "# 00 01 .. ff (tls-auth: SHA1, server direction 0).\n")
                    if mode == "tls-crypt-v2":
                        out.write("k " + read_pem(f"{d}/v2server.key").hex() + "\n")
                    for to_server, payload in capture(mode, d):
                        out.write((">" if to_server else "<") + " " + payload.hex() + "\n")
        finally:
            for namespace in (SERVER, CLIENT):
                subprocess.run(["ip", "netns", "del", namespace], check=False)


main()
