// swift-tools-version: 6.1
import PackageDescription

/// Settings of every Swift target: Swift 6 language mode, and a warning is an error.
let strict: [SwiftSetting] = [.unsafeFlags(["-warnings-as-errors"])]

/// One module of the way. Dependencies are listed in the order of the flow in docs/architecture.md.
func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: strict)
}

func system(_ name: String, pkgConfig: String, apt: String) -> Target {
    .systemLibrary(name: name, pkgConfig: pkgConfig, providers: [.apt([apt])])
}

/// What the fuzz targets call.
let fuzzed: [Target.Dependency] = [
    "ACI", "AppC", "Archive", "Conversion", "Digest", "Files", "Image", "Location", "Manifests", "Reference", "Registries", "Registry", "SavedImage", "Squash",
    "TestSupport",
]

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "d2a",
    products: [
        .executable(name: "d2a", targets: ["d2a"]),
        .executable(name: "d2a-image", targets: ["d2a-image"]),
        .executable(name: "d2a-metadata", targets: ["d2a-metadata"]),
        .executable(name: "d2a-probe", targets: ["d2a-probe"]),
        .executable(name: "d2a-stage1", targets: ["d2a-stage1"]),
        .executable(name: "docker2aci", targets: ["docker2aci"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    ],
    targets: [
        // Libraries of the system.
        system("CArchive", pkgConfig: "libarchive", apt: "libarchive-dev"),
        system("CCurl", pkgConfig: "libcurl", apt: "libcurl4-openssl-dev"),
        system("COpenSSL", pkgConfig: "libcrypto", apt: "libssl-dev"),
        system("CXML", pkgConfig: "libxml-2.0", apt: "libxml2-dev"),
        system("CISAL", pkgConfig: "libisal", apt: "libisal-dev"),
        system("CZlib", pkgConfig: "zlib", apt: "zlib1g-dev"),
        system("CZstd", pkgConfig: "libzstd", apt: "libzstd-dev"),
        system("CSeccomp", pkgConfig: "libseccomp", apt: "libseccomp-dev"),
        .systemLibrary(name: "CLinux"),

        // Ground floor: no dependencies outside the C library.
        module("Diagnostics"),
        module("Digest"),
        module("Files", ["Diagnostics", "CLinux"]),
        module("Accounts"),
        module("AppC", ["Diagnostics", "Digest"]),
        module("Reference", ["Diagnostics", "Digest"]),
        module("Hashing", ["Digest", "COpenSSL"]),
        module("Page"),

        module("Threads"),
        module("Sandbox", ["Diagnostics", "Files", "CSeccomp", "CLinux"]),
        module("Subprocess", ["Diagnostics", "Files", "CLinux"]),
        .target(name: "CTOML"),
        module("Registries", ["Diagnostics", "Files", "AppC", "Reference", "CTOML"]),
        module("Configuration", ["Diagnostics", "Files", "AppC"]),
        module("Credentials", ["Diagnostics", "Files", "AppC", "Reference", "Registries", "Configuration", "Subprocess"]),

        module("Cache", ["Digest", "Files"]),

        // From a reference to an image: names, networks, archives, layers.
        module("Discovery", ["AppC", "CXML"]),
        module("Trust", ["Diagnostics", "Files"]),
        module("Location", ["Diagnostics", "Files", "Reference", "AppC", "Digest"]),
        module("Transport", ["Diagnostics", "Files", "Threads", "CCurl"]),
        module("ObjectStorage", ["Diagnostics", "Digest", "Hashing", "Files", "Credentials", "Transport", "CXML"]),
        module("Image", ["Diagnostics", "Digest", "Files"]),
        module("Manifests", ["Diagnostics", "Digest", "Image", "AppC"]),
        module(
            "Registry",
            [
                "Manifests", "Cache", "Diagnostics", "Digest", "Hashing", "Files", "Threads", "Reference", "Image", "AppC", "Transport", "Credentials",
                "Registries",
            ]),
        module("Archive", ["Diagnostics", "Files", "Threads", "CArchive", "CISAL", "CZlib", "CZstd"]),
        module("SavedImage", ["Diagnostics", "Digest", "Hashing", "Files", "Reference", "Image", "Manifests", "AppC", "Archive"]),
        module("Engine", ["Diagnostics", "Files", "Threads", "AppC", "Transport"]),

        // Lists of images, and what became of them.
        module("Batch", ["Diagnostics", "Files", "AppC", "Credentials", "Page"]),

        // From an image to an ACI, and to a tree on disk.
        module("Squash", ["Diagnostics", "Archive"]),
        module("ACI", ["Diagnostics", "AppC", "Archive"]),
        module("Conversion", ["Diagnostics", "Digest", "Hashing", "Files", "Threads", "Accounts", "Image", "AppC", "Archive", "Squash", "ACI"]),
        module("Render", ["Diagnostics", "Files", "AppC", "Archive", "Squash", "ACI", "CArchive", "CLinux"]),

        // Where others find them.
        module("Publishing", ["Diagnostics", "Files", "AppC"]),

        // What is kept, and what runs it: none of these may reach libcurl or libarchive.
        module("Store", ["Diagnostics", "Digest", "Files", "AppC", "Reference", "CLinux"]),
        module("Pod", ["Diagnostics", "Files", "Accounts", "AppC", "CLinux"]),
        // What isolators say, as filters and control groups; networks.
        module("Isolation", ["Diagnostics", "Files", "AppC", "Pod", "RuntimeBundle", "CSeccomp", "CLinux"]),
        module("Network", ["Diagnostics", "Files", "Subprocess", "AppC", "CLinux"]),
        // Pods for other runtimes than our own.
        module("RuntimeBundle", ["AppC", "Files"]),
        module("Stage1", ["Diagnostics", "Files", "Subprocess", "AppC", "Pod", "RuntimeBundle", "CLinux"]),

        // What two images, or two ways to treat one, have different.
        module("Listing", ["Diagnostics", "Files"]),
        // What an image's process finds and does, under Docker and in a pod.
        module("Observation", ["Diagnostics", "Files", "Threads", "Subprocess", "Accounts", "AppC", "Pod", "Isolation", "RuntimeBundle", "CLinux"]),
        module("Compare", ["Observation", "Diagnostics", "Files", "AppC", "Listing", "Page"]),

        // What apps may ask of us: who runs pods registers them, and a process of its own answers.
        module("Metadata", ["Diagnostics", "Files", "Threads", "Subprocess", "AppC", "CLinux"]),
        module(
            "MetadataServer",
            [
                "Diagnostics", "Digest", "Hashing", "Files", "Threads", "AppC", "Metadata", "CLinux", .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"), .product(name: "NIOHTTP1", package: "swift-nio"),
            ]),

        // Programs.
        module("Program", ["Diagnostics", argumentParser]),
        module("ImageOptions", ["Registries", "Program", argumentParser]),
        module(
            "ImageCommands",
            [
                "Diagnostics",
                "Digest",
                "Hashing",
                "Files",
                "Threads",
                "Reference",
                "Credentials",
                "Cache",
                "Batch",
                "Image",
                "Location",
                "Manifests",
                "Registry",
                "SavedImage",
                "Engine",
                "AppC",
                "Archive",
                "Sandbox",
                "Squash",
                "Conversion",
                "ACI",
                "Render",
                "Listing",
                "Compare",
                "Store",
                "Observation",
                "Transport",
                "ObjectStorage",
                "Publishing",
                "Discovery",
                "CLinux",
                "ImageOptions",
                "Program",
                argumentParser,
            ]),
        // Plain C: without Swift's start files and libraries, which the linker would bring along, it is a tenth of the size.
        .executableTarget(
            name: "d2a-stage1", cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])],
            linkerSettings: [.unsafeFlags(["-nostartfiles", "-static-executable"])]),
        .executableTarget(
            name: "d2a-probe", cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])],
            linkerSettings: [.unsafeFlags(["-nostartfiles", "-static-executable"])]),
        .executableTarget(name: "docker2aci", dependencies: ["ImageCommands", "Program"], swiftSettings: strict),
        .executableTarget(name: "d2a-image", dependencies: ["ImageCommands", "Program", "CLinux"], swiftSettings: strict),
        .executableTarget(
            name: "d2a-metadata", dependencies: ["MetadataServer", "Files", "Sandbox", "Program", "CLinux"], swiftSettings: strict),
        .executableTarget(
            name: "d2a",
            dependencies: [
                "Diagnostics",
                "Digest",
                "Files",
                "AppC",
                "Reference",
                "Location",
                "Cache",
                "Credentials",
                "Batch",
                "Subprocess",
                "Store",
                "Trust",
                "Configuration",
                "Pod",
                "Isolation",
                "Network",
                "Stage1",
                "Metadata",
                "Publishing",
                "Listing",
                "Compare",
                "Observation",
                "RuntimeBundle",
                "Accounts",
                "Threads",
                "CLinux",
                "ImageOptions",
                "Program",
                argumentParser,
            ],
            swiftSettings: strict,
            // A pod's start is largely this program's: loading and relocating libraries would be a sixth of it. Without --static-swift-stdlib
            // the compiler doesn't name the static libraries that Foundation is built on.
            linkerSettings: [
                .unsafeFlags(
                    ["-static-executable", "-l_FoundationCShims", "-l_FoundationCollections", "-lswiftSynchronization"], .when(configuration: .release))
            ]),

        // What tests run in pods: it must need nothing of an image.
        .executableTarget(
            name: "appc-probe", path: "Tests/Conformance", cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])],
            linkerSettings: [.unsafeFlags(["-nostartfiles", "-static-executable"])]),
        .target(name: "TestSupport", dependencies: ["Archive"], path: "Tests/Support", swiftSettings: strict),
        .executableTarget(name: "SandboxProbe", dependencies: ["Files", "Sandbox"], path: "Tests/SandboxProbe", swiftSettings: strict),
        tests("SandboxTests", ["SandboxProbe"]),
        tests("FuzzTargetsTests", fuzzed),
        tests("FilesTests", ["Files", "Threads"]),
        tests("AppCTests", ["AppC"]),
        tests("CredentialsTests", ["Credentials", "Configuration", "Registries", "Reference"]),
        tests("ReferenceTests", ["Reference", "Digest"]),
        tests("RegistryTests", ["Cache", "Digest", "Threads", "Manifests", "Registry", "Transport", "Hashing", "Files"]),
        tests("MetadataTests", ["Metadata", "AppC", "Files"]),
        tests("RuntimeBundleTests", ["RuntimeBundle", "Files"]),
        tests("Stage1Tests", ["Stage1", "Pod", "Accounts", "AppC", "Files"]),
        tests("ObservationTests", ["Observation", "d2a-probe"]),
        tests("ArchiveTests", ["Archive", "Files", "TestSupport"]),
        tests("SquashTests", ["Squash", "Archive", "Threads", "TestSupport"]),
        tests(
            "ConversionTests", ["Conversion", "Image", "AppC", "Digest", "Hashing", "Reference", "Diagnostics", "Files", "Threads", "Archive", "TestSupport"]),
        tests("BatchTests", ["Batch", "Files"]),
        tests("IsolationTests", ["Isolation", "Pod", "AppC", "Files"]),
        tests("NetworkTests", ["Network", "AppC", "Files"]),
        tests("CompareTests", ["Compare", "Observation", "Listing", "Page", "Files", "Hashing"]),
        tests("StoreTests", ["Store", "Digest", "Files", "AppC"]),
        tests("FetchingTests", ["Trust", "Configuration", "Discovery", "Location", "AppC", "Reference"]),
        tests(
            "Integration",
            [
                "appc-probe",
                "d2a-probe",
                "Observation",
                "RuntimeBundle",
                "Credentials",
                "ObjectStorage",
                "Transport",
                "AppC",
                "Batch",
                "Files",
                "Threads",
                "Digest",
                "Hashing",
                "Archive",
                "TestSupport",
            ]),
    ]
)

// A program without Swift's and C's start files can't have a sanitizer's either: `make sanitize` is about the others' unit tests.
if let kind = Context.environment["D2A_SANITIZE"] {
    let plain = ["d2a-stage1", "d2a-probe", "appc-probe", "ObservationTests", "Integration"]
    package.targets.removeAll { plain.contains($0.name) }
    package.products.removeAll { plain.contains($0.name) }
    for target in package.targets where target.name == "Archive" && kind == "thread" { target.swiftSettings = strict + [.define("THREAD_SANITIZER")] }
}

// libFuzzer brings a main of its own, and wants every module instrumented: `make fuzz` only. Then the targets are a module, which as
// such would not build for release: they look into modules.
if Context.environment["D2A_FUZZ"] != nil {
    package.targets.removeAll { $0.name == "FuzzTargetsTests" }
    package.targets += [
        .target(name: "FuzzTargets", dependencies: fuzzed, path: "Tests/FuzzTargetsTests", sources: ["FuzzTargets.swift"], swiftSettings: strict),
        .executableTarget(
            name: "d2a-fuzz", dependencies: ["FuzzTargets"], path: "Tests/FuzzDriver", swiftSettings: [],
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer", "-use-ld=lld"])]),
    ]
}
