package android.net

class Network

/** `changed` plays what Android tells. */
class ConnectivityManager {
    private val callbacks = mutableSetOf<NetworkCallback>()

    open class NetworkCallback {
        open fun onAvailable(network: Network) = Unit
        open fun onBlockedStatusChanged(network: Network, blocked: Boolean) = Unit
    }

    fun registerDefaultNetworkCallback(networkCallback: NetworkCallback) {
        callbacks.add(networkCallback)
    }

    fun unregisterNetworkCallback(networkCallback: NetworkCallback) {
        callbacks.remove(networkCallback)
    }

    fun changed(happened: (NetworkCallback) -> Unit): Int = callbacks.onEach(happened).size
}
