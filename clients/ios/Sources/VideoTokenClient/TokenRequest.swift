//  The token call: one request, and what its answer means (BEHAVIOUR.md, sections 1 and 2). Knows nothing of time, repeats
//  and bearers' lives; TokenKeeper.swift does.

import Foundation

/// What the token call answers. All of it is described in openapi.yaml, TokenAnswer; new members may appear.
public struct TokenAnswer: Decodable, Sendable {
    public struct Room: Decodable, Sendable { public let id: String }
    public struct Participant: Decodable, Sendable {
        public let userId: String
        public let name: String?
        public let role: String
    }

    /// For the Telnyx Video SDK, as `room.id` and `context` are.
    public let token: String
    /// Seconds that the token lives.
    public let expiresIn: Double
    /// Seconds after which the keeper asks again.
    public let refreshAfter: Double
    public let room: Room
    public let participant: Participant?
    public let context: String
    /// `issued`, `refreshed`, `cache` or `stale`.
    public let source: String?

    var isUsable: Bool { !token.isEmpty && expiresIn > 0 && refreshAfter >= 0 }
}

/// The token call of a room.
struct TokenRequest: Sendable {
    private let url: URL
    private let body: Data
    private let session: URLSession

    init(service: URL, room: String, deviceId: String?, displayName: String?, session: URLSession) {
        let unreserved = CharacterSet(charactersIn: "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")
        let alias = room.addingPercentEncoding(withAllowedCharacters: unreserved) ?? ""
        var base = service.absoluteString
        while base.hasSuffix("/") { base.removeLast() }
        url = URL(string: "\(base)/v1/rooms/\(alias)/token") ?? service
        let members = ["device_id": deviceId, "display_name": displayName].compactMapValues { $0 }
        body = (try? JSONEncoder().encode(members)) ?? Data("{}".utf8)
        self.session = session
    }

    /// Asks once. Throws `ProblemError`.
    func send(bearer: String) async throws -> TokenAnswer {
        var request = URLRequest(url: url)
        request.httpMethod = "POST"
        request.httpBody = body
        request.httpShouldHandleCookies = false
        request.setValue("Bearer \(bearer)", forHTTPHeaderField: "Authorization")
        request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        let content: Data
        let response: URLResponse
        do {
            (content, response) = try await session.data(for: request, delegate: NoRedirects())
        } catch {
            try Task.checkCancellation()
            throw ProblemError(problem: .network(error.localizedDescription))
        }
        guard let response = response as? HTTPURLResponse else { throw ProblemError(problem: .network("No HTTP")) }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        if response.statusCode == 200, let answer = try? decoder.decode(TokenAnswer.self, from: content),
            answer.isUsable
        {
            return answer
        }
        throw ProblemError(problem: problem(of: response, told: try? decoder.decode(Told.self, from: content)))
    }
}

/// A problem document. What is of another type than it should be counts as missing.
private struct Told: Decodable {
    let code: String
    let title: String?
    let retryable: Bool?
    let retryAfter: Double?
    let opensAt: String?
    let detail: String?
    let requestId: String?

    private enum CodingKeys: CodingKey { case code, title, retryable, retryAfter, opensAt, detail, requestId }

    init(from decoder: Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        code = try members.decode(String.self, forKey: .code)
        title = try? members.decode(String.self, forKey: .title)
        retryable = try? members.decode(Bool.self, forKey: .retryable)
        retryAfter = try? members.decode(Double.self, forKey: .retryAfter)
        opensAt = try? members.decode(String.self, forKey: .opensAt)
        detail = try? members.decode(String.self, forKey: .detail)
        requestId = try? members.decode(String.self, forKey: .requestId)
    }
}

private func problem(of response: HTTPURLResponse, told: Told?) -> Problem {
    let status = response.statusCode
    let header = response.value(forHTTPHeaderField: "Retry-After").flatMap { UInt($0) }.map { Double($0) } ?? 0
    let type = response.value(forHTTPHeaderField: "Content-Type") ?? ""
    if let told = told, type.hasPrefix("application/problem+json") {
        return Problem(
            code: told.code, title: told.title ?? told.code, status: status,
            retryable: told.retryable ?? isRetryable(status: status), retryAfter: told.retryAfter ?? header,
            opensAt: told.opensAt, detail: told.detail, requestId: told.requestId)
    }
    if (300..<400).contains(status) {
        return Problem(
            code: "redirected", title: "The service answered with a redirect", status: status, retryable: false)
    }
    let success = (200..<300).contains(status)
    return Problem(
        code: success ? "invalid_answer" : "http_\(status)", title: "The answer is none of the token service",
        status: status, retryable: success || isRetryable(status: status), retryAfter: header)
}

/// The bearer is for the service's own address only.
private final class NoRedirects: NSObject, URLSessionTaskDelegate, Sendable {
    func urlSession(
        _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
        newRequest request: URLRequest, completionHandler: @escaping (URLRequest?) -> Void
    ) {
        completionHandler(nil)
    }
}
