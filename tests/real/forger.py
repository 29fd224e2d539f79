"""What a stranger in the house sends: forged messages of a kind, until it is killed.

    forger.py KIND WORDS...

`events` takes a callback and a subscription's name, `natpmp_stale` an address.
"""

import re
import socket
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "bench")]

import liar  # noqa: E402
from fake_gateway import EVENT  # noqa: E402
from lab import CLIENT, GATEWAY  # noqa: E402

STRANGER = "192.168.77.66"
KINDS = ["rogue", "dead_locations", "natpmp", "natpmp_stale", "hints", "events"]


def forge(kind, *words):
    """Sends forged messages of a kind, until it is killed."""
    liar.GATEWAY, liar.HOST, liar.LIAR = GATEWAY, CLIENT, STRANGER
    if kind == "events":
        forge_events(*words)
    send = liar.Forger.send

    def paced(forger, packet, host):
        send(forger, packet, host)
        if forger.count % 40 == 0:
            time.sleep(0.01)

    liar.Forger.send = paced
    forger = liar.Forger()
    if kind == "natpmp_stale":
        liar.natpmp(forger, lambda: words[0])
    getattr(liar, kind)(forger)


def forge_events(callback, sid):
    address, port, path = re.match(r"http://([0-9.]+):(\d+)/(\w+)", callback).groups()
    body = EVENT.format(liar.POISON)
    for number in range(1 << 31):
        message = (f"NOTIFY /{path} HTTP/1.1\r\nHOST: {address}:{port}\r\nNT: upnp:event\r\nNTS: upnp:propchange\r\n"
                   f"SID: {sid}\r\nSEQ: {number}\r\nContent-Length: {len(body)}\r\n\r\n{body}")
        try:
            with socket.create_connection((address, int(port)), 2) as tcp:
                tcp.sendall(message.encode())
        except OSError:
            pass
        time.sleep(0.002)


if __name__ == "__main__":
    forge(*sys.argv[1:])
