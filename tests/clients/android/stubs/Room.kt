package com.telnyx.video.sdk

import android.content.Context
import com.telnyx.video.sdk.webSocket.model.send.ExternalData
import org.json.JSONObject
import java.net.HttpURLConnection
import java.net.URL
import java.util.UUID

/** A simulated participant of the sandbox where the SDK has a WebSocket: the token is all that lets it stay. */
class Room(
    context: Context,
    private val roomId: UUID,
    private var roomToken: String,
    private val externalData: ExternalData,
    enableMessages: Boolean
) {
    private val participants = System.getenv("SANDBOX") + "/sandbox/participants"
    private var id = ""

    fun connect() {
        val shown = JSONObject().put("id", externalData.id).put("username", externalData.username).toString()
        id = ask("POST", participants, JSONObject().put("token", roomToken).put("context", shown)).opt("id") as String
        println("connected $id $roomId")
    }

    fun setClientToken(token: String) {
        roomToken = token
        val held = ask("PUT", "$participants/$id/token", JSONObject().put("token", token))
        println("handed over ${held.opt("token_expires_in")}")
    }

    fun disconnect() {
        ask("DELETE", "$participants/$id", JSONObject())
        println("disconnected")
    }

    private fun ask(method: String, url: String, body: JSONObject): JSONObject {
        val connection = URL(url).openConnection() as HttpURLConnection
        connection.requestMethod = method
        connection.doOutput = true
        connection.setRequestProperty("Content-Type", "application/json")
        connection.outputStream.use { it.write(body.toString().toByteArray()) }
        check(connection.responseCode < 300) { "$method $url answered ${connection.responseCode}" }
        val text = connection.inputStream.bufferedReader().readText()
        return if (text.isEmpty()) JSONObject() else JSONObject(text)
    }
}
