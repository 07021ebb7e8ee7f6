"""Runs a program on a terminal of its own, as a person does, and prints what was seen there, and how it ended.

usage: terminal.py STEP... -- PROGRAM ARGUMENT...

Steps, one after the other:
  wait:TEXT       until TEXT is seen, after what the last such step has seen
  send:TEXT       types it; ^C stands for the key, and so on, and ~ for the return key
  size:ROWSxCOLS  changes the terminal's size
  signal:NAME     to the program
  state:LETTER    until the program is in this state (proc(5))
  raw:yes|no      says whether the terminal's modes are those of a program that takes every key
  hangup          the terminal goes away
What takes longer than a minute ends with status 99.
"""
import fcntl, os, pty, re, select, signal, struct, sys, termios, time

separator = sys.argv.index("--")
steps, program = sys.argv[1:separator], sys.argv[separator + 1:]
deadline = time.monotonic() + 60
seen, place = b"", 0
pid, master = pty.fork()
if pid == 0:
    os.execvp(program[0], program)


def give_up(why):
    print(f"{seen.decode(errors='replace')}\n{why}")
    os.kill(pid, signal.SIGKILL)
    os._exit(99)


def look(patience):
    """Takes what has come; false where there will be no more."""
    global seen
    if time.monotonic() > deadline:
        give_up("it takes too long")
    if select.select([master], [], [], patience)[0]:
        try:
            data = os.read(master, 65536)
        except OSError:
            return False
        seen += data
        return bool(data)
    return True


for step in steps:
    kind, _, value = step.partition(":")
    if kind == "wait":
        while (found := seen.find(value.encode(), place)) < 0:
            if not look(0.1):
                give_up(f"{value} was not seen")
        place = found + len(value)
    elif kind == "send":
        text = re.sub(r"\^([@-_])", lambda match: chr(ord(match[1]) - 64), value).replace("~", "\r")
        os.write(master, text.encode())
    elif kind == "size":
        rows, columns = map(int, value.split("x"))
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    elif kind == "signal":
        os.kill(pid, getattr(signal, "SIG" + value))
    elif kind == "state":
        while open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != value:
            look(0.05)
    elif kind == "raw":
        while (termios.tcgetattr(master)[3] & termios.ICANON == 0) != (value == "yes"):
            look(0.05)
    elif kind == "hangup":
        os.close(master)
        master = None
while master is not None and look(0.1):
    if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        while look(0.1) and select.select([master], [], [], 0)[0]:
            pass
        break
while time.monotonic() < deadline:
    ended, status = os.waitpid(pid, os.WNOHANG)
    if ended:
        print(seen.decode(errors="replace").replace("\r\n", "\n"))
        print(f"status {128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)}")
        sys.exit(0)
    time.sleep(0.02)
give_up("it doesn't end")
