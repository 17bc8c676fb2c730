package android.app

import android.content.Context
import android.os.Bundle

class Activity

/** `changed` plays what Android tells. */
class Application : Context() {
    private val callbacks = mutableSetOf<ActivityLifecycleCallbacks>()

    interface ActivityLifecycleCallbacks {
        fun onActivityCreated(activity: Activity, savedInstanceState: Bundle?)
        fun onActivityStarted(activity: Activity)
        fun onActivityResumed(activity: Activity)
        fun onActivityPaused(activity: Activity)
        fun onActivityStopped(activity: Activity)
        fun onActivitySaveInstanceState(activity: Activity, outState: Bundle)
        fun onActivityDestroyed(activity: Activity)
    }

    fun registerActivityLifecycleCallbacks(callback: ActivityLifecycleCallbacks) {
        callbacks.add(callback)
    }

    fun unregisterActivityLifecycleCallbacks(callback: ActivityLifecycleCallbacks) {
        callbacks.remove(callback)
    }

    fun changed(happened: (ActivityLifecycleCallbacks) -> Unit): Int = callbacks.onEach(happened).size
}
