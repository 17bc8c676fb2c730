/*
 * Joins a Telnyx Video room with tokens of the video token service, and keeps the call alive.
 *
 *     val meeting = Meeting(context, "https://video.example.com", "standup", { renewed -> signIn.bearer(renewed) })
 *     viewModelScope.launch { try { meeting.join() } catch (refused: Refused) { show(refused.problem) } }
 *
 * Needs kotlinx-coroutines and the Telnyx Video SDK for Android; everything else is in Android. Copy it, change it. A call
 * that goes on in the background needs a foreground service, or Android delays the renewal beyond the token's life.
 */
package com.example.meeting

import android.content.Context
import android.os.SystemClock
import com.telnyx.video.sdk.Room
import com.telnyx.video.sdk.webSocket.model.send.ExternalData
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.delay
import kotlinx.coroutines.withContext
import org.json.JSONException
import org.json.JSONObject
import java.io.IOException
import java.net.HttpURLConnection
import java.net.URL
import java.util.UUID
import kotlin.math.max
import kotlin.math.min
import kotlin.random.Random

/** What the token call answers; all members are in openapi.yaml, TokenAnswer. */
class Answer(told: JSONObject) {
    val token: String = told.getString("token")
    val expiresIn: Long = told.getLong("expires_in")
    val refreshAfter: Long = told.getLong("refresh_after")
    val roomId: String = told.getJSONObject("room").getString("id")
    val context: String = told.getString("context")
    val source: String = told.getString("source")
}

/** What every error says; `retryAfter` in seconds, 0 where none is told. */
class Problem(val code: String, val title: String, val retryable: Boolean, val retryAfter: Long, val opensAt: String?)

class Refused(val problem: Problem) : Exception(problem.title)

/** What an app does about a problem: LOBBY waits for `opensAt`, REPORT is a bug. */
enum class Reaction { AGAIN, SIGN_IN, LOBBY, LEAVE, REPORT }

/** By its code, and where that asks for nothing special by `retryable`, so that new codes need no new app. */
fun reaction(problem: Problem): Reaction = when (problem.code) {
    "missing_credentials", "invalid_token", "session_revoked" -> Reaction.SIGN_IN
    "not_open_yet" -> Reaction.LOBBY
    "banned", "closed", "insufficient_role", "room_not_found" -> Reaction.LEAVE
    else -> if (problem.retryable) Reaction.AGAIN else Reaction.REPORT
}

/**
 * One call. `bearer` gets the user's bearer from your identity provider; its argument says that the last one was refused.
 * `patience`: milliseconds to go on trying for the first token.
 */
class Meeting(
    private val context: Context,
    private val service: String,
    private val alias: String,
    private val bearer: suspend (Boolean) -> String,
    private val deviceId: String? = null,
    private val patience: Long = 30_000,
    private val onToken: (Answer) -> Unit = {}
) {
    /** The SDK's room, for streams and events, once `join` has made it. */
    var room: Room? = null
        private set

    /**
     * Joins, and renews the token until this coroutine is cancelled or there is no other token to be had. Leaves the room
     * in every case. Throws [Refused].
     */
    suspend fun join() {
        var answer = ask(now() + patience)
        onToken(answer)
        val joined = Room(
            context = context,
            roomId = UUID.fromString(answer.roomId),
            roomToken = answer.token,
            // The SDK takes no other text of ours; the service looks for its ticket in it.
            externalData = ExternalData(0, answer.context),
            enableMessages = false
        )
        room = joined
        try {
            joined.connect()
            while (true) {
                val expires = now() + answer.expiresIn * 1000
                delay(answer.refreshAfter * 1000)
                answer = renewed(expires)
                onToken(answer)
                joined.setClientToken(answer.token)
            }
        } finally {
            joined.disconnect()
        }
    }

    /** Another token. Our trouble does not end a call whose token lives: only when that is over this throws. */
    private suspend fun renewed(expires: Long): Answer = try {
        ask(expires)
    } catch (refused: Refused) {
        if (reaction(refused.problem) in listOf(Reaction.AGAIN, Reaction.REPORT)) delay(max(0, expires - now()))
        throw refused
    }

    /** Tries again while that may help and `until` is ahead: backoff, jitter, never before told. */
    private suspend fun ask(until: Long): Answer {
        var most = 1000L
        while (true) {
            try {
                return askOnce(false)
            } catch (refused: Refused) {
                val pause = refused.problem.retryAfter * 1000 + Random.nextLong(most)
                if (reaction(refused.problem) != Reaction.AGAIN || now() + pause >= until) throw refused
                delay(pause)
            }
            most = min(2 * most, 15_000L)
        }
    }

    /** One token call; whatever is no answer of the service counts as worth another try. */
    private suspend fun askOnce(renewed: Boolean): Answer {
        val credential = bearer(renewed)
        val (status, text) = try {
            withContext(Dispatchers.IO) { post(credential) }
        } catch (error: IOException) {
            throw Refused(Problem("no_answer", "The service cannot be reached", true, 0, null))
        }
        val told = try {
            JSONObject(text)
        } catch (error: JSONException) {
            throw Refused(Problem("http_$status", "No answer of the service", status >= 500, 0, null))
        }
        if (status == 200) return Answer(told)
        val code = told.optString("code", "http_$status")
        if (code == "invalid_token" && !renewed) return askOnce(true)
        val opensAt = if (told.has("opens_at")) told.getString("opens_at") else null
        val retryable = told.optBoolean("retryable", status >= 500)
        throw Refused(Problem(code, told.optString("title"), retryable, told.optLong("retry_after"), opensAt))
    }

    private fun post(credential: String): Pair<Int, String> {
        val connection = URL("$service/v1/rooms/$alias/token").openConnection() as HttpURLConnection
        try {
            connection.requestMethod = "POST"
            connection.connectTimeout = 5_000
            connection.readTimeout = 10_000
            connection.doOutput = true
            connection.setRequestProperty("Authorization", "Bearer $credential")
            connection.setRequestProperty("Content-Type", "application/json")
            val body = JSONObject().apply { deviceId?.let { put("device_id", it) } }
            connection.outputStream.use { it.write(body.toString().toByteArray()) }
            val status = connection.responseCode
            val stream = if (status < 400) connection.inputStream else connection.errorStream
            return Pair(status, stream?.bufferedReader()?.use { it.readText() } ?: "")
        } finally {
            connection.disconnect()
        }
    }

    /** Milliseconds of a clock that goes on while the phone sleeps and that nobody sets. */
    private fun now(): Long = SystemClock.elapsedRealtime()
}
