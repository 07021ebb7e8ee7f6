import Image
import Reference

/// What an image is called that was saved to a file.
enum SavedName {
    /// What a person asks for, with the tag that goes without saying.
    static func tagged(_ wanted: String) -> String { wanted.split(separator: "/").last?.contains(":") == true ? wanted : wanted + ":latest" }

    /// The name by which the image was saved; an image saved by its id alone is named after the file.
    static func docker(_ tag: String?, path: String) -> ImageName {
        if let tag, let reference = try? ImageReference(tag) {
            // Docker writes no registry for images of the hub, other tools do; none is invented here.
            let explicit = reference.registry != ImageReference.hub || tag.prefix { $0 != "/" }.contains(".")
            let typed = tag.split(separator: "@")[0].split(separator: ":")[0]
            return ImageName(
                registry: explicit ? reference.registry : nil, repository: explicit ? reference.repository : String(typed), tag: reference.tag, original: tag)
        }
        let file = Self.file(path)
        return ImageName(registry: nil, repository: file.stem, tag: nil, original: file.name)
    }

    /// An OCI layout's `ref.name` is a whole name or, mostly, a tag alone.
    static func layout(_ reference: String?, path: String) -> ImageName {
        guard let reference, !reference.isEmpty else { return docker(nil, path: path) }
        if reference.contains("/") || reference.contains(":"), (try? ImageReference(reference)) != nil { return docker(reference, path: path) }
        let isTag = (try? ImageReference("image:\(reference)")) != nil
        return ImageName(registry: nil, repository: file(path).stem, tag: isTag ? reference : nil, original: reference)
    }

    private static func file(_ path: String) -> (name: String, stem: String) {
        let name = path.split(separator: "/").last(where: { $0 != "." }).map(String.init) ?? "image"
        return (name, name.split(separator: ".").first.map(String.init) ?? name)
    }
}
