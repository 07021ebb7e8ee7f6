import Digest

/// Numbers of images of before 2016. Anything else has been used to write outside of where it should be (CVE-2016-8579).
public enum LegacyID {
    public static func isValid(_ text: String) -> Bool { Digest(algorithm: .sha256, hex: text) != nil }
}
