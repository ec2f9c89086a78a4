"""Hostile senders for test_fire.py, run in a namespace of their own: attack.py MODE SERVER PORT SECONDS."""
import os
import random
import socket
import struct
import sys
import time

mode, server, port, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
end = time.monotonic() + seconds
rng = random.Random(7)


def paced(rate, send):
    """Calls send() about `rate` times a second until the time is over; says how often."""
    done, begin = 0, time.monotonic()
    while (now := time.monotonic()) < end:
        due = int((now - begin) * rate)
        while done < due:
            try:
                send()
            except OSError:
                pass
            done += 1
        time.sleep(0.0005)
    print(f"sent {done}", flush=True)


def udp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect((server, port))
    return s


def garbage():
    """Every opcode and key id, random lengths and contents; some with the head of a control packet."""
    s = udp()

    def send():
        length = rng.randrange(0, 1500)
        data = bytearray(rng.randbytes(length))
        if length > 0 and rng.random() < 0.7:
            data[0] = rng.randrange(3, 12) << 3 | rng.randrange(8)
        s.send(bytes(data))

    paced(20000, send)


def resets():
    """Spoofed hard resets from random sources."""
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    destination = socket.inet_aton(server)

    def send():
        body = bytes([7 << 3]) + rng.randbytes(8) + b"\0" + b"\0\0\0\0"
        source = bytes([10, 97, rng.randrange(256), rng.randrange(1, 255)])
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(body), 0, 0, 64, 17, 0, source, destination)
        s.sendto(ip + struct.pack("!HHHH", rng.randrange(1024, 65535), port, 8 + len(body), 0) + body, (server, 0))

    paced(20000, send)


def half_open():
    """2 000 handshakes that echo their cookie and send the first bytes of a TLS ClientHello, then nothing."""
    sockets = []
    hello = bytes.fromhex("1603010200010001fc0303") + rng.randbytes(32)
    for _ in range(2000):
        s = udp()
        s.setblocking(False)
        sid = rng.randbytes(8)
        s.send(bytes([7 << 3]) + sid + b"\0" + b"\0\0\0\0")
        sockets.append((s, sid))
        if time.monotonic() > end:
            break
        for other, other_sid in sockets[-50:]:
            answer_cookie(other, other_sid, hello)
    opened = sum(1 for s, sid in sockets if answer_cookie(s, sid, hello))
    print(f"opened {opened}", flush=True)
    while time.monotonic() < end:
        time.sleep(0.1)


answered = set()


def answer_cookie(s, sid, hello):
    if s in answered:
        return True
    try:
        packet = s.recv(2048)
    except OSError:
        return False
    if len(packet) >= 26 and packet[0] == 8 << 3:
        s.send(bytes([4 << 3]) + sid + b"\1" + b"\0\0\0\0" + packet[1:9] + b"\0\0\0\1" + hello)
        answered.add(s)
        return True
    return False


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


{"garbage": garbage, "resets": resets, "half-open": half_open, "tcp": tcp}[mode]()
os._exit(0)
