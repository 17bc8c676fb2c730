package com.example.meeting

import android.content.Context
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking

/** Plays an app: service, alias, bearer and, where it is to leave by itself, after how many tokens. */
fun main(args: Array<String>): Unit = runBlocking {
    val enough = args.getOrNull(3)?.toInt() ?: Int.MAX_VALUE
    var seen = 0
    val meeting = Meeting(
        Context(), args[0], args[1],
        { renewed -> if (renewed) println("another bearer"); args[2] },
        patience = 10_000,
        onToken = { seen += 1; println("token ${it.source} ${it.expiresIn} ${it.refreshAfter}") }
    )
    val call = launch {
        try {
            meeting.join()
        } catch (refused: Refused) {
            println("refused ${refused.problem.code} ${reaction(refused.problem)}")
        }
    }
    while (call.isActive && seen < enough) delay(100)
    // The token that was seen last is still being handed over.
    delay(300)
    call.cancelAndJoin()
}
