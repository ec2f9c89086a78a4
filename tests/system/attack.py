"""Hostile senders for test_fire.py, run in a namespace of their own: attack.py MODE SERVER PORT SECONDS [TLS-AUTH-KEY]."""
import hashlib
import hmac
import os
import pathlib
import random
import re
import socket
import struct
import sys
import time

mode, server, port, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
end = time.monotonic() + seconds
rng = random.Random(7)
HARD_RESET, HARD_RESET_ANSWER, CONTROL = 7, 8, 4


def paced(rate, send):
    """Calls send() about `rate` times a second until the time is over; says how often."""
    done, begin = 0, time.monotonic()
    while (now := time.monotonic()) < end:
        due = min(int((now - begin) * rate), done + 200)
        while done < due:
            try:
                send()
            except OSError:
                pass
            done += 1
        time.sleep(0.0005)
    print(f"sent {done}", flush=True)


def udp(source=""):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((source, 0))
    s.connect((server, port))
    return s


def reset(sid):
    return bytes([HARD_RESET << 3]) + sid + b"\0" + b"\0\0\0\0"


def garbage():
    """Every opcode and key id, random lengths and contents; some with the head of a control packet."""
    s = udp()

    def make():
        data = bytearray(rng.randbytes(rng.randrange(0, 1500)))
        if data and rng.random() < 0.7:
            data[0] = rng.randrange(3, 12) << 3 | rng.randrange(8)
        return bytes(data)

    made = [make() for _ in range(4096)]
    paced(20000, lambda: s.send(rng.choice(made)))


def resets():
    """Spoofed hard resets from random sources of the whole internet."""
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    destination = socket.inet_aton(server)

    def make():
        body = reset(rng.randbytes(8))
        source = bytes([rng.randrange(11, 120), rng.randrange(256), rng.randrange(256), rng.randrange(1, 255)])
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(body), 0, 0, 64, 17, 0, source, destination)
        return ip + struct.pack("!HHHH", rng.randrange(1024, 65535), port, 8 + len(body), 0) + body

    made = [make() for _ in range(50000)]
    rounds = iter(made * 100)
    paced(20000, lambda: s.sendto(next(rounds), (server, 0)))


def half_open():
    """2 000 handshakes, from 40 networks, that echo their cookie and send the first bytes of a TLS ClientHello, then
    nothing."""
    hello = bytes.fromhex("1603010200010001fc0303") + rng.randbytes(32)
    waiting, opened = {}, 0
    for i in range(2000):
        s, sid = udp(f"10.97.{i % 40}.2"), rng.randbytes(8)
        s.setblocking(False)
        waiting[s] = sid
        s.send(reset(sid))
    while time.monotonic() < end:
        for s, sid in list(waiting.items()):
            try:
                packet = s.recv(2048)
            except OSError:
                continue
            if len(packet) >= 26 and packet[0] == HARD_RESET_ANSWER << 3:
                s.send(bytes([CONTROL << 3]) + sid + b"\1" + b"\0\0\0\0" + packet[1:9] + b"\0\0\0\1" + hello)
                del waiting[s]
                opened += 1
                finished.append(s)
        time.sleep(0.2)
        for s, sid in list(waiting.items())[:100]:
            s.send(reset(sid))
    print(f"opened {opened}", flush=True)


finished = []  # sockets stay open: a closed one would answer with ICMP


def authenticated():
    """Garbage of somebody who has the tls-auth key: stray packets of every kind, and sessions made with an honest
    cookie that then get records that are no TLS, acknowledgements of nothing, ids far ahead, and soft resets."""
    text = pathlib.Path(sys.argv[5]).read_text()
    key = bytes.fromhex("".join(re.findall(r"(?m)^[0-9a-f]{32}$", text)))[192:224]  # MAC of the client's direction
    begin = int(time.time())
    number = 0

    def wrapped(first, sid, body):
        nonlocal number
        number += 1
        head, replay = bytes([first]) + sid, struct.pack("!II", number, begin)
        return head + hmac.digest(key, replay + head + body, hashlib.sha256) + replay + body

    def stray():
        return wrapped(rng.randrange(1, 12) << 3 | rng.randrange(8), rng.randbytes(8), rng.randbytes(rng.randrange(0, 200)))

    def inside(sid, theirs):
        acks = rng.randrange(0, 10)
        body = bytes([acks]) + rng.randbytes(4 * acks) + (theirs if acks else b"")
        number_of_message = rng.choice((1, 2, 3, 5, 1000, 0xffffffff))
        body += struct.pack("!I", number_of_message) + rng.randbytes(rng.randrange(0, 1100))
        return wrapped(rng.choice((CONTROL, CONTROL, 5, 3)) << 3 | rng.choice((0, 0, 0, 1, 7)), sid, body)

    s = udp()
    s.setblocking(False)
    sessions = []

    def send():
        if number % 50 == 0:
            s.send(wrapped(HARD_RESET << 3, rng.randbytes(8), b"\0" + b"\0\0\0\0"))
        try:
            packet = s.recv(2048)
            if packet[0] == HARD_RESET_ANSWER << 3 and len(packet) >= 66:
                theirs, sid = packet[1:9], packet[54:62]
                sessions.append((sid, theirs))
                s.send(wrapped(CONTROL << 3, sid, b"\1" + b"\0\0\0\0" + theirs + b"\0\0\0\1" + rng.randbytes(300)))
        except OSError:
            pass
        s.send(inside(*rng.choice(sessions[-50:])) if sessions and rng.random() < 0.7 else stray())

    paced(5000, send)
    print(f"opened {len(sessions)}", flush=True)


def tcp():
    """Frames of impossible length, one byte at a time, silence, and connections cut in a frame."""
    open_ones = []

    def send():
        s = socket.create_connection((server, port), timeout=1)
        kind = rng.randrange(5)
        if kind == 0:
            s.send(b"\0\0")
        elif kind == 1:
            s.send(b"\xff\xff" + rng.randbytes(100))
        elif kind == 2:
            s.send(struct.pack("!H", 500) + rng.randbytes(10))
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
            return
        elif kind == 3:
            s.send(b"\0")
        open_ones.append(s)
        if len(open_ones) > 400:
            open_ones.pop(rng.randrange(len(open_ones))).close()

    paced(300, send)


{"garbage": garbage, "resets": resets, "half-open": half_open, "authenticated": authenticated, "tcp": tcp}[mode]()
os._exit(0)
