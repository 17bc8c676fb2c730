// What the library needs of UIKit, and of Apple's Foundation beyond the one for other systems.
import Foundation

@MainActor
public class UIApplication {
    public static let willEnterForegroundNotification = Notification.Name("UIApplicationWillEnterForeground")
}

extension NotificationCenter {
    public func notifications(named: Notification.Name) -> AsyncStream<Notification> { AsyncStream { $0.finish() } }
}
