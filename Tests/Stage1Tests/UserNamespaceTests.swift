import Testing

@testable import Stage1

@Suite struct UserNamespaceTests {
    @Test func subordinateUsersAreFoundByNameAndByNumber() {
        let file = Array("other:100000:65536\nbroken\nann:x:5\nann:200000:65536\n1001:300000:10\n".utf8)
        func range(_ user: UInt32, _ name: String?) -> [UInt32]? { UserNamespace.range(in: file, of: user, name: name).map { [$0.start, $0.count] } }
        #expect(range(1000, "ann") == [200000, 65536])
        #expect(range(1001, nil) == [300000, 10])
        #expect(range(1002, "bob") == nil)
    }
}
