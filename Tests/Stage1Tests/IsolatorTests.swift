import AppC
import Pod
import Testing

@testable import Stage1

@Suite struct IsolatorTests {
    private func isolator(_ name: String, _ json: String) throws -> Isolator {
        Isolator(name: "os/linux/" + name, value: try CanonicalJSON.decode(JSONValue.self, from: json.utf8))
    }

    @Test func capabilities() throws {
        #expect(try AppLimits.of([]).limits.bounding == .standard)
        let removed = try AppLimits.of([isolator("capabilities-remove-set", #"{"set":["CAP_MKNOD","CAP_SYS_ADMIN"]}"#)]).limits.bounding
        #expect(removed == Capabilities.standard.subtracting(.mknod))
        let retain = try isolator("capabilities-retain-set", #"{"set":["CAP_NET_ADMIN","CAP_KILL"]}"#)
        #expect(try AppLimits.of([retain]).limits.bounding.names == ["CAP_KILL", "CAP_NET_ADMIN"])
        // More than one of a kind add up; both kinds exclude each other.
        #expect(try AppLimits.of([retain, isolator("capabilities-retain-set", #"{"set":["CAP_CHOWN"]}"#)]).limits.bounding.names.count == 3)
        #expect(throws: PodError.self) { try AppLimits.of([retain, isolator("capabilities-remove-set", #"{"set":["CAP_KILL"]}"#)]) }
        for json in [#"{"set":[]}"#, #"{"set":["CAP_NOTHING"]}"#, #"{"set":[1]}"#, "true"] {
            #expect(throws: PodError.self) { try AppLimits.of([isolator("capabilities-retain-set", json)]) }
        }
    }

    @Test func others() throws {
        let (limits, ignored) = try AppLimits.of([
            isolator("no-new-privileges", "true"), isolator("oom-score-adj", "-5"), isolator("cpu-shares", "1024"),
        ])
        #expect(limits.noNewPrivileges && limits.oomScoreAdjust == -5)
        #expect(ignored == ["os/linux/cpu-shares"])
        #expect(throws: PodError.self) { try AppLimits.of([isolator("no-new-privileges", "1")]) }
        #expect(throws: PodError.self) { try AppLimits.of([isolator("oom-score-adj", "2000")]) }
    }
}
