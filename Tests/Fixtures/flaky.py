#!/usr/bin/env python3
"""Stands before a registry and fails one of ten requests, in turn: 503, 429 with Retry-After, a connection cut at once, a body cut in the middle.

usage: flaky.py HOST PORT LOG [PAUSE]

With PAUSE it fails the tenth request alone, with 429, and asks for so many seconds of peace.

Prints its port, and serves until its standard input ends. LOG gets a line for each request: what became of it, its path, and when it came.
"""
import http.client, http.server, sys, threading, time

host, port, log = sys.argv[1], int(sys.argv[2]), sys.argv[3]
pause = sys.argv[4] if len(sys.argv) > 4 else None
lock = threading.Lock()
count = 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def fail(self):
        global count
        with lock:
            count += 1
            kind = "fine"
            if count == 10 and pause:
                kind = "429"
            elif count % 10 == 0 and not pause:
                kind = ["503", "cut", "429", "half"][count // 10 % 4]
            with open(log, "a") as file:
                file.write(f"{kind} {self.path} {time.monotonic()}\n")
        return kind

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        kind = self.fail()
        if kind in ("503", "429"):
            self.send_response(int(kind))
            self.send_header("Content-Length", "0")
            self.send_header("Retry-After", pause or "0")
            self.end_headers()
            return
        if kind == "cut":
            self.close_connection = True
            return
        connection = http.client.HTTPConnection(host, port)
        headers = {name: self.headers[name] for name in ("Accept", "Range") if self.headers[name]}
        connection.request(self.command, self.path, headers={"Host": f"{host}:{port}", **headers})
        answer = connection.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        self.end_headers()
        if kind == "half":
            body = body[:len(body) // 2]
            self.close_connection = True
        self.wfile.write(body)
        connection.close()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


server = Server(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
