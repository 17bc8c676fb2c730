//  The clocks of a keeper (BEHAVIOUR.md, section 7). Seconds throughout.

import Foundation

public protocol KeeperClock: Sendable {
    /// Of a clock that goes on while the device sleeps, and that nobody sets.
    func elapsed() -> Double
    /// Of a clock that only runs while the device is awake.
    func awake() -> Double
    /// May take longer where the device sleeps.
    func sleep(_ seconds: Double) async throws
}

public struct DeviceClock: KeeperClock {
    public init() {}

    public func elapsed() -> Double { Double(clock_gettime_nsec_np(CLOCK_MONOTONIC_RAW)) / 1_000_000_000 }

    public func awake() -> Double { Double(clock_gettime_nsec_np(CLOCK_UPTIME_RAW)) / 1_000_000_000 }

    public func sleep(_ seconds: Double) async throws {
        try await Task.sleep(nanoseconds: UInt64(seconds * 1_000_000_000))
    }
}
