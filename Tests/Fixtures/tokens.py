#!/usr/bin/env python3
"""A token server for docker-registry (distribution's token specification), whose tokens are good for a short time.

usage: tokens.py DIRECTORY LIFE LOG

DIRECTORY has key.pem and cert.der; tokens are for the service "registry" and issued by "tokens". LIFE: seconds for which the registry
takes a token. It says itself that they are good for longer, so clients learn otherwise from the registry. Prints its port, then serves
on loopback until its standard input ends. Requests are logged as JSON, a line each.
"""
import base64, http.server, json, os, subprocess, sys, threading, time, urllib.parse

directory, life, log = sys.argv[1], int(sys.argv[2]), sys.argv[3]
lock = threading.Lock()
# What the registry adds to a token's own end, for clocks that differ.
leeway = 60


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(user, scopes):
    access = []
    for scope in scopes:
        kind, name, actions = scope.split(":")
        actions = [action for action in actions.split(",") if user or name.startswith("public/") and action == "pull"]
        access.append({"type": kind, "name": name, "actions": actions})
    with open(directory + "/cert.der", "rb") as file:
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(file.read()).decode()]}
    now = int(time.time())
    claims = {"iss": "tokens", "sub": user or "", "aud": "registry", "exp": now + life - leeway, "nbf": now - 2 * leeway, "iat": now,
              "jti": os.urandom(8).hex(), "access": access}
    signed = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(claims).encode())}"
    signature = subprocess.run(
        ["openssl", "dgst", "-sha256", "-sign", directory + "/key.pem"], input=signed.encode(), capture_output=True, check=True).stdout
    return f"{signed}.{encoded(signature)}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def give(self, query, user, field):
        with lock, open(log, "a") as file:
            file.write(json.dumps({"method": self.command, "user": user, "scope": query.get("scope"), "service": query.get("service")}) + "\n")
        if user is None and self.headers["Authorization"] or query.get("service") != ["registry"]:
            return self.answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "who are you?"}]})
        self.answer(200, {field: token(user, query.get("scope", [])), "expires_in": 300})

    def do_GET(self):
        good = self.headers["Authorization"] == "Basic " + base64.b64encode(b"user:the-password").decode()
        self.give(urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query), "user" if good else None, "token")

    def do_POST(self):
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if form.get("grant_type") != ["refresh_token"] or form.get("refresh_token") != ["the-identity-token"]:
            return self.answer(400, {"error": "invalid_grant"})
        form["scope"] = form["scope"][0].split(" ")
        self.give(form, "user", "access_token")


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
