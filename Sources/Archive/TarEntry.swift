/// One member of a tar archive, without its data.
public struct TarEntry: Sendable, Hashable {
    public enum Kind: UInt8, Sendable {
        case file, hardLink, symbolicLink, characterDevice, blockDevice, directory, fifo
    }

    /// Names are bytes, not text.
    public var path: [UInt8]
    public var kind: Kind
    /// Permission bits with set-uid, set-gid and sticky: at most 0o7777.
    public var mode: UInt32
    public var uid: Int64
    public var gid: Int64
    public var userName: [UInt8]
    public var groupName: [UInt8]
    /// Seconds since 1970, and nanoseconds 0..<1e9 on top.
    public var mtime: Int64
    public var mtimeNanoseconds: Int32
    /// Bytes of data that follow; 0 for all kinds but `file`.
    public var size: Int64
    /// Target of a symbolic or hard link, else empty.
    public var linkTarget: [UInt8]
    public var deviceMajor: UInt32
    public var deviceMinor: UInt32
    /// Sorted by name.
    public var xattrs: [ExtendedAttribute]

    public init(
        path: [UInt8], kind: Kind, mode: UInt32, uid: Int64 = 0, gid: Int64 = 0, mtime: Int64 = 0, mtimeNanoseconds: Int32 = 0, size: Int64 = 0,
        linkTarget: [UInt8] = [], deviceMajor: UInt32 = 0, deviceMinor: UInt32 = 0, userName: [UInt8] = [], groupName: [UInt8] = [],
        xattrs: [ExtendedAttribute] = []
    ) {
        self.path = path
        self.kind = kind
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.mtime = mtime
        self.mtimeNanoseconds = mtimeNanoseconds
        self.size = size
        self.linkTarget = linkTarget
        self.deviceMajor = deviceMajor
        self.deviceMinor = deviceMinor
        self.userName = userName
        self.groupName = groupName
        self.xattrs = xattrs
    }
}

public struct ExtendedAttribute: Sendable, Hashable {
    public var name: [UInt8]
    public var value: [UInt8]

    public init(name: [UInt8], value: [UInt8]) {
        self.name = name
        self.value = value
    }
}
