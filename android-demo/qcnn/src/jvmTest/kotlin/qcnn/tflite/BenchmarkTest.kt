package qcnn.tflite

import java.io.File
import java.util.Date
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

class BenchmarkTest {
    @get:Rule val folder = TemporaryFolder()

    private val quantized = Files.direct(Files.quantized)
    private val float = Files.direct(Files.float)
    private val subjects =
        listOf(
            Benchmark.Subject("fashion_alexnet-q", quantized) { Classifier(quantized) },
            Benchmark.Subject("fashion_alexnet", float) { Classifier(float, delegate = null) },
        )
    private val images =
        Files.golden.getJSONArray("images").let { all ->
            List(all.length()) { Files.image(File(Files.assets, "golden/${all.getJSONObject(it).getString("file")}")) }
        }

    @Test
    fun bothAreTimedInTurnAndWrittenInTheHarnessFormat() {
        val steps = ArrayList<Int>()
        val outcome =
            Benchmark(runs = 7, warmUp = 2).run(subjects, images) { done, total ->
                assertEquals(18, total)
                steps.add(done)
            }!!
        assertEquals((1..18).toList(), steps)
        assertTrue(outcome.agreement!! >= 0.75)
        assertEquals(images.size, outcome.images)
        val (q, f) = outcome.measurements
        assertEquals(listOf("q", "float"), listOf(q.variant, f.variant))
        assertEquals(7, q.samplesMs.size)
        assertTrue(q.packedBytes > 0)
        assertNull(f.kernel)
        assertTrue(q.fileBytes * 10 < f.fileBytes)

        val machine = Machine.describe("Test", "Android 15")
        val text = ResultDocument.write(outcome.measurements, machine, 1, "2.18.0", mapOf("qcnn" to "0.1.0"), Date(0))
        val results = JSONObject(text).getJSONArray("results")
        assertEquals(2, results.length())
        val first = results.getJSONObject(0)
        assertEquals("1970-01-01T00:00:00Z", first.getString("date"))
        assertEquals(QcnnDelegate().use { it.kernel }, first.getString("kernel"))
        assertTrue(results.getJSONObject(1).isNull("kernel"))
        assertEquals(q.medianMs, first.getJSONObject("summary_ms").getDouble("median"), 1e-9)
        // Checked against the schema by tests/test_demo_results.py.
        System.getProperty("result.file")?.let { File(it).apply { parentFile.mkdirs() }.writeText(text) }
        assertEquals(0, QcnnDelegate.open())
    }

    @Test
    fun itStopsWhenToldAndLeavesNothing() {
        assertNull(Benchmark().run(subjects, images) { done, _ -> done < 3 })
        assertEquals(0, QcnnDelegate.open())
        assertEquals(QcnnDelegate.Memory(0, 0), QcnnDelegate.memory())
    }

    @Test
    fun aModelAloneHasNoAgreement() {
        val outcome = Benchmark(runs = 1, warmUp = 0).run(subjects.take(1), images)!!
        assertNull(outcome.agreement)
        assertEquals(1, outcome.measurements.size)
    }

    @Test
    fun quantilesAreNumpys() {
        val values = listOf(4.0, 1.0, 3.0, 2.0)
        assertEquals(2.5, Benchmark.quantile(values, 0.5), 1e-12)
        assertEquals(3.7, Benchmark.quantile(values, 0.9), 1e-12)
        assertEquals(1.0, Benchmark.quantile(listOf(1.0), 0.9), 0.0)
    }

    @Test
    fun theProcessorIsDescribedAsInPython() {
        val cpuinfo = folder.newFile().apply { writeText("processor : 0\nFeatures : fp asimd asimddp i8mm\nHardware : Tensor G4\n") }
        val machine = Machine.describe("Pixel", "Android 15", cpuinfo)
        assertEquals("Tensor G4", machine.cpu)
        assertEquals("NEON dotprod", machine.instructionSet)
        assertEquals(listOf("asimd", "asimddp", "i8mm"), machine.features)
        assertTrue(machine.system.startsWith("Android 15 "))
        val nothing = Machine.describe("Pixel", "Android 15", File(folder.root, "none"))
        assertEquals("Pixel", nothing.cpu)
        assertTrue(nothing.features.isEmpty())
        assertFalse(nothing.instructionSet.isEmpty())
    }

    @Test
    fun bigCoresAreThoseThatAreNotTheSlowest() {
        val speeds = listOf(1700, 1700, 1700, 1700, 2400, 2400, 2400, 3100)
        for ((cpu, speed) in speeds.withIndex()) {
            File(folder.root, "cpu$cpu/cpufreq").apply { mkdirs() }.resolve("cpuinfo_max_freq").writeText("${speed}000\n")
        }
        assertEquals(4, Machine.bigCores(folder.root))
        assertEquals(Runtime.getRuntime().availableProcessors(), Machine.bigCores(File(folder.root, "none")))
    }
}
