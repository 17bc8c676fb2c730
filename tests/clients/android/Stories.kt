/*
 * Tells the stories of story_table.py with the Android library: plans on standard input, what the app was told on standard
 * output. The sockets are real, the time is not: it jumps from timer to timer while no request is under way.
 */
package videotoken.client

import java.util.concurrent.LinkedBlockingQueue
import kotlin.coroutines.CoroutineContext
import kotlin.coroutines.resume
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Runnable
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.flow.MutableSharedFlow
import kotlinx.coroutines.launch
import kotlinx.coroutines.suspendCancellableCoroutine
import org.jetbrains.kotlin.js.parser.sourcemaps.JsonArray
import org.jetbrains.kotlin.js.parser.sourcemaps.JsonNode
import org.jetbrains.kotlin.js.parser.sourcemaps.JsonNumber
import org.jetbrains.kotlin.js.parser.sourcemaps.JsonObject
import org.jetbrains.kotlin.js.parser.sourcemaps.JsonString
import org.jetbrains.kotlin.js.parser.sourcemaps.parseJson

private const val NOBODY = "http://127.0.0.1:9"

/** The machine of one story: all its coroutines run on the caller's thread. Seconds. */
private class World : Clock {
    private class Timer(val at: Double, val ring: () -> Unit)

    private val timers = mutableListOf<Timer>()
    private val tasks = LinkedBlockingQueue<Runnable>()
    val coroutines = CoroutineScope(object : CoroutineDispatcher() {
        override fun dispatch(context: CoroutineContext, block: Runnable) = tasks.put(block)
    })
    val wakeUps = MutableSharedFlow<Unit>(extraBufferCapacity = 1000)

    /** Requests under way that will end by themselves. */
    var busy = 0
    var up = 0.0
    var slept = 0.0
    var offline = false

    override fun elapsed(): Double = up + slept

    override fun awake(): Double = up

    override suspend fun sleep(seconds: Double) = suspendCancellableCoroutine { sleeper ->
        val timer = at(up + seconds) { sleeper.resume(Unit) }
        sleeper.invokeOnCancellation { timers.remove(timer) }
    }

    fun at(moment: Double, happening: () -> Unit): Any = Timer(moment, happening).also(timers::add)

    fun run(until: Double) {
        settle()
        while (true) {
            val next = timers.minByOrNull { it.at }?.takeIf { it.at + slept <= until } ?: return
            timers.remove(next)
            up = maxOf(up, next.at)
            next.ring()
            settle()
        }
    }

    fun settle() {
        while (true) {
            val task = if (busy > 0) tasks.take() else tasks.poll() ?: return
            task.run()
        }
    }
}

private fun JsonNode.text(): String? = (this as? JsonString)?.value

private fun JsonNode.number(): Double = (this as JsonNumber).value

private fun JsonNode.list(): List<JsonNode> = (this as JsonArray).elements

private fun JsonNode.members(): Map<String, JsonNode> = (this as JsonObject).properties

private fun node(value: Any): JsonNode =
    if (value is Number) JsonNumber(value.toDouble()) else JsonString(value.toString().lowercase())

private fun tell(plan: Map<String, JsonNode>): JsonNode {
    val world = World()
    val told = mutableListOf<JsonNode>()
    val bearers = plan.getValue("bearers").list().map { it.text() }.toMutableList()
    val neverEnd = plan.getValue("never_end").list().map { it.number().toInt() }
    val options = plan.getValue("options").members()
    var number = 0
    fun note(what: String, vararg more: Pair<String, Any>) {
        val members = listOf("at" to world.elapsed(), "what" to what, *more)
        told.add(JsonObject(*members.map { (name, value) -> name to node(value) }.toTypedArray()))
    }

    val keeper = TokenKeeper(
        service = plan.getValue("service").text()!!,
        room = plan.getValue("room").text()!!,
        getBearer = { forceRefresh ->
            if (forceRefresh) note("forced")
            val bearer = if (bearers.size > 1) bearers.removeAt(0) else bearers[0]
            if (bearer == "never") awaitCancellation()
            bearer ?: error("nobody is signed in")
        },
        wakeUps = world.wakeUps,
        deviceId = options["device_id"]?.text(),
        displayName = options["display_name"]?.text(),
        patienceSeconds = options["patience"]?.number() ?: 30.0,
        transport = { url, headers, body ->
            val mine = number++
            val ends = mine !in neverEnd
            val target = if (world.offline) NOBODY else url
            if (ends) world.busy += 1
            try {
                UrlConnectionTransport.post(target, headers + ("X-Number" to mine.toString()), body)
            } finally {
                if (ends) world.busy -= 1
            }
        },
        clock = world,
        random = { 0.5 }
    )
    val running = world.coroutines.launch {
        keeper.events().collect { event ->
            when (event) {
                is TokenEvent.Token -> note("token", "token" to event.answer.token, "source" to event.answer.source)
                is TokenEvent.Trouble -> note(
                    "trouble", "code" to event.problem.code, "reaction" to event.reaction,
                    "failures" to event.failures, "left" to event.expiresIn, "retry" to event.retryIn
                )
                is TokenEvent.Ended -> note(
                    "ended", "reason" to event.reason, "code" to event.problem.code,
                    "reaction" to event.reaction
                )
            }
        }
    }
    for (action in plan.getValue("actions").list().map { it.list() }) {
        val seconds = action[2].number()
        world.at(action[0].number()) {
            when (action[1].text()) {
                "sleep" -> world.slept += seconds
                "wake" -> world.wakeUps.tryEmit(Unit)
                "set clock" -> Unit // Nobody sets the clocks of a phone that the library goes by.
                "offline" -> world.offline = true
                "online" -> world.offline = false
                "stop" -> running.cancel()
                else -> error("no such action: $action")
            }
        }
    }
    world.run(plan.getValue("until").number())
    running.cancel()
    world.settle()
    // Nothing is left of a keeper that has ended.
    if (world.wakeUps.subscriptionCount.value > 0) note("still listening")
    return JsonArray(told)
}

fun main() {
    // The JDK's client, other than Android's, sends a request again whose connection was dropped.
    System.setProperty("sun.net.http.retryPost", "false")
    val plans = parseJson(System.`in`.bufferedReader().readText()).list().map { it.members() }
    println(JsonObject(*plans.map { it.getValue("name").text()!! to tell(it) }.toTypedArray()))
    kotlin.system.exitProcess(0)
}
