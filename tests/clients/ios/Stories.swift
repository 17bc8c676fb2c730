// Tells the stories of story_table.py with the iOS library: plans on standard input, what the app was told on standard
// output. The sockets are real, the time is not: it jumps from timer to timer while no request is under way.
import Foundation
import FoundationNetworking
import Glibc
import VideoTokenClient

/// Work of all tasks and actors; the main thread does it, piece by piece.
final class Jobs: SerialExecutor, @unchecked Sendable {
    private let more = NSCondition()
    private var waiting: [UnownedJob] = []

    func enqueue(_ job: UnownedJob) {
        more.lock()
        waiting.append(job)
        more.signal()
        more.unlock()
    }

    func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    /// Does one piece; waits for one if `wait` is set. Answers whether there was any.
    func work(wait: Bool) -> Bool {
        more.lock()
        while wait && waiting.isEmpty { more.wait() }
        let job = waiting.isEmpty ? nil : waiting.removeFirst()
        more.unlock()
        job?.runSynchronously(on: asUnownedSerialExecutor())
        return job != nil
    }

    /// Has Swift hand over all that it would do on threads of its own.
    func takeOver() {
        typealias Enqueue = @convention(thin) (UnownedJob) -> Void
        typealias Hook = @convention(thin) (UnownedJob, Enqueue) -> Void
        let hook = dlsym(dlopen(nil, RTLD_LAZY), "swift_task_enqueueGlobal_hook")!
        hook.assumingMemoryBound(to: Hook?.self).pointee = { job, _ in jobs.enqueue(job) }
    }
}

let jobs = Jobs()

/// The machine of one story. All of it is used on the main thread. Seconds.
final class World: KeeperClock, @unchecked Sendable {
    private struct Timer {
        let at: Double
        let ring: () -> Void
    }

    private var timers: [Int: Timer] = [:]
    private var made = 0
    var wakers: [Int: AsyncStream<Void>.Continuation] = [:]
    /// Whether a request is under way that will end by itself.
    var busy = false
    /// The request of this number will not end by itself, and has perhaps not arrived yet.
    var silent: Int?
    let service: URL
    var over = false
    var up = 0.0
    var slept = 0.0

    init(_ service: URL) { self.service = service }

    func elapsed() -> Double { up + slept }

    func awake() -> Double { up }

    func sleep(_ seconds: Double) async throws {
        made += 1
        let mine = made
        await withTaskCancellationHandler {
            await withCheckedContinuation { sleeper in
                if Task.isCancelled { return sleeper.resume() }
                timers[mine] = Timer(at: up + seconds) { sleeper.resume() }
            }
        } onCancel: {
            timers.removeValue(forKey: mine)?.ring()
        }
        try Task.checkCancellation()
    }

    func at(_ moment: Double, _ happening: @escaping () -> Void) {
        made += 1
        timers[made] = Timer(at: moment, ring: happening)
    }

    func wakeUps() -> AsyncStream<Void> {
        made += 1
        let mine = made
        return AsyncStream { waker in
            wakers[mine] = waker
            waker.onTermination = { _ in self.wakers[mine] = nil }
        }
    }

    func run(until: Double) {
        settle()
        while !over {
            guard let (number, next) = timers.min(by: { ($0.value.at, $0.key) < ($1.value.at, $1.key) }) else {
                // A request that was cut has not ended yet.
                _ = jobs.work(wait: true)
                settle()
                continue
            }
            if next.at + slept > until { return }
            timers[number] = nil
            up = max(up, next.at)
            next.ring()
            settle()
        }
    }

    func settle() {
        while jobs.work(wait: busy) {}
        guard let number = silent else { return }
        silent = nil
        while Int((try? String(contentsOf: service, encoding: .utf8)) ?? "") ?? 0 <= number { usleep(1000) }
    }
}

/// Fails each request while it is there.
final class Offline: URLProtocol {
    nonisolated(unsafe) static var now = false

