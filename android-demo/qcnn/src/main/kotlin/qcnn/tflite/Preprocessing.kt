package qcnn.tflite

import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * How an image becomes a network's input: x = (pixel * scale - mean) / std, as the model's metadata say.
 *
 * The same as `Preprocessing` of the Python package, from one RGB image within 1 of 255 in every pixel.
 *
 * @property size height and width to resize to.
 * @property crop height and width cut out at offset (resized - crop) div 2.
 * @property mean one value a channel; without effect where there is a mean image.
 * @property meanImage shape (height, width, channels) of [size], channels in the order of [channels].
 */
class Preprocessing(
    val size: Size,
    val crop: Size = size,
    val resize: Resize = Resize.SQUASH,
    val channels: Channels = Channels.RGB,
    val scale: Float = 1f,
    val mean: FloatArray = FloatArray(channels.count),
    val std: FloatArray = FloatArray(channels.count) { 1f },
    val meanImage: FloatArray? = null,
) {
    data class Size(
        val height: Int,
        val width: Int,
    )

    enum class Resize {
        /** Ignores the aspect ratio. */
        SQUASH,

        /** Keeps it: the image just covers the size, the longer side is rounded down. */
        SHORTER_SIDE,

        /** Images must have the size. */
        NONE,
    }

    enum class Channels(
        val count: Int,
    ) {
        RGB(3),
        BGR(3),

        /** ITU-R 601-2 luma. */
        GRAY(1),
    }

    private val resampling = Resampling(channels.count)

    /** Bytes of the network's input. */
    val inputBytes: Int get() = 4 * crop.height * crop.width * channels.count

    /**
     * Prepares one image.
     *
     * @param input of [inputBytes], in native order; filled from its start and rewound. Allocated where absent.
     * @throws IllegalArgumentException if the image has the wrong size for [Resize.NONE], or is too oblong.
     */
    @Synchronized
    fun prepare(
        source: RgbImage,
        input: ByteBuffer = ByteBuffer.allocateDirect(inputBytes).order(ByteOrder.nativeOrder()),
    ): ByteBuffer {
        val pixels = pixels(source)
        val values = input.run {
            rewind()
            asFloatBuffer()
        }
        val count = channels.count
        val top = (size.height - crop.height) / 2
        val left = (size.width - crop.width) / 2
        val image = meanImage
        var at = 0
        for (y in 0 until crop.height) {
            val row = ((top + y) * size.width + left) * count
            for (x in 0 until crop.width * count) {
                val channel = x % count
                val subtract = if (image != null) image[row + x] else mean[channel]
                values.put(((pixels[at++].toInt() and 0xff) * scale - subtract) / std[channel])
            }
        }
        return input
    }

    /** The resized and cropped pixels: rows from the top, channels in the network's order. */
    @Synchronized
    fun pixels(image: RgbImage): ByteArray {
        val count = channels.count
        val source = if (channels == Channels.GRAY) luma(image.rgb) else image.rgb
        val target = target(image)
        val resized = resampling.resize(source, image.width, image.height, target.width, target.height)
        val top = (target.height - crop.height) / 2
        val left = (target.width - crop.width) / 2
        val pixels = ByteArray(crop.height * crop.width * count)
        for (y in 0 until crop.height) {
            val from = ((top + y) * target.width + left) * count
            System.arraycopy(resized, from, pixels, y * crop.width * count, crop.width * count)
        }
        if (channels == Channels.BGR) {
            for (i in pixels.indices step 3) pixels[i] = pixels[i + 2].also { pixels[i + 2] = pixels[i] }
        }
        return pixels
    }

    private fun target(image: RgbImage): Size {
        when (resize) {
            Resize.SQUASH -> return size
            Resize.NONE -> {
                require(image.height == size.height && image.width == size.width) {
                    "the image has ${image.width}x${image.height} pixels; this model does not resize, it takes " +
                        "${size.width}x${size.height}"
                }
                return size
            }
            Resize.SHORTER_SIDE -> {
                val wide = image.width.toLong() * size.height >= image.height.toLong() * size.width
                val height = if (wide) size.height.toLong() else image.height.toLong() * size.width / image.width
                val width = if (wide) image.width.toLong() * size.height / image.height else size.width.toLong()
                require(height * width <= MOST_PIXELS) {
                    "${image.width}x${image.height} pixels are too oblong to resize to ${width}x$height"
                }
                return Size(height.toInt(), width.toInt())
            }
        }
    }

    private fun luma(rgb: ByteArray): ByteArray {
        val grey = ByteArray(rgb.size / 3)
        for (i in grey.indices) {
            val red = rgb[3 * i].toInt() and 0xff
            val green = rgb[3 * i + 1].toInt() and 0xff
            val blue = rgb[3 * i + 2].toInt() and 0xff
            grey[i] = ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) shr 16).toByte()
        }
        return grey
    }

    companion object {
        /** No network takes more, and a hostile model shall not ask for the memory. */
        const val MOST_SIDE = 16384
        internal const val MOST_PIXELS = 64L shl 20
    }
}
