package qcnn.tflite.demo

import android.graphics.ImageFormat
import android.media.Image
import android.media.ImageReader
import android.os.Handler
import android.os.HandlerThread
import android.util.Size
import android.view.Surface
import qcnn.tflite.RgbImage

/**
 * The frames of one open camera, the latest only, on a thread of their own.
 *
 * A reader that is closed takes its frames' memory with it, so closing waits for a frame that is being read, and frames
 * that are still on their way find out.
 *
 * @param degrees by which frames must be turned, asked for each.
 */
class FrameReader(
    size: Size,
    private val degrees: () -> Int,
    private val onFrame: (Frame) -> Unit,
) {
    private val gate = Any()
    private var closed = false
    private val converter = YuvConverter()
    private val thread = HandlerThread("camera").apply { start() }
    private val reader = ImageReader.newInstance(size.width, size.height, ImageFormat.YUV_420_888, 2)

    val surface: Surface = reader.surface

    init {
        reader.setOnImageAvailableListener({ take() }, Handler(thread.looper))
    }

    private fun take() {
        val frame =
            synchronized(gate) {
                if (closed) return
                // What came while a frame was classified is dropped here.
                CameraFrame(reader.acquireLatestImage() ?: return)
            }
        onFrame(frame)
    }

    fun close() {
        synchronized(gate) {
            closed = true
            reader.close()
        }
        thread.quitSafely()
    }

    private inner class CameraFrame(
        private val image: Image,
    ) : Frame {
        private val turn = degrees()

        override fun toRgb(): RgbImage? =
            synchronized(gate) {
                if (closed) return null
                val planes = image.planes.map { YuvConverter.Plane(it.buffer, it.rowStride, it.pixelStride) }
                converter.toRgb(planes, image.width, image.height, turn)
            }

        override fun close() = image.close()
    }
}
