/* Android's org.json over the JSON parser inside the Kotlin compiler: as much as the client needs. */
package org.json

import org.jetbrains.kotlin.js.parser.sourcemaps.JsonBoolean
import org.jetbrains.kotlin.js.parser.sourcemaps.JsonNode
import org.jetbrains.kotlin.js.parser.sourcemaps.JsonNull
import org.jetbrains.kotlin.js.parser.sourcemaps.JsonNumber
import org.jetbrains.kotlin.js.parser.sourcemaps.JsonObject
import org.jetbrains.kotlin.js.parser.sourcemaps.JsonString
import org.jetbrains.kotlin.js.parser.sourcemaps.JsonSyntaxException
import org.jetbrains.kotlin.js.parser.sourcemaps.parseJson

class JSONException(message: String) : Exception(message)

class JSONObject private constructor(private val members: MutableMap<String, JsonNode>) {
    constructor() : this(linkedMapOf())

    constructor(json: String) : this(parsed(json))

    fun opt(name: String): Any? = when (val member = members[name]) {
        is JsonObject -> JSONObject(member.properties.toMutableMap())
        is JsonNull -> NULL
        is JsonBoolean -> member.value
        is JsonNumber -> member.value
        is JsonString -> member.value
        else -> member
    }

    fun put(name: String, value: Any): JSONObject = apply {
        members[name] = if (value is Number) JsonNumber(value.toDouble()) else JsonString(value.toString())
    }

    override fun toString(): String = JsonObject(members).toString()

    companion object {
        @JvmField
        val NULL = Any()

        private fun parsed(json: String): MutableMap<String, JsonNode> = try {
            (parseJson(json) as? JsonObject ?: throw JSONException("not an object")).properties.toMutableMap()
        } catch (error: JsonSyntaxException) {
            throw JSONException(error.toString())
        }
    }
}
