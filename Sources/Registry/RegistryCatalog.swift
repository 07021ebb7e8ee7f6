import AppC
import Credentials
import Transport

/// What a registry has: its repositories and their tags, page by page (OCI distribution-spec, "Content Discovery"; the catalogue is
/// distribution's own).
public struct RegistryCatalog {
    private let client: RegistryClient

    /// - Parameter access: where it is asked, by the name of any repository.
    /// - Throws: ``RegistryError``
    public init(_ access: RegistryAccess, _ options: RegistryOptions) throws {
        guard let place = access.places.last(where: { !$0.isMirror }) else { preconditionFailure("a registry is its own last place") }
        client = RegistryClient(try RegistryServer(place, options))
    }

    private struct Page: Decodable {
        var repositories: [String]?
        var tags: [String]?
    }

    /// All repositories, in the registry's order.
    public func repositories() throws -> [String] { try pages("/_catalog?n=1000", what: "its catalogue") { $0.repositories ?? [] } }

    /// All tags of a repository.
    public func tags(of repository: String) throws -> [String] {
        try pages("/\(repository)/tags/list?n=1000", what: "the tags of \(repository)") { $0.tags ?? [] }
    }

    private func pages(_ first: String, what: String, _ items: (Page) -> [String]) throws -> [String] {
        var result: [String] = []
        var path = first
        // A registry that leads in circles is not followed for ever.
        for _ in 0..<100_000 {
            let (response, body) = try client.get(path)
            guard response.isSuccess else { throw client.server.refusal(response, what: what) }
            guard let page = try? CanonicalJSON.decode(Page.self, from: body) else {
                throw RegistryError.invalid(client.server.reference, reason: "\(what) can't be understood")
            }
            result += items(page)
            guard let next = response.headers.all("link").lazy.compactMap(Self.next).first, next != path else { return result }
            path = next
        }
        throw RegistryError.invalid(client.server.reference, reason: "\(what) has no end")
    }

    /// Where the next page is, below `/v2` (RFC 8288): `</v2/_catalog?last=b&n=2>; rel="next"`.
    static func next(_ link: String) -> String? {
        guard let open = link.firstIndex(of: "<"), let close = link.firstIndex(of: ">"), open < close, link[close...].contains("next") else { return nil }
        let target = link[link.index(after: open)..<close]
        guard let place = target.firstRange(of: "/v2/") else { return nil }
        return "/" + target[place.upperBound...]
    }
}
