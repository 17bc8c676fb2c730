/* When a keeper looks at its clock again (BEHAVIOUR.md, section 8). */
package videotoken.client

import android.app.Activity
import android.app.Application
import android.content.Context
import android.net.ConnectivityManager
import android.net.Network
import android.os.Bundle
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.channels.awaitClose
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.buffer
import kotlinx.coroutines.flow.callbackFlow

/** The network is there (again), or an activity of this app starts. Needs the permission ACCESS_NETWORK_STATE. */
fun wakeUps(context: Context): Flow<Unit> = callbackFlow {
    val network = object : ConnectivityManager.NetworkCallback() {
        override fun onAvailable(network: Network) {
            trySend(Unit)
        }

        override fun onBlockedStatusChanged(network: Network, blocked: Boolean) {
            if (!blocked) trySend(Unit)
        }
    }
    val activities = object : Application.ActivityLifecycleCallbacks {
        override fun onActivityStarted(activity: Activity) {
            trySend(Unit)
        }

        override fun onActivityCreated(activity: Activity, savedInstanceState: Bundle?) = Unit
        override fun onActivityResumed(activity: Activity) = Unit
        override fun onActivityPaused(activity: Activity) = Unit
        override fun onActivityStopped(activity: Activity) = Unit
        override fun onActivitySaveInstanceState(activity: Activity, outState: Bundle) = Unit
        override fun onActivityDestroyed(activity: Activity) = Unit
    }
    val connectivity = context.getSystemService(ConnectivityManager::class.java)
    val application = context.applicationContext as Application
    connectivity.registerDefaultNetworkCallback(network)
    application.registerActivityLifecycleCallbacks(activities)
    awaitClose {
        application.unregisterActivityLifecycleCallbacks(activities)
        connectivity.unregisterNetworkCallback(network)
    }
}.buffer(Channel.CONFLATED)
