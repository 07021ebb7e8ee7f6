// The fuzzer. usage: d2a-fuzz TARGET, and what libFuzzer takes.
import FuzzTargets
import Glibc

@_silgen_name("LLVMFuzzerRunDriver")
func runFuzzer(
    _ count: UnsafeMutablePointer<Int32>, _ words: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

let target: FuzzTarget = {
    guard let target = CommandLine.arguments.dropFirst().first.flatMap({ FuzzTarget(rawValue: $0) }) else {
        print(FuzzTarget.allCases.map(\.rawValue).joined(separator: "\n"))
        exit(2)
    }
    return target
}()

// libFuzzer runs itself again by its first word: that of a target isn't one of its own.
var words = UnsafeMutablePointer(CommandLine.unsafeArgv)
words[1] = words[0]
words += 1
var count = CommandLine.argc - 1
exit(
    runFuzzer(&count, &words) { bytes, count in
        target.run(Array(UnsafeBufferPointer(start: bytes, count: count)))
        return 0
    })
