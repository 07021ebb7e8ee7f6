extension RuleTable {
    static let manifest: [Rule] = [
        Rule("manifest-field", .manifest, "a field of the manifest", docker: "has one value, or none", rocket: "has another, or none", matters: true),
        Rule(
            "manifest-origin", .manifest, "where the image comes from and how it was made", docker: "says this",
            rocket: "says that; nothing of it is used to run",
            matters: false),
        Rule(
            "field-lost", .manifest, "a field that should have been kept", docker: "has it", rocket: "lost it, which is a fault: please report it",
            matters: true),
        Rule(
            "command-string", .manifest, "Entrypoint or Cmd as a string", docker: "runs it as one word, blanks and all", rocket: "runs it by /bin/sh -c",
            matters: true),
        Rule(
            "relative-workdir", .manifest, "a working directory that isn't absolute", docker: "refuses to start it", rocket: "takes it from the root",
            matters: true),
        Rule(
            "env-without-value", .manifest, "a variable without a =",
            docker: "takes PATH or HOSTNAME away if it is named so, and ignores any other", rocket: "leaves it out, and keeps its own", matters: false),
        Rule("env-without-name", .manifest, "a variable without a name", docker: "refuses to start it", rocket: "leaves it out", matters: true),
        Rule(
            "env-name", .manifest, "a variable whose name appc forbids", docker: "sets it",
            rocket: "sets it by an annotation, which other appc runners don't read",
            matters: false),
        Rule(
            "relative-volume", .manifest, "a volume that isn't absolute", docker: "refuses to start it", rocket: "takes it from the root", matters: true
        ),
        Rule(
            "volume-without-name", .manifest, "a volume whose path has no letter or digit", docker: "mounts it, and starts nothing where it is /",
            rocket: "leaves it out: appc has no name for it",
            matters: true),
        Rule("port-malformed", .manifest, "an exposed port that is none", docker: "shows it to people", rocket: "leaves it out", matters: false),
        Rule("healthcheck", .manifest, "Healthcheck", docker: "runs it again and again", rocket: "keeps it as an annotation and runs nothing", matters: true),
        Rule(
            "stop-signal", .manifest, "StopSignal", docker: "sends it to end the app", rocket: "keeps it as an annotation and sends SIGTERM", matters: true),
        Rule(
            "build-only", .manifest, "what only a build reads: OnBuild, Shell", docker: "uses it when an image is built on this one",
            rocket: "keeps it as an annotation", matters: false),
        Rule(
            "unused-field", .manifest, "what the engine doesn't take from an image: Hostname, Tty, StopTimeout …", docker: "ignores it",
            rocket: "keeps it as an annotation", matters: false),
        Rule(
            "build-history", .manifest, "history, layers, versions", docker: "shows it to people", rocket: "keeps it as an annotation", matters: false),
        Rule(
            "created-malformed", .manifest, "a creation time that is none", docker: "refuses to load the image", rocket: "keeps it as an annotation",
            matters: false),
        Rule(
            "platform-unknown", .manifest, "a platform that appc has no name for", docker: "shows it", rocket: "keeps it as an annotation, without labels",
            matters: false),
    ]
}
