//  Joins a Telnyx Video room with tokens of the video token service, and keeps the call alive.
//
//      let meeting = Meeting(service: service, alias: "standup", bearer: { renewed in try await signIn.bearer(renewed) })
//      let call = Task { do { try await meeting.join() } catch let refused as Refused { show(refused.problem) } }
//      call.cancel()    // leaves the room
//
//  Needs iOS 15 and the TelnyxVideoSdk pod. Copy it, change it. A call that goes on in the background needs the `audio` or
//  `voip` background mode, or iOS suspends the app and with it the renewal.

import Foundation
import TelnyxVideoSdk

/// What the token call answers; all members are in openapi.yaml, TokenAnswer.
struct Answer: Decodable {
    struct RoomOfAnswer: Decodable { let id: String }
    let token: String
    let expiresIn: Double
    let refreshAfter: Double
    let room: RoomOfAnswer
    let context: String
    let source: String
}

/// What every error says; `retryAfter` in seconds.
struct Problem: Decodable {
    let code: String
    let title: String
    let retryable: Bool
    var retryAfter: Double?
    var opensAt: String?
}

struct Refused: Error { let problem: Problem }

/// What an app does about a problem: `lobby` waits for `opensAt`, `report` is a bug.
enum Reaction { case again, signIn, lobby, leave, report }

/// By its code, and where that asks for nothing special by `retryable`, so that new codes need no new app.
func reaction(_ problem: Problem) -> Reaction {
    switch problem.code {
    case "missing_credentials", "invalid_token", "session_revoked": return .signIn
    case "not_open_yet": return .lobby
    case "banned", "closed", "insufficient_role", "room_not_found": return .leave
    default: return problem.retryable ? .again : .report
    }
}

@MainActor
final class Meeting {
    /// The SDK's room, for streams and events, once `join` has made it.
    private(set) var room: Room?
    var onToken: (Answer) -> Void = { _ in }

    private let service: URL
    private let alias: String
    private let bearer: (_ renewed: Bool) async throws -> String
    private let patience: Double

    /// `bearer` gets the user's bearer from your identity provider; its argument says that the last one was refused.
    /// `patience`: seconds to go on trying for the first token.
    init(service: URL, alias: String, bearer: @escaping (Bool) async throws -> String, patience: Double = 30) {
        self.service = service
        self.alias = alias
        self.bearer = bearer
        self.patience = patience
    }

    /// Joins, and renews the token until its task is cancelled or there is no other token to be had. Leaves the room in
    /// every case. Throws `Refused`.
    func join() async throws {
        var answer = try await ask(until: now() + patience)
        onToken(answer)
        let room = await made(with: answer)
        self.room = room
        defer { room.disconnect {} }
        room.connect { _ in }
        while true {
            let expires = now() + answer.expiresIn
            try await sleep(answer.refreshAfter)
            answer = try await renewed(until: expires)
            onToken(answer)
            room.updateClientToken(clientToken: answer.token) {}
        }
    }

    /// The SDK takes the context as an object, and shows it to others as the text that it was.
    private func made(with answer: Answer) async -> Room {
        let shown = try? JSONSerialization.jsonObject(with: Data(answer.context.utf8)) as? [String: Any]
        return await withCheckedContinuation { made in
            Room.createRoom(
                id: answer.room.id, clientToken: answer.token, context: shown ?? [:], enableMessages: false
            ) { room in made.resume(returning: room) }
        }
    }

    /// Another token. Our trouble does not end a call whose token lives: only when that is over this throws.
    private func renewed(until expires: Double) async throws -> Answer {
        do {
            return try await ask(until: expires)
        } catch let refused as Refused {
            let kind = reaction(refused.problem)
            if kind == .again || kind == .report { try await sleep(max(0, expires - now())) }
            throw refused
        }
    }

    /// Tries again while that may help and `until` is ahead: backoff, jitter, never before told.
    private func ask(until: Double) async throws -> Answer {
        var most = 1.0
        while true {
            do {
                return try await askOnce(renewed: false)
            } catch let refused as Refused {
                let pause = (refused.problem.retryAfter ?? 0) + Double.random(in: 0...most)
                guard reaction(refused.problem) == .again, now() + pause < until else { throw refused }
                try await sleep(pause)
            }
            most = min(2 * most, 15)
        }
    }

    /// One token call; whatever is no answer of the service counts as worth another try.
    private func askOnce(renewed: Bool) async throws -> Answer {
        var asked = URLRequest(url: service.appendingPathComponent("v1/rooms/\(alias)/token"), timeoutInterval: 10)
        asked.httpMethod = "POST"
        asked.setValue("Bearer \(try await bearer(renewed))", forHTTPHeaderField: "Authorization")
        asked.setValue("application/json", forHTTPHeaderField: "Content-Type")
        asked.httpBody = Data("{}".utf8)
        let got: (Data, URLResponse)
        do {
            got = try await URLSession.shared.data(for: asked)
        } catch let error as URLError where error.code != .cancelled {
            throw Refused(problem: Problem(code: "no_answer", title: error.localizedDescription, retryable: true))
        }
        let (body, response) = got
        let status = (response as? HTTPURLResponse)?.statusCode ?? 0
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        if status == 200, let answer = try? decoder.decode(Answer.self, from: body) { return answer }
        let told = try? decoder.decode(Problem.self, from: body)
        if told?.code == "invalid_token" && !renewed { return try await askOnce(renewed: true) }
        throw Refused(problem: told ?? Problem(code: "http_\(status)", title: "No answer", retryable: status >= 500))
    }

    private func sleep(_ seconds: Double) async throws {
        try await Task.sleep(nanoseconds: UInt64(seconds * 1_000_000_000))
    }

    /// Seconds of a clock that goes on while the phone sleeps and that nobody sets.
    private func now() -> Double {
        Double(clock_gettime_nsec_np(CLOCK_MONOTONIC_RAW)) / 1_000_000_000
    }
}
