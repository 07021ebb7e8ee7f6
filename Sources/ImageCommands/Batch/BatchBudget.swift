import Diagnostics
import Files
import Glibc
import Program
import Threads

/// How memory and disk are shared out among the images that are converted at once.
struct BatchBudget: Sendable {
    /// How many images are converted at once.
    var workers: Int
    /// How many threads compress, for each of them.
    var compressors: Int
    /// What layers that are kept may take.
    var shelfMemory = 256 << 20
    var shelfDisk: Int
    /// Entries that an image may have, where memory bounds them.
    var entries: Int?
    /// Where downloads are kept for this run alone.
    var ownCache: Int?
    /// What unfinished ACIs, and downloads that no cache keeps, may take; nil for any room.
    var work: DiskBudget?
    /// What no single file may exceed.
    var fileSize: Int?

    /// What the process takes, and what each image does beside its entries: measured, and rounded up.
    private static let base = 40 << 20
    private static let image = 40 << 20
    /// An entry, with its path.
    private static let entry = 400

    static let leastMemory = 128 << 20
    static let leastDisk = 16 << 20

    /// - Parameters:
    ///   - unpacks: whether files are converted that may be compressed, and are unpacked then.
    init(workers: Int, memory: Int?, disk: Int?, output: Directory, unpacks: Bool) throws {
        self.workers = workers
        if let memory {
            guard memory >= Self.leastMemory else { throw BudgetError.tooLittle(option: "--max-memory", least: Self.leastMemory) }
            let rest = memory - Self.base
            shelfMemory = rest / 4
            self.workers = max(1, min(workers, rest / 2 / Self.image))
            entries = ((rest - shelfMemory) / self.workers - Self.image) / Self.entry
        }
        compressors = max(1, processorCount / self.workers)
        if memory != nil { compressors = min(2, compressors) }
        if let disk {
            guard disk >= Self.leastDisk else { throw BudgetError.tooLittle(option: "--max-disk", least: Self.leastDisk) }
            (shelfDisk, ownCache) = (disk / 8 * 3, disk / 8)
            work = DiskBudget(disk / 2)
            fileSize = unpacks ? disk / 4 : disk / 2
        } else {
            var status = statvfs()
            let free = fstatvfs(output.descriptor, &status) == 0 ? Int(status.f_bavail) * Int(status.f_frsize) : 0
            // The rest is for what is made.
            shelfDisk = free / 2
        }
    }
}

/// Bytes of files that several threads share.
final class DiskBudget: Sendable {
    struct NoRoom: Error {}

    let limit: Int
    private let used = Monitor(0)

    init(_ limit: Int) { self.limit = limit }

    fileprivate func take(_ bytes: Int) throws {
        try used.update { used in
            guard used + bytes <= limit else { throw NoRoom() }
            used += bytes
        }
    }

    fileprivate func giveBack(_ bytes: Int) { used.update { $0 -= bytes } }
}

/// What one image has of a budget, until this object goes.
final class DiskShare: Sendable {
    private let budget: DiskBudget?
    private let taken = Monitor(0)

    init(_ budget: DiskBudget?) { self.budget = budget }
    deinit { budget?.giveBack(taken.update { $0 }) }

    /// - Throws: `DiskBudget.NoRoom`
    func take(_ bytes: Int) throws {
        try budget?.take(bytes)
        taken.update { $0 += bytes }
    }

    func giveBack(_ bytes: Int) {
        budget?.giveBack(bytes)
        taken.update { $0 -= bytes }
    }
}

enum BudgetError: DiagnosedError {
    case tooLittle(option: String, least: Int)
    /// An image that has all the budget for itself.
    case beyond(option: String)

    var diagnosis: Diagnosis {
        switch self {
        case .tooLittle(let option, let least): Diagnosis("\(option) is too little to convert anything", hint: "give \(least >> 20)M or more")
        case .beyond(let option): Diagnosis("it takes more than \(option) leaves for one image", hint: "give more, or convert it alone with docker2aci")
        }
    }
}
