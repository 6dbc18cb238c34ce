package qcnn.tflite.demo

import android.graphics.SurfaceTexture
import java.io.Closeable
import qcnn.tflite.RgbImage

/** A picture of the camera. Whoever takes it closes it, at once where it is not wanted. */
interface Frame : Closeable {
    /** Upright, as the user holds the device; not mirrored. Null if its camera was closed meanwhile. On a worker. */
    fun toRgb(): RgbImage?
}

/** Where live frames come from: the camera, or a test's pictures. Methods are called on the main thread. */
interface FrameSource {
    /** All on the main thread but [onFrame], which comes on a thread of the source. */
    interface Listener {
        fun onOpened(
            preview: Preview,
            canSwitch: Boolean,
        )

        fun onFrame(frame: Frame)

        fun onFailure(failed: Failed)
    }

    fun start(
        front: Boolean,
        listener: Listener,
    )

    /** Where the preview is drawn, once there is one; null when it goes away. */
    fun show(texture: SurfaceTexture?)

    fun stop()
}

/** Size of the preview's buffers, and how the sensor stands in the device: degrees clockwise. */
data class Preview(
    val width: Int,
    val height: Int,
    val sensorDegrees: Int,
)
