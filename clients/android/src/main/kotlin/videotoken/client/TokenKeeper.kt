/*
 * Keeps a token alive: asks for the first one, renews it, and tells the app (BEHAVIOUR.md, sections 3 to 9).
 *
 * Rules for editors: one request at a time; whatever comes instead of a token, go on trying while the token lives; the
 * app's own work never delays a renewal.
 */
package videotoken.client

import kotlin.math.max
import kotlin.math.min
import kotlin.math.pow
import kotlin.random.Random
import kotlinx.coroutines.async
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.channels.SendChannel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.buffer
import kotlinx.coroutines.flow.channelFlow
import kotlinx.coroutines.flow.emptyFlow
import kotlinx.coroutines.launch
import kotlinx.coroutines.selects.select

/** What an app is told. */
sealed interface TokenEvent {
    /** The first token, and each renewal: hand it to the SDK. */
    data class Token(val answer: TokenAnswer) : TokenEvent

    /**
     * An attempt brought no token, and the keeper goes on; the next [Token] means that it is over. `failures` in a row,
     * this one included; `expiresIn` seconds that the token still lives, 0 where there is none; `retryIn` seconds until
     * the next try. With [Reaction.WAIT] nothing has failed (0 `failures`): the user waits for a moderator.
     */
    data class Trouble(
        val problem: Problem,
        val reaction: Reaction,
        val failures: Int,
        val expiresIn: Double,
        val retryIn: Double
    ) : TokenEvent

    /** The last event: the call cannot go on. */
    data class Ended(val reason: Reason, val problem: Problem, val reaction: Reaction) : TokenEvent

    /** The service refused this user, the token is over, or there was none in time. */
    enum class Reason { REFUSED, EXPIRED, UNAVAILABLE }
}

/**
 * `getBearer` returns the user's bearer from your identity provider; its argument says that the last one was refused, so
 * get a new one. `wakeUps` is `wakeUps(context)` in an app. `patienceSeconds` is how long to try for the first token,
 * without the time for which the user waits for a moderator.
 */
