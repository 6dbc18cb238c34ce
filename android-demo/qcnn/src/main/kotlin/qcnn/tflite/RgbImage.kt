package qcnn.tflite

/**
 * A decoded image: upright, opaque, sRGB.
 *
 * @property rgb rows from the top, three bytes a pixel: red, green, blue.
 */
class RgbImage(
    val width: Int,
    val height: Int,
    val rgb: ByteArray,
) {
    init {
        require(width > 0 && height > 0 && rgb.size.toLong() == 3L * width * height) {
            "expected 3 x $width x $height bytes, got ${rgb.size}"
        }
    }

    companion object {
        /** From pixels as Android and AWT give them, 0xAARRGGBB without premultiplication; laid over white. */
        fun fromArgb(
            width: Int,
            height: Int,
            argb: IntArray,
        ): RgbImage {
            val rgb = ByteArray(3 * width * height)
            for (i in 0 until width * height) {
                val pixel = argb[i]
                val alpha = pixel ushr 24
                for (channel in 0..2) {
                    val value = pixel shr (16 - 8 * channel) and 0xff
                    rgb[3 * i + channel] = (if (alpha == 255) value else overWhite(value, alpha)).toByte()
                }
            }
            return RgbImage(width, height, rgb)
        }

        // Rounded division by 255, as Pillow has it.
        private fun overWhite(
            value: Int,
            alpha: Int,
        ): Int {
            val sum = 255 * (255 - alpha) + value * alpha + 128
            return (sum + (sum shr 8)) shr 8
        }
    }
}
