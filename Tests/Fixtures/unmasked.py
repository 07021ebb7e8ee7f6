"""unmasked.py PROGRAM ARG...: runs a program with no signal blocked or ignored, whatever this one was started with. What dockerd has, its
containers have."""
import ctypes
import os
import platform
import signal
import sys

signal.pthread_sigmask(signal.SIG_SETMASK, [])
# The C library keeps two signals to itself, and Foundation has it ignore them: the kernel is asked.
number = {"x86_64": 13, "aarch64": 134}.get(platform.machine())
for sig in range(1, 65):
    if number is not None:
        ctypes.CDLL(None).syscall(number, sig, ctypes.create_string_buffer(64), None, 8)
os.execvp(sys.argv[1], sys.argv[1:])
