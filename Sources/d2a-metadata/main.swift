import CLinux
import Files
import Glibc
import MetadataServer
import Program
import Sandbox

// The metadata service, started by d2a, which hands over: 3 the socket that pods are registered at, 4 the one that serves the
// host's pods, 5 the key. Whoever runs pods decides what it is told, so it needs no rights: it keeps none.
let untilIdle = CommandLine.arguments.contains("--until-idle")
// It lives longer than whoever started it, and must not keep anything open for them.
system_close_from(6)
do {
    if untilIdle {
        // Nobody waits for it, and no terminal's ^C is meant for it.
        setsid()
        let null = try OpenFile.open("/dev/null", O_RDWR)
        for stream in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] { dup2(null.descriptor, stream) }
    }
    signal(SIGPIPE, SIG_IGN)
    let (control, host) = (OpenFile(descriptor: 3, path: "the socket of registrations"), OpenFile(descriptor: 4, path: "the host's socket"))
    let key = try OpenFile(descriptor: 5, path: "the key").readAll(limit: 64)
    guard chdir("/") == 0 else { throw FileError("enter", "/") }
    try becomeNobody()
    try Sandbox(network: true).enter()
    let server = try MetadataServer(host: host, key: key) { if !untilIdle { complain("metadata-service: \($0)\n") } }
    try Registrar(server, control: control, host: host).run(untilIdle: untilIdle)
} catch {
    complain("metadata-service: \(error)\n")
    exit(254)
}
