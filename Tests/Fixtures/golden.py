#!/usr/bin/env python3
"""Makes the image whose conversion is pinned byte by byte, the same archive each time. usage: golden.py ARCHIVE"""
import hashlib, io, json, sys, tarfile

TIME = 1417392000


def layer(*members):
    """-> a tar. A member is (name, kind, content or link target, more fields)."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, content, more in members:
            info = tarfile.TarInfo(name)
            info.type, info.mtime, info.mode = kind, TIME, 0o755 if kind == tarfile.DIRTYPE else 0o644
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                info.linkname, content = content, b""
            for field, value in more.items():
                setattr(info, field, value)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return data.getvalue()


directory, file, symlink, hardlink = tarfile.DIRTYPE, tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
numbers = b"".join(b"%d\n" % n for n in range(20000))
layers = [
    layer(("etc/", directory, b"", {}), ("etc/passwd", file, b"root:x:0:0::/:/sh\nweb:x:7:8::/:/sh\n", {}), ("bin/", directory, b"", {}),
          ("bin/tool", file, numbers, {"mode": 0o4755, "uid": 3, "gid": 4, "uname": "some", "gname": "body"}),
          ("bin/again", hardlink, "bin/tool", {}), ("bin/link", symlink, "../etc/passwd", {}), ("gone", file, b"gone", {}),
          ("var/opaque/old", file, b"old", {}), ("dev/", directory, b"", {}), ("dev/null", tarfile.CHRTYPE, b"", {"devmajor": 1, "devminor": 3, "mode": 0o666})),
    layer((".wh.gone", file, b"", {}), ("var/opaque/.wh..wh..opq", file, b"", {}), ("var/opaque/new", file, b"new", {"mtime": TIME + 0.25}),
          ("bin/", directory, b"", {"mode": 0o1777}), ("pipe", tarfile.FIFOTYPE, b"", {})),
    layer(("srv/" + "n" * 120 + "/ä", file, b"long", {"uid": 3000000, "pax_headers": {"SCHILY.xattr.user.kind": "golden"}}),
          ("etc/passwd", file, b"root:x:0:0::/:/sh\nweb:x:70:80::/:/sh\n", {}), ("empty", file, b"", {"mtime": 0})),
]
config = json.dumps({
    "architecture": "amd64", "os": "linux", "created": "2014-12-01T00:00:00Z", "author": "somebody",
    "config": {"User": "web", "Env": ["PATH=/bin", "A=b=c"], "Entrypoint": ["/bin/tool"], "Cmd": ["-v"], "WorkingDir": "/srv", "Volumes": {"/data": {}},
               "ExposedPorts": {"80/tcp": {}}, "Labels": {"kind": "golden"}, "StopSignal": "SIGINT"},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(data).hexdigest() for data in layers]},
}, sort_keys=True).encode()
name = hashlib.sha256(config).hexdigest() + ".json"
names = ["%d/layer.tar" % number for number in range(len(layers))]
members = [("manifest.json", json.dumps([{"Config": name, "RepoTags": ["golden:v1"], "Layers": names}]).encode()), (name, config)]
with tarfile.open(sys.argv[1], "w", format=tarfile.PAX_FORMAT) as archive:
    for member, data in members + list(zip(names, layers)):
        info = tarfile.TarInfo(member)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
