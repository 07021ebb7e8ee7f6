import ACI
import Archive
import CArchive
import Diagnostics
import Files
import Glibc
import Squash

/// An ACI could not be unpacked.
public enum RenderError: DiagnosedError, Equatable {
    case unreadable(reason: String)
    case entry(name: String, reason: String)
    case noRootfs
    case notConfined(code: Int32)
    /// A file belongs to somebody who isn't in this user namespace.
    case noOwner(name: String, user: Int64, group: Int64)

    public var diagnosis: Diagnosis {
        switch self {
        case .unreadable(let reason): Diagnosis("the image can't be read: \(reason)", hint: "remove it with d2a image rm and fetch it again")
        case .entry(let name, let reason):
            Diagnosis("can't unpack \(name): \(reason)", hint: "see whether the disk is full and whether the image is one that you trust")
        case .noRootfs: Diagnosis("the image has no rootfs", hint: "remove it with d2a image rm and fetch it again")
        case .noOwner(let name, let user, let group):
            Diagnosis(
                "\(name) belongs to user \(user) and group \(group) of the image, more than you have",
                hint: "give yourself more of them in /etc/subuid and /etc/subgid")
        case .notConfined(let code): Diagnosis("can't enter the directory to unpack in: \(errorText(code))", hint: "unpacking an image to run it needs root")
        }
    }
}

/// Unpacks the rootfs of an ACI, over libarchive.
public final class Renderer {
    /// Makes a directory this process's whole world, so that nothing the archive says can reach outside.
    /// - Throws: ``RenderError/notConfined(code:)``
    public static func confine(to directory: Directory) throws(RenderError) {
        guard fchdir(directory.descriptor) == 0, chroot(".") == 0, chdir("/") == 0 else { throw .notConfined(code: errno) }
    }

    /// Unpacks what a chain of images shows into `rootfs` in the working directory, with owners, modes, times and those extended
    /// attributes that carry meaning inside an image.
    /// - Parameter images: the image, and then those below it, which it depends on; with each how many, it first, are it and those it
    ///   depends on.
    /// - Parameter whole: shows all that is in a single image, whatever its whitelist says.
    /// - Parameter owners: who can own files. Where no devices can be made, those of the images are left out.
    /// - Throws: ``RenderError``, `ManifestError`, `ACIError`.
    public static func render(_ images: [(file: OpenFile, span: Int)], whole: Bool = false, owners: FileOwners) throws {
        let chain = ImageChain(images)
        let renderer = Renderer(owners)
        do {
            if try whole || chain.isPlain() {
                let reader = try TarReader(chain.open(0, checked: true))
                var found = false
                while let entry = try reader.next() {
                    guard case let parts = entry.path.split(separator: UInt8(ascii: "/")), parts.first?.elementsEqual(rootfs) == true else { continue }
                    found = true
                    try renderer.write(entry, reader)
                }
                guard found else { throw RenderError.noRootfs }
            } else {
                var squasher = Squasher(chain)
                // What is on disk can't be taken back.
                try squasher.plan()
                try squasher.write { entry, reader, _ in try renderer.write(ACIWriter.member(entry), reader) }
            }
        } catch let failure as LayerError {
            throw RenderError.unreadable(reason: failure.error.description)
        } catch let failure as ArchiveError {
            throw RenderError.unreadable(reason: failure.description)
        }
        // Directories get their modes and times now, when nothing is written below them any more.
        guard renderer.acceptable(archive_write_close(renderer.disk)) else { throw RenderError.entry(name: "directories", reason: renderer.message) }
    }

    /// Passes on what a chain of images shows, without unpacking it, by paths below its root.
    /// - Throws: ``RenderError``, `ManifestError`, `ACIError`, and errors of `body`.
    public static func entries(of images: [(file: OpenFile, span: Int)], _ body: (TarEntry, (any MemberReader)?) throws -> Void) throws {
        do {
            var squasher = Squasher(ImageChain(images))
            // What was passed on can't be taken back.
            try squasher.plan()
            try squasher.write { entry, reader, _ in try body(entry, reader) }
        } catch let failure as LayerError {
            throw RenderError.unreadable(reason: failure.error.description)
        }
    }

