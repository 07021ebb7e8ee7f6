import Batch
import Diagnostics
import Image
import Location
import Threads

/// Which image of a batch writes to which file: of those that would write to the same one the first in the list does, whichever
/// thread is faster.
final class OutputNames: Sendable {
    private struct State {
        var owners: [String: Int] = [:]
        /// Images whose names are known only when they have been opened, and haven't been.
        var unknown: [Int] = []
    }
    private let state: Monitor<State>
    private let references: [String]
    private let template: NameTemplate?

    init(_ plan: BatchPlan, _ template: NameTemplate?) {
        self.template = template
        references = plan.items.map(\.reference)
        var state = State()
        for (index, item) in plan.items.enumerated() {
            if let name = Self.name(item, template) {
                if state.owners[name] == nil { state.owners[name] = index }
            } else if plan.chosen.contains(index) {
                state.unknown.append(index)
            }
        }
        self.state = Monitor(state)
    }

    /// A name that shows before the image is opened.
    private static func name(_ item: BatchItem, _ template: NameTemplate?) -> String? {
        if let output = item.options.output { return output }
        guard let reference = (try? ImageLocation(item.reference))?.reference else { return nil }
        let name = ImageName(registry: reference.registry, repository: reference.repository, tag: reference.tag, original: reference.original)
        return template.map { $0.name(name, nil) } ?? Docker2ACI.fileName(name)
    }

    /// What an image that was opened is called.
    func name(_ item: BatchItem, _ image: SourceImage) -> String {
        item.options.output ?? template?.name(image.name, image) ?? Docker2ACI.fileName(image.name)
    }

    /// Takes a name for an image, once those before it in the list have theirs.
    /// - Throws: ``NameTaken``
    func claim(_ index: Int, _ name: () -> String) throws -> String {
        let name = name()
        let owner = state.wait { state -> Int? in
            guard !state.unknown.contains(where: { $0 < index }) || !state.unknown.contains(index) else { return nil }
            if state.owners[name] == nil { state.owners[name] = index }
            return state.owners[name]
        }
        settle(index)
        guard owner == index else { throw NameTaken(name: name, owner: references[owner]) }
        return name
    }

    /// Nobody has to wait for an image's name any more.
    func settle(_ index: Int) { state.update { state in state.unknown.removeAll { $0 == index } } }
}

/// Another image of the list is written to the same file.
struct NameTaken: DiagnosedError {
    var name: String
    var owner: String
    var diagnosis: Diagnosis {
        Diagnosis("\(name) is already that of \(owner)", hint: "give it another output in the list, or remove the file")
    }
}
