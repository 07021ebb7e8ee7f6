import AppC
import Testing

@Suite struct QuantityTests {
    @Test func amountsAreExact() throws {
        let amounts: [(String, Int128)] = [
            ("1", 1_000_000_000), ("500m", 500_000_000), ("15m", 15_000_000), ("0.3", 300_000_000), ("1n", 1), ("2u", 2000), ("1e3", 1_000_000_000_000),
            ("1.5e-1", 150_000_000), ("128974848", 128_974_848_000_000_000), ("125952Ki", 128_974_848_000_000_000), ("123Mi", 128_974_848_000_000_000),
            ("2G", 2_000_000_000_000_000_000), ("1E", 1_000_000_000_000_000_000_000_000_000), ("-3", -3_000_000_000), ("+.5", 500_000_000), ("0", 0),
        ]
        for (text, nano) in amounts { #expect(Quantity(text)?.nano == nano, "\(text)") }
        // What is finer than a billionth is rounded up, and whole units too.
        #expect(Quantity("0.0000000001")?.nano == 1)
        #expect(Quantity("1500m")?.units == 2)
        #expect(Quantity("1Ei")?.units == 1 << 60)
    }

    @Test func whatIsNone() {
        for text in ["", ".", "m", "1x", "1 G", "1.2.3", "1e", "1e99", "0x10", "99999999999999999999999999999999999999999", "1KiB", "٣"] {
            #expect(Quantity(text) == nil, "\(text)")
        }
    }
}
