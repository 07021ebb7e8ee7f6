import AppC
import Pod

extension AppLimits {
    /// What an app's isolators make of the usual limits (appc spec `ace.md#linux-isolators`).
    /// - Returns: also the names of those that are not enforced, of which the person must be told.
    /// - Throws: `PodError` where an isolator makes no sense.
    public static func of(_ isolators: [Isolator]) throws(PodError) -> (limits: AppLimits, ignored: [String]) {
        var limits = AppLimits(bounding: .standard)
        var ignored: [String] = []
        var (retained, removed): (Capabilities?, Capabilities?) = (nil, nil)
        for isolator in isolators {
            switch isolator.name {
            case "os/linux/capabilities-retain-set": retained = (retained ?? []).union(try set(isolator))
            case "os/linux/capabilities-remove-set": removed = (removed ?? []).union(try set(isolator))
            case "os/linux/no-new-privileges":
                guard case .bool(let value) = isolator.value else { throw .unusable(what: "value of \(isolator.name)", value: text(isolator)) }
                limits.noNewPrivileges = value
            case "os/linux/oom-score-adj":
                guard case .integer(let value) = isolator.value, (-1000...1000).contains(value) else {
                    throw .unusable(what: "value of \(isolator.name)", value: text(isolator))
                }
                limits.oomScoreAdjust = Int(value)
            default: ignored.append(isolator.name)
            }
        }
        if retained != nil, removed != nil { throw .unusable(what: "pair of isolators", value: "capabilities-retain-set and capabilities-remove-set") }
        if let retained { limits.bounding = retained }
        if let removed { limits.bounding.subtract(removed) }
        return (limits, ignored)
    }

    private static func set(_ isolator: Isolator) throws(PodError) -> Capabilities {
        guard case .array(let names)? = isolator.value["set"], !names.isEmpty else { throw .unusable(what: "value of \(isolator.name)", value: text(isolator)) }
        var result: Capabilities = []
        for name in names {
            guard let name = name.string, let capability = Capabilities(name: name) else { throw .unusable(what: "capability", value: name.string ?? "?") }
            result.insert(capability)
        }
        return result
    }

    private static func text(_ isolator: Isolator) -> String { (try? CanonicalJSON.text(isolator.value)) ?? "?" }
}