class TokenKeeper(
    service: String,
    room: String,
    private val getBearer: suspend (forceRefresh: Boolean) -> String,
    private val wakeUps: Flow<Unit> = emptyFlow(),
    deviceId: String? = null,
    displayName: String? = null,
    private val patienceSeconds: Double = 30.0,
    transport: Transport = UrlConnectionTransport,
    private val clock: Clock = DeviceClock,
    private val random: () -> Double = Random::nextDouble
) {
    private val request = TokenRequest(service, room, deviceId, displayName, transport)

    /**
     * A keeper runs while somebody collects this, and stops when the collecting is cancelled. Each collector has a keeper
     * of its own.
     */
    fun events(): Flow<TokenEvent> = channelFlow {
        val life = Life(channel)
        val waking = launch { wakeUps.collect { life.wake() } }
        try {
            channel.send(life.keep())
        } finally {
            waking.cancel()
        }
    }.buffer(Channel.UNLIMITED)

    /** From the first request to the end. */
    private inner class Life(private val app: SendChannel<TokenEvent>) {
        private val bell = Channel<Unit>(Channel.CONFLATED)

        @Volatile
        private var woken = false
        private var joined = false
        private var failures = 0

        /** When the token in hand ends, by both clocks: elapsed for the app to know, awake for giving up. */
        private var endsElapsed = 0.0
        private var endsAwake = clock.awake() + patienceSeconds

        /** Bearers that were refused, the second one after a forced refresh. */
        private var refused = emptyList<String>()

        fun wake() {
            woken = true
            bell.trySend(Unit)
        }

        /** Asks again and again, and answers how it ended. */
        suspend fun keep(): TokenEvent.Ended {
            while (true) {
                try {
                    wait(attempt().refreshAfter)
                } catch (error: ProblemException) {
                    failed(error.problem)?.let { return it }
                }
            }
        }

        /** One attempt, with one forced refresh of the bearer. Throws [ProblemException]. */
        private suspend fun attempt(): TokenAnswer {
            woken = false
            val bearer = bearer(false)
            try {
                return ask(bearer)
            } catch (error: ProblemException) {
                if (!refusesBearer(error.problem) || bearer in refused) throw error
            }
            val renewed = bearer(true)
            try {
                return ask(renewed)
            } catch (error: ProblemException) {
                if (refusesBearer(error.problem)) refused = listOf(bearer, renewed)
                throw error
            }
        }

        private suspend fun bearer(forceRefresh: Boolean): String =
            within(bearerUnavailable("No bearer in time")) {
                try {
                    getBearer(forceRefresh)
                } catch (error: Exception) {
                    // A time limit of the app's own is a cancellation too, but none of ours.
                    currentCoroutineContext().ensureActive()
                    throw ProblemException(bearerUnavailable(error.toString()))
                }
            }

        private suspend fun ask(bearer: String): TokenAnswer {
            // A token's life counts from before the request: the answer may have been long on its way.
            val elapsed = clock.elapsed()
            val awake = clock.awake()
            val answer = within(networkError("No answer in time")) { request.send(bearer) }
            joined = true
            endsElapsed = elapsed + answer.expiresIn
            endsAwake = awake + answer.expiresIn
            refused = emptyList()
            val stale = answer.source == "stale"
            failures = if (stale) failures + 1 else 0
            app.send(TokenEvent.Token(answer))
            if (stale) app.send(trouble(staleToken(answer.refreshAfter), answer.refreshAfter))
            return answer
        }

        /** Waits for the next try, or answers how the keeper has ended. */
        private suspend fun failed(problem: Problem): TokenEvent.Ended? {
            val kind = reaction(problem)
            val waits = kind == Reaction.WAIT
            if (isFinal(problem) || (!joined && kind != Reaction.RETRY && !waits)) {
                return TokenEvent.Ended(TokenEvent.Reason.REFUSED, problem, kind)
            }
            failures = if (waits) 0 else failures + 1
            val told = min(max(problem.retryAfter, 0.0), MAX_RETRY_AFTER_SECONDS)
            val pause = if (waits) max(told, MIN_SECONDS_BETWEEN_TRIES) else told + backoff()
            if (waits && !joined) endsAwake = clock.awake() + pause + patienceSeconds
            val reason = if (joined) TokenEvent.Reason.EXPIRED else TokenEvent.Reason.UNAVAILABLE
            val over = TokenEvent.Ended(reason, problem, kind)
            if (!joined && clock.awake() + pause >= endsAwake) return over
            if (clock.awake() < endsAwake) {
                app.send(trouble(problem, pause))
                wait(pause, earliest = max(told, MIN_SECONDS_BETWEEN_TRIES), until = endsAwake)
            }
            return over.takeIf { clock.awake() >= endsAwake }
        }

        private fun backoff(): Double {
            val most = min(2.0.pow(min(failures - 1, 10)), MAX_BACKOFF_SECONDS)
            return most / 2 * (1 + random())
        }

        private fun trouble(problem: Problem, retryIn: Double): TokenEvent {
            val left = if (joined) max(0.0, endsElapsed - clock.elapsed()) else 0.0
            return TokenEvent.Trouble(problem, reaction(problem), failures, left, retryIn)
        }

        /** What comes of `work`, or the problem `late` after 10 seconds. */
        private suspend fun <T> within(late: Problem, work: suspend () -> T): T = coroutineScope {
            val working = async { work() }
            val deadline = launch { wait(CALL_SECONDS) }
            try {
                select {
                    working.onAwait { it }
                    deadline.onJoin { throw ProblemException(late) }
                }
            } finally {
                working.cancel()
                deadline.cancel()
            }
        }

        /** Waits `seconds`, or `earliest` if the device has woken up, or until the time awake is `until`. */
        private suspend fun wait(seconds: Double, earliest: Double = seconds, until: Double = Double.MAX_VALUE) {
            val began = clock.elapsed()
            while (true) {
                val most = if (woken) min(earliest, seconds) else seconds
                val left = min(most - (clock.elapsed() - began), until - clock.awake())
                if (left <= 0) return
                // Timers stop in deep sleep, so the clock is looked at each second.
                sleep(min(left, SECONDS_BETWEEN_LOOKS))
            }
        }

        private suspend fun sleep(seconds: Double) = coroutineScope {
            val alarm = launch { clock.sleep(seconds) }
            select {
                alarm.onJoin {}
                bell.onReceive {}
            }
            alarm.cancel()
        }
    }

    private companion object {
        const val CALL_SECONDS = 10.0
        const val MAX_BACKOFF_SECONDS = 15.0
        const val MIN_SECONDS_BETWEEN_TRIES = 1.0
        const val SECONDS_BETWEEN_LOOKS = 1.0

        // The service never says more; a proxy may.
        const val MAX_RETRY_AFTER_SECONDS = 60.0
    }
}
