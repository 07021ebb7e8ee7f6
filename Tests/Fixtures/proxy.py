#!/usr/bin/env python3
"""An HTTP proxy, as HTTP_PROXY and HTTPS_PROXY name one.

usage: proxy.py PLAIN TLS LOG

Whatever host is asked for, plain requests go to the address PLAIN, and connections that are to be made (CONNECT) to the address TLS.
Prints its port and serves until its standard input ends. LOG gets a line for each request: method and target.
"""
import http.client, http.server, socket, sys, threading, urllib.parse

plain, tls, log = sys.argv[1:4]


class Proxy(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def note(self):
        with open(log, "a") as file:
            file.write(f"{self.command} {self.path}\n")

    def do_CONNECT(self):
        self.note()
        host, port = tls.split(":")
        server = socket.create_connection((host, int(port)))
        self.send_response(200)
        self.end_headers()
        back = threading.Thread(target=self.pump, args=(server, self.connection), daemon=True)
        back.start()
        self.pump(self.connection, server)
        back.join()

    @staticmethod
    def pump(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def do_GET(self):
        self.note()
        target = urllib.parse.urlsplit(self.path)
        connection = http.client.HTTPConnection(plain)
        connection.request("GET", target.path, headers={name: value for name, value in self.headers.items() if not name.lower().startswith("proxy-")})
        answer = connection.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.read())


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
