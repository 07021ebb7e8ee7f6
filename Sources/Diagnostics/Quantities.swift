/// A number of bytes as people read it: `17B`, `1.5MiB`, `12GiB`; units are powers of 1024.
public func readableSize(_ bytes: Int) -> String {
    var value = Double(bytes)
    var unit = "B"
    for next in ["KiB", "MiB", "GiB", "TiB"] where value >= 1024 {
        value /= 1024
        unit = next
    }
    if unit == "B" { return "\(bytes)B" }
    return value < 10 ? "\((value * 10).rounded() / 10)\(unit)" : "\(Int(value.rounded()))\(unit)"
}
