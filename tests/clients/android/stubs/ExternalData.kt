/* The classes of the Telnyx Video SDK that the README's example uses, by the names and types of its documentation. */
package com.telnyx.video.sdk.webSocket.model.send

data class ExternalData(val id: Int, val username: String)
