/// Checks a manifest against the appc spec 0.8.11 (`aci.md`, `pods.md`, `ace.md`, `types.md`).
///
/// It works on plain JSON, so that every problem can be told with its path, and what the spec doesn't know can be told too.
struct ManifestValidator {
    private(set) var problems: [ManifestProblem] = []
    /// Members that the spec has no meaning for.
    private(set) var unknown: [String] = []

    // MARK: Documents

    mutating func image(_ value: JSONValue) {
        let top = object(
            value, "$", required: ["acKind", "acVersion", "name"], optional: ["labels", "app", "annotations", "dependencies", "pathWhitelist"])
        head(top, kind: "ImageManifest")
        identifier(top["name"], "$.name")
        labels(top["labels"], "$.labels")
        if let value = top["app"] { app(value, "$.app") }
        annotations(top["annotations"], "$.annotations")
        for (path, value) in items(top["dependencies"], "$.dependencies") {
            let dependency = object(value, path, required: ["imageName"], optional: ["imageID", "labels", "size"])
            identifier(dependency["imageName"], path + ".imageName")
            imageID(dependency["imageID"], path + ".imageID")
            labels(dependency["labels"], path + ".labels")
            number(dependency["size"], path + ".size", 0...Int64.max)
        }
        for (path, value) in items(top["pathWhitelist"], "$.pathWhitelist") { absolute(value, path) }
    }

    mutating func pod(_ value: JSONValue) {
        let top = object(
            value, "$", required: ["acKind", "acVersion"],
            optional: ["apps", "volumes", "isolators", "annotations", "ports", "userAnnotations", "userLabels"])
        head(top, kind: "PodManifest")
        for (path, value) in unique(top["apps"], "$.apps") {
            let item = object(value, path, required: ["name", "image"], optional: ["app", "readOnlyRootFS", "mounts", "annotations"])
            name(item["name"], path + ".name")
            if let value = item["image"] {
                let image = object(value, path + ".image", required: [], optional: ["id", "name", "labels"])
                imageID(image["id"], path + ".image.id")
                if image["name"] != nil { identifier(image["name"], path + ".image.name") }
                labels(image["labels"], path + ".image.labels")
            }
            if let value = item["app"] { app(value, path + ".app") }
            boolean(item["readOnlyRootFS"], path + ".readOnlyRootFS")
            for (path, value) in items(item["mounts"], path + ".mounts") {
                let mount = object(value, path, required: ["volume", "path"], optional: ["appVolume"])
                name(mount["volume"], path + ".volume")
                if string(mount["path"], path + ".path") == "" { add(path + ".path", "is empty") }
                if let value = mount["appVolume"] { volume(value, path + ".appVolume") }
            }
            annotations(item["annotations"], path + ".annotations")
        }
        for (path, value) in unique(top["volumes"], "$.volumes") { volume(value, path) }
        isolators(top["isolators"], "$.isolators")
        annotations(top["annotations"], "$.annotations")
        for (path, value) in items(top["ports"], "$.ports") {
            let port = object(value, path, required: ["name", "hostPort"], optional: ["hostIP", "podPort"])
            name(port["name"], path + ".name")
            number(port["hostPort"], path + ".hostPort", 1...65535)
            _ = string(port["hostIP"], path + ".hostIP")
            if let value = port["podPort"] { self.port(value, path + ".podPort") }
        }
        strings(top["userAnnotations"], "$.userAnnotations")
        strings(top["userLabels"], "$.userLabels")
    }

    private mutating func head(_ top: [String: JSONValue], kind: String) {
        if let actual = string(top["acKind"], "$.acKind"), actual != kind {
            let old = actual == "ContainerRuntimeManifest" ? ": pods of appc before 0.5 can't be read" : ""
            add("$.acKind", "is \"\(actual)\", not \(kind)\(old)")
        }
        if let version = string(top["acVersion"], "$.acVersion"), !Self.isVersion(version) {
            add("$.acVersion", "\"\(version)\" is not a version such as 0.8.11")
        }
    }

    // MARK: Parts

