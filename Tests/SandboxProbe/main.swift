// Tries, in the sandbox, what a taken-over reader of images would try, and prints how each attempt ended. For the tests.
// usage: SandboxProbe WRITABLE READABLE [network]
import Files
import Glibc
import Sandbox

let words = CommandLine.arguments
let (writable, readable) = (try Directory.open(words[1]), try Directory.open(words[2]))
let network = words.count > 3

func attempt(_ name: String, _ body: () -> Int32) {
    errno = 0
    print("\(name) \(body() >= 0 ? "works" : errno == ENOSYS ? "ENOSYS" : errno == EACCES ? "EACCES" : errno == EPERM ? "EPERM" : "errno \(errno)")")
}

try Sandbox(reading: [readable], writing: [writable], network: network).enter()

attempt("write-inside") { openat(writable.descriptor, "made", O_CREAT | O_WRONLY, 0o600) }
attempt("read-inside") { openat(readable.descriptor, "file", O_RDONLY) }
attempt("write-readable") { openat(readable.descriptor, "made", O_CREAT | O_WRONLY, 0o600) }
attempt("read-outside") { open("/root", O_RDONLY | O_DIRECTORY) }
attempt("read-home") { openat(writable.descriptor, "../secret", O_RDONLY) }
attempt("remove-outside") { unlinkat(writable.descriptor, "../secret", 0) }
attempt("accounts") { open("/etc/passwd", O_RDONLY) }
attempt("program") {
    var pid = pid_t()
    let code = posix_spawn(&pid, "/bin/true", nil, nil, [strdup("true"), nil], [nil])
    errno = code
    return code == 0 ? 0 : -1
}
attempt("exec") { execve("/bin/true", [strdup("true"), nil], [nil]) }
attempt("host-name") { sethostname("x", 1) }
attempt("chroot") { chroot(words[1]) }
attempt("mount") { mount("none", words[1], "tmpfs", 0, nil) }
attempt("become-root") { setuid(0) }
attempt("socket") { socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) }
attempt("raw-socket") { socket(17, Int32(SOCK_RAW.rawValue), 0) }
