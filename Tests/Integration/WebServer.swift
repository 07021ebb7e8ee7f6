import Foundation
import Testing

/// nginx, which speaks HTTPS for a registry or from a directory; ended with this object.
final class WebServer {
    let address: String
    let place: Place
    private var process = Process()

    /// - Parameters:
    ///   - protocols: `http2` where it is to be spoken.
    ///   - location: what there is, as nginx's configuration has it.
    ///   - log: what is noted of a request, in nginx's words.
    init(_ place: Place, protocols: String = "", location: String, log: String = "$connection $server_protocol $status $request_uri $http_range") throws {
        self.place = place
        let made = try place.shell(
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>&1")
        try #require(made.status == 0, "\(made)")
        let path = place.path
        for _ in 0..<5 {
            // Below those that the kernel gives to clients. Where somebody has the port, nginx ends without having written its number.
            let port = Int.random(in: 20000..<32768)
            try """
            pid \(path)/nginx.pid; error_log \(path)/nginx.errors; daemon off; worker_processes 1; \(Lab.isRoot ? "user root;" : "")
            events {}
            http {
                log_format short '\(log)'; access_log \(path)/access.log short;
                client_body_temp_path \(path)/t1; proxy_temp_path \(path)/t2; fastcgi_temp_path \(path)/t3; uwsgi_temp_path \(path)/t4;
                scgi_temp_path \(path)/t5; proxy_buffering off; proxy_set_header Host $http_host;
                server {
                    listen 127.0.0.1:\(port) ssl \(protocols); ssl_certificate \(path)/cert.pem; ssl_certificate_key \(path)/key.pem;
                    location / { \(location) }
                }
            }

            """.write(toFile: path + "/nginx.conf", atomically: true, encoding: .utf8)
            process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = ["nginx", "-c", "\(path)/nginx.conf", "-p", path]
            process.standardError = FileHandle.nullDevice
            try process.run()
            while process.isRunning {
                if FileManager.default.fileExists(atPath: path + "/nginx.pid") {
                    address = "localhost:\(port)"
                    return
                }
                usleep(20_000)
            }
        }
        throw CocoaError(.fileNoSuchFile)
    }

    deinit {
        process.terminate()
        process.waitUntilExit()
    }

    /// The answers, as the log's words.
    var answers: [[Substring]] {
        ((try? String(contentsOfFile: place.path + "/access.log", encoding: .utf8)) ?? "").split(separator: "\n").map { $0.split(separator: " ") }
    }

    func forget() throws { try place.shell(": >access.log") }
}
