import Archive
import CArchive
import Diagnostics
import Files
import Glibc

/// An ACI could not be unpacked.
public enum RenderError: DiagnosedError, Equatable {
    case unreadable(reason: String)
    case entry(name: String, reason: String)
    case noRootfs
    case notConfined(code: Int32)

    public var diagnosis: Diagnosis {
        switch self {
        case .unreadable(let reason): Diagnosis("the image can't be read: \(reason)", hint: "remove it with d2a image rm and fetch it again")
        case .entry(let name, let reason):
            Diagnosis("can't unpack \(name): \(reason)", hint: "see whether the disk is full and whether the image is one that you trust")
        case .noRootfs: Diagnosis("the image has no rootfs", hint: "remove it with d2a image rm and fetch it again")
        case .notConfined(let code): Diagnosis("can't enter the directory to unpack in: \(errorText(code))", hint: "unpacking an image to run it needs root")
        }
    }
}

/// Unpacks the rootfs of an ACI, over libarchive.
public enum Renderer {
    /// Makes a directory this process's whole world, so that nothing the archive says can reach outside.
    /// - Throws: ``RenderError/notConfined(code:)``
    public static func confine(to directory: Directory) throws(RenderError) {
        guard fchdir(directory.descriptor) == 0, chroot(".") == 0, chdir("/") == 0 else { throw .notConfined(code: errno) }
    }

    /// Unpacks `rootfs` of an uncompressed ACI into the working directory, with owners, modes, times and those extended
    /// attributes that carry meaning inside an image.
    /// - Throws: ``RenderError``
    public static func render(_ aci: OpenFile) throws(RenderError) {
        guard let input = archive_read_new(), let disk = archive_write_disk_new() else { fatalError("libarchive: out of memory") }
        defer {
            archive_read_free(input)
            archive_write_free(disk)
        }
        archive_read_support_format_tar(input)
        let options =
            ARCHIVE_EXTRACT_OWNER | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_XATTR | ARCHIVE_EXTRACT_UNLINK
            | ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS
        archive_write_disk_set_options(disk, options)
        guard archive_read_open_fd(input, aci.descriptor, 1 << 18) == ARCHIVE_OK else { throw .unreadable(reason: message(input)) }

        umask(0)
        var found = false
        var entry: OpaquePointer?
        while true {
            let code = archive_read_next_header(input, &entry)
            if code == ARCHIVE_EOF { break }
            guard acceptable(code, input) else { throw .unreadable(reason: message(input)) }
            guard let entry, let path = archive_entry_pathname(entry) else { continue }
            guard strcmp(path, "rootfs") == 0 || strncmp(path, "rootfs/", 7) == 0 else { continue }
            found = true
            keepImageAttributes(entry)
            let time = TarReader.time(of: entry)
            archive_entry_set_mtime(entry, Int(time.seconds), Int(time.nanoseconds))
            let name = String(cString: path)
            // Parents are made as the layout says, before their entries: none is made on the way with a wrong owner.
            guard acceptable(archive_write_header(disk, entry), disk) else { throw .entry(name: name, reason: message(disk)) }
            try copy(input, disk, name)
            guard acceptable(archive_write_finish_entry(disk), disk) else { throw .entry(name: name, reason: message(disk)) }
        }
        // Directories get their modes and times now, when nothing is written below them any more.
        guard acceptable(archive_write_close(disk), disk) else { throw .entry(name: "directories", reason: message(disk)) }
        guard found else { throw .noRootfs }
    }

    private static func copy(_ input: OpaquePointer, _ disk: OpaquePointer, _ name: String) throws(RenderError) {
        var block: UnsafeRawPointer?
        var count = 0
        var offset: Int64 = 0
        while true {
            let code = archive_read_data_block(input, &block, &count, &offset)
            if code == ARCHIVE_EOF { return }
            guard acceptable(code, input) else { throw .unreadable(reason: message(input)) }
            guard archive_write_data_block(disk, block, count, offset) >= Int(ARCHIVE_OK) else { throw .entry(name: name, reason: message(disk)) }
        }
    }

    /// Drops attributes that would speak to this host and not to the image (`trusted.*`, security labels), as rkt and Docker do.
    private static func keepImageAttributes(_ entry: OpaquePointer) {
        guard archive_entry_xattr_reset(entry) > 0 else { return }
        var kept: [(name: String, value: [UInt8])] = []
        var name: UnsafePointer<CChar>?
        var value: UnsafeRawPointer?
        var size = 0
        while archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK {
            let text = String(cString: name!)
            if text == "security.capability" || text.hasPrefix("user.") {
                kept.append((text, Array(UnsafeRawBufferPointer(start: value, count: size))))
            }
        }
        archive_entry_xattr_clear(entry)
        for attribute in kept { archive_entry_xattr_add_entry(entry, attribute.name, attribute.value, attribute.value.count) }
    }

    /// In the C locale names outside ASCII bring a warning and are kept as they are.
    private static func acceptable(_ code: Int32, _ archive: OpaquePointer) -> Bool {
        code == ARCHIVE_OK || (code == ARCHIVE_WARN && message(archive).contains("can't be converted"))
    }

    private static func message(_ archive: OpaquePointer) -> String {
        archive_error_string(archive).map { String(cString: $0) } ?? "unknown error"
    }
}
