import Foundation
import Testing

private let ready = Lab.has("chromium") && Lab.has("python3") && Lab.has("jq")

/// The report of a batch, in all its forms; its page as a browser shows it.
@Suite(.enabled(if: ready, "needs chromium, python3 and jq (make setup)"))
struct BatchReportTests {
    @Test func allFormsSayTheSame() throws {
        let place = try Place()
        for number in 0..<6 {
            let archive = try place.archive(
                "mkdir a; head -c 300000 /dev/zero >a/base; touch -d @1000000000 a/base a .",
                "mkdir b; seq \(number * 1000) >b/own; head -c 2000 /dev/zero >b/more")
            try FileManager.default.moveItem(atPath: archive, toPath: "\(place.path)/app\(number).docker")
        }
        let outcome = try place.shell(
            """
            for i in 0 1 2 3 4 5; do echo "{\\"reference\\":\\"app$i.docker\\",\\"output\\":\\"app$i.aci\\"}"; done >list
            head -c 200000 app0.docker >cut.docker; echo cut.docker >>list; echo 'none/<img src=x onerror=alert(1)>' >>list; echo 'docker-archive:/none' >>list
            echo '=1+1' >>list; d2a batch list -o out --attempts=1 --retry=0 --quiet --report=r.json --report=r.csv --report=r.html --report=r.txt 2>/dev/null; echo $?
            chromium --headless --no-sandbox --disable-gpu --user-data-dir=$PWD/browser --dump-dom file://$PWD/r.html >dom 2>chromium.log
            cat >read.py <<'END'
            import csv, html.parser, json, re, sys
            VOID = {"meta", "input", "br", "link"}
            class Reader(html.parser.HTMLParser):
                def __init__(self):
                    super().__init__(); self.path, self.text, self.tags, self.attributes = [], {}, {}, {}
                def handle_starttag(self, tag, attributes):
                    attributes = dict(attributes); self.tags[tag] = self.tags.get(tag, 0) + 1
                    if tag == "html": self.attributes = attributes
                    if tag not in VOID: self.path.append((tag, attributes.get("id"), attributes.get("class", "") or ""))
                    for _, name, _ in self.path:
                        if name: key = (name, tag); self.text.setdefault(key, []).append("")
                def handle_endtag(self, tag):
                    while self.path and self.path.pop()[0] != tag: pass
                def handle_data(self, data):
                    for tag, name, _ in self.path:
                        if name and self.path: 
                            key = (name, self.path[-1][0])
                            if key in self.text: self.text[key][-1] += data
            reader = Reader(); reader.feed(open("dom", encoding="utf-8").read())
            report = json.load(open("r.json")); totals = report["totals"]
            shown = {name: reader.text[(name, "span")][0] for name in ("done", "skipped", "failed", "unfinished", "before", "distinct", "after")}
            print(shown["done"], shown["skipped"], shown["failed"], shown["unfinished"])
            assert [int(shown[n]) for n in ("done", "skipped", "failed", "unfinished")] == [totals[n] for n in ("done", "skipped", "failed", "unfinished")]
            def size(text): return float(re.match("[0-9.]+", text)[0]) * {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20}[re.sub("[0-9.]", "", text)]
            for name, key in (("before", "sizeBefore"), ("distinct", "sizeDistinct"), ("after", "sizeAfter")):
                assert abs(size(shown[name]) - totals[key]) <= 0.06 * totals[key] + 1, (name, shown[name], totals[key])
            assert totals["sizeBefore"] == sum(i.get("sizeBefore", 0) for i in report["images"])
            # A layer that all have is there once; the others are each one's own.
            own = sum(i.get("sizeOwn", 0) for i in report["images"] if i["outcome"] == "done")
            assert totals["sizeDistinct"] == own + sum(l["size"] for l in report["sharedLayers"]), (totals, own)
            assert [l["images"] for l in report["sharedLayers"]] == [6]
            rows = reader.text[("all-images", "tr")]
            print(len(rows) - 1, "rows;", reader.text[("causes", "rect")] and len(reader.text[("causes", "rect")]), "causes;", len(reader.text[("largest", "rect")]), "bars of sizes")
            assert len(reader.text[("slowest", "rect")]) == 6 and len(reader.text[("stages", "rect")]) == 3
            print("script ran:", reader.attributes.get("data-ready"), "img" in reader.tags, "none/<img src=x onerror=alert(1)>" in "".join(reader.text[("all-images", "td")]))
            table = list(csv.DictReader(open("r.csv", newline="")))
            assert [r["outcome"] for r in table] == [i["outcome"] for i in report["images"]] and [r["size_after"] for r in table[:6]] == [str(i["sizeAfter"]) for i in report["images"][:6]]
            print(table[-1]["reference"], [f["cause"] + str(f["count"]) for f in report["failures"]])
            END
            python3 read.py; head -1 r.txt; grep -c '^failed: ' r.txt; cp r.json first.json; d2a batch list -o out --attempts=1 --retry=0 --quiet --report=r.json 2>/dev/null; jq -c '.totals | [.done, .skipped, .failed]' r.json
            d2a batch list -o out --report=/proc/nonexistent/r.html --quiet --attempts=1 --retry=0 2>&1 | tail -1; d2a batch list -o out --publish-name=x 2>&1 | head -1
            """)
        #expect(
            outcome.output == """
                3
                6 0 4 0
                10 rows; 2 causes; 12 bars of sizes
                script ran: yes False True
                '=1+1 ['missing3', 'damaged1']
                10 images: 6 converted, 0 unchanged, 4 failed, 0 unfinished
                4
                [0,6,4]
                d2a: can't open directory /proc/nonexistent: No such file or directory
                Error: --publish-name, --publish-url and --sign say how to --publish

                """, "\(outcome)")
    }

    @Test func imagesAreComparedToo() throws {
        let place = try Place()
        let outcome = try place.shell(
            """
            cp $BUSYBOX box.docker; printf 'box.docker\\ndocker-archive:/none\\n' >list
            d2a batch run-task 0 list --chunk=1 -o out --quiet --compare --only=manifest; echo $?
            d2a batch run-task 1 list --chunk=1 -o out --quiet --compare --only=manifest 2>/dev/null; echo $?
            d2a batch collect out --report=r.json >report; echo $?; grep Docker: report; jq -c '[.images[].comparison]' r.json
            """)
        #expect(
            outcome.output == """
                0
                3
                3
                beside Docker: 1 the same, 0 different, 0 not wholly compared
                ["same",null]

                """, "\(outcome)")
    }

    /// Several at once end as one after the other, and leave nothing.
    @Test(.enabled(if: Lab.runsPods && Lab.has("runc"), "needs root, runc, skopeo and umoci (make setup)")) func severalAreComparedAtOnce() throws {
        let place = try Place()
        for number in 0..<5 {
            let archive = try place.archive(
                "mkdir bin; cp /usr/bin/busybox bin/busybox; ln -s busybox bin/sh",
                config: #"{"Cmd":["/bin/sh","-c","echo \#(number); exit \#(number)"],"WorkingDir":"\#(number == 3 ? "relative" : "/")"}"#)
            try FileManager.default.moveItem(atPath: archive, toPath: "\(place.path)/app\(number).docker")
        }
        let outcome = try place.shell(
            """
            for i in 0 1 2 3 4; do echo "{\\"reference\\":\\"app$i.docker\\",\\"output\\":\\"app$i.aci\\"}"; done >list
            for jobs in 1 4; do
                d2a batch list -o out$jobs --jobs=$jobs --quiet --compare --with=runc --only=manifest,process --report=r$jobs.json; echo $?
                jq -c '[.images[].comparison]' r$jobs.json; ls out$jobs/.d2a-batch | grep -c '^c'
                jq -c '.subject, (.parts[] | .name, .problems, (.differences | map(.rule) | unique))' out$jobs/.d2a-batch/c*.json >all$jobs
            done; cmp all1 all4
            """)
        #expect(
            outcome.output == """
                3
                ["same","same","same","different","same"]
                5
                3
                ["same","same","same","different","same"]
                5

                """, "\(outcome)")
        try place.expectNothingLeft()
    }
}
