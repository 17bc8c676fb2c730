//  Keeps a token alive: asks for the first one, renews it, and tells the app (BEHAVIOUR.md, sections 3 to 9).
//
//  Rules for editors: one request at a time; whatever comes instead of a token, go on trying while the token lives; the
//  app's own work never delays a renewal.

import Foundation

/// What an app is told.
public enum TokenEvent: Sendable {
    /// The first token, and each renewal: hand it to the SDK.
    case token(TokenAnswer)
    /// An attempt brought no token, and the keeper goes on; the next `token` means that it is over. With the reaction
    /// `wait` nothing has failed: the user waits for a moderator.
    case trouble(Trouble)
    /// The last event: the call cannot go on.
    case ended(Ended)
}

public struct Trouble: Sendable {
    public let problem: Problem
    public let reaction: Reaction
    /// In a row, this one included; 0 while the user waits for a moderator.
    public let failures: Int
    /// Seconds that the token still lives, 0 where there is none.
    public let expiresIn: Double
    /// Seconds until the next try.
    public let retryIn: Double
}

public struct Ended: Sendable {
    /// The service refused this user, the token is over, or there was none in time.
    public enum Reason: Sendable { case refused, expired, unavailable }

    public let reason: Reason
    /// The last one.
    public let problem: Problem
    public let reaction: Reaction
}

/// Returns the user's bearer from your identity provider. `forceRefresh`: the last one was refused, so get a new one.
/// It has to end when its task is cancelled.
public typealias GetBearer = @Sendable (_ forceRefresh: Bool) async throws -> String

public final class TokenKeeper: Sendable {
    private let request: TokenRequest
    private let patience: Double
    private let clock: any KeeperClock
    private let random: @Sendable () -> Double
    private let wakeUps: @Sendable () -> AsyncStream<Void>
    private let getBearer: GetBearer

    /// `patience`: seconds to try for the first token, without those for which the user waits for a moderator.
    public init(
        service: URL, room: String, deviceId: String? = nil, displayName: String? = nil, patience: Double = 30,
        session: URLSession = .shared, clock: any KeeperClock = DeviceClock(),
        random: @escaping @Sendable () -> Double = { .random(in: 0..<1) },
        wakeUps: @escaping @Sendable () -> AsyncStream<Void> = systemWakeUps, getBearer: @escaping GetBearer
    ) {
        request = TokenRequest(
            service: service, room: room, deviceId: deviceId, displayName: displayName, session: session)
        self.patience = patience
        self.clock = clock
        self.random = random
        self.wakeUps = wakeUps
        self.getBearer = getBearer
    }

    /// A keeper runs while somebody iterates over this, and stops when the iterating task is cancelled. Each iteration has
    /// a keeper of its own.
    public func events() -> AsyncStream<TokenEvent> {
        AsyncStream { app in
            let life = Life(request, clock: clock, random: random, patience: patience, getBearer: getBearer) { app.yield($0) }
            let waking = Task { [wakeUps] in
                for await _ in wakeUps() { await life.wake() }
            }
            let keeping = Task {
                let ended = try? await life.keep()
                if let ended = ended { app.yield(.ended(ended)) }
                app.finish()
            }
            app.onTermination = { _ in
                waking.cancel()
                keeping.cancel()
            }
        }
    }
}

private enum Limits {
    static let call = 10.0
    static let backoff = 15.0
    static let betweenTries = 1.0
    /// Timers stop in sleep, so the clock is looked at each second.
    static let betweenLooks = 1.0
    /// The service never says more; a proxy may.
    static let retryAfter = 60.0
}

