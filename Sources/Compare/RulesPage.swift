/// docs/docker-vs-rocket.md, made of the rules that the program has.
public enum RulesPage {
    public static let markdown: String = {
        var text = """
            # Docker and rocket

            What Docker makes of an image and what d2a makes of it, with rocket's rules, where it isn't the same. `d2a compare IMAGE` shows which of these an
            image has; each difference that it lists names its rule. This page is made of the program's own table: `d2a compare --rules` prints it.

            The exit status of `d2a compare` counts rules that matter: those that software in the image, or people who run it, can tell.


            """
        let sections = [(PartName.manifest, "Manifest", "Docker"), (.filesystem, "File system", "Docker"), (.process, "Process", "Docker")]
        for (part, heading, engine) in sections + [(.process, "Process, where podman isn't as Docker", "podman")] {
            let rules = RuleTable.all.filter { $0.part == part && $0.engine == engine && !$0.id.hasPrefix("file-") }
            text += "## \(heading)\n\n| rule | what differs | \(engine) | d2a | matters |\n|---|---|---|---|---|\n"
            for rule in rules { text += "| `\(rule.id)` | \(rule.title) | \(rule.docker) | \(rule.rocket) | \(rule.matters ? "yes" : "no") |\n" }
            text += "\n"
        }
        text += """
            Differences of files that none of these explains are named `file-` and what differs: `file-mode`, `file-owner`, `file-content` … How layers become one
            tree, with more differences of other tools, is in [layers.md](layers.md).

            """
        return text
    }()
}
