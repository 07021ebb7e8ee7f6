import ArgumentParser
import Diagnostics
import Digest
import Files
import Glibc
import Program

/// This program invoked as `rkt`: what rkt's users type, in our words (docs/from-rkt.md). Options are renamed, those that rkt takes
/// anywhere become environment variables, and nothing is parsed here that the commands parse.
enum Rkt {
    static let isInvoked = CommandLine.arguments.first?.split(separator: "/").last == "rkt"

    /// What `rkt version` prints: the rkt whose words are understood, and what understands them.
    static let version = "rkt Version: 1.30.0+d2a.\(programVersion)\nappc Version: \(specVersion)"

    // MARK: The table

    /// What becomes of an option.
    private enum Meaning {
        /// Of any command and at any place, with a value: this variable is set.
        case variable(String)
        /// The same without a value; nil where there is nothing to set.
        case variableSwitch(String?)
        /// True where it stands alone; left out where it is false.
        case toggle
        /// Ours has a value, which stands for rkt's where that may be left out.
        case alone(String)
        /// Another option of ours.
        case replaced(String)
        /// It names a stage1 image of rkt's.
        case stage1
    }

    private static let options: [String: Meaning] = [
        "dir": .variable("D2A_DIR"), "insecure-options": .variable("D2A_INSECURE_OPTIONS"), "local-config": .variable("D2A_LOCAL_CONFIG"),
        "system-config": .variable("D2A_SYSTEM_CONFIG"), "user-config": .variable("D2A_USER_CONFIG"),
        "trust-keys-from-https": .variableSwitch("D2A_TRUST_KEYS_FROM_HTTPS"),
        // Errors are told whole anyway.
        "debug": .variableSwitch(nil),
        "no-store": .replaced("--pull-policy=update"), "store-only": .replaced("--pull-policy=never"), "net": .alone("default"), "pretty-print": .alone("true"),
        "stage1-name": .stage1, "stage1-path": .stage1, "stage1-url": .stage1, "stage1-from-dir": .stage1, "stage1-hash": .stage1,
        "full": .toggle, "no-legend": .toggle, "force": .toggle, "mark-only": .toggle, "overwrite": .toggle,
        "rootfs-only": .toggle, "root": .toggle, "skip-fingerprint-review": .toggle, "insecure-allow-http": .toggle, "quiet": .toggle, "interactive": .toggle,
        "private-users": .toggle, "inherit-env": .toggle, "mds-register": .toggle, "no-overlay": .toggle,
    ]

    /// The flavours of rkt's stage1, by what their names hold, and who stands for them here.
    private static let stage1: [(name: String, kind: String)] = [
        ("stage1-fly", "chroot"), ("stage1-coreos", "builtin"), ("stage1-src", "builtin"), ("stage1-host", "builtin"),
    ]

    private static let aliases: [[String]: [String]] = [["image", "fetch"]: ["fetch"], ["completion"]: ["--generate-completion-script"]]

    // MARK: Translating

    /// The words as our commands take them. What rkt takes of any command is in the environment from then on.
    static func translate(_ words: [String]) -> [String] {
        setenv("D2A_LOCAL_CONFIG", "/etc/rkt", 0)
        setenv("D2A_SYSTEM_CONFIG", "/usr/lib/rkt", 0)
        var rest = words[...]
        var (command, before): ([String], [String]) = ([], [])
        var known = D2A.configuration.subcommands
        // Options may stand before the command, and before that of `image`.
        while let word = rest.popFirst() {
            if word.hasPrefix("-") {
                before += option(word, &rest)
                continue
            }
            let names =
                known.map { $0._commandName }.filter { $0.hasPrefix(word) }
                + (command.isEmpty ? ["completion", "help"] : ["fetch"]).filter { $0.hasPrefix(word) }
            guard let name = names.contains(word) ? word : names.count == 1 ? names[0] : nil else { refuse(word, of: command) }
            command.append(name)
            known = known.first { $0._commandName == name }?.configuration.subcommands ?? []
            if known.isEmpty { break }
        }
        if command.isEmpty, before.isEmpty {
            complain("rkt: missing command\n")
            print(D2A.helpMessage())
            exit(2)
        }
        return (aliases[command] ?? command) + before + arguments(rest, of: command)
    }

    /// What follows the command, up to what is not ours to read: the arguments of apps, and what `enter` runs.
    private static func arguments(_ words: ArraySlice<String>, of command: [String]) -> [String] {
        var (rest, result) = (words, [String]())
        while let word = rest.popFirst() {
            if word == "--" {
                let own = rest.prefix { $0 != "---" }
                result += [word] + own
                rest = rest.dropFirst(own.count)
            } else if !word.hasPrefix("-") {
                if command == ["enter"] { return result + [word] + rest }
                result.append(word)
            } else {
                result += option(word, &rest)
                // Its value is no pod.
                if command == ["enter"], word == "--app", let name = rest.popFirst() { result.append(name) }
            }
        }
        return result
    }

    /// One option in our words.
    private static func option(_ word: String, _ rest: inout ArraySlice<String>) -> [String] {
        let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard word.hasPrefix("--"), let meaning = options[String(parts[0].dropFirst(2))] else { return [word] }
        let value = parts.count == 2 ? parts[1] : nil
        let isOff = value.flatMap(Bool.init) == false
        switch meaning {
        case .variable(let name):
            guard let value = value ?? rest.popFirst() else { return [word] }
            setenv(name, value, 1)
            return []
        case .variableSwitch(let name):
            if let name { setenv(name, isOff ? "" : "1", 1) }
            return []
        case .toggle: return isOff ? [] : value.flatMap(Bool.init) == true ? [parts[0]] : [word]
        case .alone(let missing): return value == nil ? ["\(word)=\(missing)"] : [word]
        case .replaced(let ours): return isOff ? [] : [ours]
        case .stage1:
            guard let image = value ?? rest.popFirst() else { return [word] }
            if let found = stage1.first(where: { image.contains($0.name) }) { return ["--stage1=\(found.kind)"] }
            complain("rkt: \(word) names no stage1 that can stand for rkt's\nrkt: d2a has its own: leave the option out, or give --stage1\n")
            exit(254)
        }
    }

    private static func refuse(_ word: String, of command: [String]) -> Never {
        let place = (["rkt"] + command).joined(separator: " ")
        complain("Error: unknown command \"\(printable(word))\" for \"\(place)\"\nRun '\(place) --help' for usage.\n")
        exit(254)
    }

    // MARK: Printing

    /// What begins a line of ours on standard error: the command's last word.
    static func prefix(of words: [String]) -> String { words.first == "image" && words.count > 1 ? words[1] : words.first ?? "rkt" }

    /// An ID as rkt prints it: the first 32 of its digits, or the 64 that it has for all of them.
    static func key(_ id: ImageID, full: Bool) -> String { String(id.description.prefix(7 + (full ? 64 : 32))) }
}
