package qcnn.tflite

import java.nio.ByteBuffer

/** The functions of `libqcnn_ops.so`. Apart from the rest, as a JVM loads a library for one class loader only. */
internal object Native {
    const val OK = 0
    const val NOT_FOUND = 1

    init {
        System.loadLibrary("qcnn_ops")
    }

    @JvmStatic external fun version(): String

    @JvmStatic external fun selectedKernel(): String

    @JvmStatic external fun kernels(): Array<String>

    @JvmStatic external fun packedBytes(): Long

    @JvmStatic external fun scratchBytes(): Long

    @JvmStatic external fun liveDelegates(): Int

    @JvmStatic external fun createDelegate(kernel: String, lrn: Boolean): Long

    @JvmStatic external fun deleteDelegate(handle: Long)

    @JvmStatic external fun checkModel(model: ByteBuffer, counts: IntArray, foreign: Array<ByteArray?>): Int

    @JvmStatic external fun readMetadata(model: ByteBuffer, json: Array<ByteArray?>): Int

    @JvmStatic external fun readMeanImage(model: ByteBuffer, values: Array<ByteArray?>): Int
}
