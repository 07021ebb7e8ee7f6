/// What is the same of a job on any engine: which command its tasks run, and what each of them needs.
public struct ClusterJob: Sendable {
    public var name: String
    /// Tasks have the indices 0 and up.
    public var tasks: Int
    /// How many run at once; nil for as many as there is room for.
    public var parallel: Int?
    /// The program and its words; each task finds its index in its environment.
    public var command: [String]
    public var environment: [(name: String, value: String)]
    /// Processors a task.
    public var cpus: Int
    /// Bytes a task; nil for what the engine gives.
    public var memory: Int?

    public init(
        name: String, tasks: Int, parallel: Int? = nil, command: [String], environment: [(name: String, value: String)] = [], cpus: Int = 1, memory: Int? = nil
    ) {
        (self.name, self.tasks, self.parallel, self.command, self.environment, self.cpus, self.memory) = (
            name, tasks, parallel, command, environment, cpus, memory
        )
    }

    /// In MiB, rounded up.
    var memoryInMiB: Int? { memory.map { ($0 + (1 << 20) - 1) >> 20 } }
}
