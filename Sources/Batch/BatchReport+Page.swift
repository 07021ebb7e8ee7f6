import Diagnostics
import Page

extension BatchReport {
    /// One page that needs no other file, with pictures.
    public var html: String {
        var page = Page(title: "Batch of \(totals.images) images")
        page.add(.element("h1", [], "Batch of \(totals.images) images"))
        page.add(.element("div", [("class", "cards"), ("id", "summary")], cards))
        if !failures.isEmpty || totals.unfinished > 0 { page.section("failures", "What failed, by cause", failurePictures) }
        if totals.seconds > 0 { page.section("time", "Time", timePictures) }
        if totals.sizeBefore > 0 {
            page.section("sizes", "Sizes before and after", sizePictures)
            page.section("sharing", "What images share", sharingPictures)
        }
        page.section("images", "All images", [table])
        return page.html()
    }

    /// How many bars a picture has at most.
    private static let most = 20

    private var cards: [Markup] {
        func card(_ id: String, _ number: String, _ words: String, _ style: String = "") -> Markup {
            .element(
                "div", [("class", "card"), ("id", id)],
                [.element("span", [("class", "number \(style)")], number), .element("span", [("class", "soft")], words)])
        }
        return [
            card("done", "\(totals.done)", "converted", "same"), card("skipped", "\(totals.skipped)", "unchanged", "idle"),
            card("failed", "\(totals.failed)", "failed", totals.failed > 0 ? "different" : "idle"),
            card("unfinished", "\(totals.unfinished)", "unfinished", totals.unfinished > 0 ? "incomplete" : "idle"),
            card("before", readableSize(totals.sizeBefore), "layers of all images"), card("distinct", readableSize(totals.sizeDistinct), "of them distinct"),
            card("after", readableSize(totals.sizeAfter), "ACIs"),
            card("seconds", Self.seconds(Self.milliseconds(totals.seconds)), "of work, all workers together"),
        ]
            + (totals.compared == 0
                ? []
                : [
                    card("same", "\(totals.same)", "the same as with Docker", "same"),
                    card("different", "\(totals.different)", "different", totals.different > 0 ? "different" : "idle"),
                    card("incomplete", "\(totals.incomplete)", "not wholly compared", totals.incomplete > 0 ? "incomplete" : "idle"),
                ])
    }

    private static func milliseconds(_ seconds: Double) -> Int { Int((seconds * 1000).rounded()) }

    private static func seconds(_ milliseconds: Int) -> String {
        if milliseconds < 10_000 { return "\(milliseconds / 1000).\(String(1000 + milliseconds % 1000).dropFirst()) s" }
        let seconds = milliseconds / 1000
        if seconds < 120 { return "\(seconds) s" }
        return seconds < 7200 ? "\(seconds / 60) min" : "\(seconds / 3600) h"
    }

    private func picture(_ id: String, _ bars: Bars) -> Markup { .element("div", [("id", id)], [bars.markup]) }

    private func key(_ left: String, _ right: String) -> Markup {
        .element(
            "p", [("class", "soft")],
            [.element("span", [("class", "key left")]), .text(left), .element("span", [("class", "key right")]), .text(right)])
    }

    private var failurePictures: [Markup] {
        let bars =
            failures.map { Bars.Bar($0.cause.rawValue, left: $0.count) }
            + (totals.unfinished > 0 ? [Bars.Bar("unfinished", left: totals.unfinished)] : [])
        let rows = images.filter { $0.outcome == .failed }.map { Table.Row([$0.reference, $0.cause?.rawValue ?? "", $0.message ?? "", $0.hint ?? ""]) }
        return [picture("causes", Bars(bars))]
            + (rows.isEmpty
                ? []
                : [Table("failed-images", [.init("Image", style: "mono"), .init("Cause", isFilter: true), .init("Why"), .init("What to do")], rows).markup])
    }

