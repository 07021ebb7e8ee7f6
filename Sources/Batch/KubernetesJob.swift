import AppC

/// A job as Kubernetes takes it: an Indexed Job, and the list in a ConfigMap.
///
/// Its pods are what the restricted Pod Security Standard allows. A task whose images failed for good (status 3) is not tried again;
/// any other failure is, three times.
public struct KubernetesJob: Sendable {
    public var job: ClusterJob
    /// The container image, which has d2a on its PATH.
    public var image: String
    public var namespace: String?
    /// The text of the list, which stands in the file ``listPath`` of each pod.
    public var list: String
    /// A claim on a volume that all pods may write to, and where it is mounted; nil where tasks keep nothing but in an object store.
    public var volume: (claim: String, path: String)?
    /// A secret of registries' credentials (`kubernetes.io/dockerconfigjson`).
    public var registrySecret: String?
    /// A secret whose entries become variables: the keys of an object store.
    public var environmentSecret: String?
    public var serviceAccount: String?

    public static let listPath = "/batch-list/list"
    /// What a ConfigMap may hold (Kubernetes API reference): 1 MiB, with all else that is in it.
    public static let listLimit = 1_000_000
    /// Where a pod may write what nobody else needs.
    public static let scratch = "/scratch"

    public init(_ job: ClusterJob, image: String, list: String) { (self.job, self.image, self.list) = (job, image, list) }

    /// Two documents, the list before the job.
    public var yaml: String { [configMap, indexedJob].map { YAML.text($0) }.joined(separator: "---\n") }

    private var metadata: JSONValue {
        var members: [String: JSONValue] = ["name": .string(job.name), "labels": .object(["app.kubernetes.io/name": "d2a-batch"])]
        if let namespace { members["namespace"] = .string(namespace) }
        return .object(members)
    }

    private var configMap: JSONValue {
        ["apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "immutable": true, "data": ["list": .string(list)]]
    }

    private var indexedJob: JSONValue {
        [
            "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata,
            "spec": [
                "completionMode": "Indexed", "completions": .integer(Int64(job.tasks)), "parallelism": .integer(Int64(min(job.tasks, job.parallel ?? 10))),
                "backoffLimitPerIndex": 3,
                "podFailurePolicy": [
                    "rules": [
                        // A node that goes away is no failure of the task.
                        ["action": "Ignore", "onPodConditions": [["type": "DisruptionTarget", "status": "True"]]],
                        ["action": "FailIndex", "onExitCodes": ["containerName": "d2a", "operator": "In", "values": [2, 3]]],
                    ]
                ],
                "template": ["metadata": ["labels": ["app.kubernetes.io/name": "d2a-batch"]], "spec": pod],
            ],
        ]
    }

    private var pod: JSONValue {
        var volumes: [JSONValue] = [
            ["name": "list", "configMap": ["name": .string(job.name)]], ["name": "scratch", "emptyDir": [:]],
        ]
        if let volume { volumes.append(["name": "batch", "persistentVolumeClaim": ["claimName": .string(volume.claim)]]) }
        if let registrySecret {
            volumes.append(
                ["name": "registries", "secret": ["secretName": .string(registrySecret), "items": [["key": ".dockerconfigjson", "path": "config.json"]]]])
        }
        var members: [String: JSONValue] = [
            "restartPolicy": "Never", "automountServiceAccountToken": .bool(serviceAccount != nil), "containers": [container], "volumes": .array(volumes),
            "securityContext": ["runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532, "seccompProfile": ["type": "RuntimeDefault"]],
        ]
        if let serviceAccount { members["serviceAccountName"] = .string(serviceAccount) }
        return .object(members)
    }

    private var container: JSONValue {
        var mounts: [JSONValue] = [
            ["name": "list", "mountPath": "/batch-list", "readOnly": true], ["name": "scratch", "mountPath": .string(Self.scratch)],
        ]
        if let volume { mounts.append(["name": "batch", "mountPath": .string(volume.path)]) }
        var variables = [(name: "HOME", value: Self.scratch), (name: "TMPDIR", value: Self.scratch)]
        if registrySecret != nil {
            mounts.append(["name": "registries", "mountPath": "/registries", "readOnly": true])
            variables.append(("DOCKER_CONFIG", "/registries"))
        }
        variables += job.environment
        var requests: [String: JSONValue] = ["cpu": .string("\(job.cpus)")]
        var limits: [String: JSONValue] = [:]
        if let memory = job.memoryInMiB {
            requests["memory"] = .string("\(memory)Mi")
            limits["memory"] = requests["memory"]
        }
        var members: [String: JSONValue] = [
            "name": "d2a", "image": .string(image), "command": .array(job.command.map { .string($0) }),
            "env": .array(variables.map { ["name": .string($0.name), "value": .string($0.value)] }), "volumeMounts": .array(mounts),
            "resources": .object(limits.isEmpty ? ["requests": .object(requests)] : ["requests": .object(requests), "limits": .object(limits)]),
            "securityContext": ["allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": ["drop": ["ALL"]]],
        ]
        if let environmentSecret { members["envFrom"] = [["secretRef": ["name": .string(environmentSecret)]]] }
        return .object(members)
    }
}
