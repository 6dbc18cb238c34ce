package qcnn.tflite.demo

import android.content.Context
import qcnn.tflite.Machine
import qcnn.tflite.QcnnDelegate

/** What the user chose. [model] null: the first there is. */
data class Options(
    val model: String?,
    val threads: Int,
    val kernel: String,
)

/** Keeps what the user chose. */
class Preferences(
    context: Context,
) {
    private val stored = context.getSharedPreferences("options", Context.MODE_PRIVATE)

    val mostThreads: Int = Machine.bigCores()

    var options: Options
        get() =
            Options(
                model = stored.getString("model", null),
                threads = stored.getInt("threads", minOf(DEFAULT_THREADS, mostThreads)).coerceIn(1, mostThreads),
                kernel = stored.getString("kernel", null) ?: QcnnDelegate.AUTO,
            )
        set(value) =
            stored
                .edit()
                .putString("model", value.model)
                .putInt("threads", value.threads)
                .putString("kernel", value.kernel)
                .apply()

    /** Whether the user said no to the camera; the system does not ask for ever. */
    var cameraDenied: Boolean
        get() = stored.getBoolean("camera_denied", false)
        set(value) = stored.edit().putBoolean("camera_denied", value).apply()

    var frontCamera: Boolean
        get() = stored.getBoolean("front_camera", false)
        set(value) = stored.edit().putBoolean("front_camera", value).apply()

    private companion object {
        const val DEFAULT_THREADS = 4
    }
}
