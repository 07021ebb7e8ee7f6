#!/usr/bin/env python3
"""A registry that misbehaves on purpose, and one of the first version, which nobody runs any more.

usage: registry.py LAYOUT LOG

Serves the first image of an OCI layout on loopback, under repositories whose first name says what goes wrong (see Handler.blob
and Handler.v2). Prints the ports of its two addresses, then serves until its standard input ends. Requests are logged as JSON,
a line each.
"""
import base64, functools, gzip, hashlib, http.server, io, json, os, socket, struct, sys, tarfile, threading, time, urllib.parse

layout, log = sys.argv[1:3]
lock = threading.Lock()
seen = {}
tokens = {}
# The second is for a test that looks for its own among the words of all processes.
passwords = ["Basic " + base64.b64encode(b"user:" + word).decode() for word in (b"the-password", b"nobody-elses-word")]


def blob(digest):
    path = os.path.join(layout, "blobs", *digest.split(":"))
    return open(path, "rb").read() if os.path.isfile(path) else None


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


index = json.load(open(os.path.join(layout, "index.json")))
manifest = blob(index["manifests"][0]["digest"])
image = json.loads(manifest)
config = blob(image["config"]["digest"])



@functools.cache
def bomb():
    """A layer of 300 MB of zeros, in 300 KB."""
    entry = tarfile.TarInfo("zeros")
    entry.size = 300 << 20
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1, mtime=0) as file:
        file.write(entry.tobuf())
        for _ in range(300):
            file.write(bytes(1 << 20))
    return buffer.getvalue()


# The image as version 1 has it: a chain of images, the base first.
chain = []
for number, layer in enumerate(image["layers"]):
    document = {"id": hashlib.sha256(f"{number} {layer['digest']}".encode()).hexdigest(), "created": "2014-12-01T00:00:00Z"}
    if chain:
        document["parent"] = chain[-1]["id"]
    if number == len(image["layers"]) - 1:
        full = json.loads(config)
        document.update({"config": full.get("config"), "architecture": full["architecture"], "os": full["os"]})
    chain.append(document)


