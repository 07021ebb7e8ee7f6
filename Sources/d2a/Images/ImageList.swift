import AppC
import ArgumentParser
import Diagnostics
import Digest
import Glibc
import Store

extension Image {
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list",
            abstract: "List the images in the store.",
            discussion: "The size is that of the image and of the trees rendered from it. JSON has all fields, and times in nanoseconds.")

        enum Field: String, ExpressibleByArgument, CaseIterable {
            case id, name, size, importtime, lastused

            var title: String {
                switch self {
                case .importtime: "IMPORT TIME"
                case .lastused: "LAST USED"
                default: rawValue.uppercased()
                }
            }
        }
        enum Sort: String, ExpressibleByArgument, CaseIterable { case name, importtime, lastused, size }
        enum Order: String, ExpressibleByArgument, CaseIterable { case asc, desc }
        enum Format: String, ExpressibleByArgument, CaseIterable {
            case json
            case pretty = "json-pretty"
        }

        @OptionGroup var global: GlobalOptions
        @Flag(help: "Show whole IDs, and sizes in bytes.") var full = false
        @Flag(help: "Leave out the line of headings.") var noLegend = false
        @Option(help: ArgumentHelp("Columns: id, name, size, importtime, lastused.", valueName: "field,…")) var fields = "id,name,size,importtime,lastused"
        @Option(help: ArgumentHelp("Sort by these.", valueName: "field,…")) var sort = "importtime"
        @Option(help: "In which order.") var order: Order = .asc
        @Option(help: "json or json-pretty; a table where it isn't given.") var format: Format?

        private struct Row: Encodable {
            var id: String
            var sha256: String
            var name: String
            var import_time: Int
            var last_used_time: Int
            var size: Int
        }

        func validate() throws {
            _ = try parsed("--fields", fields, Field.self)
            _ = try parsed("--sort", sort, Sort.self)
        }

        private func parsed<T: RawRepresentable & CaseIterable>(_ option: String, _ text: String, _ type: T.Type) throws -> [T] where T.RawValue == String {
            try text.split(separator: ",").map { word in
                guard let value = T(rawValue: String(word)) else {
                    throw ValidationError("\(option): \"\(word)\" is not one of \(T.allCases.map(\.rawValue).joined(separator: ", "))")
                }
                return value
            }
        }

        func run() throws {
            let store = try global.store()
            var trees: [String: Int] = [:]
            for tree in (try? store.trees()) ?? [] { if let top = tree.images.first { trees[top, default: 0] += tree.size } }
            let keys = try parsed("--sort", sort, Sort.self)
            func precedes(_ left: ImageRecord, _ right: ImageRecord) -> Bool {
                for key in keys {
                    let (a, b): (String, String)
                    switch key {
                    case .name: (a, b) = (left.displayName, right.displayName)
                    case .importtime: (a, b) = (Self.sortable(left.importTime), Self.sortable(right.importTime))
                    case .lastused: (a, b) = (Self.sortable(left.lastUse ?? 0), Self.sortable(right.lastUse ?? 0))
                    case .size: (a, b) = (Self.sortable(left.size + (trees[left.id] ?? 0)), Self.sortable(right.size + (trees[right.id] ?? 0)))
                    }
                    if a != b { return order == .asc ? a < b : a > b }
                }
                return left.id < right.id
            }
            let records = try store.images().sorted(by: precedes)
            if let format {
                let rows = records.map {
                    Row(
                        id: $0.id, sha256: $0.sha256, name: $0.displayName, import_time: $0.importTime * 1_000_000_000,
                        last_used_time: ($0.lastUse ?? 0) * 1_000_000_000, size: $0.size + (trees[$0.id] ?? 0))
                }
                print(rows.isEmpty ? "null" : try CanonicalJSON.text(rows, pretty: format == .pretty))
                return
            }
            let columns = try parsed("--fields", fields, Field.self)
            var rows = records.map { record in
                columns.map { field in
                    let size = record.size + (trees[record.id] ?? 0)
                    switch field {
                    case .id: return full ? record.id : String(record.id.prefix(19))
                    case .name: return printable(record.displayName)
                    case .size: return full ? String(size) : Human.size(size)
                    case .importtime: return Human.time(record.importTime)
                    case .lastused: return Human.time(record.lastUse ?? record.importTime)
                    }
                }
            }
            if !noLegend { rows.insert(columns.map(\.title), at: 0) }
            print(Table.text(rows), terminator: "")
        }

        /// So many digits that numbers sort as text does.
        private static func sortable(_ number: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, 20 - digits.utf8.count)) + digits
        }
    }
}