    override class func canInit(with request: URLRequest) -> Bool { now }
    override class func canonicalRequest(for request: URLRequest) -> URLRequest { request }
    override func startLoading() { client?.urlProtocol(self, didFailWithError: URLError(.notConnectedToInternet)) }
    override func stopLoading() {}
}

func session() -> URLSession {
    let configuration = URLSessionConfiguration.ephemeral
    configuration.protocolClasses = [Offline.self]
    // libcurl, other than Apple's systems, sends a request again whose connection was kept and then dropped.
    configuration.httpAdditionalHeaders = ["Connection": "close"]
    return URLSession(configuration: configuration)
}

/// `signIn` and the like for `sign_in`.
func snake(_ value: Any) -> String {
    "\(value)".reduce(into: "") { $0 += $1.isUppercase ? "_\($1.lowercased())" : String($1) }
}

func tell(_ plan: [String: Any]) -> [[String: Any]] {
    let service = URL(string: plan["service"] as! String)!
    let world = World(service)
    nonisolated(unsafe) var told: [[String: Any]] = []
    nonisolated(unsafe) var bearers = plan["bearers"] as! [Any]
    nonisolated(unsafe) var number = -1
    let neverEnd = plan["never_end"] as! [Int]
    let options = plan["options"] as! [String: Any]
    @Sendable func note(_ what: String, _ more: [String: Any] = [:]) {
        world.busy = false
        told.append(["at": world.elapsed(), "what": what].merging(more) { $1 })
    }
    let keeper = TokenKeeper(
        service: service, room: plan["room"] as! String,
        deviceId: options["device_id"] as? String, displayName: options["display_name"] as? String,
        patience: options["patience"] as? Double ?? 30, session: session(), clock: world, random: { 0.5 },
        wakeUps: { world.wakeUps() }
    ) { forceRefresh in
        if forceRefresh { note("forced") }
        let bearer = bearers.count > 1 ? bearers.removeFirst() : bearers[0]
        guard let bearer = bearer as? String else { throw URLError(.userAuthenticationRequired) }
        if bearer == "never" {
            for await _ in AsyncStream<Void>(unfolding: { try? await world.sleep(.infinity) }) {}
            throw CancellationError()
        }
        number += 1
        world.busy = !neverEnd.contains(number)
        world.silent = world.busy ? nil : number
        return bearer
    }
    let running = Task {
        for await event in keeper.events() {
            switch event {
            case .token(let answer): note("token", ["token": answer.token, "source": answer.source ?? ""])
            case .trouble(let trouble):
                note(
                    "trouble",
                    [
                        "code": trouble.problem.code, "reaction": snake(trouble.reaction), "failures": trouble.failures,
                        "left": trouble.expiresIn, "retry": trouble.retryIn,
                    ])
            case .ended(let ended):
                note(
                    "ended",
                    ["reason": snake(ended.reason), "code": ended.problem.code, "reaction": snake(ended.reaction)])
            }
        }
        world.over = true
    }
    for action in plan["actions"] as! [[Any]] {
        let seconds = (action[2] as! NSNumber).doubleValue
        world.at((action[0] as! NSNumber).doubleValue) {
            switch action[1] as! String {
            case "sleep": world.slept += seconds
            case "wake": for waker in world.wakers.values { waker.yield() }
            case "offline": Offline.now = true
            case "online": Offline.now = false
            case "stop": running.cancel()
            default: break  // Nobody sets the clocks of a phone that the library goes by.
            }
        }
    }
    world.run(until: (plan["until"] as! NSNumber).doubleValue)
    running.cancel()
    world.busy = false
    world.settle()
    Offline.now = false
    // Nothing is left of a keeper that has ended.
    if !world.wakers.isEmpty { note("still listening") }
    return told
}

@main
struct Stories {
    static func main() throws {
        jobs.takeOver()
        let plans = try JSONSerialization.jsonObject(with: FileHandle.standardInput.readDataToEndOfFile())
        var told: [String: Any] = [:]
        for plan in plans as! [[String: Any]] { told[plan["name"] as! String] = tell(plan) }
        FileHandle.standardOutput.write(try JSONSerialization.data(withJSONObject: told))
        exit(0)
    }
}
