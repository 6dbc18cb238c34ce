package qcnn.tflite.demo

import java.nio.ByteBuffer
import qcnn.tflite.RgbImage

/** YUV 4:2:0 frames of a camera as upright RGB, by JFIF's equations (BT.601, full range). */
class YuvConverter {
    /** A plane of bytes; [pixelStride] from one value of a row to the next. */
    class Plane(
        val buffer: ByteBuffer,
        val rowStride: Int,
        val pixelStride: Int,
    )

    private var rows = Array(3) { ByteArray(0) }

    /**
     * @param planes Y, U, V; U and V of half the width and height.
     * @param degrees by which the frame is turned clockwise: 0, 90, 180 or 270.
     */
    fun toRgb(
        planes: List<Plane>,
        width: Int,
        height: Int,
        degrees: Int,
    ): RgbImage {
        val turned = degrees % 180 != 0
        val outWidth = if (turned) height else width
        val rgb = ByteArray(3 * width * height)
        // Where the first pixel of a row goes, and how far apart its pixels come to stand.
        val step = 3 * intArrayOf(1, outWidth, -1, -outWidth)[degrees / 90]
        for (y in 0 until height) {
            for (i in 0..2) read(planes[i], i, if (i == 0) y else y / 2)
            var at =
                3 *
                    when (degrees) {
                        0 -> y * width
                        90 -> height - 1 - y
                        180 -> (height - 1 - y) * width + width - 1
                        else -> (width - 1) * outWidth + y
                    }
            for (x in 0 until width) {
                val luma = rows[0][x * planes[0].pixelStride].toInt() and 0xff
                val blue = (rows[1][x / 2 * planes[1].pixelStride].toInt() and 0xff) - 128
                val red = (rows[2][x / 2 * planes[2].pixelStride].toInt() and 0xff) - 128
                // 16 bits behind the point: 1.402, 0.344136, 0.714136, 1.772.
                rgb[at] = clip(luma + ((91881 * red + 32768) shr 16))
                rgb[at + 1] = clip(luma - ((22554 * blue + 46802 * red + 32768) shr 16))
                rgb[at + 2] = clip(luma + ((116130 * blue + 32768) shr 16))
                at += step
            }
        }
        return RgbImage(outWidth, if (turned) width else height, rgb)
    }

    // A direct buffer's single bytes are slow to get.
    private fun read(
        plane: Plane,
        index: Int,
        y: Int,
    ) {
        if (rows[index].size < plane.rowStride) rows[index] = ByteArray(plane.rowStride)
        val from = plane.buffer.duplicate()
        from.position(y * plane.rowStride)
        // The last row may end before its stride does.
        from.get(rows[index], 0, minOf(plane.rowStride, from.remaining()))
    }

    private fun clip(value: Int): Byte = value.coerceIn(0, 255).toByte()
}