/// From the first request to the end.
private actor Life {
    private let request: TokenRequest
    private let clock: any KeeperClock
    private let random: @Sendable () -> Double
    private let patience: Double
    private let getBearer: GetBearer
    private let tell: @Sendable (TokenEvent) -> Void
    private var woken = false
    /// The sleep until the next look at the clock.
    private var nap: Task<Void, Error>?
    private var joined = false
    private var failures = 0
    /// When the token in hand ends, by both clocks: elapsed for the app to know, awake for giving up.
    private var ends: (elapsed: Double, awake: Double)
    /// Bearers that were refused, the second one after a forced refresh.
    private var refused: [String] = []

    init(
        _ request: TokenRequest, clock: any KeeperClock, random: @escaping @Sendable () -> Double, patience: Double,
        getBearer: @escaping GetBearer, tell: @escaping @Sendable (TokenEvent) -> Void
    ) {
        self.request = request
        self.clock = clock
        self.random = random
        self.patience = patience
        self.getBearer = getBearer
        self.tell = tell
        ends = (0, clock.awake() + patience)
    }

    func wake() {
        woken = true
        nap?.cancel()
    }

    /// Asks again and again, and answers how it ended. Throws only when it is cancelled.
    func keep() async throws -> Ended {
        while true {
            do {
                let answer = try await attempt()
                try await wait(answer.refreshAfter)
            } catch let error as ProblemError {
                let ended = try await failed(error.problem)
                if let ended = ended { return ended }
            }
        }
    }

    /// One attempt, with one forced refresh of the bearer. Throws `ProblemError`.
    private func attempt() async throws -> TokenAnswer {
        woken = false
        let bearer = try await self.bearer(forceRefresh: false)
        do {
            return try await ask(bearer)
        } catch let error as ProblemError {
            guard error.problem.refusesBearer && !refused.contains(bearer) else { throw error }
        }
        let renewed = try await self.bearer(forceRefresh: true)
        do {
            return try await ask(renewed)
        } catch let error as ProblemError {
            if error.problem.refusesBearer { refused = [bearer, renewed] }
            throw error
        }
    }

    private func bearer(forceRefresh: Bool) async throws -> String {
        try await within(.bearer("No bearer in time")) { [getBearer] in
            do {
                return try await getBearer(forceRefresh)
            } catch {
                // A time limit of the app's own may be a cancellation too, but none of ours.
                try Task.checkCancellation()
                throw ProblemError(problem: .bearer(String(describing: error)))
            }
        }
    }

    private func ask(_ bearer: String) async throws -> TokenAnswer {
        // A token's life counts from before the request: the answer may have been long on its way.
        let sent = (elapsed: clock.elapsed(), awake: clock.awake())
        let answer = try await within(.network("No answer in time")) { [request] in
            try await request.send(bearer: bearer)
        }
        joined = true
        ends = (sent.elapsed + answer.expiresIn, sent.awake + answer.expiresIn)
        refused = []
        let stale = answer.source == "stale"
        failures = stale ? failures + 1 : 0
        tell(.token(answer))
        if stale { tell(trouble(.stale(answer.refreshAfter), retryIn: answer.refreshAfter)) }
        return answer
    }

    /// Waits for the next try, or answers how the keeper has ended.
    private func failed(_ problem: Problem) async throws -> Ended? {
        let kind = reaction(to: problem)
        let waits = kind == .wait
        if problem.isFinal || (!joined && kind != .retry && !waits) {
            return Ended(reason: .refused, problem: problem, reaction: kind)
        }
        failures = waits ? 0 : failures + 1
        let told = min(max(problem.retryAfter, 0), Limits.retryAfter)
        let pause = waits ? max(told, Limits.betweenTries) : told + backoff()
        if waits && !joined { ends.awake = clock.awake() + pause + patience }
        let over = Ended(reason: joined ? .expired : .unavailable, problem: problem, reaction: kind)
        if !joined && clock.awake() + pause >= ends.awake { return over }
        if clock.awake() < ends.awake {
            tell(trouble(problem, retryIn: pause))
            try await wait(pause, earliest: max(told, Limits.betweenTries), until: ends.awake)
        }
        return clock.awake() >= ends.awake ? over : nil
    }

    private func backoff() -> Double {
        let most = min(pow(2, Double(min(failures - 1, 10))), Limits.backoff)
        return most / 2 * (1 + random())
    }

    private func trouble(_ problem: Problem, retryIn: Double) -> TokenEvent {
        let left = joined ? max(0, ends.elapsed - clock.elapsed()) : 0
        return .trouble(
            Trouble(
                problem: problem, reaction: reaction(to: problem), failures: failures, expiresIn: left,
                retryIn: retryIn))
    }

    /// What comes of `work`, or the problem `late` after 10 seconds.
    private func within<T: Sendable>(
        _ late: Problem, _ work: @escaping @Sendable () async throws -> T
    ) async throws -> T {
        try await withThrowingTaskGroup(of: T.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await work() }
            group.addTask {
                try await self.wait(Limits.call)
                throw ProblemError(problem: late)
            }
            guard let first = try await group.next() else { throw CancellationError() }
            return first
        }
    }

    /// Waits `seconds`, or `earliest` if the device has woken up, or until the time awake is `until`.
    private func wait(_ seconds: Double, earliest: Double? = nil, until: Double = .infinity) async throws {
        let began = clock.elapsed()
        while true {
            let most = woken ? min(earliest ?? seconds, seconds) : seconds
            let left = min(most - (clock.elapsed() - began), until - clock.awake())
            if left <= 0 { return }
            try await sleep(min(left, Limits.betweenLooks))
        }
    }

    /// Until the time has passed or the device wakes up.
    private func sleep(_ seconds: Double) async throws {
        let nap = Task { [clock] in try await clock.sleep(seconds) }
        self.nap = nap
        _ = await withTaskCancellationHandler(operation: { await nap.result }, onCancel: { nap.cancel() })
        try Task.checkCancellation()
    }
}
