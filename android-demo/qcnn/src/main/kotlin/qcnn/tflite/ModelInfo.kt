package qcnn.tflite

import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.charset.CharacterCodingException
import org.json.JSONArray
import org.json.JSONException
import org.json.JSONObject

/**
 * What a model file says about itself. The file may come from anyone: it is checked by the native library before a
 * runtime sees it, and what the metadata hold is checked here.
 *
 * @property name the network's, or null.
 * @property labels names of the classes; may be fewer than there are.
 * @property softmaxApplied whether the output is probabilities already; null: look at it.
 * @property qconv number of QConv; both 0 in a float model.
 * @property qfc number of QFC.
 * @property lrn number of LOCAL_RESPONSE_NORMALIZATION.
 */
class ModelInfo private constructor(
    val name: String?,
    val licence: String?,
    val preprocessing: Preprocessing,
    val labels: List<String>,
    val softmaxApplied: Boolean?,
    val qconv: Int,
    val qfc: Int,
    val lrn: Int,
) {
    /** Whether layers of ours are in it. */
    val quantized: Boolean get() = qconv + qfc > 0

    fun label(index: Int): String = labels.getOrNull(index) ?: "class $index"

    companion object {
        private const val FORMAT = 1
        private const val MOST_TEXT = 64 shl 20

        /**
         * Checks a model and reads its metadata.
         *
         * @param model a direct buffer, the whole file.
         * @param twin says how images are prepared where the model itself does not: a float model as another tool
         *   wrote it, beside its quantized twin.
         * @throws QcnnException
         */
        fun read(
            model: ByteBuffer,
            twin: ModelInfo? = null,
        ): ModelInfo {
            require(model.isDirect) { "expected a direct or mapped buffer" }
            try {
                return checked(model, twin)
            } catch (error: LinkageError) {
                throw QcnnException(Problem.OPS_MISSING, "libqcnn_ops.so could not be loaded (${error.message})", error)
            } catch (error: OutOfMemoryError) {
                throw QcnnException(Problem.OUT_OF_MEMORY, "the model's metadata do not fit into memory", error)
            }
        }

        private fun checked(
            model: ByteBuffer,
            twin: ModelInfo?,
        ): ModelInfo {
            if (model.capacity() < 8 || "TFL3" != String(CharArray(4) { Char(model.get(4 + it).toInt() and 0xff) })) {
                throw QcnnException(Problem.NOT_A_MODEL, "the file does not begin as a TensorFlow Lite model does")
            }
            val counts = IntArray(3)
            val found = arrayOfNulls<ByteArray>(1)
            if (Native.checkModel(model, counts, found) != Native.OK) {
                throw QcnnException(Problem.DAMAGED, "offsets in the model lead outside the file; it is cut off or damaged")
            }
            found[0]?.let {
                val name = String(it.copyOf(minOf(it.size, 64)), Charsets.UTF_8)
                throw QcnnException(Problem.OPS_MISSING, "the model has the custom op \"$name\", of which there is no kernel here")
            }
            val json = metadata(model)
            if (json == null) {
                if (twin == null) {
                    throw QcnnException(Problem.NO_METADATA, "the model has no metadata \"qcnn_tflite\"")
                }
                return ModelInfo(
                    twin.name, twin.licence, twin.preprocessing, twin.labels, null, counts[0], counts[1], counts[2],
                )
            }
            return MetadataReader(json).run {
                val preprocessing = preprocessing { meanImage(model) }
                ModelInfo(
                    name, licence, preprocessing, labels, softmaxApplied, counts[0], counts[1], counts[2],
                )
            }
        }

        private fun metadata(model: ByteBuffer): JSONObject? {
            val found = arrayOfNulls<ByteArray>(1)
            val status = Native.readMetadata(model, found)
            if (status == Native.NOT_FOUND) return null
            val bytes = found[0]
            if (status != Native.OK || bytes == null || bytes.size > MOST_TEXT) {
                throw QcnnException(Problem.DAMAGED, "the model's metadata lie outside the file")
            }
            try {
                val text = Charsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString()
                val json = JSONObject(text)
                val format = json.opt("format")
                if (format != FORMAT) {
                    throw bad("the metadata have format $format, this app reads format $FORMAT; update it")
                }
                return json
            } catch (error: CharacterCodingException) {
                throw bad("the metadata are not UTF-8", error)
            } catch (error: JSONException) {
                throw bad("the metadata are not JSON (${error.message})", error)
            } catch (error: StackOverflowError) {
                throw bad("the metadata are nested too deeply", error)
            }
        }

        private fun meanImage(model: ByteBuffer): FloatArray? {
            val found = arrayOfNulls<ByteArray>(1)
            if (Native.readMeanImage(model, found) != Native.OK) return null
            val halves = ByteBuffer.wrap(found[0] ?: return null).order(ByteOrder.LITTLE_ENDIAN).asShortBuffer()
            return FloatArray(halves.remaining()) { halfToFloat(halves.get(it).toInt()) }
        }

        internal fun halfToFloat(half: Int): Float {
            val sign = if (half and 0x8000 != 0) -1f else 1f
            val exponent = half shr 10 and 0x1f
            val fraction = half and 0x3ff
            return sign *
                when (exponent) {
                    0 -> fraction / 16777216f
                    31 -> if (fraction == 0) Float.POSITIVE_INFINITY else Float.NaN
                    else -> java.lang.Float.intBitsToFloat((exponent + 112 shl 23) or (fraction shl 13))
                }
        }

        internal fun bad(
            sentence: String,
            cause: Throwable? = null,
        ) = QcnnException(Problem.BAD_METADATA, sentence, cause)
    }
}

