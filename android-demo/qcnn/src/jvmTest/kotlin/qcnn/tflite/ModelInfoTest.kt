package qcnn.tflite

import java.util.Random
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Assert.fail
import org.junit.Test

class ModelInfoTest {
    private fun read(
        bytes: ByteArray,
        twin: ModelInfo? = null,
    ) = ModelInfo.read(Files.direct(bytes), twin)

    private fun problem(bytes: ByteArray): QcnnException =
        assertThrows(QcnnException::class.java) { read(bytes) }

    @Test
    fun aModelTellsWhatItNeeds() {
        val info = read(Files.quantized)
        assertEquals("fashion_alexnet", info.name)
        assertTrue(info.quantized)
        assertTrue(info.licence!!.startsWith("MIT"))
        assertEquals(Preprocessing.Channels.GRAY, info.preprocessing.channels)
        assertEquals(Preprocessing.Size(28, 28), info.preprocessing.crop)
        assertEquals(4 * 28 * 28, info.preprocessing.inputBytes)
        assertEquals("ankle boot", info.label(9))
        assertEquals("class 10", info.label(10))
        assertEquals(true, info.softmaxApplied)

        val float = read(Files.float)
        assertFalse(float.quantized)
        assertEquals(0, float.qconv + float.qfc)
    }

    @Test
    fun whatIsNoModelIsRefused() {
        for (bytes in listOf(ByteArray(0), ByteArray(7), "%PDF-1.7 something".toByteArray(), ByteArray(4096))) {
            assertEquals(Problem.NOT_A_MODEL, problem(bytes).problem)
        }
    }

    @Test
    fun everyCutIsRefused() {
        for (size in 8 until Files.quantized.size - 16 step 4999) {
            assertEquals("$size bytes", Problem.DAMAGED, problem(Files.quantized.copyOf(size)).problem)
        }
    }

    @Test
    fun aForeignOpIsNamed() {
        val error = problem(Files.patched(Files.quantized, "QConv", "XConv"))
        assertEquals(Problem.OPS_MISSING, error.problem)
        assertTrue(error.message, "\"XConv\"" in error.message!!)
    }

    @Test
    fun aModelWithoutMetadataNeedsItsTwin() {
        val bytes = Files.patched(Files.float, "qcnn_tflite", "qcnn_nothin")
        assertEquals(Problem.NO_METADATA, problem(bytes).problem)
        val info = read(bytes, twin = read(Files.quantized))
        assertFalse(info.quantized)
        assertEquals("sneaker", info.label(7))
        assertNull(info.softmaxApplied)
    }

    @Test
    fun metadataThatMakeNoSenseAreRefused() {
        val changes =
            mapOf(
                "\"format\":1" to "\"format\":2",
                "{\"format\"" to "(\"format\"",
                "\"crop\":[28,28]" to "\"crop\":[28,29]",
                "\"size\":[28,28]" to "\"size\":[28,-8]",
                "\"size\":[28,28] " to "\"size\":[28,2.5]",
                "\"size\":[28,28]  " to "\"size\":[28]   ",
                "\"channels\":\"GRAY\"" to "\"channels\":\"CMYK\"",
                "\"mean\":[0.286]" to "\"mean\":[NaN]  ",
                "\"mean\":[0.286] " to "\"mean\":\"0.286\"",
                "\"std\":[0.353]" to "\"std\":[0.000]",
                "\"mean_image\":false" to "\"mean_image\":true ",
                "\"resize\":\"squash\"" to "\"resize\":\"stretc\"",
                "\"input\"" to "\"inpit\"",
            )
        for ((old, new) in changes) {
            val error = problem(Files.patched(Files.quantized, old.trimEnd(), new.take(old.trimEnd().length)))
            assertEquals("$new: ${error.message}", Problem.BAD_METADATA, error.problem)
        }
    }

    @Test
    fun deeplyNestedMetadataAreRefused() {
        val json = String(Files.quantized, Charsets.ISO_8859_1).let { it.substring(it.indexOf("{\"format\""), it.indexOf("ankle boot")) }
        val nested = "{\"a\":" + "[".repeat(json.length - 5)
        assertEquals(Problem.BAD_METADATA, problem(Files.patched(Files.quantized, json, nested)).problem)
    }

    @Test
    fun damageEndsInOneOfTheProblems() {
        val random = Random(5)
        val seen = HashSet<Problem?>()
        repeat(400) {
            val bytes = Files.quantized.clone()
            repeat(1 + random.nextInt(40)) { bytes[random.nextInt(bytes.size)] = random.nextInt().toByte() }
            try {
                read(bytes)
                seen += null
            } catch (error: QcnnException) {
                seen += error.problem
            } catch (error: Exception) {
                fail("$error")
            }
        }
        assertTrue("$seen", null in seen)
    }

    @Test
    fun heapBuffersAreRefused() {
        assertThrows(IllegalArgumentException::class.java) { ModelInfo.read(java.nio.ByteBuffer.wrap(Files.quantized)) }
    }
}
