package com.telnyx.video.sdk.webSocket.model.send

data class ExternalData(val id: Int, val username: String)