/** The object of the entry `qcnn_tflite`; unknown keys are ignored. */
private class MetadataReader(
    private val json: JSONObject,
) {
    val name: String? get() = json.opt("model") as? String
    val licence: String? get() = json.opt("licence") as? String
    private val output: JSONObject? get() = json.opt("output") as? JSONObject
    val softmaxApplied: Boolean? get() = output?.opt("softmax_applied") as? Boolean
    val labels: List<String>
        get() {
            val array = output?.opt("labels") as? JSONArray ?: return emptyList()
            return List(array.length()) { array.opt(it) as? String ?: "class $it" }
        }

    fun preprocessing(meanImage: () -> FloatArray?): Preprocessing {
        val input = json.opt("input") as? JSONObject ?: throw ModelInfo.bad("the metadata have no \"input\"")
        val channels = enum(input, "channels", Preprocessing.Channels.RGB)
        val resize = enum(input, "resize", Preprocessing.Resize.SQUASH)
        val size = sides("size", input.opt("size"))
        val crop = if (input.isNull("crop")) size else sides("crop", input.opt("crop"))
        val count = channels.count
        val scale = if (input.has("scale")) number("scale", input.opt("scale")) else 1f
        val mean = if (input.has("mean")) numbers("mean", input.opt("mean"), count) else FloatArray(count)
        val std = if (input.has("std")) numbers("std", input.opt("std"), count) else FloatArray(count) { 1f }
        if (scale == 0f || std.any { it == 0f }) throw ModelInfo.bad("std and scale must not be 0")
        if (crop.height > size.height || crop.width > size.width) {
            throw ModelInfo.bad("crop $crop is larger than size $size")
        }
        if (size.height.toLong() * size.width > Preprocessing.MOST_PIXELS) throw ModelInfo.bad("size $size is too large")
        var image: FloatArray? = null
        if (input.opt("mean_image") == true) {
            image = meanImage() ?: throw ModelInfo.bad("the metadata announce a mean image, and there is none")
            if (image.size.toLong() != size.height.toLong() * size.width * count || !image.all { it.isFinite() }) {
                throw ModelInfo.bad("the mean image does not have size $size, or is not finite")
            }
            if (resize == Preprocessing.Resize.SHORTER_SIDE) {
                throw ModelInfo.bad("a mean image needs images of one size, \"shorter_side\" does not give them")
            }
        }
        return Preprocessing(size, crop, resize, channels, scale, mean, std, image)
    }

    private inline fun <reified T : Enum<T>> enum(
        input: JSONObject,
        key: String,
        default: T,
    ): T {
        if (!input.has(key)) return default
        val value = input.opt(key)
        // Both kinds of names are upper case here; the file's resize names are lower case, its channels upper.
        return enumValues<T>().find { it.name == (value as? String)?.uppercase() }
            ?: throw ModelInfo.bad("$key: expected one of ${enumValues<T>().joinToString { it.name }}, got $value")
    }

    private fun sides(
        key: String,
        value: Any?,
    ): Preprocessing.Size {
        val array = value as? JSONArray
        val sides = if (array?.length() == 2) listOf(array.opt(0), array.opt(1)) else emptyList()
        if (sides.isEmpty() || !sides.all { it is Int && it in 1..Preprocessing.MOST_SIDE }) {
            throw ModelInfo.bad("$key: expected [height, width], each from 1 to ${Preprocessing.MOST_SIDE}, got $value")
        }
        return Preprocessing.Size(sides[0] as Int, sides[1] as Int)
    }

    private fun numbers(
        key: String,
        value: Any?,
        count: Int,
    ): FloatArray {
        val array = value as? JSONArray
        if (array?.length() != count) throw ModelInfo.bad("$key: expected $count numbers, got $value")
        return FloatArray(count) { number(key, array.opt(it)) }
    }

    private fun number(
        key: String,
        value: Any?,
    ): Float {
        val number = (value as? Number)?.toFloat()
        if (number == null || !number.isFinite()) throw ModelInfo.bad("$key: expected finite numbers, got $value")
        return number
    }
}
