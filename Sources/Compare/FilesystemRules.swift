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
        Rule(
            "engine-mount-points", .filesystem, "what the engine puts into every container", docker: "makes .dockerenv, and places for what it mounts",
            rocket: "mounts over what is there, and leaves nothing in the image", matters: false),
        Rule(
            "console-links", .filesystem, "links in /dev", docker: "mounts a /dev of its own",
            rocket: "has stdin, stdout, stderr and fd in the image, as rkt wants them",
            matters: false),
        Rule(
            "working-directory-made", .filesystem, "the working directory", docker: "makes it when a container is made",
            rocket: "makes it when the image is converted",
            matters: false),
        Rule(
            "unnamed-parent", .filesystem, "a directory that no layer names", docker: "has the time when it was unpacked",
            rocket: "has 1970, so that the bytes never differ",
            matters: false),
        Rule(
            "made-meanwhile", .filesystem, "a directory in which the tool made something", docker: "has the time when it did",
            rocket: "has the time that the layer says",
            matters: false),
        Rule(
            "unnamed-parent-of-lower", .filesystem, "a directory that only lower layers name", docker: "makes it anew in the upper layer, 755 and root's",
            rocket: "keeps the lower layer's attributes", matters: true),
        Rule(
            "whiteout-in-missing-directory", .filesystem, "a directory that only a whiteout stands in", docker: "makes it",
            rocket: "shows nothing: a whiteout is none",
            matters: true),
        Rule(
            "whiteout-then-new-directory", .filesystem, "a directory that a layer deletes and makes again",
            docker: "shows what lower layers have in it, since the new one takes the whiteout's place", rocket: "shows what is new, as the OCI spec says",
            matters: true),
        Rule(
            "whiteout-without-its-directory", .filesystem, "a directory of which a layer has a whiteout in it and nothing else",
            docker: "makes it anew, 755 and root's", rocket: "keeps its attributes", matters: true),
        Rule(
            "whiteout-below-file", .filesystem, "a file that a layer has a whiteout below", docker: "makes a directory of it", rocket: "keeps the file",
            matters: true),
        Rule(
            "own-link-as-parent", .filesystem, "a path through a symbolic link of the same layer", docker: "follows the link",
            rocket: "follows none: a directory takes its place",
            matters: true),
        Rule(
            "lower-link-as-parent", .filesystem, "a path through a symbolic link of a lower layer",
            docker: "follows none; umoci, in its place, follows it", rocket: "follows none: a directory takes its place", matters: true),
        Rule("aufs-bookkeeping", .filesystem, "AUFS' own names", docker: "keeps the directory", rocket: "drops all of them", matters: true),
        Rule("times", .filesystem, "a time before 1970", docker: "shows 1970", rocket: "keeps it", matters: true),
        Rule(
            "export-seconds", .filesystem, "fractions of a second", docker: "leaves them out of an export, and has them in a container", rocket: "has them",
            matters: false),
        Rule(
            "export-attributes", .filesystem, "extended attributes of users", docker: "leaves them out of an export, and has them in a container",
            rocket: "has them", matters: false),
    ]
}
