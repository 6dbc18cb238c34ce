package qcnn.tflite

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.Base64
import kotlin.math.abs
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** Pixels and values are those that the Python package stored. */
class PreprocessingTest {
    private val cases =
        JSONObject(File(Files.preprocessing, "preprocessing.json").readText()).getJSONArray("cases").let { all ->
            List(all.length()) { all.getJSONObject(it) }
        }

    @Test
    fun everyCaseIsAsInPython() {
        assertTrue(cases.size >= 10)
        for (case in cases) {
            val name = case.getString("name")
            val preprocessing = preprocessing(case)
            val image = Files.image(File(Files.preprocessing, case.getString("image")))
            val expected = bytes(case, "pixels")
            val pixels = preprocessing.pixels(image)
            assertEquals(name, expected.size, pixels.size)
            val worst = pixels.indices.maxOf { abs((pixels[it].toInt() and 0xff) - (expected[it].toInt() and 0xff)) }
            assertTrue("$name: pixels differ by $worst", worst <= 1)
            // Not a promise, but so it is: the arithmetic is Pillow's.
            assertEquals(name, 0, worst)

            val values = ByteBuffer.wrap(bytes(case, "values")).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
            val input = preprocessing.prepare(image).asFloatBuffer()
            assertEquals(name, values.remaining(), input.remaining())
            while (values.hasRemaining()) {
                val value = values.get()
                assertEquals(name, value, input.get(), 1e-6f * maxOf(1f, abs(value)))
            }
        }
    }

    @Test
    fun theGoldenImagesArePreparedAsInPython() {
        val preprocessing = ModelInfo.read(Files.direct(Files.quantized)).preprocessing
        val images = Files.golden.getJSONArray("images")
        for (i in 0 until images.length()) {
            val row = images.getJSONObject(i)
            val image = Files.image(File(Files.assets, "golden/${row.getString("file")}"))
            assertEquals(row.getInt("width"), image.width)
            assertEquals(row.getInt("height"), image.height)
            val pixels = preprocessing.pixels(image)
            val expected = Files.image(File(Files.assets, "golden/${row.getString("prepared")}"))
            for (j in pixels.indices) {
                val wanted = expected.rgb[if (preprocessing.channels.count == 1) 3 * j else j]
                assertEquals("image $i, value $j", wanted.toInt() and 0xff, pixels[j].toInt() and 0xff)
            }
        }
    }

    @Test
    fun buffersAreReusedForImagesOfOtherSizes() {
        val preprocessing = preprocessing(cases.first { it.getString("name") == "squash, smaller" })
        val photo = Files.image(File(Files.preprocessing, "photo.png"))
        val noise = Files.image(File(Files.preprocessing, "noise.png"))
        val first = preprocessing.pixels(photo)
        preprocessing.pixels(noise)
        assertTrue(first.contentEquals(preprocessing.pixels(photo)))
    }

    @Test
    fun imagesThatDoNotFitAreRefused() {
        val fixed = Preprocessing(Preprocessing.Size(5, 7), resize = Preprocessing.Resize.NONE)
        val error = assertThrows(IllegalArgumentException::class.java) { fixed.pixels(grey(5, 7)) }
        assertEquals("the image has 5x7 pixels; this model does not resize, it takes 7x5", error.message)
        fixed.pixels(grey(7, 5))

        val covering = Preprocessing(Preprocessing.Size(8192, 8192), resize = Preprocessing.Resize.SHORTER_SIDE)
        val oblong = assertThrows(IllegalArgumentException::class.java) { covering.pixels(grey(3000, 1)) }
        assertTrue(oblong.message, "too oblong" in oblong.message!!)
    }

    @Test
    fun transparentPixelsLieOverWhite() {
        val image = RgbImage.fromArgb(3, 1, intArrayOf(0x00123456, 0x80000000.toInt(), 0xff010203.toInt()))
        assertEquals(listOf(255, 255, 255, 127, 127, 127, 1, 2, 3), image.rgb.map { it.toInt() and 0xff })
    }

    @Test
    fun halvesAreRead() {
        val values = mapOf(0 to 0f, 0x3c00 to 1f, 0xc000 to -2f, 1 to 5.9604645e-8f, 0x7bff to 65504f, 0x3555 to 0.33325195f)
        for ((half, value) in values) assertEquals(value, ModelInfo.halfToFloat(half), 0f)
        assertTrue(ModelInfo.halfToFloat(0x7c01).isNaN())
        assertEquals(Float.NEGATIVE_INFINITY, ModelInfo.halfToFloat(0xfc00), 0f)
    }

    private fun grey(
        width: Int,
        height: Int,
    ) = RgbImage(width, height, ByteArray(3 * width * height) { 99 })

    private fun bytes(
        case: JSONObject,
        key: String,
    ): ByteArray = Base64.getDecoder().decode(case.getString(key))

    private fun preprocessing(case: JSONObject): Preprocessing {
        val input = case.getJSONObject("input")
        val image =
            if (!case.has("mean_image")) {
                null
            } else {
                val halves = ByteBuffer.wrap(bytes(case, "mean_image")).order(ByteOrder.LITTLE_ENDIAN).asShortBuffer()
                FloatArray(halves.remaining()) { ModelInfo.halfToFloat(halves.get(it).toInt()) }
            }
        return Preprocessing(
            size = size(input.getJSONArray("size")),
            crop = size(input.getJSONArray("crop")),
            resize = Preprocessing.Resize.valueOf(input.getString("resize").uppercase()),
            channels = Preprocessing.Channels.valueOf(input.getString("channels")),
            scale = input.getDouble("scale").toFloat(),
            mean = floats(input.getJSONArray("mean")),
            std = floats(input.getJSONArray("std")),
            meanImage = image,
        )
    }

    private fun size(array: JSONArray) = Preprocessing.Size(array.getInt(0), array.getInt(1))

    private fun floats(array: JSONArray) = FloatArray(array.length()) { array.getDouble(it).toFloat() }
}
