/// A picture of quantities, one or two a line.
public struct Bars {
    public struct Bar {
        public var label: String
        public var left: Int
        public var right: Int?

        public init(_ label: String, left: Int, right: Int? = nil) { (self.label, self.left, self.right) = (label, left, right) }
    }

    public var bars: [Bar]
    /// How a quantity is written.
    public var text: (Int) -> String

    public init(_ bars: [Bar], text: @escaping (Int) -> String = { "\($0)" }) { (self.bars, self.text) = (bars, text) }

    public var markup: Markup {
        let largest = max(1, bars.map { max($0.left, $0.right ?? 0) }.max() ?? 1)
        let (labelWidth, room, total) = (250, 610, 960)
        var shapes: [Markup] = []
        var y = 0
        func bar(_ value: Int, _ style: String, _ height: Int) {
            let length = max(value > 0 ? 2 : 0, Int(Double(value) / Double(largest) * Double(room)))
            let place: [(String, String)] = [("x", "\(labelWidth)"), ("y", "\(y)"), ("width", "\(length)"), ("height", "\(height)"), ("rx", "2")]
            shapes.append(.element("rect", [("class", style)] + place))
            shapes.append(.element("text", [("class", "soft"), ("x", "\(labelWidth + length + 6)"), ("y", "\(y + height - 1)")], text(value)))
            y += height + 2
        }
        for item in bars {
            let height = item.right == nil ? 14 : 11
            let middle = y + (item.right == nil ? 12 : 16)
            shapes.append(
                .element(
                    "text", [("x", "\(labelWidth - 8)"), ("y", "\(middle)"), ("text-anchor", "end")],
                    [.element("title", [], item.label), .text(Self.short(item.label))]))
            bar(item.left, "left", height)
            if let right = item.right { bar(right, "right", height) }
            y += 6
        }
        return .element("div", [("class", "wide")], [.element("svg", [("viewBox", "0 0 \(total) \(max(1, y))"), ("role", "img")], shapes)])
    }

    private static func short(_ label: String) -> String { label.count > 30 ? label.prefix(14) + "…" + label.suffix(15) : label }
}
