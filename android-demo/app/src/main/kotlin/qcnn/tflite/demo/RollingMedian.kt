package qcnn.tflite.demo

/** The median of the last values: a single slow frame does not make the figure jump. */
class RollingMedian(
    private val size: Int = 15,
) {
    private val values = ArrayDeque<Double>()

    val median: Double?
        get() {
            if (values.isEmpty()) return null
            val sorted = values.sorted()
            return (sorted[(sorted.size - 1) / 2] + sorted[sorted.size / 2]) / 2
        }

    fun add(value: Double) {
        if (values.size == size) values.removeFirst()
        values.addLast(value)
    }

    fun clear() = values.clear()
}
