package qcnn.tflite

import java.nio.ByteBuffer
import java.util.zip.Deflater
import kotlin.math.floor

/**
 * Times models in turn, so that a device that slows down slows all of them.
 *
 * @param runs timed runs of each model, after [warmUp] others.
 */
class Benchmark(
    private val runs: Int = 30,
    private val warmUp: Int = 5,
) {
    /**
     * A model to time.
     *
     * @param open makes its classifier; timed, too.
     */
    class Subject(
        val name: String,
        val model: ByteBuffer,
        val open: () -> Classifier,
    )

    /** What was measured of one model. [kernel] is null where none of ours ran. */
    class Measurement(
        val name: String,
        val variant: String,
        val samplesMs: List<Double>,
        val loadMs: Double,
        val fileBytes: Long,
        val packedBytes: Long,
        val scratchBytes: Long,
        val heapBytes: Long,
        val kernel: String?,
        val lrn: String?,
        val model: ByteBuffer,
    ) {
        val medianMs: Double get() = quantile(samplesMs, 0.5)
        val p90Ms: Double get() = quantile(samplesMs, 0.9)
    }

    /** @property agreement share of the images whose first class in the last subject is among the first's five; or null. */
    class Outcome(
        val measurements: List<Measurement>,
        val agreement: Double?,
        val images: Int,
    )

    /**
     * Measures.
     *
     * @param subjects the quantized model first, then its float twin if there is one.
     * @param images to compare answers on; the first is also what is timed.
     * @param heap bytes of the native heap in use.
     * @param progress is told how many of how many runs are done; false stops.
     * @return null if it was stopped.
     * @throws QcnnException
     */
    fun run(
        subjects: List<Subject>,
        images: List<RgbImage>,
        heap: () -> Long = { 0 },
        progress: (Int, Int) -> Boolean = { _, _ -> true },
    ): Outcome? {
        val opened = ArrayList<Loaded>()
        try {
            for (subject in subjects) opened += load(subject, images.first(), heap)
            val total = (warmUp + runs) * opened.size
            var done = 0
            for (round in 0 until warmUp + runs) {
                for (loaded in opened) {
                    val started = System.nanoTime()
                    loaded.classifier.run()
                    val ms = (System.nanoTime() - started) / 1e6
                    if (round >= warmUp) loaded.samplesMs += ms
                    if (!progress(++done, total)) return null
                }
            }
            val agreement = if (opened.size == 2) agreement(opened[0].classifier, opened[1].classifier, images) else null
            return Outcome(opened.map { it.measurement() }, agreement, images.size)
        } finally {
            opened.forEach { it.classifier.close() }
        }
    }

    private fun load(
        subject: Subject,
        image: RgbImage,
        heap: () -> Long,
    ): Loaded {
        val before = QcnnDelegate.memory()
        val heapBefore = heap()
        val started = System.nanoTime()
        val classifier = subject.open()
        val loadMs = (System.nanoTime() - started) / 1e6
        classifier.classify(image)
        val after = QcnnDelegate.memory()
        return Loaded(
            subject, classifier, loadMs, after.packed - before.packed, after.scratch - before.scratch,
            maxOf(0, heap() - heapBefore),
        )
    }

    private class Loaded(
        val subject: Subject,
        val classifier: Classifier,
        val loadMs: Double,
        val packedBytes: Long,
        val scratchBytes: Long,
        val heapBytes: Long,
    ) {
        val samplesMs = ArrayList<Double>()

        fun measurement(): Measurement {
            val info = classifier.info
            val ours = classifier.kernel != null
            return Measurement(
                name = subject.name,
                variant = if (info.quantized) "q" else "float",
                samplesMs = samplesMs,
                loadMs = loadMs,
                fileBytes = subject.model.capacity().toLong(),
                packedBytes = packedBytes,
                scratchBytes = scratchBytes,
                heapBytes = heapBytes,
                kernel = if (ours && (info.quantized || info.lrn > 0)) classifier.kernel else null,
                lrn = if (info.lrn == 0) null else if (ours) "ours" else "stock",
                model = subject.model,
            )
        }
    }

    companion object {
        /** Linear interpolation, as numpy's default. */
        fun quantile(
            values: List<Double>,
            share: Double,
        ): Double {
            val sorted = values.sorted()
            val at = share * (sorted.size - 1)
            val below = floor(at).toInt()
            val above = minOf(below + 1, sorted.size - 1)
            return sorted[below] + (at - below) * (sorted[above] - sorted[below])
        }

        private fun agreement(
            quantized: Classifier,
            float: Classifier,
            images: List<RgbImage>,
        ): Double =
            images
                .count { image ->
                    val first = float.classify(image, 1).top.first().index
                    quantized.classify(image).top.any { it.index == first }
                }.toDouble() / images.size

        /** Bytes after deflate, as the Python package counts them. */
        fun zippedSize(model: ByteBuffer): Long {
            val deflater = Deflater(6, true)
            val view = model.duplicate().apply { rewind() }
            val chunk = ByteArray(1 shl 16)
            val out = ByteArray(1 shl 16)
            try {
                while (view.hasRemaining()) {
                    val count = minOf(chunk.size, view.remaining())
                    view.get(chunk, 0, count)
                    deflater.setInput(chunk, 0, count)
                    while (!deflater.needsInput()) deflater.deflate(out)
                }
                deflater.finish()
                while (!deflater.finished()) deflater.deflate(out)
                return deflater.bytesWritten
            } finally {
                deflater.end()
            }
        }
    }
}
