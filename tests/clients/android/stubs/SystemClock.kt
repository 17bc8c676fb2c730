/* What the library needs of Android, by the names and types of its documentation, for a plain JVM. */
package android.os

object SystemClock {
    @JvmStatic
    fun elapsedRealtime(): Long = System.nanoTime() / 1_000_000

    @JvmStatic
    fun uptimeMillis(): Long = System.nanoTime() / 1_000_000
}

class Bundle
