package qcnn.tflite

/** What can be wrong with a model. Each is a screen of the demo app. */
enum class Problem {
    /** The file is no TensorFlow Lite model at all. */
    NOT_A_MODEL,

    /** The file is cut off, or its offsets lead outside. */
    DAMAGED,

    /** The model has no entry `qcnn_tflite`: nothing says how its input is prepared. */
    NO_METADATA,

    /** The entry is no JSON, of another format, or contradicts itself. */
    BAD_METADATA,

    /** Not one float image in and one float a class out. */
    UNSUPPORTED,

    /** A custom op that nobody here has, or our native library is missing. */
    OPS_MISSING,

    /** The runtime, or a layer of ours when it was prepared, said no. */
    REFUSED,

    /** There is not enough memory for it. */
    OUT_OF_MEMORY,
}

/** A model that cannot be used; [message] is a sentence for people who make models. */
class QcnnException(
    val problem: Problem,
    message: String,
    cause: Throwable? = null,
) : Exception(message, cause)
