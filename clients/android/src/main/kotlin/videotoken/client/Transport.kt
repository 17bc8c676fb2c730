/* How a request gets to the service, exchangeable for apps that have an HTTP client of their own. */
package videotoken.client

import java.io.EOFException
import java.net.HttpURLConnection
import java.net.URL
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.async
import kotlinx.coroutines.launch

/** An answer; `contentType` and `retryAfter` are the headers, `null` where there are none. */
class HttpAnswer(val status: Int, val contentType: String?, val retryAfter: String?, val body: String)

/**
 * Sends one POST. Throws any exception where there is no whole answer. Follows no redirect, because the bearer is for
 * this address only, and ends when it is cancelled.
 */
fun interface Transport {
    suspend fun post(url: String, headers: Map<String, String>, body: String): HttpAnswer
}

/** The platform's own client. */
object UrlConnectionTransport : Transport {
    private const val CONNECT_MILLIS = 5_000
    private const val READ_MILLIS = 10_000
    private val connections = CoroutineScope(SupervisorJob() + Dispatchers.IO)

    override suspend fun post(url: String, headers: Map<String, String>, body: String): HttpAnswer {
        val connection = URL(url).openConnection() as HttpURLConnection
        val answer = connections.async { exchange(connection, headers, body) }
        try {
            return answer.await()
        } finally {
            // Not kept for the next call, which comes minutes later, perhaps after sleep, when a connection is dead without
            // knowing. A read that hangs ends with it, and closing may block: nobody waits for either.
            connections.launch { connection.disconnect() }
        }
    }

    private fun exchange(connection: HttpURLConnection, headers: Map<String, String>, body: String): HttpAnswer {
        connection.requestMethod = "POST"
        connection.connectTimeout = CONNECT_MILLIS
        connection.readTimeout = READ_MILLIS
        connection.instanceFollowRedirects = false
        connection.useCaches = false
        connection.doOutput = true
        headers.forEach(connection::setRequestProperty)
        connection.outputStream.use { it.write(body.toByteArray()) }
        val status = connection.responseCode
        val stream = if (status < 400) connection.inputStream else connection.errorStream
        val content = stream?.use { it.readBytes() } ?: ByteArray(0)
        if (content.size < connection.contentLengthLong) throw EOFException("The answer ends too early")
        val retryAfter = connection.getHeaderField("Retry-After")
        return HttpAnswer(status, connection.contentType, retryAfter, content.decodeToString())
    }
}
