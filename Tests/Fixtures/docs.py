#!/usr/bin/env python3
"""Runs the examples of a page of the manual, and compares what they print with what the page shows.

usage: docs.py PROGRAMS PAGE    as root; PROGRAMS is the directory of d2a and docker2aci

An example is a fenced block marked `console`: lines after `$ ` are commands, continued after a backslash; what follows is what they print, both streams.
`…` stands for anything in a line, and alone for any number of lines. A command must succeed, unless the page shows an error of ours or asks for
its status with `echo $?`. What a page needs beforehand stands in comments: `<!-- setup` and lines of shell. Everything runs in one shell, in an
empty directory, in network and mount namespaces of its own, where a registry with library/busybox listens on 127.0.0.1:5000 and busybox.docker and
scripts lie in the working directory. So what the examples leave behind goes with them.
"""
import os, re, shutil, signal, subprocess, sys, tempfile, time

scripts = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts"))


def enter():
    """Begins this program anew in namespaces of its own, where it isn't in them."""
    if "D2A_DOCS_INSIDE" not in os.environ:
        os.environ["D2A_DOCS_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--net", "--propagation", "private", sys.executable] + sys.argv)


def parse(text):
    """-> list of (line number, kind, lines) with kind "console" or "setup"."""
    blocks, kind, start, lines = [], None, 0, []
    for number, line in enumerate(text.split("\n"), 1):
        if kind is None and line.strip() == "```console":
            kind, start, lines = "console", number, []
        elif kind is None and line.startswith("<!-- setup"):
            kind, start, lines = "setup", number, []
        elif kind and line.strip() == ("```" if kind == "console" else "-->"):
            blocks.append((start, kind, lines))
            kind = None
        elif kind:
            lines.append(line)
    return blocks


def steps(start, lines):
    """-> list of (line number, command, expected lines)"""
    result, continued = [], False
    for number, line in enumerate(lines, start + 1):
        if continued:
            result[-1][1] += "\n" + line
        elif line.startswith("$ "):
            result.append([number, line[2:], []])
        elif line.startswith("# "):
            continue
        elif result:
            result[-1][2].append(line)
        continued = (line.startswith("$ ") or continued) and line.endswith("\\")
    return result


def matches(expected, actual):
    """Whether lines are what the page shows: `…` matches within a line, and alone any lines."""
    pattern = ""
    for line in expected:
        pattern += "(?:.*\n)*" if line.strip() == "…" else ".*".join(re.escape(part) for part in line.rstrip().split("…")) + "\\s*\n"
    return re.fullmatch(pattern, "".join(line.rstrip() + "\n" for line in actual)) is not None


class Shell:
    def __init__(self, directory, programs):
        environment = dict(os.environ, PATH=programs + ":" + os.environ["PATH"], HOME=directory + "/home", D2A_DIR=directory + "/store",
                           D2A_CACHE=directory + "/cache", D2A_RUN_DIR=directory + "/run", COLUMNS="120", LC_ALL="C.UTF-8")
        for name in ["D2A_DOCS_INSIDE", "TERM"]:
            environment.pop(name, None)
        os.makedirs(directory + "/home")
        os.makedirs(directory + "/work")
        os.symlink(scripts, directory + "/work/scripts")
        self.log = open(directory + "/log", "w+b")
        self.process = subprocess.Popen(["bash"], cwd=directory + "/work", env=environment, stdin=subprocess.PIPE, stdout=self.log, stderr=self.log,
                                        start_new_session=True)
        self.number = 0

    def run(self, command, limit=120):
        """-> (status, lines)"""
        self.number += 1
        mark = "--- done %d " % self.number
        begin = os.fstat(self.log.fileno()).st_size
        # Standard input is ours: no command may read the rest of the examples.
        self.process.stdin.write(("{ %s\n} </dev/null\nprintf '\\n%s%%d\\n' $?\n" % (command, mark)).encode())
        self.process.stdin.flush()
        deadline = time.time() + limit
        while time.time() < deadline:
            text = os.pread(self.log.fileno(), 1 << 20, begin).decode(errors="replace")
            found = re.search("\n" + re.escape(mark) + r"(\d+)\n", text)
            if found:
                return int(found.group(1)), text[:found.start()].split("\n") if text[:found.start()] else []
            if self.process.poll() is not None:
                return self.process.returncode, text.split("\n") + ["(the shell has ended)"]
            time.sleep(0.02)
        return 124, text.split("\n") + ["(no end after %d seconds)" % limit]

    def close(self):
        # Whatever an example has started belongs to this session.
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


class Stage:
    """The machine on which examples are run: a registry, an image, a shell."""

    def __init__(self, programs):
        self.directory = tempfile.mkdtemp(prefix="d2a-docs-")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        self.registry, self.shell = None, Shell(self.directory, programs)

    def __enter__(self):
        directory = self.directory
        made = subprocess.run([scripts + "/make-busybox", directory + "/work"], capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        with open(directory + "/registry.yml", "w") as file:
            file.write('version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s/registry}}\nhttp: {addr: "127.0.0.1:5000"}\n' % directory)
        with open(directory + "/registry.log", "w") as log:
            self.registry = subprocess.Popen(["docker-registry", "serve", directory + "/registry.yml"], stdout=log, stderr=log)
        for attempt in range(100):
            if subprocess.run(["skopeo", "copy", "-q", "--dest-tls-verify=false", "docker-archive:%s/work/busybox.docker" % directory,
                               "docker://127.0.0.1:5000/library/busybox:latest"], capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        return self.shell

    def __exit__(self, *error):
        self.shell.close()
        if self.registry:
            self.registry.kill()
            self.registry.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def main(programs, page):
    blocks = parse(open(page).read())
    if not any(kind == "console" for _, kind, _ in blocks):
        print("no examples")
        return 0
    failures, count = [], 0
    with Stage(programs) as shell:
        for start, kind, lines in blocks:
            if kind == "setup":
                status, output = shell.run("\n".join(lines))
                if status:
                    failures.append("%d: the setup failed with %d\n%s" % (start, status, "\n".join(output)))
                continue
            for number, command, expected in steps(start, lines):
                count += 1
                status, output = shell.run(command)
                while expected and not expected[-1].strip():
                    expected.pop()
                while output and not output[-1].strip():
                    output.pop()
                tolerated = "$?" in command or any(re.match(r"(d2a|docker2aci|rkt|run|fetch): ", line) for line in expected)
                if not matches(expected, output):
                    failures.append("%d: $ %s\n  the page shows:\n    %s\n  it prints:\n    %s" % (number, command, "\n    ".join(expected), "\n    ".join(output)))
                elif status and not tolerated:
                    failures.append("%d: $ %s ends with %d" % (number, command, status))
    for failure in failures:
        print(os.path.basename(page) + ":" + failure)
    print("%d examples, %d failures" % (count, len(failures)))
    return 1 if failures else 0


if __name__ == "__main__":
    enter()
    sys.exit(main(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])))
