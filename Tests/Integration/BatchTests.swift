import Batch
import Files
import Foundation
import Testing

private let ready = Lab.has("skopeo") && Lab.has("busybox")

/// `d2a batch` on archives: what is made, what is told, and what is known afterwards.
@Suite(.enabled(if: ready, "needs skopeo and busybox (make setup)"))
struct BatchTests {
    private func record(_ place: Place, _ item: BatchItem, in directory: String = "out") throws -> BatchRecord {
        try #require(BatchDirectory(in: Directory.open(place.path + "/" + directory)).record(of: item))
    }

    @Test func aListOfFiles() throws {
        let place = try Place()
        _ = try place.archive("mkdir -p a; seq 1000 >a/numbers", "rm -rf a; echo b >b")
        try place.shell(
            "cp $BUSYBOX ./; mkdir dumps; cp $BUSYBOX dumps/busybox.tar; mv made.docker dumps/made.tar; head -c 3000 dumps/made.tar >dumps/torn.tar")
        let list = """
            # all of ours
            dumps/*.tar
            {"reference":"dumps/made.tar","output":"made.xz.aci","compression":"xz"}
            docker-archive:dumps/made.tar
            """
        try list.write(toFile: place.path + "/list", atomically: true, encoding: .utf8)
        for jobs in ["1", "2"] {
            let outcome = try place.shell("rm -rf out; d2a batch list -o out --jobs \(jobs) --attempts 1")
            #expect(outcome.status == 3 && outcome.output == "3 converted, 0 unchanged, 2 failed\n", "\(outcome)")
            let same = try place.shell(
                "docker2aci --quiet dumps/made.tar; docker2aci --quiet dumps/busybox.tar; for f in *.aci; do cmp $f out/$f; done; docker2aci --quiet --compression=xz -o x dumps/made.tar; cmp x out/made.xz.aci; ls out"
            )
            #expect(same.output == "library-busybox-latest.aci\nmade-latest.aci\nmade.xz.aci\n" && same.errors == "", "\(same)")
            #expect(try record(place, BatchItem("dumps/torn.tar")).failure?.cause == .damaged)
            #expect(try record(place, BatchItem("docker-archive:dumps/made.tar")).failure?.cause == .name)
        }
        // What is known stands in the record.
        let made = try record(place, BatchItem("dumps/made.tar"))
        #expect(made.status == .done && made.layers?.count == 2 && made.labels?.first?.value == "latest" && made.sizeBefore! > 10_000, "\(made)")
        #expect(made.sizeAfter == Int(try FileManager.default.attributesOfItem(atPath: place.path + "/out/" + made.output!)[.size] as! UInt64))
        // The failed are a list: once mended they are all that is done.
        let again = try place.shell(
            "cp dumps/busybox.tar dumps/torn.tar; d2a batch out/.d2a-batch/failed.list -o out --attempts 1; d2a batch list -o out --quiet 2>/dev/null; echo $?"
        )
        #expect(again.output.contains("2 converted, 0 unchanged, 0 failed") && again.output.hasSuffix("3\n"), "\(again)")
        #expect(try record(place, BatchItem("dumps/made.tar")).status == .skipped)
        // What an earlier run has written is not overwritten by another image.
        let other = try place.archive("echo other >other")
        let refused = try place.shell("echo \(other) | d2a batch - -o out; gzip -dc out/made-latest.aci | grep -ac other")
        #expect(refused.output == "0 converted, 0 unchanged, 1 failed\n0\n" && refused.errors.contains("dumps/made.tar"), "\(refused)")
        // A file that has changed is another image; one whose ACI is gone is converted again.
        let changed = try place.shell(
            "touch -d @1 dumps/busybox.tar; rm out/made.xz.aci; echo dumps/busybox.tar | cat - list | grep -v dumps/.*[*] >l; d2a batch l -o out --attempts 1 2>/dev/null; ls out"
        )
        #expect(
            changed.output.hasPrefix("2 converted, 0 unchanged, 1 failed\n") || changed.output.hasPrefix("3 converted, 0 unchanged, 0 failed\n"), "\(changed)")
        #expect(changed.output.contains("made.xz.aci"))
    }

    @Test func tasksAndMistakes() throws {
        let place = try Place()
        try place.shell("cp $BUSYBOX busybox.tar; printf 'none.tar\\nbusybox.tar\\n' >list")
        let task = try place.shell(
            "d2a batch run-task 1 list -o out --quiet; d2a batch run-task 1 list -o out --quiet & d2a batch run-task 1 list -o out --quiet; wait; ls out")
        #expect(task.status == 0 && task.output == "library-busybox-latest.aci\n" && task.errors == "", "\(task)")
        #expect(try record(place, BatchItem("busybox.tar")).isDone)
        let failFast = try place.shell(
            "printf 'docker-archive:none.tar\\nbusybox.tar\\n' | d2a batch - -o new --jobs 1 --fail-fast; ls new; cat new/.d2a-batch/failed.list")
        #expect(failFast.output == "0 converted, 0 unchanged, 1 failed, 1 not begun\ndocker-archive:none.tar\nbusybox.tar\n", "\(failFast)")
        for (words, status) in [
            ("run-task 2 list -o out", 254), ("list", 2), ("list -o out --jobs 0", 2), ("none -o out", 254), ("list -o out --compression=rar", 2),
            ("list -o out --compression-level=11", 2), ("run-task x list -o out", 2),
        ] {
            let outcome = try place.shell("d2a batch \(words)")
            #expect(outcome.status == status && outcome.output == "" && !outcome.errors.isEmpty, "\(words): \(outcome)")
        }
    }
}
