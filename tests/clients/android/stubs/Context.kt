package android.content

import android.net.ConnectivityManager

abstract class Context {
    val connectivity = ConnectivityManager()

    val applicationContext: Context get() = this

    fun <T> getSystemService(serviceClass: Class<T>): T = serviceClass.cast(connectivity)
}
