import ArgumentParser
import Batch
import Cache
import Files
import Glibc
import Program
import Subprocess

extension BatchCommand {
    struct Submit: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "submit",
            abstract: "Convert the images of a list on a cluster: hand an engine an array job.",
            discussion: """
                Each task converts one image, or several (--chunk), into DIR, which all tasks share: on a network file system, or \
                s3://BUCKET[/PREFIX]. What follows -- is handed to each task as it is: the options of d2a batch run-task. Credentials are not: \
                they must be where the tasks run. When the job has ended, d2a batch collect DIR makes the report.

                Slurm: prints the job's ID. Kubernetes: creates a ConfigMap and an Indexed Job with kubectl.
                """)

        enum Engine: String, ExpressibleByArgument, CaseIterable { case slurm, kubernetes }

        @Option(help: ArgumentHelp("slurm or kubernetes.", valueName: "engine")) var engine: Engine
        @Option(name: .shortAndLong, help: ArgumentHelp("The directory to write to, as the tasks see it, or s3://BUCKET[/PREFIX].", valueName: "directory"))
        var output: String
        @Option(help: ArgumentHelp("How many images a task converts. (default: as few as make a thousand tasks)", valueName: "n")) var chunk: Int?
        @Option(help: ArgumentHelp("How many tasks run at once. (default: Slurm: as many as there is room for; Kubernetes: 10)", valueName: "n"))
        var parallel: Int?
        @Option(help: ArgumentHelp("Processors a task.", valueName: "n")) var cpus = 1
        @Option(help: ArgumentHelp("Memory a task: 500M, 2G. (default: what the engine gives)", valueName: "size")) var memory: ByteCount?
        @Option(help: ArgumentHelp("The job's name. (default: d2a-batch-, and a digest of the list)", valueName: "name")) var jobName: String?
        @Option(help: ArgumentHelp("Where tasks keep downloads, which they share. (default: Slurm: as d2a does; Kubernetes: each its own)", valueName: "path"))
        var cache: String?
        @Option(help: ArgumentHelp("The program, as the tasks see it. (default: Slurm: this one; Kubernetes: d2a)", valueName: "path")) var program: String?
        @Flag(help: "Print what the engine would be given, and do nothing.") var dryRun = false
        @OptionGroup var publishing: BatchPublishing
        @OptionGroup(title: "Slurm") var slurm: SlurmOptions
        @OptionGroup(title: "Kubernetes") var kubernetes: KubernetesOptions
        @Argument(help: ArgumentHelp("The list, or -.", valueName: "list")) var list: String
        @Argument(parsing: .postTerminator, help: ArgumentHelp("Options for each task.", valueName: "options")) var words: [String] = []

        struct SlurmOptions: ParsableArguments {
            @Option(help: ArgumentHelp("An option for sbatch, as it is: --sbatch=--partition=long. May be repeated.", valueName: "option"))
            var sbatch: [String] = []
        }

        struct KubernetesOptions: ParsableArguments {
            @Option(help: ArgumentHelp("The container image, which has d2a on its PATH.", valueName: "image")) var image: String?
            @Option(help: ArgumentHelp("The namespace.", valueName: "name")) var namespace: String?
            @Option(help: ArgumentHelp("A claim on a volume that all pods may write to, and where it is to be.", valueName: "claim:/path")) var volume: String?
            @Option(help: ArgumentHelp("A secret with registries' credentials (kubernetes.io/dockerconfigjson).", valueName: "name")) var registrySecret:
                String?
            @Option(help: ArgumentHelp("A secret whose entries become variables: AWS_ACCESS_KEY_ID ….", valueName: "name")) var environmentSecret: String?
            @Option(help: ArgumentHelp("The pods' service account. (default: none)", valueName: "name")) var serviceAccount: String?
        }

        func validate() throws {
            for (name, value) in [("--chunk", chunk), ("--parallel", parallel), ("--cpus", cpus)] where (value ?? 1) < 1 {
                throw ValidationError("\(name) \(value!): give 1 or more")
            }
            if words.contains(where: { $0 == "--creds" || $0.hasPrefix("--creds=") }) {
                throw ValidationError("--creds would be seen by all: log in where the tasks run, or name a --registry-secret")
            }
            for option in slurm.sbatch where option.contains("\n") || !option.hasPrefix("-") {
                throw ValidationError("--sbatch=\(option): give an option of sbatch")
            }
            if let jobName, jobName.isEmpty || !jobName.utf8.allSatisfy({ (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D }) {
                throw ValidationError("--job-name \(jobName): lower-case letters, digits and -")
            }
            switch engine {
            case .slurm: break
            case .kubernetes:
                guard kubernetes.image != nil else { throw ValidationError("--image is missing: a container image that has d2a on its PATH") }
                guard output.hasPrefix("s3://") || output.hasPrefix("/") else {
                    throw ValidationError("-o \(output): give the path as the pods see it, from / on")
                }
                if !output.hasPrefix("s3://") {
                    guard let mount = try kubernetes.mount?.path, output == mount || output.hasPrefix(mount + "/") else {
                        throw ValidationError("-o \(output) must lie in the volume that --volume CLAIM:/PATH mounts, or in an object store")
                    }
                }
            }
            // What the tasks would refuse is refused now.
            do { _ = try RunTask.parse(["0", "list", "--output=\(output)"] + publishing.words + words) } catch {
                throw ValidationError("the options for the tasks: \(RunTask.message(for: error))")
            }
        }

        func run() throws {
            let list = try BatchList(reading: list)
            let submission = Submission(list, chunk: chunk)
            switch engine {
            case .slurm: try submitToSlurm(list, submission)
            case .kubernetes: try submitToKubernetes(list, submission)
            }
        }

        private func job(_ submission: Submission, program: String, list: String, output: String) -> ClusterJob {
            let command = [program, "batch", "run-task", "--chunk=\(submission.chunk)", "--output=\(output)"] + publishing.words + words + ["--", list]
            var job = ClusterJob(
                name: jobName ?? "d2a-batch-\(submission.list.suffix(16))", tasks: submission.tasks, parallel: parallel, command: command, cpus: cpus,
                memory: memory?.bytes)
            if let cache { job.environment.append(("D2A_CACHE", cache)) }
            return job
        }

        // MARK: Slurm

        private func submitToSlurm(_ list: BatchList, _ submission: Submission) throws {
            let isRemote = output.hasPrefix("s3://")
            // With an object store the list and the logs lie where the job is submitted, which the nodes see too.
            let place = isRemote ? "d2a-batch-\(submission.list.suffix(16))" : output
            let path = try dryRun ? absolute(place) : Directory.make(place).absolutePath()
            let own = "\(path)/\(BatchDirectory.name)"
            let job = job(submission, program: program ?? programPath(), list: "\(own)/\(submission.list)", output: isRemote ? output : path)
            let script = SlurmScript(job, logs: "\(own)/logs", options: slurm.sbatch).text
            if dryRun { return print(script, terminator: "") }
            let directory = try BatchDirectory(in: Directory.open(path))
            _ = try directory.directory.make("logs")
            try directory.write(submission, list)
            try directory.forgetFailures(of: list)
            let answer = try run("sbatch", ["--parsable"], script)
            print(String(answer.prefix { $0 != ";" && !$0.isWhitespace }))
            complain("d2a: \(tasks(submission)); when they have ended: d2a batch collect \(output)\n")
        }

        // MARK: Kubernetes

        private func submitToKubernetes(_ list: BatchList, _ submission: Submission) throws {
            guard list.text.utf8.count <= KubernetesJob.listLimit else { throw BatchError.listTooLong(limit: KubernetesJob.listLimit) }
            var job = job(submission, program: program ?? "d2a", list: KubernetesJob.listPath, output: output)
            if cache == nil { job.environment.append(("D2A_CACHE", KubernetesJob.scratch + "/cache")) }
            if job.name.utf8.count > 50 { throw ValidationError("--job-name \(job.name): at most 50 characters, for the pods have it in their names") }
            var manifests = KubernetesJob(job, image: kubernetes.image!, list: list.text)
            manifests.namespace = kubernetes.namespace
            manifests.volume = try kubernetes.mount
            manifests.registrySecret = kubernetes.registrySecret
            manifests.environmentSecret = kubernetes.environmentSecret
            manifests.serviceAccount = kubernetes.serviceAccount
            if dryRun { return print(manifests.yaml, terminator: "") }
            print(try run("kubectl", ["create", "--filename=-"], manifests.yaml), terminator: "")
            complain("d2a: \(tasks(submission)); when they have ended: d2a batch collect \(output), where that can be read\n")
        }

        private func tasks(_ submission: Submission) -> String { "\(submission.images) images in \(submission.tasks) tasks" }

        private func run(_ program: String, _ words: [String], _ input: String) throws -> String {
            let answer = try runFilter(program, words, input: input)
            guard answer.status == 0 else { throw BatchError.notSubmitted(program: program, status: Int(answer.status)) }
            return String(decoding: answer.output, as: UTF8.self)
        }

        private func absolute(_ path: String) throws -> String { path.hasPrefix("/") ? path : try Directory.open(".").absolutePath() + "/" + path }
    }
}

extension BatchCommand.Submit.KubernetesOptions {
    /// `CLAIM:/PATH`
    var mount: (claim: String, path: String)? {
        get throws {
            guard let volume else { return nil }
            let parts = volume.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2, !parts[0].isEmpty, parts[1].hasPrefix("/"), parts[1].count > 1 else {
                throw ValidationError("--volume \(volume): give CLAIM:/PATH")
            }
            return (parts[0], parts[1].hasSuffix("/") ? String(parts[1].dropLast()) : parts[1])
        }
    }
}
