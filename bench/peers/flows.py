"""Many TCP flows of the kernel's: `flows.py sink PORT FLOWS SECONDS` counts what arrives within SECONDS of the first
connection and prints `bytes`; `flows.py source ADDRESS PORT FLOWS SECONDS CONTROLLER` sends for SECONDS."""
import selectors
import socket
import sys
import time

TCP_CONGESTION = 13
BLOCK = bytes(256 * 1024)


def sink(port, flows, seconds):
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", port))
    listener.listen(flows)
    print("ready", flush=True)
    buffer = bytearray(256 * 1024)
    ready = selectors.DefaultSelector()
    listener.settimeout(30)
    received = 0
    deadline = None
    for _ in range(flows):
        peer, _ = listener.accept()
        if deadline is None:
            deadline = time.monotonic() + seconds
        peer.setblocking(False)
        ready.register(peer, selectors.EVENT_READ)
    open_flows = flows
    while open_flows > 0:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        for key, _ in ready.select(left):
            count = key.fileobj.recv_into(buffer)
            received += count
            if count == 0:
                ready.unregister(key.fileobj)
                open_flows -= 1
    print(received, flush=True)


def source(address, port, flows, seconds, controller):
    ready = selectors.DefaultSelector()
    for _ in range(flows):
        peer = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        peer.setsockopt(socket.IPPROTO_TCP, TCP_CONGESTION, controller.encode())
        peer.settimeout(30)
        peer.connect((address, port))
        peer.setblocking(False)
        ready.register(peer, selectors.EVENT_WRITE)
    deadline = time.monotonic() + seconds
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        for key, _ in ready.select(left):
            try:
                key.fileobj.send(BLOCK)
            except BlockingIOError:
                pass
            except (ConnectionResetError, BrokenPipeError):
                return


if sys.argv[1] == "sink":
    sink(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
else:
    source(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]), sys.argv[6])