    private mutating func app(_ value: JSONValue, _ path: String) {
        let app = object(
            value, path, required: ["user", "group"],
            optional: [
                "exec", "eventHandlers", "supplementaryGIDs", "workingDirectory", "environment", "mountPoints", "ports", "isolators", "userAnnotations",
                "userLabels",
            ])
        for (path, value) in items(app["exec"], path + ".exec") { _ = string(value, path) }
        for field in ["user", "group"] where string(app[field], "\(path).\(field)") == "" { add("\(path).\(field)", "is empty") }
        for (path, value) in items(app["supplementaryGIDs"], path + ".supplementaryGIDs") { number(value, path, 0...Int64(UInt32.max)) }
        if string(app["workingDirectory"], path + ".workingDirectory") != "" { absolute(app["workingDirectory"], path + ".workingDirectory") }
        for (path, value) in unique(app["eventHandlers"], path + ".eventHandlers") {
            let handler = object(value, path, required: ["name", "exec"], optional: [])
            if let name = string(handler["name"], path + ".name"), !["pre-start", "post-stop"].contains(name) {
                add(path + ".name", "\"\(name)\" is neither pre-start nor post-stop")
            }
            for (path, value) in items(handler["exec"], path + ".exec") { _ = string(value, path) }
        }
        for (path, value) in unique(app["environment"], path + ".environment") {
            let variable = object(value, path, required: ["name", "value"], optional: [])
            if let name = string(variable["name"], path + ".name"), !EnvironmentName.isValid(name) {
                add(path + ".name", "\"\(name)\" is not letters, digits and _")
            }
            _ = string(variable["value"], path + ".value")
        }
        for (path, value) in unique(app["mountPoints"], path + ".mountPoints") {
            let point = object(value, path, required: ["name", "path"], optional: ["readOnly"])
            name(point["name"], path + ".name")
            absolute(point["path"], path + ".path")
            boolean(point["readOnly"], path + ".readOnly")
        }
        for (path, value) in unique(app["ports"], path + ".ports") { port(value, path) }
        isolators(app["isolators"], path + ".isolators")
        strings(app["userAnnotations"], path + ".userAnnotations")
        strings(app["userLabels"], path + ".userLabels")
    }

    private mutating func port(_ value: JSONValue, _ path: String) {
        let port = object(value, path, required: ["name", "protocol", "port"], optional: ["count", "socketActivated"])
        name(port["name"], path + ".name")
        if string(port["protocol"], path + ".protocol") == "" { add(path + ".protocol", "is empty") }
        let first = number(port["port"], path + ".port", 1...65535)
        if let first, let count = number(port["count"], path + ".count", 0...65535), first + count > 65536 {
            add(path + ".count", "leads beyond port 65535")
        }
        boolean(port["socketActivated"], path + ".socketActivated")
    }

    private mutating func volume(_ value: JSONValue, _ path: String) {
        let volume = object(value, path, required: ["name", "kind"], optional: ["source", "readOnly", "recursive", "mode", "uid", "gid"])
        name(volume["name"], path + ".name")
        boolean(volume["readOnly"], path + ".readOnly")
        boolean(volume["recursive"], path + ".recursive")
        switch string(volume["kind"], path + ".kind") {
        case "host":
            if volume["source"] == nil { add(path, "has no source") } else { absolute(volume["source"], path + ".source") }
            for field in ["mode", "uid", "gid"] where volume[field] != nil { add("\(path).\(field)", "is for empty volumes only") }
        case "empty":
            if let source = volume["source"], source != .string("") { add(path + ".source", "is for host volumes only") }
            if let mode = string(volume["mode"], path + ".mode"), UInt32(mode, radix: 8).map({ $0 > 0o7777 }) ?? true {
                add(path + ".mode", "\"\(mode)\" is not an octal mode")
            }
            for field in ["uid", "gid"] { number(volume[field], "\(path).\(field)", 0...Int64(UInt32.max)) }
        case let kind?: add(path + ".kind", "\"\(kind)\" is neither host nor empty")
        case nil: break
        }
    }

    private mutating func labels(_ value: JSONValue?, _ path: String) {
        var found: [String: String] = [:]
        for (path, value) in unique(value, path) {
            let label = object(value, path, required: ["name", "value"], optional: [])
            identifier(label["name"], path + ".name")
            if label["name"] == .string("name") { add(path + ".name", "is \"name\", which no label may have") }
            if let name = label["name"]?.string, let value = string(label["value"], path + ".value") { found[name] = value }
        }
        guard let os = found["os"] else { return }
        guard let architectures = Architecture.valid[os] else {
            add(path, "has the os \"\(os)\", which is none of \(Architecture.valid.keys.sorted().joined(separator: ", "))")
            return
        }
        if let arch = found["arch"], !architectures.contains(arch) {
            add(path, "has the arch \"\(arch)\", which for \(os) is none of \(architectures.joined(separator: ", "))")
        }
    }

    private mutating func annotations(_ value: JSONValue?, _ path: String) {
        for (path, value) in unique(value, path) {
            let annotation = object(value, path, required: ["name", "value"], optional: [])
            identifier(annotation["name"], path + ".name")
            guard let text = string(annotation["value"], path + ".value") else { continue }
            switch annotation["name"]?.string {
            case "created": if !Timestamp.isValid(text) { add(path + ".value", "\"\(text)\" is not a time by RFC 3339") }
            case "homepage", "documentation":
                if !text.hasPrefix("http://"), !text.hasPrefix("https://") { add(path + ".value", "\"\(text)\" is not an http or https URL") }
            default: break
            }
        }
    }

