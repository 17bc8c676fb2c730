package com.example.meeting

import android.app.Activity
import android.app.Application
import android.net.Network
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.yield
import videotoken.client.TokenEvent
import videotoken.client.TokenKeeper
import videotoken.client.wakeUps

/** Plays an app: service, alias, bearer and, where it is to leave by itself, after how many tokens. */
fun main(args: Array<String>): Unit = runBlocking {
    if (args.isEmpty()) return@runBlocking wakeUpsAreTold()
    val enough = args.getOrNull(3)?.toInt() ?: Int.MAX_VALUE
    var seen = 0
    val application = Application()
    val keeper = TokenKeeper(args[0], args[1], { args[2] }, wakeUps(application))
    val call = launch {
        meet(application, keeper) { event ->
            when (event) {
                is TokenEvent.Token -> println("token ${event.answer.source}").also { seen += 1 }
                is TokenEvent.Trouble -> println("trouble ${event.problem.code}")
                is TokenEvent.Ended -> println("ended ${event.reason} ${event.problem.code} ${event.reaction}")
            }
        }
    }
    while (call.isActive && seen < enough) delay(100)
    call.cancelAndJoin()
}

/** What Android tells, and how many listen to it, before and after. */
private suspend fun wakeUpsAreTold() = runBlocking {
    val application = Application()
    var told = 0
    val listening = launch { wakeUps(application).collect { told += 1 } }
    repeat(10) { yield() }
    val happenings = listOf(
        { application.connectivity.changed { it.onAvailable(Network()) } },
        { application.connectivity.changed { it.onBlockedStatusChanged(Network(), true) } },
        { application.connectivity.changed { it.onBlockedStatusChanged(Network(), false) } },
        { application.changed { it.onActivityStarted(Activity()) } },
        { application.changed { it.onActivityStopped(Activity()) } }
    )
    for (happening in happenings) {
        happening()
        repeat(10) { yield() }
        println(told)
    }
    listening.cancelAndJoin()
    println(application.connectivity.changed {} + application.changed {})
}
