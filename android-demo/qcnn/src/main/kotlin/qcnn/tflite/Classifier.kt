package qcnn.tflite

import java.io.Closeable
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs
import kotlin.math.exp
import org.tensorflow.lite.DataType
import org.tensorflow.lite.Interpreter

/**
 * An image classifier: one model in one interpreter. Not for two threads at once.
 *
 * @param model a direct or mapped buffer, the whole file; kept until [close].
 * @param delegate brings QConv and QFC; belongs to this classifier, which closes it after the interpreter. Without one,
 *   models that need them are refused, and float models run on the stock runtime alone.
 * @param twin see [ModelInfo.read].
 * @throws QcnnException for every model that cannot be used; the delegate is closed then.
 */
class Classifier(
    model: ByteBuffer,
    threads: Int = 1,
    private val delegate: QcnnDelegate? = QcnnDelegate(),
    twin: ModelInfo? = null,
) : Closeable {
    /** A class, its name and share of the probability. */
    data class Prediction(
        val index: Int,
        val label: String,
        val probability: Float,
    )

    /** The most probable classes, and what it took: milliseconds. */
    class Answer(
        val top: List<Prediction>,
        val prepareMs: Double,
        val inferenceMs: Double,
    )

    val info: ModelInfo
    val kernel: String? = delegate?.kernel
    private val interpreter: Interpreter
    private val input: ByteBuffer
    private val output: ByteBuffer
    private val classes: Int

    init {
        var made: Interpreter? = null
        try {
            info = ModelInfo.read(model, twin)
            made = create(model, threads)
            interpreter = made
            classes = checkTensors()
            input = buffer(info.preprocessing.inputBytes)
            output = buffer(4 * classes)
        } catch (error: Throwable) {
            made?.close()
            delegate?.close()
            throw if (error is OutOfMemoryError) outOfMemory(error) else error
        }
    }

    /**
     * Classifies one image.
     *
     * @throws QcnnException if the runtime fails.
     * @throws IllegalArgumentException if the model cannot take an image of this size.
     */
    fun classify(
        image: RgbImage,
        top: Int = 5,
    ): Answer {
        val started = System.nanoTime()
        info.preprocessing.prepare(image, input)
        val prepared = System.nanoTime()
        run()
        val done = System.nanoTime()
        return Answer(best(probabilities(), top), (prepared - started) / 1e6, (done - prepared) / 1e6)
    }

    /** Runs once more on the input of the last [classify], or on zeros. For timing. */
    fun run() {
        input.rewind()
        output.rewind()
        try {
            interpreter.run(input, output)
        } catch (error: IllegalArgumentException) {
            throw refused(error)
        } catch (error: IllegalStateException) {
            throw refused(error)
        } catch (error: OutOfMemoryError) {
            throw outOfMemory(error)
        }
    }

    override fun close() {
        interpreter.close()
        delegate?.close()
    }

    private fun create(
        model: ByteBuffer,
        threads: Int,
    ): Interpreter {
        if (delegate == null && info.quantized) {
            throw QcnnException(
                Problem.OPS_MISSING,
                "the model has ${info.qconv} QConv and ${info.qfc} QFC, and the delegate that runs them was left out",
            )
        }
        val options = Interpreter.Options().setNumThreads(threads)
        delegate?.let { options.addDelegate(it) }
        try {
            return Interpreter(model, options).also {
                try {
                    it.allocateTensors()
                } catch (error: RuntimeException) {
                    it.close()
                    throw error
                }
            }
        } catch (error: RuntimeException) {
            throw refused(error)
        } catch (error: LinkageError) {
            throw QcnnException(Problem.OPS_MISSING, "TensorFlow Lite could not be loaded (${error.message})", error)
        }
    }

    /** @return the number of classes. */
    private fun checkTensors(): Int {
        val expected = info.preprocessing.run { intArrayOf(1, crop.height, crop.width, channels.count) }
        if (interpreter.inputTensorCount != 1 || interpreter.outputTensorCount != 1) {
            throw unsupported("${interpreter.inputTensorCount} inputs and ${interpreter.outputTensorCount} outputs")
        }
        val image = interpreter.getInputTensor(0)
        if (image.dataType() != DataType.FLOAT32 || !image.shape().contentEquals(expected)) {
            throw unsupported(
                "an input ${image.shape().contentToString()} of ${image.dataType()}, where its metadata say " +
                    expected.contentToString(),
            )
        }
        val scores = interpreter.getOutputTensor(0)
        if (scores.dataType() != DataType.FLOAT32 || scores.numElements() != scores.shape().last()) {
            throw unsupported("an output ${scores.shape().contentToString()} of ${scores.dataType()}")
        }
        return scores.numElements()
    }

    private fun probabilities(): FloatArray {
        val scores = FloatArray(classes)
        output.rewind()
        output.asFloatBuffer().get(scores)
        val done = info.softmaxApplied ?: (scores.all { it >= 0 } && abs(scores.sum() - 1) < 1e-3)
        if (done) return scores
        val largest = scores.max()
        for (i in scores.indices) scores[i] = exp(scores[i] - largest)
        val sum = scores.sum()
        for (i in scores.indices) scores[i] = scores[i] / sum
        return scores
    }

    private fun best(
        probabilities: FloatArray,
        top: Int,
    ): List<Prediction> {
        // Partial selection: a thousand classes are not sorted for five. Equal ones by index; NaN last.
        val left = BooleanArray(probabilities.size) { true }
        return List(minOf(top, probabilities.size)) {
            var best = -1
            for (i in probabilities.indices) {
                if (left[i] && (best < 0 || probabilities[i] > probabilities[best] || probabilities[best].isNaN())) best = i
            }
            left[best] = false
            Prediction(best, info.label(best), probabilities[best])
        }
    }

    private companion object {
        fun buffer(bytes: Int): ByteBuffer = ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder())

        fun outOfMemory(error: Throwable) =
            QcnnException(Problem.OUT_OF_MEMORY, "the model needs more memory than there is", error)

        fun unsupported(what: String) =
            QcnnException(Problem.UNSUPPORTED, "expected one float image in and one float a class out, got $what")

        /** The runtime tells by its text alone what was wrong. */
        fun refused(error: RuntimeException): QcnnException {
            val text = error.message ?: error.javaClass.simpleName
            val problem =
                when {
                    "nresolved custom op" in text -> Problem.OPS_MISSING
                    "not enough memory" in text || "failed to allocate" in text.lowercase() -> Problem.OUT_OF_MEMORY
                    else -> Problem.REFUSED
                }
            return QcnnException(problem, text, error)
        }
    }
}