    private mutating func isolators(_ value: JSONValue?, _ path: String) {
        var names: [String] = []
        for (path, value) in items(value, path) {
            let isolator = object(value, path, required: ["name", "value"], optional: [])
            identifier(isolator["name"], path + ".name")
            guard let name = isolator["name"]?.string, let value = isolator["value"] else { continue }
            let here = path + ".value"
            switch name {
            case "resource/cpu", "resource/memory", "resource/network-bandwidth", "resource/block-bandwidth", "resource/block-iops":
                let amount = object(value, here, required: [], optional: ["default", "request", "limit"])
                boolean(amount["default"], here + ".default")
                for field in ["request", "limit"] {
                    guard let text = string(amount[field], "\(here).\(field)") else { continue }
                    if Quantity(text) == nil { add("\(here).\(field)", "\"\(text)\" is not an amount such as 500m or 1G") }
                }
                let byDefault = amount["default"] == .bool(true)
                if name.hasPrefix("resource/block") || name == "resource/network-bandwidth" {
                    if !byDefault { add(here, "must have default: true") }
                    if amount["request"] != nil { add(here + ".request", "is not for \(name)") }
                } else if byDefault {
                    add(here, "must not have default: true")
                }
            case "os/linux/capabilities-retain-set", "os/linux/capabilities-remove-set", "os/linux/seccomp-retain-set", "os/linux/seccomp-remove-set":
                let seccomp = name.contains("seccomp")
                let set = object(value, here, required: ["set"], optional: seccomp ? ["errno"] : [])
                if set["set"] == .array([]) { add(here + ".set", "is empty") }
                for (path, value) in items(set["set"], here + ".set") { _ = string(value, path) }
                if let number = string(set["errno"], here + ".errno"), !number.utf8.allSatisfy({ (0x41...0x5A).contains($0) || (0x30...0x39).contains($0) }) {
                    add(here + ".errno", "\"\(number)\" is not in upper case")
                }
                if seccomp, names.contains(name.hasSuffix("retain-set") ? "os/linux/seccomp-remove-set" : "os/linux/seccomp-retain-set") {
                    add(path, "contradicts the other seccomp set")
                }
            case "os/linux/no-new-privileges": boolean(value, here)
            case "os/linux/oom-score-adj": number(value, here, -1000...1000)
            case "os/linux/cpu-shares": number(value, here, 2...262144)
            case "os/linux/selinux-context":
                let context = object(value, here, required: ["user", "role", "type", "level"], optional: [])
                for field in ["user", "role", "type", "level"] {
                    if let text = string(context[field], "\(here).\(field)"), text.isEmpty || (field != "level" && text.contains(":")) {
                        add("\(here).\(field)", "\"\(text)\" is not a part of a context")
                    }
                }
            case "os/linux/apparmor-profile": _ = string(object(value, here, required: ["profile"], optional: [])["profile"], here + ".profile")
            case "os/unix/sysctl": strings(value, here)
            // The spec lets runtimes ignore what they don't know.
            default: unknown.append("\(path) (\(name))")
            }
            if name.hasPrefix("os/linux/"), names.contains(name) { add(path, "is a second \(name)") }
            names.append(name)
        }
    }

    // MARK: Values

    private mutating func add(_ path: String, _ reason: String) { problems.append(ManifestProblem(path: path, reason: reason)) }

    private mutating func object(_ value: JSONValue, _ path: String, required: [String], optional: [String]) -> [String: JSONValue] {
        guard case .object(let members) = value else {
            add(path, "is not an object")
            return [:]
        }
        for name in required where members[name] == nil || members[name] == .null { add(path, "has no \(name)") }
        unknown += members.keys.filter { !required.contains($0) && !optional.contains($0) }.sorted().map { "\(path).\($0)" }
        return members.filter { $0.value != .null }
    }

    /// The items of a list, with their paths; nothing where there is no list.
    private mutating func items(_ value: JSONValue?, _ path: String) -> [(path: String, value: JSONValue)] {
        guard let value else { return [] }
        guard case .array(let items) = value else {
            add(path, "is not a list")
            return []
        }
        return items.enumerated().map { ("\(path)[\($0)]", $1) }
    }

