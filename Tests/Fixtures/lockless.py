"""lockless.py PROGRAM ARG...: runs a program for which file systems have neither locks nor files without names, as some network file systems haven't:
a filter of system calls answers for them."""
import ctypes
import os
import platform
import struct
import sys

FLOCK, OPENAT, FCNTL = {"x86_64": (73, 257, 72), "aarch64": (32, 56, 25)}[platform.machine()]
ENOLCK, EOPNOTSUPP = 37, 95
O_TMPFILE = 0o20000000
LOAD, EQUAL, BITS, ANSWER = 0x20, 0x15, 0x45, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
# F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW; arguments begin at 16, eight bytes each.
PROGRAM = [
    (LOAD, 0, 0, 0),
    (EQUAL, 10, 0, FLOCK),
    (EQUAL, 2, 0, FCNTL),
    (EQUAL, 6, 0, OPENAT),
    (ANSWER, 0, 0, ALLOW),
    (LOAD, 0, 0, 24),
    (EQUAL, 5, 0, 6),
    (EQUAL, 4, 0, 7),
    (EQUAL, 3, 0, 37),
    (EQUAL, 2, 4, 38),
    (LOAD, 0, 0, 32),
    (BITS, 1, 2, O_TMPFILE),
    (ANSWER, 0, 0, ERRNO | ENOLCK),
    (ANSWER, 0, 0, ERRNO | EOPNOTSUPP),
    (ANSWER, 0, 0, ALLOW),
]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in PROGRAM))
library = ctypes.CDLL(None, use_errno=True)
header = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(PROGRAM), ctypes.addressof(code)))
if library.prctl(38, 1, 0, 0, 0) != 0 or library.prctl(22, 2, header, 0, 0) != 0:
    sys.exit(f"lockless.py: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[1], sys.argv[1:])
