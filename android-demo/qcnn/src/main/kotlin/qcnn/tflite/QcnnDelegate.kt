package qcnn.tflite

import java.io.Closeable
import org.tensorflow.lite.Delegate

/**
 * Brings QConv, QFC and a faster local response normalization to a stock `org.tensorflow.lite.Interpreter`.
 *
 * Close it after the interpreters that use it.
 *
 * @param kernel "auto", or a name from [kernels].
 * @param lrn false leaves LOCAL_RESPONSE_NORMALIZATION to the runtime.
 * @throws IllegalArgumentException if there is no such kernel on this processor.
 * @throws UnsatisfiedLinkError if `libqcnn_ops.so` is not in the app.
 */
class QcnnDelegate(
    kernel: String = AUTO,
    lrn: Boolean = true,
) : Delegate,
    Closeable {
    private var handle = Native.createDelegate(kernel, lrn)

    /** Name of the kernel that runs. */
    val kernel: String = if (kernel == AUTO) Native.selectedKernel() else kernel

    init {
        require(handle != 0L) {
            "expected a kernel of ${kernels().filter { it.available }.joinToString { it.name }}, got \"$kernel\""
        }
    }

    override fun getNativeHandle(): Long {
        check(handle != 0L) { "the delegate is closed" }
        return handle
    }

    override fun close() {
        Native.deleteDelegate(handle)
        handle = 0L
    }

    /** A kernel of this build; [features] says in words what it needs, [available] whether this processor has that. */
    data class Kernel(
        val name: String,
        val features: String,
        val available: Boolean,
    )

    /** Bytes that all QConv and QFC of the process hold besides their model files. */
    data class Memory(
        val packed: Long,
        val scratch: Long,
    )

    companion object {
        const val AUTO = "auto"

        /** Version of the native library. */
        fun version(): String = Native.version()

        /** All kernels of this build, the fastest first. */
        fun kernels(): List<Kernel> =
            Native.kernels().toList().chunked(3).map { (name, features, available) ->
                Kernel(name, features, available == "1")
            }

        /** Constants as the kernels keep them, and what they work in. */
        fun memory() = Memory(Native.packedBytes(), Native.scratchBytes())

        /** Delegates that are not closed yet. */
        fun open(): Int = Native.liveDelegates()
    }
}
