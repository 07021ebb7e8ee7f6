import Manifests
import Testing
import Transport

@testable import Registry

@Suite struct ChallengeTests {
    @Test func parametersInAnyOrderWithCommasInside() {
        let text = #"Bearer scope="repository:a/b:pull,push",realm="https://auth.example/token",service="r\"x""#
        #expect(
            Challenge.parse(text) == [
                Challenge(scheme: "bearer", parameters: ["scope": "repository:a/b:pull,push", "realm": "https://auth.example/token", "service": "r\"x"])
            ])
    }

    @Test func severalInOneHeader() {
        let challenges = Challenge.parse(#"Basic realm="x", BEARER Realm=https , error="e""#)
        #expect(challenges.map(\.scheme) == ["basic", "bearer"])
        #expect(challenges[1].parameters == ["realm": "https", "error": "e"])
    }

    @Test(arguments: ["", ",", "=", "\"", "Bearer", "Bearer realm=\"open", "a=b", "Bearer ,,, realm=", "\\"])
    func nonsenseEnds(text: String) { #expect(Challenge.parse(text).count <= 1) }
}

@Suite struct PlatformTests {
    @Test func variants() throws {
        let arm = try Platform("linux/arm64")
        #expect(arm.suitability(of: Platform(os: "linux", architecture: "arm64", variant: "v8")) == 3)
        #expect(try Platform("linux/arm/v7").suitability(of: Platform(os: "linux", architecture: "arm", variant: "v6")) == 0)
        #expect(try Platform("linux/amd64").suitability(of: Platform(os: "windows", architecture: "amd64")) == 0)
        #expect(throws: SourceError.badPlatform("amd64")) { try Platform("amd64") }
    }
}

@Suite struct WebAddressTests {
    @Test func redirectsAndOrigins() throws {
        let address = try #require(WebAddress("https://Registry.example/v2/a"))
        #expect(address.port == "443")
        #expect(address.following("/x?sig=secret")?.description == "https://registry.example/x")
        #expect(try #require(address.following("https://registry.example:443/y")).hasOrigin(of: address))
        #expect(try !#require(address.following("//other.example/y")).hasOrigin(of: address))
        #expect(try !#require(WebAddress("http://registry.example/")).hasOrigin(of: address))
        #expect(address.following("file:///etc/passwd") == nil)
        #expect(WebAddress("ftp://a/b") == nil)
        #expect(WebAddress("https://") == nil)
    }

    @Test func queries() { #expect(queryEncoded("repository:a/b:pull é") == "repository%3Aa%2Fb%3Apull%20%C3%A9") }
}
