/*
 * What Meeting.kt needs of Android and of the Telnyx Video SDK, by the names and types of the SDK's documentation and of
 * its official sample app, so that the snippet can be compiled and run on a plain JVM. The room joins the sandbox.
 */
package android.content

open class Context
