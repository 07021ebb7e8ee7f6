import Archive
import Batch
import Conversion
import Diagnostics
import Engine
import Files
import Glibc
import Location
import Manifests
import Reference
import Registry
import SavedImage
import Transport

extension BatchRecord.Failure {
    init(_ error: any Error) {
        let diagnosis = (error as? any DiagnosedError)?.diagnosis ?? Diagnosis("\(error)")
        self.init(cause: Self.cause(error), message: diagnosis.message, hint: diagnosis.hint)
    }

    private static func cause(_ error: any Error) -> BatchRecord.Cause {
        switch error {
        case let error as TransportError:
            switch error {
            case .insecure: .tls
            case .tooLong, .badRedirect: .registry
            case .unreachable, .interrupted: .network
            }
        case let error as RegistryError:
            switch error {
            case .repositoryNotFound, .tagNotFound, .digestNotFound: .missing
            case .denied: .denied
            case .wrongDigest, .wrongSize: .damaged
            // 4xx says that asking again is no use.
            case .refused(_, _, let status, _): (400..<500).contains(status) && status != 429 ? .missing : .registry
            case .otherProtocol, .invalid: .registry
            }
        case let error as SourceError:
            if case .invalid = error { .damaged } else { .missing }
        case let error as ConversionError:
            switch error {
            case .layer, .wrongDiffID, .badConfig: .damaged
            case .beyondLimit: .limit
            case .badName: .name
            case .unsupportedSystem, .notText, .devIsNoDirectory: .unsupported
            }
        case let error as SavedImageError:
            switch error {
            case .noSuchImage, .severalImages: .missing
            default: .damaged
            }
        case is ArchiveError: .damaged
        case is NameTaken: .name
        case is BudgetError: .limit
        case is ReferenceError, is LocationError: .missing
        case let error as FileError:
            switch error.code {
            case ENOSPC, EDQUOT, EFBIG: .disk
            case ENOENT, ENOTDIR: .missing
            default: .file
            }
        default: .other
        }
    }
}
