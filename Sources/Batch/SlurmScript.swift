/// A job as Slurm takes it: a script with an array (`sbatch(1)`).
public struct SlurmScript: Sendable {
    public var job: ClusterJob
    /// The directory of the tasks' logs; it must be there when they begin.
    public var logs: String
    /// More of sbatch's options, as they are: `--partition=long`.
    public var options: [String]

    public init(_ job: ClusterJob, logs: String, options: [String] = []) { (self.job, self.logs, self.options) = (job, logs, options) }

    public var text: String {
        var lines = ["#!/bin/sh", "#SBATCH --job-name=\(job.name)"]
        lines.append("#SBATCH --array=0-\(job.tasks - 1)" + (job.parallel.map { "%\($0)" } ?? ""))
        lines.append("#SBATCH --cpus-per-task=\(job.cpus)")
        if let memory = job.memoryInMiB { lines.append("#SBATCH --mem=\(memory)M") }
        // In a name of a file a percent sign begins what Slurm fills in.
        lines.append("#SBATCH --output=\"\(logs.replacing("%", with: "%%"))/%A_%a.log\"")
        lines += options.map { "#SBATCH \($0)" }
        lines += job.environment.map { "export \($0.name)=\(shellQuoted($0.value))" }
        lines.append("exec " + job.command.map(shellQuoted).joined(separator: " "))
        return lines.joined(separator: "\n") + "\n"
    }
}

/// A word as a shell reads it back.
func shellQuoted(_ word: String) -> String {
    let isPlain =
        !word.isEmpty && word.unicodeScalars.allSatisfy { $0.isASCII && ($0.properties.isAlphabetic || "0123456789-._/:=,@%+".unicodeScalars.contains($0)) }
    return isPlain ? word : "'" + word.replacing("'", with: #"'\''"#) + "'"
}
