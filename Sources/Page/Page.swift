/// One HTML page that needs nothing but itself: no network, no other file.
///
/// Its policy lets no script run but its own, whose hash it names: even a mistake in escaping would run nothing.
public struct Page {
    private let title: String
    private var body: [Markup] = []

    public init(title: String) { self.title = title }

    public mutating func add(_ markup: Markup...) { body += markup }

    /// A section with a heading, which can be linked to.
    public mutating func section(_ id: String, _ heading: String, _ content: [Markup]) { add(Self.section(id, heading, content)) }

    public static func section(_ id: String, _ heading: String, _ content: [Markup]) -> Markup {
        .element("section", [("id", id)], [.element("h2", [], heading)] + content)
    }

    /// The whole document.
    public func html() -> String {
        let (beginning, end) = halves()
        return beginning + end
    }

    /// The document up to the end of what was added, and the rest: what is too much for memory comes between.
    public func halves() -> (beginning: String, end: String) {
        let beginning = """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8">
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src '\(Self.scriptHash)'">
            <meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
            <title>\(Markup.text(title).html)</title>
            <style>\(Self.style)</style></head>
            <body>\(body.map(\.html).joined(separator: "\n"))

            """
        return (beginning, "<script>\(Self.script)</script></body></html>\n")
    }

    /// Of ``script``, as the policy has it: a test checks that it is right.
    static let scriptHash = "sha256-F7Yc8hr7iSr4iX4+YlJfFnd0jDDe0XAs3thWzjTmGK8="

    /// Filters of tables: words that a row must have, and a choice for each column that offers one; and the count of what is seen.
    static let script = """
        for (const box of document.querySelectorAll('.filters')) {
          const table = document.getElementById(box.dataset.table), rows = [...table.tBodies[0].rows];
          const count = box.querySelector('.count'), words = box.querySelector('input'), selects = [...box.querySelectorAll('select')];
          for (const select of selects) {
            const values = new Set(rows.map(row => row.cells[select.dataset.column].textContent));
            for (const value of [...values].sort()) select.add(new Option(value || '(none)', value));
          }
          const apply = () => {
            const wanted = words.value.toLowerCase().split(/\\s+/).filter(Boolean);
            let seen = 0;
            for (const row of rows) {
              const text = row.textContent.toLowerCase();
              const shown = wanted.every(word => text.includes(word))
                && selects.every(select => select.selectedIndex < 1 || row.cells[select.dataset.column].textContent === select.value);
              row.hidden = !shown;
              if (shown) seen++;
            }
            count.textContent = seen + ' of ' + rows.length;
          };
          box.addEventListener('input', apply);
          box.hidden = false;
          apply();
        }
        document.documentElement.dataset.ready = 'yes';
        """

    private static let style = """
        :root{--ink:#1b1f24;--soft:#59636e;--line:#d8dee4;--ground:#fff;--panel:#f6f8fa;--left:#0969da;--right:#bc4c00;--good:#1a7f37;--bad:#cf222e;--warn:#9a6700}
        @media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9198a1;--line:#3d444d;--ground:#0d1117;--panel:#151b23;--left:#4493f8;--right:#f0883e;\
        --good:#3fb950;--bad:#f85149;--warn:#d29922}}
        *{box-sizing:border-box}
        body{margin:0 auto;max-width:76rem;padding:1.5rem 1.25rem 4rem;font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground)}
        h1{font-size:1.6rem;margin:0 0 .25rem;overflow-wrap:anywhere}h2{font-size:1.2rem;margin:2.2rem 0 .6rem;border-bottom:1px solid var(--line);padding-bottom:.3rem}
        h3{font-size:1rem;margin:1.4rem 0 .4rem}p{margin:.4rem 0}a{color:var(--left)}summary{cursor:pointer}.soft{color:var(--soft)}code,td.mono{font:13px/1.45 ui-monospace,monospace}
        .cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:.75rem;margin:1.2rem 0}
        .card{background:var(--panel);border:1px solid var(--line);border-radius:.5rem;padding:.7rem .9rem}.card .number{font-size:1.5rem;font-weight:600;display:block}
        .badge{display:inline-block;border-radius:1rem;padding:0 .6rem;font-size:.85rem;font-weight:600;border:1px solid currentColor;white-space:nowrap}
        .same{color:var(--good)}.different{color:var(--bad)}.incomplete{color:var(--warn)}.idle{color:var(--soft)}
        .wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}th{text-align:left;font-weight:600;background:var(--panel);position:sticky;top:0}
        th,td{padding:.3rem .55rem;border:1px solid var(--line);vertical-align:top;overflow-wrap:break-word}td.mono{overflow-wrap:anywhere;min-width:8rem}td:first-child{min-width:9rem}td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
        td.left{border-left:3px solid var(--left)}td.right{border-left:3px solid var(--right)}tr.differs td:first-child{box-shadow:inset 3px 0 var(--bad)}
        td.none{color:var(--soft)}tr[hidden]{display:none}.filters{display:flex;flex-wrap:wrap;gap:.5rem;align-items:center;margin:.5rem 0}.filters[hidden]{display:none}
        .filters input,.filters select{font:inherit;padding:.2rem .5rem;color:inherit;background:var(--ground);border:1px solid var(--line);border-radius:.35rem;max-width:18rem}
        svg{display:block;width:100%;height:auto;font:12px system-ui,sans-serif}svg text{fill:var(--ink)}svg .soft{fill:var(--soft)}
        @media(max-width:50rem){svg{min-width:48rem;font-size:14px}}
        svg .left,.key.left{fill:var(--left);background:var(--left)}svg .right,.key.right{fill:var(--right);background:var(--right)}
        .key{display:inline-block;width:.8rem;height:.8rem;border-radius:.2rem;margin:0 .3rem 0 .8rem;vertical-align:-.05rem}
        """
}
