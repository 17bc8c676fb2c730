/* The clocks of a keeper (BEHAVIOUR.md, section 7). Seconds throughout. */
package videotoken.client

import android.os.SystemClock
import kotlinx.coroutines.delay

interface Clock {
    /** Of a clock that goes on while the device sleeps, and that nobody sets. */
    fun elapsed(): Double

    /** Of a clock that only runs while the device is awake. */
    fun awake(): Double

    /** May take longer where the device sleeps. */
    suspend fun sleep(seconds: Double)
}

object DeviceClock : Clock {
    override fun elapsed(): Double = SystemClock.elapsedRealtime() / 1000.0

    override fun awake(): Double = SystemClock.uptimeMillis() / 1000.0

    override suspend fun sleep(seconds: Double) = delay((seconds * 1000).toLong() + 1)
}
