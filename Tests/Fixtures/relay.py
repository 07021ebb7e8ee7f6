#!/usr/bin/env python3
"""Relays connections to a server, as slowly as a network does.

usage: relay.py HOST PORT RATE LOG [ADDRESS]

HOST may be the path of a socket; PORT is of no matter then. RATE: bytes a second from the server to all clients together; 0 for no bound; "stall" for none once 100,000 have passed; "cut=N" breaks
a connection off, for once, when N bytes have passed. Listens on ADDRESS (127.0.0.1), prints the port, and relays until its standard input ends. LOG gets a line for each connection.
"""
import socket, sys, threading, time

host, port, rate, log = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
address = sys.argv[5] if len(sys.argv) > 5 else "127.0.0.1"
lock = threading.Lock()
passed = 0
ready = time.monotonic()


def admit(count):
    """Waits until so many bytes may pass."""
    global passed, ready
    with lock:
        passed += count
        if rate == "stall":
            wait = 1e9 if passed > 100_000 else 0
        elif rate.startswith("cut="):
            if passed - count < int(rate[4:]) <= passed:
                raise ConnectionResetError
            wait = 0
        elif rate == "0":
            wait = 0
        else:
            ready = max(ready, time.monotonic()) + count / float(rate)
            wait = ready - time.monotonic()
    if wait > 0:
        threading.Event().wait(min(wait, 3600))


def pump(source, target, limited):
    try:
        while data := source.recv(16384):
            if limited:
                admit(len(data))
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def connect():
    if not host.startswith("/"):
        return socket.create_connection((host, port))
    server = socket.socket(socket.AF_UNIX)
    server.connect(host)
    return server


def serve(client):
    try:
        server = connect()
    except OSError:
        client.close()
        return
    threading.Thread(target=pump, args=(client, server, False), daemon=True).start()
    pump(server, client, True)


def accept(listener):
    while True:
        client, _ = listener.accept()
        with lock, open(log, "a") as file:
            file.write("connection\n")
        threading.Thread(target=serve, args=(client,), daemon=True).start()


listener = socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
threading.Thread(target=accept, args=(listener,), daemon=True).start()
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