    /// The items of a list in which no two have the same `name`.
    private mutating func unique(_ value: JSONValue?, _ path: String) -> [(path: String, value: JSONValue)] {
        let all = items(value, path)
        var seen: Set<String> = []
        for (path, value) in all {
            if let name = value["name"]?.string, !seen.insert(name).inserted { add(path + ".name", "\"\(name)\" is there twice") }
        }
        return all
    }

    private mutating func string(_ value: JSONValue?, _ path: String) -> String? {
        guard let value else { return nil }
        if case .string(let text) = value { return text }
        add(path, "is not a string")
        return nil
    }

    private mutating func strings(_ value: JSONValue?, _ path: String) {
        guard let value else { return }
        guard case .object(let members) = value else { return add(path, "is not an object") }
        for (name, value) in members.sorted(by: { $0.key < $1.key }) { _ = string(value, "\(path).\(name)") }
    }

    private mutating func boolean(_ value: JSONValue?, _ path: String) {
        if let value, value != .bool(true), value != .bool(false) { add(path, "is neither true nor false") }
    }

    @discardableResult
    private mutating func number(_ value: JSONValue?, _ path: String, _ range: ClosedRange<Int64>) -> Int64? {
        guard let value else { return nil }
        guard case .integer(let number) = value, range.contains(number) else {
            add(path, "is not a whole number from \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return number
    }

    private mutating func absolute(_ value: JSONValue?, _ path: String) {
        if let text = string(value, path), !text.hasPrefix("/") { add(path, "\"\(text)\" is not an absolute path") }
    }

    private mutating func identifier(_ value: JSONValue?, _ path: String) {
        if let text = string(value, path), !ACIdentifier.isValid(text) { add(path, "\"\(text)\" is not an AC Identifier") }
    }

    private mutating func name(_ value: JSONValue?, _ path: String) {
        if let text = string(value, path), !ACName.isValid(text) { add(path, "\"\(text)\" is not an AC Name") }
    }

    private mutating func imageID(_ value: JSONValue?, _ path: String) {
        guard let text = string(value, path) else { return }
        let parts = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        // Images of 2014 name their dependencies by SHA-256. Digits are checked where an ID is looked up: the spec's own examples have none.
        let isID = parts.count == 2 && ["sha512", "sha256"].contains(parts[0]) && !parts[1].isEmpty && !parts[1].contains(where: \.isWhitespace)
        if !isID { add(path, "\"\(text)\" is not an image ID") }
    }

    /// A semantic version (semver.org 2.0.0).
    private static func isVersion(_ text: String) -> Bool {
        let core = text.prefix { $0 != "-" && $0 != "+" }.split(separator: ".", omittingEmptySubsequences: false)
        let rest = text.dropFirst(core.reduce(max(core.count - 1, 0)) { $0 + $1.count })
        return core.count == 3 && core.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } && ($0 == "0" || $0.first != "0") }
            && rest.count != 1
            && rest.dropFirst().utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) || [0x2B, 0x2D, 0x2E].contains($0)
            }
    }
}

/// Names of environment variables, as the appc spec allows them.
public enum EnvironmentName {
    public static func isValid(_ text: String) -> Bool {
        func isLetter(_ byte: UInt8) -> Bool { (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x5F }
        guard let first = text.utf8.first, isLetter(first) else { return false }
        return text.utf8.allSatisfy { isLetter($0) || (0x30...0x39).contains($0) }
    }
}

/// Times as RFC 3339 writes them: `2016-01-02T03:04:05.678Z`.
public enum Timestamp {
    public static func isValid(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        func number(_ from: Int, _ count: Int) -> Int? {
            guard bytes.count >= from + count, bytes[from..<from + count].allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
            return bytes[from..<from + count].reduce(0) { $0 * 10 + Int($1 - 0x30) }
        }
        guard let month = number(5, 2), let day = number(8, 2), let hour = number(11, 2), let minute = number(14, 2), let second = number(17, 2),
            number(0, 4) != nil, (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second <= 60, bytes[4] == 0x2D, bytes[7] == 0x2D,
            [0x54, 0x74].contains(bytes[10]), bytes[13] == 0x3A, bytes[16] == 0x3A
        else { return false }
        var rest = bytes[19...]
        if rest.first == 0x2E {
            let digits = rest.dropFirst().prefix { (0x30...0x39).contains($0) }
            if digits.isEmpty { return false }
            rest = rest.dropFirst(digits.count + 1)
        }
        if rest.elementsEqual("Z".utf8) || rest.elementsEqual("z".utf8) { return true }
        let zone = rest.startIndex
        guard rest.count == 6, [0x2B, 0x2D].contains(bytes[zone]), bytes[zone + 3] == 0x3A, let hours = number(zone + 1, 2), let minutes = number(zone + 4, 2)
        else { return false }
        return hours < 24 && minutes < 60
    }
}
