/// One image of a list: where it is, as people write it, and what is to be made of it.
public struct BatchItem: Sendable, Hashable, Codable {
    /// As `docker2aci` takes it: `busybox`, `docker-archive:FILE[:NAME]`, `oci:DIRECTORY[:REF]` …
    public var reference: String
    public var options: Options

    /// What may be said of one image alone; nil for what the command says of all.
    public struct Options: Sendable, Hashable, Codable {
        /// `os/arch[/variant]`
        public var platform: String?
        /// Which image of a file that holds several.
        public var image: String?
        /// The file to write, in the batch's directory.
        public var output: String?
        /// `gzip`, `none`, `xz`, `bzip2` or `zstd`
        public var compression: String?
        public var compressionLevel: Int?

        public init(
            platform: String? = nil, image: String? = nil, output: String? = nil, compression: String? = nil, compressionLevel: Int? = nil
        ) {
            (self.platform, self.image, self.output, self.compression, self.compressionLevel) = (platform, image, output, compression, compressionLevel)
        }

        var isEmpty: Bool { self == Options() }
    }

    public init(_ reference: String, _ options: Options = Options()) { (self.reference, self.options) = (reference, options) }

    /// What its record is called: the same in every run and on every machine, another for every other item. The reference can
    /// be read in it, as far as it fits and file names allow.
    public var key: String {
        let readable = reference.utf8.suffix(100).map { byte -> Character in
            let scalar = Unicode.Scalar(byte)
            return scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar) || ".-_".unicodeScalars.contains(scalar))
                ? Character(scalar) : "_"
        }
        // FNV-1a of what tells items apart; a record says whose it is, should two ever have the same.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for field in [reference, options.platform, options.image, options.output, options.compression, options.compressionLevel.map(String.init)] {
            for byte in Array((field ?? "\u{1}").utf8) + [0] { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        }
        let digits = String(hash, radix: 16)
        return "r" + String(readable) + "-" + String(repeating: "0", count: 16 - digits.count) + digits
    }
}