    private var timePictures: [Markup] {
        let stages = [
            ("manifests and configurations", totals.secondsManifest), ("waiting for layers", totals.secondsLayers),
            ("inflating, squashing, compressing", totals.secondsConvert),
        ].map { Bars.Bar($0.0, left: Self.milliseconds($0.1)) }
        let slowest = images.filter { $0.outcome == .done && $0.seconds > 0 }.sorted {
            $0.seconds == $1.seconds ? $0.index < $1.index : $0.seconds > $1.seconds
        }
        return [
            .element("h3", [], "By stage"), picture("stages", Bars(stages, text: Self.seconds)), .element("h3", [], "The images that took longest"),
            picture("slowest", Bars(slowest.prefix(Self.most).map { Bars.Bar($0.reference, left: Self.milliseconds($0.seconds)) }, text: Self.seconds)),
        ]
    }

    private var sizePictures: [Markup] {
        let largest = images.filter { $0.sizeBefore != nil && $0.sizeAfter != nil }.sorted { ($1.sizeBefore!, $0.index) < ($0.sizeBefore!, $1.index) }
        let bars = largest.prefix(Self.most).map { Bars.Bar($0.reference, left: $0.sizeBefore!, right: $0.sizeAfter) }
        let more = largest.count - bars.count
        return [key("layers as served", "ACI"), picture("largest", Bars(bars, text: readableSize))]
            + (more > 0 ? [.element("p", [("class", "soft")], "The \(bars.count) largest; \(more) more are in the table below.")] : [])
    }

    private var sharingPictures: [Markup] {
        let all = [
            Bars.Bar("layers, for each image anew", left: totals.sizeBefore), Bars.Bar("layers, each once", left: totals.sizeDistinct),
            Bars.Bar("ACIs", left: totals.sizeAfter),
        ]
        let layers = sharedLayers.prefix(Self.most).map {
            Bars.Bar("\($0.images) images: \(Self.short($0.digest))", left: $0.size * $0.images, right: $0.size)
        }
        return [picture("totals", Bars(all, text: readableSize))]
            + (layers.isEmpty
                ? []
                : [
                    .element("h3", [], "The layers that are shared most"), key("without sharing", "fetched"),
                    picture("layers", Bars(layers, text: readableSize)),
                ])
    }

    private static func short(_ digest: String) -> String { String((digest.split(separator: ":").last ?? "").prefix(12)) }

    private var table: Markup {
        // What no image has, or has not yet, needs no column.
        let hasPlatforms = images.contains { $0.platform != nil }
        let columns: [Table.Column] =
            [.init("Image", style: "mono")] + (hasPlatforms ? [.init("Platform", isFilter: true)] : []) + [
                .init("Outcome", isFilter: true), .init("Seconds", style: "number"), .init("Layers", style: "number"), .init("Before", style: "number"),
                .init("Its own", style: "number"), .init("After", style: "number"), .init("ACI", style: "mono"),
            ] + (totals.compared > 0 ? [.init("Beside Docker", isFilter: true)] : [])
        let rows = images.map { image -> Table.Row in
            let outcome =
                switch image.outcome {
                case .done: "converted"
                case .skipped: "unchanged"
                case .failed: "failed: \(image.cause?.rawValue ?? "")"
                case .unfinished: "unfinished"
                }
            func size(_ bytes: Int?) -> String { bytes.map(readableSize) ?? "" }
            return Table.Row(
                [image.reference] + (hasPlatforms ? [image.platform ?? ""] : []) + [
                    outcome, image.outcome == .done ? Self.seconds(Self.milliseconds(image.seconds)) : "", image.layers.map(String.init) ?? "",
                    size(image.sizeBefore),
                    size(image.sizeOwn), size(image.sizeAfter), image.output ?? "",
                ] + (totals.compared > 0 ? [image.comparison?.rawValue ?? ""] : []), style: image.outcome == .failed ? "differs" : "")
        }
        return Table("all-images", columns, rows).markup
    }
}
