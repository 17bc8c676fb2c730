/*
 * The token call: one request, and what its answer means (BEHAVIOUR.md, sections 1 and 2). Knows nothing of time, repeats
 * and bearers' lives; TokenKeeper.kt does.
 */
package videotoken.client

import java.net.URLEncoder
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import org.json.JSONException
import org.json.JSONObject

/**
 * What the token call answers. `token`, `roomId` and `context` go to the Telnyx Video SDK as they are; `expiresIn` and
 * `refreshAfter` are in seconds; `source` is `issued`, `refreshed`, `cache` or `stale`. All members are in `document`
 * (openapi.yaml, TokenAnswer).
 */
class TokenAnswer internal constructor(
    val token: String,
    val expiresIn: Double,
    val refreshAfter: Double,
    val roomId: String,
    val context: String,
    val source: String,
    val document: JSONObject
)

/** The token call of a room. */
internal class TokenRequest(
    service: String,
    room: String,
    deviceId: String?,
    displayName: String?,
    private val transport: Transport
) {
    // URLEncoder is for forms, where a space is a plus.
    private val alias = URLEncoder.encode(room, "UTF-8").replace("+", "%20")
    private val url = "${service.trimEnd('/')}/v1/rooms/$alias/token"
    private val body = JSONObject().apply {
        deviceId?.let { put("device_id", it) }
        displayName?.let { put("display_name", it) }
    }.toString()

    /** Asks once. Throws [ProblemException]. */
    suspend fun send(bearer: String): TokenAnswer {
        val headers = mapOf("Authorization" to "Bearer $bearer", "Content-Type" to "application/json")
        val answer = try {
            transport.post(url, headers, body)
        } catch (error: Exception) {
            currentCoroutineContext().ensureActive()
            throw ProblemException(networkError(error.toString()))
        }
        val document = try {
            JSONObject(answer.body)
        } catch (_: JSONException) {
            null
        }
        return document?.takeIf { answer.status == 200 }?.let(::tokenAnswer)
            ?: throw ProblemException(problemOf(answer, document))
    }
}

internal fun networkError(detail: String) =
    Problem("network_error", "The service cannot be reached", 0, retryable = true, detail = detail)

internal fun bearerUnavailable(detail: String) =
    Problem("bearer_unavailable", "The app has no bearer for this user now", 0, retryable = true, detail = detail)

internal fun staleToken(seconds: Double) =
    Problem("stale_token", "The service could not renew the token yet", 200, retryable = true, retryAfter = seconds)

/** `null` where something is missing or of another type. */
private fun tokenAnswer(told: JSONObject): TokenAnswer? {
    val token = (told.opt("token") as? String)?.takeIf { it.isNotEmpty() }
    val expiresIn = told.number("expires_in")?.takeIf { it > 0 }
    val refreshAfter = told.number("refresh_after")?.takeIf { it >= 0 }
    val roomId = (told.opt("room") as? JSONObject)?.opt("id") as? String
    val context = told.opt("context") as? String
    if (token == null || expiresIn == null || refreshAfter == null || roomId == null || context == null) return null
    return TokenAnswer(token, expiresIn, refreshAfter, roomId, context, told.opt("source") as? String ?: "", told)
}

private fun problemOf(answer: HttpAnswer, document: JSONObject?): Problem {
    val status = answer.status
    val header = answer.retryAfter?.takeIf { it.matches(Regex("\\d+")) }?.toDouble() ?: 0.0
    val code = document?.opt("code") as? String
    if (document != null && code != null && answer.contentType.orEmpty().startsWith("application/problem+json")) {
        return Problem(
            code = code,
            title = document.opt("title") as? String ?: code,
            status = status,
            retryable = document.opt("retryable") as? Boolean ?: isRetryableStatus(status),
            retryAfter = document.number("retry_after") ?: header,
            opensAt = document.opt("opens_at") as? String,
            detail = document.opt("detail") as? String,
            requestId = document.opt("request_id") as? String
        )
    }
    if (status in 300..399) {
        return Problem("redirected", "The service answered with a redirect", status, retryable = false)
    }
    val success = status in 200..299
    val made = if (success) "invalid_answer" else "http_$status"
    val title = "The answer is none of the token service"
    return Problem(made, title, status, success || isRetryableStatus(status), header)
}

private fun JSONObject.number(name: String): Double? = (opt(name) as? Number)?.toDouble()
