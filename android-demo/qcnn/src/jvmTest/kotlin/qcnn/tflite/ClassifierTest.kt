package qcnn.tflite

import java.io.File
import org.json.JSONArray
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.tensorflow.lite.Interpreter

/** The real runtime, the real library, the committed models and what Python answered. */
class ClassifierTest {
    @After
    fun nothingIsLeft() {
        assertEquals(0, QcnnDelegate.open())
        assertEquals(QcnnDelegate.Memory(0, 0), QcnnDelegate.memory())
    }

    private fun check(
        classifier: Classifier,
        key: String,
        tolerance: Float,
    ) {
        val images = Files.golden.getJSONArray("images")
        assertTrue(images.length() >= 8)
        for (i in 0 until images.length()) {
            val row = images.getJSONObject(i)
            val expected = row.getJSONArray(key)
            val answer = classifier.classify(Files.image(File(Files.assets, "golden/${row.getString("file")}")))
            val what = row.getString("file")
            assertEquals(what, indices(expected), answer.top.map { it.index })
            for ((j, prediction) in answer.top.withIndex()) {
                val wanted = expected.getJSONObject(j)
                assertEquals(what, wanted.getString("label"), prediction.label)
                assertEquals(what, wanted.getDouble("probability").toFloat(), prediction.probability, tolerance)
            }
            assertTrue(answer.prepareMs > 0 && answer.inferenceMs > 0)
        }
    }

    private fun indices(top: JSONArray) = List(top.length()) { top.getJSONObject(it).getInt("index") }

    @Test
    fun theQuantizedModelAnswersAsInPython() {
        Classifier(Files.direct(Files.quantized), delegate = QcnnDelegate("reference")).use { check(it, "top", 1e-4f) }
    }

    @Test
    fun everyThreadCountAnswersTheSame() {
        for (threads in 1..4) {
            Classifier(Files.direct(Files.quantized), threads, QcnnDelegate("reference")).use { check(it, "top", 1e-4f) }
        }
    }

    @Test
    fun theFloatTwinAnswersAsInPython() {
        Classifier(Files.direct(Files.float), delegate = null).use { check(it, "float_top", 1e-4f) }
    }

    @Test
    fun everyKernelOfThisProcessorAnswersNearlyTheSame() {
        val kernels = QcnnDelegate.kernels()
        assertTrue(kernels.any { it.name == "reference" && it.available })
        val images = Files.golden.getJSONArray("images")
        for (kernel in kernels.filter { it.available }.map { it.name } + QcnnDelegate.AUTO) {
            Classifier(Files.direct(Files.quantized), delegate = QcnnDelegate(kernel)).use { classifier ->
                for (i in 0 until images.length()) {
                    val row = images.getJSONObject(i)
                    val top = row.getJSONArray("top")
                    val answer = classifier.classify(Files.image(File(Files.assets, "golden/${row.getString("file")}")), 10)
                    assertEquals("$kernel $i", top.getJSONObject(0).getInt("index"), answer.top[0].index)
                    // The tables of fast kernels are int8 or int16.
                    for (j in 0 until top.length()) {
                        val wanted = top.getJSONObject(j)
                        val found = answer.top.single { it.index == wanted.getInt("index") }
                        assertEquals("$kernel $i", wanted.getDouble("probability").toFloat(), found.probability, 5e-3f)
                    }
                }
            }
        }
    }

    @Test
    fun withoutTheDelegateTheRuntimeRefusesAndWeSayWhy() {
        val error =
            assertThrows(QcnnException::class.java) { Classifier(Files.direct(Files.quantized), delegate = null) }
        assertEquals(Problem.OPS_MISSING, error.problem)
        val stock =
            assertThrows(RuntimeException::class.java) {
                Interpreter(Files.direct(Files.quantized), Interpreter.Options()).use { it.allocateTensors() }
            }
        assertTrue("$stock", "QConv" in stock.message!!)
    }

    @Test
    fun aLayerThatIsWrongIsRefusedWithItsSentence() {
        // The option that says how large a convolution's kernel is; no shape fits any more.
        val bytes = Files.patched(Files.quantized, "in_channels", "in_chanXels")
        val error = assertThrows(QcnnException::class.java) { Classifier(Files.direct(bytes)) }
        assertEquals(error.message, Problem.REFUSED, error.problem)
        assertTrue(error.message, "in_chan" in error.message!!)
    }

    @Test
    fun anInputThatIsNotWhatTheMetadataSayIsRefused() {
        val bytes = Files.patched(Files.quantized, "\"crop\":[28,28]", "\"crop\":[28,27]")
        val error = assertThrows(QcnnException::class.java) { Classifier(Files.direct(bytes)) }
        assertEquals(Problem.UNSUPPORTED, error.problem)
        assertTrue(error.message, "[1, 28, 28, 1]" in error.message!! && "[1, 28, 27, 1]" in error.message!!)
    }

    @Test
    fun anUnknownKernelIsRefusedWithTheList() {
        val error = assertThrows(IllegalArgumentException::class.java) { QcnnDelegate("turbo") }
        assertTrue(error.message, "reference" in error.message!! && "turbo" in error.message!!)
        assertEquals(QcnnDelegate.kernels().first { it.available }.name, QcnnDelegate().use { it.kernel })
        val closed = QcnnDelegate().apply { close() }
        assertThrows(IllegalStateException::class.java) { closed.nativeHandle }
        closed.close()
    }

    @Test
    fun oneImageOfManySizes() {
        Classifier(Files.direct(Files.quantized)).use { classifier ->
            for (size in listOf(1, 27, 28, 29, 640)) {
                val image = RgbImage(size, size + 3, ByteArray(3 * size * (size + 3)) { (it * 7).toByte() })
                assertEquals(3, classifier.classify(image, 3).top.size)
            }
            assertEquals(10, classifier.classify(RgbImage(1, 1, ByteArray(3)), 99).top.size)
            assertNotNull(classifier.kernel)
        }
    }

    @Test
    fun fiftyModelsOneAfterAnotherLeaveNothing() {
        repeat(50) {
            Classifier(Files.direct(Files.quantized), threads = 1 + it % 2).use { classifier ->
                assertTrue(QcnnDelegate.memory().packed > 0)
                classifier.run()
            }
            assertEquals(QcnnDelegate.Memory(0, 0), QcnnDelegate.memory())
        }
    }
}
