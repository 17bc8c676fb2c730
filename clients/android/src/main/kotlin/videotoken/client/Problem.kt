/*
 * What an answer means that is no token (BEHAVIOUR.md, section 2). Owns the table of reactions. Rules for editors: a code
 * that only repeats what `retryable` says has no row here.
 */
package videotoken.client

/**
 * A problem document of the service (RFC 9457), or what this library makes of everything else.
 *
 * `status` is 0 where there was no answer. `retryAfter` is in seconds, 0 where none is told. `opensAt` (RFC 3339) comes
 * with `not_open_yet`. `detail` is for developers, `requestId` is what the service's logs call this request.
 */
data class Problem(
    val code: String,
    val title: String,
    val status: Int,
    val retryable: Boolean,
    val retryAfter: Double = 0.0,
    val opensAt: String? = null,
    val detail: String? = null,
    val requestId: String? = null
)

/** What an app does about a problem. [WAIT] is for a moderator, [LOBBY] for `opensAt`, [REPORT] is a bug. */
enum class Reaction { RETRY, WAIT, SIGN_IN, LOBBY, LEAVE, REPORT }

/** By the code, then by status 401, then by `retryable`, so that a new code needs no new app. */
fun reaction(problem: Problem): Reaction = when (problem.code) {
    "missing_credentials", "invalid_token", "session_revoked" -> Reaction.SIGN_IN
    "waiting_for_admission" -> Reaction.WAIT
    "not_open_yet" -> Reaction.LOBBY
    "banned", "closed", "admission_refused", "insufficient_role", "room_not_found" -> Reaction.LEAVE
    else -> if (problem.status == 401) Reaction.SIGN_IN else if (problem.retryable) Reaction.RETRY else Reaction.REPORT
}

/** Whether another bearer may help. A revoked session stays revoked. */
internal fun refusesBearer(problem: Problem): Boolean = problem.status == 401 && problem.code != "session_revoked"

/** Whether the service has decided about this user, so that a call ends even while its token lives. */
internal fun isFinal(problem: Problem): Boolean =
    problem.code == "session_revoked" || reaction(problem) in setOf(Reaction.LEAVE, Reaction.LOBBY)

/** Whether a request that got this status, and no problem document, may succeed later. */
internal fun isRetryableStatus(status: Int): Boolean = status >= 500 || status in setOf(408, 425, 429)

/** Carries a problem from where it was found to where it is handled. */
internal class ProblemException(val problem: Problem) : Exception(problem.title)