def count(key):
    with lock:
        seen[key] = seen.get(key, 0) + 1
        return seen[key]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", kind="application/json", length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def reset(self):
        """Ends the connection as a crash does."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def do_POST(self):
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.note()
        if form.get("grant_type") == ["refresh_token"] and form.get("refresh_token") == ["the-identity-token"]:
            return self.give_token(form["scope"][0], "access_token")
        self.answer(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"bad refresh token"}]}')

    def give_token(self, scope, field="token"):
        token = "token-" + os.urandom(8).hex()
        with lock:
            tokens[token] = [scope, 2 if ":expiring/" in scope else 1 << 30]
        self.answer(200, json.dumps({field: token, "expires_in": 300}).encode())

    def note(self):
        fields = {"port": self.server.server_port, "method": self.command, "path": self.path, "time": time.monotonic()}
        fields.update({name.lower(): self.headers[name] for name in ("Authorization", "Range", "Cookie") if self.headers[name]})
        with lock, open(log, "a") as file:
            file.write(json.dumps(fields) + "\n")

    def do_GET(self):
        self.note()
        address = urllib.parse.urlsplit(self.path)
        parts = address.path.strip("/").split("/")
        if parts[0] == "token":
            query = urllib.parse.parse_qs(address.query)
            if ":private/" in query["scope"][0] and self.headers["Authorization"] not in passwords:
                return self.answer(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"who are you?"}]}')
            return self.give_token(query["scope"][0])
        if parts[0] == "elsewhere":
            return self.answer(200, blob(parts[1]), "application/octet-stream")
        if parts[0] == "v1":
            return self.v1(parts[1:])
        if parts == ["v2"]:
            return self.answer(404 if self.server.only_v1 else 200, b"{}")
        if parts[0] == "v2" and not self.server.only_v1:
            return self.v2("/".join(parts[1:-2]), *parts[-2:])
        self.answer(404, b"404 page not found", "text/plain")

    # Version 2

    def v2(self, repository, what, name):
        kind = repository.split("/")[0]
        main = f"http://127.0.0.1:{self.server.server_port}"
        if kind in ("private", "identity", "expiring", "away"):
            given = tokens.get((self.headers["Authorization"] or "")[7:])
            with lock:
                good = given is not None and given[0] == f"repository:{repository}:pull" and given[1] > 0
                if good:
                    given[1] -= 1
            if not good:
                challenge = f'Bearer realm="{main}/token",service="a, \\"b\\"",scope="repository:{repository}:pull"'
                return self.answer(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}', WWW_Authenticate=challenge)
        if kind in ("basic", "foreign", "basic-away") and self.headers["Authorization"] not in passwords:
            return self.answer(401, b"{}", WWW_Authenticate='Basic realm="the registry"')
        number = count(f"{self.command} {self.path}")
        if kind == "busy" and number == 1:
            return self.answer(429, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}', Retry_After="1")
        if kind == "flaky" and number <= 2:
            return self.answer(500, b"oops", "text/plain")
        if kind == "dead":
            return self.answer(503, b'{"errors":[{"code":"UNAVAILABLE","message":"down for the night"}]}')
        if kind == "only-old":
            return self.answer(404, b'{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}')
        if what == "manifests":
            return self.manifest(kind)
        if what == "blobs":
            data = bomb() if kind == "bomb" and name == digest(bomb()) else blob(name)
            return self.answer(404, b"{}") if data is None else self.blob(kind, name, data)
        self.answer(404, b"{}")

    def manifest(self, kind):
        if kind == "html":
            return self.answer(200, b"<html><body>Please log in to the hotel's network</body></html>", "text/html")
        if kind == "huge":
            self.send_response(200)
            self.send_header("Content-Length", str(100 << 20))
            self.end_headers()
            for _ in range(100):
                self.wfile.write(b" " * (1 << 20))
            return
        data = manifest
        if kind == "unsigned":
            # A layer that changes nothing on top, whose bytes are nowhere; and, as some registries wrote them, one that stands there twice.
            nothing = {"id": hashlib.sha256(b"nothing").hexdigest(), "parent": chain[-1]["id"], "throwaway": True, "architecture": "amd64", "os": "linux"}
            both = [("sha256:" + "0" * 64, nothing)]
            both += [(layer["digest"], document) for layer, document in reversed(list(zip(image["layers"], chain)))]
            both.insert(1, both[1])
            data = json.dumps({
                "schemaVersion": 1, "name": "unsigned/image", "tag": "latest", "architecture": "amd64", "fsLayers": [{"blobSum": name} for name, _ in both],
                "history": [{"v1Compatibility": json.dumps(document)} for _, document in both]}).encode()
            return self.answer(200, data, "application/vnd.docker.distribution.manifest.v1+json", Docker_Content_Digest=digest(data))
        if kind == "foreign":
            document = json.loads(manifest)
            top = document["layers"][-1]
            place = f"http://127.0.0.1:{self.server.elsewhere}/elsewhere/{top['digest']}"
            top.update({"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "urls": ["http://127.0.0.1:1/nobody", place]})
            data = json.dumps(document).encode()
        if kind == "bomb":
            document = json.loads(manifest)
            document["layers"][-1].update({"digest": digest(bomb()), "size": len(bomb())})
            data = json.dumps(document).encode()
        if kind == "liar":
            return self.answer(200, data, image["mediaType"], Docker_Content_Digest="sha256:" + "0" * 64)
        self.answer(200, data, image.get("mediaType", "application/vnd.oci.image.manifest.v1+json"), Docker_Content_Digest=digest(data))

    def blob(self, kind, name, data):
        is_layer = name != image["config"]["digest"]
        start = 0
        if is_layer and self.headers["Range"] and kind != "no-range":
            start = int(self.headers["Range"][6:].split("-")[0])
        half = start + (len(data) - start) // 2
        if not is_layer or kind in ("plain", "busy", "flaky", "private", "identity", "expiring", "basic", "bomb", "liar", "unsigned", "foreign"):
            if kind == "foreign" and name == image["layers"][-1]["digest"]:
                return self.answer(404, b"{}")
            return self.answer(200, data, "application/octet-stream")
        if kind in ("reset", "no-range"):
            status = {"status": 206, "Content_Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {"status": 200}
            if count("reset " + self.path) <= 2:
                self.answer(body=data[start:half], kind="application/octet-stream", length=len(data) - start, **status)
                return self.reset()
            return self.answer(body=data[start:], kind="application/octet-stream", **status)
        if kind == "truncated":
            self.answer(200, data[: len(data) // 2], "application/octet-stream", length=len(data))
            self.close_connection = True
        elif kind == "wrong-bytes":
            self.answer(200, data[:100] + bytes([data[100] ^ 1]) + data[101:], "application/octet-stream")
        elif kind == "shorter":
            self.answer(200, data[:-7], "application/octet-stream")
        elif kind == "longer":
            self.answer(200, data + b"more", "application/octet-stream")
        elif kind == "loop":
            self.answer(307, Location=self.path)
        elif kind in ("redirect", "away", "basic-away"):
            # A host of another name, which is the same machine.
            self.answer(307, Location=f"http://127.0.0.1:{self.server.elsewhere}/elsewhere/{name}?signature=the-signature")
        elif kind == "drip":
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            for place in range(0, len(data), len(data) // 20 + 1):
                self.wfile.write(data[place : place + len(data) // 20 + 1])
                self.wfile.flush()
                time.sleep(0.05)
        elif kind == "endless":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"100000\r\n" + bytes(1 << 20) + b"\r\n")
            except OSError:
                self.close_connection = True
        else:
            self.answer(404, b"{}")

    # Version 1

    def v1(self, parts):
        main = f"127.0.0.1:{self.server.server_port}"
        if parts == ["_ping"]:
            return self.answer(200, b"true", X_Docker_Registry_Version="0.9.1")
        kind = parts[1] if parts[0] == "repositories" else (self.headers["Authorization"] or "").split("repository=")[-1].strip('"').split("/")[0]
        chained = chain
        if parts[0] == "repositories" and parts[-1] == "images":
            if kind == "missing":
                return self.answer(404, b"{}")
            repository = "/".join(parts[1:-1])
            # The first endpoint is one where nobody is.
            return self.answer(
                200, json.dumps([{"id": document["id"]} for document in chained]).encode(), X_Docker_Endpoints=f"127.0.0.1:1, {main}",
                X_Docker_Token=f'signature=0123,repository="{repository}",access=read', Set_Cookie="session=the-cookie; Path=/; HttpOnly")
        if (self.headers["Authorization"] or "").startswith("Token signature=0123") is False:
            return self.answer(401, b"{}")
        if "session=the-cookie" not in (self.headers["Cookie"] or ""):
            return self.answer(403, b'{"error":"no cookie"}')
        top = chain[-1]["id"]
        if parts[0] == "repositories" and parts[-1] == "tags":
            return self.answer(200, json.dumps([{"layer": top, "name": "latest"}] if kind == "list" else {"latest": top}).encode())
        if parts[0] == "images":
            ids = [document["id"] for document in reversed(chain)]
            if parts[2] == "ancestry":
                if kind == "loop":
                    ids += ids[:1]
                if kind == "escape":
                    ids[-1] = "../../../../tmp/escaped"
                return self.answer(200, json.dumps(ids).encode())
            number = [document["id"] for document in chain].index(parts[1])
            document = dict(chain[number])
            if kind == "orphan" and number:
                document["parent"] = "f" * 64
            text = json.dumps(document).encode()
            data = blob(image["layers"][number]["digest"])
            if parts[2] == "json":
                sums = {"X_Docker_Checksum_Payload": digest(text + b"\n" + data)} if kind != "unsummed" else {}
                return self.answer(200, text, X_Docker_Size=str(len(data)), **sums)
            if kind == "damaged":
                data = data[:-1] + bytes([data[-1] ^ 1])
            return self.answer(200, data, "application/octet-stream")
        self.answer(404, b"{}")


servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(3)]
for server in servers:
    server.only_v1 = server is servers[1]
    server.elsewhere = servers[2].server_port
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
print(*[server.server_port for server in servers], flush=True)
sys.stdin.read()
