package qcnn.tflite.demo

import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.media.ExifInterface
import java.io.File
import java.io.IOException
import java.io.InputStream
import qcnn.tflite.RgbImage

/** A photo as the network's preprocessing takes it, and a smaller bitmap to show. */
class Photo(
    val image: RgbImage,
    val shown: Bitmap,
)

/** Decodes photos; the platform does nothing else to them. */
object Photos {
    // Larger ones are decoded at half the size, or less: their pixels would not fit beside each other.
    private const val MOST_PIXELS = 13_000_000
    private const val SHOWN_SIDE = 1600
    private const val MOST_BYTES = 256L shl 20

    /**
     * Copies a photo into a file of the app, so that it is there after the process was killed.
     *
     * @throws IOException
     */
    fun keep(
        source: InputStream,
        file: File,
    ) {
        val part = File(file.path + ".part")
        try {
            part.outputStream().use { out ->
                val buffer = ByteArray(1 shl 16)
                var total = 0L
                while (true) {
                    val count = source.read(buffer)
                    if (count < 0) break
                    total += count
                    if (total > MOST_BYTES) throw IOException("more than $MOST_BYTES bytes")
                    out.write(buffer, 0, count)
                }
            }
            if (!part.renameTo(file)) throw IOException("$file could not be written")
        } finally {
            part.delete()
        }
    }

    /**
     * Reads a photo, upright.
     *
     * @throws IOException if it is no image that this device knows.
     */
    fun read(file: File): Photo {
        val bounds = BitmapFactory.Options().apply { inJustDecodeBounds = true }
        BitmapFactory.decodeFile(file.path, bounds)
        if (bounds.outWidth <= 0 || bounds.outHeight <= 0) throw IOException("no image")
        val options = BitmapFactory.Options()
        options.inPreferredConfig = Bitmap.Config.ARGB_8888
        options.inPremultiplied = false
        options.inSampleSize = 1
        while (bounds.outWidth.toLong() * bounds.outHeight / options.inSampleSize / options.inSampleSize > MOST_PIXELS) {
            options.inSampleSize *= 2
        }
        val bitmap = BitmapFactory.decodeFile(file.path, options) ?: throw IOException("it cannot be decoded")
        val image = orient(pixels(bitmap), orientation(file))
        bitmap.recycle()
        return Photo(image, shown(image))
    }

    private fun orientation(file: File): Int =
        try {
            ExifInterface(file.path).getAttributeInt(ExifInterface.TAG_ORIENTATION, ExifInterface.ORIENTATION_NORMAL)
        } catch (_: IOException) {
            ExifInterface.ORIENTATION_NORMAL
        }

    /** Row by row, so that there is no third copy. */
    private fun pixels(bitmap: Bitmap): RgbImage {
        val width = bitmap.width
        val rgb = ByteArray(3 * width * bitmap.height)
        val row = IntArray(width)
        for (y in 0 until bitmap.height) {
            bitmap.getPixels(row, 0, width, 0, y, width, 1)
            RgbImage.fromArgb(width, 1, row).rgb.copyInto(rgb, 3 * width * y)
        }
        return RgbImage(width, bitmap.height, rgb)
    }

    /** Turns and mirrors as the EXIF orientation, 1 to 8, says. */
    fun orient(
        image: RgbImage,
        orientation: Int,
    ): RgbImage {
        if (orientation !in 2..8) return image
        val transposed = orientation >= 5
        val width = if (transposed) image.height else image.width
        val height = if (transposed) image.width else image.height
        val rgb = ByteArray(image.rgb.size)
        var at = 0
        for (y in 0 until height) {
            for (x in 0 until width) {
                var fromX = if (transposed) y else x
                var fromY = if (transposed) x else y
                if (orientation in MIRRORED_X) fromX = image.width - 1 - fromX
                if (orientation in MIRRORED_Y) fromY = image.height - 1 - fromY
                val from = 3 * (fromY * image.width + fromX)
                rgb[at] = image.rgb[from]
                rgb[at + 1] = image.rgb[from + 1]
                rgb[at + 2] = image.rgb[from + 2]
                at += 3
            }
        }
        return RgbImage(width, height, rgb)
    }

    // In the stored image's own axes.
    private val MIRRORED_X = setOf(2, 3, 7, 8)
    private val MIRRORED_Y = setOf(3, 4, 6, 7)

    private fun shown(image: RgbImage): Bitmap {
        val step = maxOf(1, maxOf(image.width, image.height) / SHOWN_SIDE)
        val width = (image.width + step - 1) / step
        val height = (image.height + step - 1) / step
        val pixels = IntArray(width * height)
        for (y in 0 until height) {
            for (x in 0 until width) {
                val at = 3 * (y * step * image.width + x * step)
                val red = image.rgb[at].toInt() and 0xff
                val green = image.rgb[at + 1].toInt() and 0xff
                val blue = image.rgb[at + 2].toInt() and 0xff
                pixels[y * width + x] = (0xff shl 24) or (red shl 16) or (green shl 8) or blue
            }
        }
        return Bitmap.createBitmap(pixels, width, height, Bitmap.Config.ARGB_8888)
    }
}
