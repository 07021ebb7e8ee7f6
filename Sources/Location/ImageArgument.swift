import AppC
import Digest
import Files
import Reference

/// What a person means by an image: one that is stored, or where one is (docs/trust.md).
public enum ImageArgument: Sendable, Hashable {
    /// `sha512-1e9d`
    case stored(ImageIDPrefix)
    /// `https://example.com/app.aci`
    case web(String)
    /// `appc:example.com/app:1.0.0`, `example.com/app,os=linux`
    case appc(AppName)
    /// `example.com/app:1.0.0`, which a registry may have, or discovery find.
    case either(ImageReference, AppName)
    /// A file, a layout, the Docker engine, a registry.
    case place(ImageLocation)

    /// - Throws: `ReferenceError`, ``LocationError``, `AppNameError`.
    public init(_ text: String) throws {
        if let prefix = ImageIDPrefix(text) {
            self = .stored(prefix)
        } else if ["sha512-", "sha256-"].contains(where: { text.hasPrefix($0) }) {
            throw LocationError.badID(text)
        } else if ["http://", "https://"].contains(where: { text.lowercased().hasPrefix($0) }) {
            // It would stand in lists, in the store and in messages.
            guard !text.drop(while: { $0 != ":" }).dropFirst(3).prefix(while: { !"/?#".contains($0) }).contains("@") else {
                throw LocationError.passwordInAddress
            }
            self = .web(text)
        } else if text.hasPrefix("appc:") {
            self = .appc(try AppName(String(text.dropFirst("appc:".count))))
        } else if text.hasPrefix("file://") {
            self = .place(.file(path: String(text.dropFirst("file://".count)), image: nil))
        } else if text.contains(","), !OpenFile.isFile(text) {
            self = .appc(try AppName(text))
        } else {
            let location = try ImageLocation(text)
            // Only what may be a host of the web, without a port, can be discovered.
            if case .registry(let reference) = location, !text.hasPrefix("docker:"), let host = text.split(separator: "/").first, host != text,
                host.contains("."),
                !host.contains(":"), let name = try? AppName(text)
            {
                self = .either(reference, name)
            } else {
                self = .place(location)
            }
        }
    }
}
