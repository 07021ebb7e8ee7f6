import Foundation
import Testing

private let ready = Lab.runsPods && Lab.has("python3")

/// Sockets that are open when a program starts: those of apps with such ports (appc spec `aci.md`, `socketActivated`), and ours.
@Suite(.enabled(if: ready, "needs root, skopeo, umoci, busybox and python3 (make setup)"))
struct SocketActivationTests {
    private let place: Place
    private let id: String

    init() throws {
        place = try Place()
        id = try place.fetchBusybox()
    }

    /// What an app finds: how many, their names, whether they are its own; and of each the protocol and port as the kernel has them.
    private static let look = #"""
        echo $LISTEN_FDS $LISTEN_FDNAMES $([ $LISTEN_PID = $$ ] && echo mine) $AC_APP_NAME; for fd in 3 4 5; do
        inode=$(readlink /proc/$$/fd/$fd | tr -dc 0-9); [ -n "$inode" ] && for kind in tcp tcp6 udp udp6; do
        awk -v inode=$inode -v kind=$kind '\''$10 == inode {split($2, a, ":"); print kind, a[2], $4}'\'' /proc/net/$kind; done; done
        """#

    private func manifest(_ ports: String, _ script: String) throws {
        let exec = String(decoding: try JSONEncoder().encode(["/bin/sh", "-c", script.replacing("'\\''", with: "'")]), as: UTF8.self)
        try """
        {"acKind":"PodManifest","acVersion":"0.8.11","apps":[{"name":"main","image":{"id":"\(id)"},"app":{"exec":\(exec),"user":"app","group":"app","ports":[\(ports)],
        "environment":[{"name":"LISTEN_FDS","value":"9"}]}}]}
        """.write(toFile: place.path + "/pod.json", atomically: true, encoding: .utf8)
    }

    @Test func appsFindTheirPortsOpen() throws {
        try manifest(
            #"{"name":"web","protocol":"tcp","port":80,"socketActivated":true},{"name":"dns","protocol":"udp","port":53,"socketActivated":true},{"name":"not","protocol":"tcp","port":81}"#,
            Self.look)
        let outcome = try place.run("d2a", "run", "--rm", "--net=none", "--pod-manifest=pod.json")
        // 0A: it listens.
        #expect(outcome.output == "2 web:dns mine main\ntcp6 0050 0A\nudp6 0035 07\n", "\(outcome)")
        // A handler finds none, and neither does who enters.
        let text = try String(contentsOfFile: place.path + "/pod.json", encoding: .utf8)
        try text.replacing(#""ports""#, with: #""eventHandlers":[{"name":"pre-start","exec":["sh","-c","ls /proc/self/fd | wc -l"]}],"ports""#)
            .write(toFile: place.path + "/pod.json", atomically: true, encoding: .utf8)
        #expect(try place.run("d2a", "run", "--rm", "--net=none", "--pod-manifest=pod.json").output.hasPrefix("4\n2 web:dns mine"))
        try place.expectNothingLeft()
    }

    @Test func socketsThatWeAreGivenArePassedOn() throws {
        try manifest(#"{"name":"web","protocol":"tcp","port":8080,"socketActivated":true}"#, Self.look + "\nreadlink /proc/$$/fd/3")
        let script = """
            import os, socket, sys
            other = socket.create_server(("127.0.0.1", 0)); web = socket.create_server(("127.0.0.1", 0))
            os.dup2(other.fileno(), 33); os.dup2(web.fileno(), 34); print(os.fstat(34).st_ino, flush=True)
            os.dup2(33, 3); os.dup2(34, 4); port = web.getsockname()[1]
            text = open("pod.json").read().replace('"8080"', '"x"').replace('8080', str(port)); open("pod.json", "w").write(text)
            os.environ.update(LISTEN_FDS="2", LISTEN_PID=str(os.getpid()))
            os.execvp("d2a", ["d2a", "run", "--rm", "--pod-manifest=pod.json"])
            """
        try script.write(toFile: place.path + "/activate.py", atomically: true, encoding: .utf8)
        let lines = try place.shell("python3 activate.py").output.split(separator: "\n")
        #expect(lines.count == 4 && lines[1] == "1 web mine main" && lines[2].hasPrefix("tcp ") && lines[3] == "socket:[\(lines[0])]", "\(lines)")
        let refused = try place.run("d2a", "run", "--rm", "--stage1=runc", "--pod-manifest=pod.json")
        #expect(refused.status == 2 && refused.errors.contains("--stage1=builtin"), "\(refused)")
        try place.expectNothingLeft()
    }

    @Test func theMetadataServiceTakesItsOwn() throws {
        let script = """
            import os, socket, sys, urllib.request
            host = socket.create_server(("127.0.0.1", 0)); control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); control.bind("control"); control.listen()
            port = host.getsockname()[1]
            if (pid := os.fork()) == 0:
                os.dup2(host.fileno(), 33); os.dup2(control.fileno(), 34); os.dup2(33, 3); os.dup2(34, 4)
                os.environ.update(LISTEN_FDS="2", LISTEN_PID=str(os.getpid()))
                os.execvp("d2a", ["d2a", "metadata-service"])
            try: urllib.request.urlopen(f"http://127.0.0.1:{port}/x/acMetadata/v1/pod/uuid", timeout=60)
            except urllib.error.HTTPError as error: print(error.code)
            os.kill(pid, 9); os.waitpid(pid, 0)
            """
        try script.write(toFile: place.path + "/service.py", atomically: true, encoding: .utf8)
        let outcome = try place.shell("D2A_RUN_DIR=$PWD/run python3 service.py")
        #expect(outcome.output == "401\n", "\(outcome)")
    }
}
