package qcnn.tflite

import kotlin.math.abs
import kotlin.math.ceil
import kotlin.math.max
import kotlin.math.min

/**
 * Pillow's `Image.BILINEAR`, bit for bit: a triangle filter whose support widens by max(1, in/out), rows first,
 * fixed-point weights of 22 bits, rounded to 8 bits after each pass. (Pillow 12 and later take columns first where an
 * image loses more than twice as much height as width: some pixels then differ by 1.)
 *
 * Platforms scale without widening the filter, so a large photo would reach the network with other pixels than in
 * training.
 */
internal class Resampling(
    private val channels: Int,
) {
    private var columns = Weights(0, 0)
    private var rows = Weights(0, 0)
    private var between = ByteArray(0)

    /**
     * Scales an image; buffers are kept for the next one of its size.
     *
     * @param pixels rows from the top, `channels` bytes a pixel.
     * @return of `outWidth` x `outHeight`; `pixels` itself where nothing changes.
     */
    fun resize(
        pixels: ByteArray,
        width: Int,
        height: Int,
        outWidth: Int,
        outHeight: Int,
    ): ByteArray {
        var current = pixels
        if (outWidth != width) {
            if (!columns.fit(width, outWidth)) columns = Weights(width, outWidth)
            val size = outWidth * height * channels
            val target = if (outHeight == height) ByteArray(size) else between.reuse(size).also { between = it }
            horizontal(current, width, height, outWidth, target)
            current = target
        }
        if (outHeight != height) {
            if (!rows.fit(height, outHeight)) rows = Weights(height, outHeight)
            val target = ByteArray(outWidth * outHeight * channels)
            vertical(current, outWidth, outHeight, target)
            current = target
        }
        return current
    }

    private fun ByteArray.reuse(size: Int) = if (this.size == size) this else ByteArray(size)

    private fun horizontal(
        source: ByteArray,
        width: Int,
        height: Int,
        outWidth: Int,
        target: ByteArray,
    ) {
        for (y in 0 until height) {
            val row = y * width * channels
            for (x in 0 until outWidth) {
                val first = columns.first[x]
                val count = columns.count[x]
                val weights = x * columns.most
                for (channel in 0 until channels) {
                    var sum = HALF
                    var at = row + first * channels + channel
                    for (i in 0 until count) {
                        sum += (source[at].toInt() and 0xff) * columns.weights[weights + i]
                        at += channels
                    }
                    target[(y * outWidth + x) * channels + channel] = clip(sum)
                }
            }
        }
    }

    private fun vertical(
        source: ByteArray,
        width: Int,
        outHeight: Int,
        target: ByteArray,
    ) {
        val stride = width * channels
        for (y in 0 until outHeight) {
            val first = rows.first[y] * stride
            val count = rows.count[y]
            val weights = y * rows.most
            for (x in 0 until stride) {
                var sum = HALF
                var at = first + x
                for (i in 0 until count) {
                    sum += (source[at].toInt() and 0xff) * rows.weights[weights + i]
                    at += stride
                }
                target[y * stride + x] = clip(sum)
            }
        }
    }

    private fun clip(sum: Int): Byte = min(255, max(0, sum shr BITS)).toByte()

    /** For each output: the first input that counts, how many do, and their weights. */
    private class Weights(
        private val inSize: Int,
        private val outSize: Int,
    ) {
        private val scale = if (outSize > 0) inSize.toDouble() / outSize else 0.0
        private val support = max(1.0, scale)
        val most = 2 * ceil(support).toInt() + 1
        val first = IntArray(outSize)
        val count = IntArray(outSize)
        val weights = IntArray(outSize * most)

        init {
            val shares = DoubleArray(most)
            for (out in 0 until outSize) {
                val centre = (out + 0.5) * scale
                val from = max(0, (centre - support + 0.5).toInt())
                val to = min(inSize, (centre + support + 0.5).toInt())
                var total = 0.0
                for (i in 0 until to - from) {
                    shares[i] = max(0.0, 1 - abs((from + i - centre + 0.5) * (1 / support)))
                    total += shares[i]
                }
                for (i in 0 until to - from) {
                    weights[out * most + i] = (0.5 + shares[i] / total * (1 shl BITS)).toInt()
                }
                first[out] = from
                count[out] = to - from
            }
        }

        fun fit(
            inSize: Int,
            outSize: Int,
        ) = this.inSize == inSize && this.outSize == outSize
    }

    private companion object {
        const val BITS = 22
        const val HALF = 1 shl (BITS - 1)
    }
}