    private static let rootfs = Array("rootfs".utf8)

    private let disk: OpaquePointer
    private let header: OpaquePointer
    private let owners: FileOwners

    private init(_ owners: FileOwners) {
        self.owners = owners
        guard let disk = archive_write_disk_new(), let header = archive_entry_new() else { fatalError("libarchive: out of memory") }
        (self.disk, self.header) = (disk, header)
        let options =
            ARCHIVE_EXTRACT_OWNER | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_XATTR | ARCHIVE_EXTRACT_UNLINK | ARCHIVE_EXTRACT_SPARSE
            | ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS
        archive_write_disk_set_options(disk, options)
        umask(0)
    }

    deinit {
        archive_write_free(disk)
        archive_entry_free(header)
    }

    /// Parents are made as the layout says, before their entries: none is made on the way with a wrong owner.
    private func write(_ entry: TarEntry, _ reader: (any MemberReader)?) throws {
        if !owners.makeDevices, entry.kind == .characterDevice || entry.kind == .blockDevice { return }
        let name = String(decoding: entry.path, as: UTF8.self)
        guard let owner = owners.owner(entry.uid, entry.gid) else { throw RenderError.noOwner(name: name, user: entry.uid, group: entry.gid) }
        fill(entry)
        archive_entry_set_uid(header, owner.user)
        archive_entry_set_gid(header, owner.group)
        guard acceptable(archive_write_header(disk, header)) else { throw RenderError.entry(name: name, reason: message) }
        if entry.size > 0 {
            try reader?.data {
                guard archive_write_data(disk, $0.baseAddress, $0.count) == $0.count else { throw RenderError.entry(name: name, reason: message) }
            }
        }
        guard acceptable(archive_write_finish_entry(disk)) else { throw RenderError.entry(name: name, reason: message) }
    }

    private func fill(_ entry: TarEntry) {
        archive_entry_clear(header)
        Self.withText(entry.path) { archive_entry_copy_pathname(header, $0) }
        let type: mode_t =
            switch entry.kind {
            case .file, .hardLink: Glibc.S_IFREG
            case .directory: Glibc.S_IFDIR
            case .symbolicLink: Glibc.S_IFLNK
            case .characterDevice: Glibc.S_IFCHR
            case .blockDevice: Glibc.S_IFBLK
            case .fifo: Glibc.S_IFIFO
            }
        archive_entry_set_filetype(header, UInt32(type))
        archive_entry_set_perm(header, mode_t(entry.mode))
        archive_entry_set_mtime(header, Int(entry.mtime), Int(entry.mtimeNanoseconds))
        archive_entry_set_size(header, entry.size)
        if entry.kind == .hardLink { Self.withText(entry.linkTarget) { archive_entry_copy_hardlink(header, $0) } }
        if entry.kind == .symbolicLink { Self.withText(entry.linkTarget) { archive_entry_copy_symlink(header, $0) } }
        if entry.kind == .characterDevice || entry.kind == .blockDevice {
            archive_entry_set_rdevmajor(header, dev_t(entry.deviceMajor))
            archive_entry_set_rdevminor(header, dev_t(entry.deviceMinor))
        }
        // Attributes that would speak to this host and not to the image (`trusted.*`, security labels) are dropped, as rkt and
        // Docker do.
        for attribute in entry.xattrs where attribute.name.elementsEqual("security.capability".utf8) || attribute.name.starts(with: "user.".utf8) {
            Self.withText(attribute.name) { archive_entry_xattr_add_entry(header, $0, attribute.value, attribute.value.count) }
        }
    }

    private static func withText(_ bytes: [UInt8], _ body: (UnsafePointer<CChar>) -> Void) {
        (bytes + [0]).withUnsafeBytes { body($0.baseAddress!.assumingMemoryBound(to: CChar.self)) }
    }

    /// In the C locale names outside ASCII bring a warning and are kept as they are.
    private func acceptable(_ code: Int32) -> Bool { code == ARCHIVE_OK || (code == ARCHIVE_WARN && message.contains("can't be converted")) }

    private var message: String { archive_error_string(disk).map { String(cString: $0) } ?? "unknown error" }
}
