/// A table of a page, with filters where some columns offer one.
public struct Table {
    public struct Column {
        public var title: String
        /// `number`, `left`, `right`, `mono`: how its cells look.
        public var style: String
        /// Whether rows can be chosen by its values.
        public var isFilter: Bool

        public init(_ title: String, style: String = "", isFilter: Bool = false) { (self.title, self.style, self.isFilter) = (title, style, isFilter) }
    }

    public struct Row {
        public var cells: [Markup]
        public var style: String

        public init(_ cells: [Markup], style: String = "") { (self.cells, self.style) = (cells, style) }
        public init(_ cells: [String], style: String = "") { self.init(cells.map { Markup.text($0) }, style: style) }
    }

    /// Of the table in the page: nothing else may have it.
    public var id: String
    public var columns: [Column]
    public var rows: [Row]

    public init(_ id: String, _ columns: [Column], _ rows: [Row]) { (self.id, self.columns, self.rows) = (id, columns, rows) }

    public var markup: Markup {
        func classes(_ style: String) -> [(String, String)] { style.isEmpty ? [] : [("class", style)] }
        // A column without a title has nothing in it.
        let shown = columns.indices.filter { !columns[$0].title.isEmpty }
        let head = Markup.element("thead", [], [.element("tr", [], shown.map { .element("th", classes(columns[$0].style), columns[$0].title) })])
        let body = Markup.element(
            "tbody", [],
            rows.map { row in .element("tr", classes(row.style), shown.map { .element("td", classes(columns[$0].style), [row.cells[$0]]) }) })
        let table = Markup.element("div", [("class", "wide")], [.element("table", [("id", id)], [head, body])])
        guard columns.contains(where: \.isFilter) else { return table }
        let selects = shown.enumerated().filter { columns[$1].isFilter }.map { place, index in
            let title = columns[index].title
            return Markup.element("select", [("data-column", "\(place)"), ("aria-label", title)], [.element("option", [("value", "")], "\(title): all")])
        }
        let input = Markup.element("label", [], [.element("input", [("type", "search"), ("placeholder", "filter"), ("aria-label", "filter")], [])])
        let count = Markup.element("span", [("class", "count soft")], [])
        // Shown by the script, which makes them work.
        return .join([.element("div", [("class", "filters"), ("data-table", id), ("hidden", "")], [input] + selects + [count]), table])
    }
}
