import AppC
import Diagnostics

extension BatchReport {
    /// For people who read a terminal or a log.
    public var text: String {
        var lines = ["\(totals.images) images: \(totals.done) converted, \(totals.skipped) unchanged, \(totals.failed) failed, \(totals.unfinished) unfinished"]
        if totals.sizeBefore > 0 {
            lines.append(
                "layers: \(readableSize(totals.sizeBefore)), of which \(readableSize(totals.sizeDistinct)) are distinct; ACIs: \(readableSize(totals.sizeAfter))"
            )
        }
        if totals.seconds > 0 {
            lines.append(
                "seconds: \(totals.secondsManifest) for manifests, \(totals.secondsLayers) waiting for layers, \(totals.secondsConvert) converting")
        }
        if totals.compared > 0 {
            lines.append("beside Docker: \(totals.same) the same, \(totals.different) different, \(totals.incomplete) not wholly compared")
        }
        if !failures.isEmpty { lines.append("failures: " + failures.map { "\($0.count) \($0.cause.rawValue)" }.joined(separator: ", ")) }
        for image in images where image.outcome == .failed {
            lines.append("failed: \(printable(image.reference)): \(printable(image.message ?? ""))")
            if let hint = image.hint { lines.append("  \(printable(hint))") }
        }
        for image in images where image.outcome == .unfinished {
            lines.append("unfinished: \(printable(image.reference))" + (image.task.map { " (task \($0))" } ?? ""))
        }
        for image in images where image.comparison == .different || image.comparison == .incomplete {
            lines.append("\(image.comparison == .different ? "different" : "not wholly compared"): \(printable(image.reference))")
        }
        return lines.map { $0 + "\n" }.joined()
    }

    public func json() throws -> String { try CanonicalJSON.text(self, pretty: true) + "\n" }

    /// A row an image, below the names of the columns (RFC 4180). A spreadsheet takes no cell for a formula.
    public var csv: String {
        let head = [
            "index", "task", "reference", "platform", "outcome", "cause", "message", "attempts", "seconds_manifest", "seconds_layers", "seconds_convert",
            "size_before", "size_own", "size_after", "layers", "output", "name", "store_id", "comparison",
        ]
        let rows = images.map { image -> [String] in
            func text<T>(_ value: T?) -> String { value.map { "\($0)" } ?? "" }
            return [
                "\(image.index)", text(image.task), image.reference, image.platform ?? "", image.outcome.rawValue, image.cause?.rawValue ?? "",
                image.message ?? "", "\(image.attempts)", "\(image.secondsManifest)", "\(image.secondsLayers)", "\(image.secondsConvert)",
                text(image.sizeBefore), text(image.sizeOwn), text(image.sizeAfter), text(image.layers), image.output ?? "", image.name ?? "",
                image.storeID ?? "",
                image.comparison?.rawValue ?? "",
            ]
        }
        return ([head] + rows).map { $0.map(Self.cell).joined(separator: ",") + "\r\n" }.joined()
    }

    private static func cell(_ text: String) -> String {
        let safe = text.first.map { "=+-@\t\r".contains($0) && Double(text) == nil } == true ? "'" + text : text
        return safe.contains { "\",\r\n".contains($0) || $0.isNewline } ? "\"" + safe.replacing("\"", with: "\"\"") + "\"" : safe
    }
}
