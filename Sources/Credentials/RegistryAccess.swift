import Diagnostics
import Reference
import Registries

/// All that is known of where an image may be asked for, and how each place lets us in. Whoever asks needs none of our files.
public struct RegistryAccess: Sendable, Codable {
    /// A host, which gets what is kept for it and nothing of another's.
    public struct Place: Sendable, Codable {
        private var name: String
        public var credential: Credential?
        public var tls: TLSMaterial?
        /// Plain HTTP and any certificate will do.
        public var insecure: Bool
        public var isMirror: Bool

        public init(_ reference: ImageReference, credential: Credential? = nil, tls: TLSMaterial? = nil, insecure: Bool = false, isMirror: Bool = false) {
            (name, self.credential, self.tls, self.insecure, self.isMirror) = (reference.description, credential, tls, insecure, isMirror)
        }

        /// What is asked for there.
        public func reference() throws(ReferenceError) -> ImageReference { try ImageReference(name) }
    }

    /// In the order in which they are tried: mirrors, and the registry itself at the end.
    public var places: [Place]

    public init(places: [Place]) { self.places = places }

    /// Looks through the files of whoever runs this.
    /// - Parameter option: `USER:PASSWORD` for the registry itself, in place of what the files have.
    public init(option: String?, for reference: ImageReference) throws {
        places = try RegistriesConfiguration.read().places(for: reference).map { place in
            Place(
                place.reference, credential: try Credential(option: place.isMirror ? nil : option, for: place.reference),
                tls: try TLSFiles().find(registry: place.reference.registry), insecure: place.insecure, isMirror: place.isMirror)
        }
    }
}
