extension RuleTable {
    /// What explains a difference of two trees where nothing else does: the two sides are simply not the same.
    static let filesystem: [Rule] = [
        Rule(
            "file-only-in-one", .filesystem, "a path that only one side has", docker: "shows it or not", rocket: "shows it or not", matters: true),
        Rule("file-kind", .filesystem, "a file, a directory, a link or a device", docker: "shows one kind of thing", rocket: "shows another", matters: true),
        Rule("file-mode", .filesystem, "permission bits", docker: "has these", rocket: "has others", matters: true),
        Rule("file-owner", .filesystem, "user and group", docker: "has these", rocket: "has others", matters: true),
        Rule("file-time", .filesystem, "time of the last change", docker: "has this one", rocket: "has another", matters: true),
        Rule("file-content", .filesystem, "the bytes of a file", docker: "has these", rocket: "has others", matters: true),
        Rule("file-target", .filesystem, "where a symbolic link leads", docker: "leads there", rocket: "leads elsewhere", matters: true),
        Rule("file-device", .filesystem, "the number of a device", docker: "has this one", rocket: "has another", matters: true),
        Rule("file-attribute", .filesystem, "an extended attribute", docker: "has it with one value, or not", rocket: "has another, or none", matters: true),
        Rule("file-links", .filesystem, "names that are hard links to one file", docker: "are one file", rocket: "are several", matters: true),
    ]
}
