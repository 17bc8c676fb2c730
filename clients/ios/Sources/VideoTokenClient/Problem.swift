//  What an answer means that is no token (BEHAVIOUR.md, section 2). Owns the table of reactions. Rules for editors: a code
//  that only repeats what `retryable` says has no row here.

/// A problem document of the service (RFC 9457), or what this package makes of everything else.
public struct Problem: Sendable, Equatable {
    /// What programs go by.
    public var code: String
    public var title: String
    /// HTTP status, 0 where there was no answer.
    public var status: Int
    /// Whether the same request may succeed later.
    public var retryable: Bool
    /// Seconds to wait at least, 0 where none are told.
    public var retryAfter: Double = 0
    /// When the room opens (RFC 3339), with `not_open_yet`.
    public var opensAt: String?
    /// For developers.
    public var detail: String?
    /// What the service's logs call this request.
    public var requestId: String?
}

/// What an app does about a problem: `wait` is for a moderator, `lobby` for `opensAt`, `report` is a bug.
public enum Reaction: Sendable { case retry, wait, signIn, lobby, leave, report }

/// By the code, then by status 401, then by `retryable`, so that a new code needs no new app.
public func reaction(to problem: Problem) -> Reaction {
    switch problem.code {
    case "missing_credentials", "invalid_token", "session_revoked": return .signIn
    case "waiting_for_admission": return .wait
    case "not_open_yet": return .lobby
    case "banned", "closed", "admission_refused", "insufficient_role", "room_not_found": return .leave
    default: return problem.status == 401 ? .signIn : problem.retryable ? .retry : .report
    }
}

extension Problem {
    /// Whether another bearer may help. A revoked session stays revoked.
    var refusesBearer: Bool { status == 401 && code != "session_revoked" }

    /// Whether the service has decided about this user, so that a call ends even while its token lives.
    var isFinal: Bool { code == "session_revoked" || [.leave, .lobby].contains(reaction(to: self)) }

    static func network(_ detail: String) -> Problem {
        Problem(
            code: "network_error", title: "The service cannot be reached", status: 0, retryable: true, detail: detail)
    }

    static func bearer(_ detail: String) -> Problem {
        Problem(
            code: "bearer_unavailable", title: "The app has no bearer for this user now", status: 0, retryable: true,
            detail: detail)
    }

    static func stale(_ seconds: Double) -> Problem {
        Problem(
            code: "stale_token", title: "The service could not renew the token yet", status: 200, retryable: true,
            retryAfter: seconds)
    }
}

/// Whether a request that got this status, and no problem document, may succeed later.
func isRetryable(status: Int) -> Bool { status >= 500 || [408, 425, 429].contains(status) }

/// Carries a problem from where it was found to where it is handled.
struct ProblemError: Error { let problem: Problem }
