//  When a keeper looks at its clock again (BEHAVIOUR.md, section 8).

import Foundation
import Network

#if canImport(UIKit)
import UIKit
#endif

/// There is a way to the network (again), or the app comes to the foreground.
@Sendable
public func systemWakeUps() -> AsyncStream<Void> {
    AsyncStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
        let network = NWPathMonitor()
        network.pathUpdateHandler = { path in
            if path.status == .satisfied { continuation.yield() }
        }
        network.start(queue: DispatchQueue(label: "VideoTokenClient.network"))
        let foreground = Task {
            #if canImport(UIKit)
            let shown = await UIApplication.willEnterForegroundNotification
            for await _ in NotificationCenter.default.notifications(named: shown) { continuation.yield() }
            #endif
        }
        continuation.onTermination = { _ in
            network.cancel()
            foreground.cancel()
        }
    }
}
