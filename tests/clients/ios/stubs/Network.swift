// What the library needs of Apple's Network, by the names and types of its documentation.
import Dispatch

public struct NWPath: Sendable {
    public enum Status: Sendable { case satisfied, unsatisfied }

    public let status: Status
}

public final class NWPathMonitor: @unchecked Sendable {
    public var pathUpdateHandler: (@Sendable (NWPath) -> Void)?

    public init() {}
    public func start(queue: DispatchQueue) {}
    public func cancel() {}
}
