/// The words of a command that takes images with options of their own:
///
///     [OPTION…] IMAGE [APP-OPTION…] [-- ARG…] [---] IMAGE …
///
/// Options of the pod may stand anywhere. `---` ends a list of arguments, and does nothing elsewhere.
public struct AppWords: Sendable, Equatable {
    public var image: String
    public var options: [String] = []
    public var arguments: [String] = []
}

/// What those words are told apart by.
public struct CommandGrammar: Sendable {
    /// Options of an image, without dashes.
    public var ofApp: Set<String>
    /// Options of either kind that take no value.
    public var switches: Set<String>
    /// Options that may do without their value, with the values that are taken from the next word.
    public var optional: [String: (whenMissing: String, known: Set<String>)]

    public init(ofApp: Set<String>, switches: Set<String>, optional: [String: (whenMissing: String, known: Set<String>)] = [:]) {
        (self.ofApp, self.switches, self.optional) = (ofApp, switches, optional)
    }

    /// - Returns: the pod's own options, as `--NAME=VALUE` or `--SWITCH`, and each image with its own.
    /// - Throws: ``GrammarError``
    public func split(_ words: [String]) throws(GrammarError) -> (pod: [String], apps: [AppWords]) {
        var pod: [String] = []
        var apps: [AppWords] = []
        var hasArguments = false
        var index = 0
        while index < words.count {
            let word = words[index]
            index += 1
            if word == "---" { continue }
            if word == "--" {
                guard !apps.isEmpty else { continue }
                guard !hasArguments else { throw .secondArguments(image: apps[apps.count - 1].image) }
                hasArguments = true
                while index < words.count, words[index] != "---" {
                    apps[apps.count - 1].arguments.append(words[index])
                    index += 1
                }
                index += 1
                continue
            }
            guard word.hasPrefix("-"), word != "-" else {
                if word.isEmpty { throw .emptyImage }
                apps.append(AppWords(image: word))
                hasArguments = false
                continue
            }
            let (name, option) = option(word, words, &index)
            if !ofApp.contains(name) {
                pod += option
            } else if apps.isEmpty {
                // A mount before the first image is for all apps.
                guard name == "mount" else { throw .beforeImage(option: name) }
                pod += option.map { "--mount-all" + $0.drop { $0 != "=" } }
            } else {
                apps[apps.count - 1].options += option
            }
        }
        return (pod, apps)
    }

    /// One option with its value, which may be the next word.
    private func option(_ word: String, _ words: [String], _ index: inout Int) -> (name: String, words: [String]) {
        let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts[0].drop { $0 == "-" })
        if parts.count == 2 {
            guard switches.contains(name), let value = Bool(String(parts[1])) else { return (name, [word]) }
            return (name, value ? [String(parts[0])] : [])
        }
        if switches.contains(name) { return (name, [word]) }
        let next = index < words.count ? words[index] : nil
        if let (whenMissing, known) = optional[name] {
            guard let next, known.contains(next) else { return (name, ["\(word)=\(whenMissing)"]) }
            index += 1
            return (name, ["\(word)=\(next)"])
        }
        guard let next, next != "--", next != "---" else { return (name, [word]) }
        index += 1
        return (name, ["\(word)=\(next)"])
    }
}
