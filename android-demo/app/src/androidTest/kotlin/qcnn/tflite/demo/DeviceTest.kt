package qcnn.tflite.demo

import android.graphics.BitmapFactory
import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Test
import org.junit.runner.RunWith
import qcnn.tflite.Classifier
import qcnn.tflite.QcnnDelegate
import qcnn.tflite.RgbImage

/** On a device: the runtime that is shipped, the library as the NDK built it, the golden answers. */
@RunWith(AndroidJUnit4::class)
class DeviceTest {
    private val context = InstrumentationRegistry.getInstrumentation().targetContext
    private val golden = JSONObject(context.assets.open("golden/golden.json").use { String(it.readBytes()) })

    private fun image(name: String): RgbImage {
        val options = BitmapFactory.Options().apply { inPremultiplied = false }
        val bitmap = context.assets.open("golden/$name").use { BitmapFactory.decodeStream(it, null, options)!! }
        val pixels = IntArray(bitmap.width * bitmap.height)
        bitmap.getPixels(pixels, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
        return RgbImage.fromArgb(bitmap.width, bitmap.height, pixels)
    }

    private fun check(
        kernel: String,
        tolerance: Float,
    ) {
        val store = ModelStore(context)
        val entry = store.entries().first()
        Classifier(store.open(entry), threads = 2, delegate = QcnnDelegate(kernel)).use { classifier ->
            val rows = golden.getJSONArray("images")
            for (i in 0 until rows.length()) {
                val row = rows.getJSONObject(i)
                val expected = row.getJSONArray("top")
                val answer = classifier.classify(image(row.getString("file")))
                for ((j, prediction) in answer.top.withIndex()) {
                    val wanted = expected.getJSONObject(j)
                    if (kernel == "reference") assertEquals(wanted.getInt("index"), prediction.index)
                    if (j == 0 || kernel == "reference") {
                        assertEquals(wanted.getDouble("probability").toFloat(), prediction.probability, tolerance)
                    }
                }
                val prepared = image(row.getString("prepared"))
                val pixels = classifier.info.preprocessing.pixels(image(row.getString("file")))
                val step = 3 / classifier.info.preprocessing.channels.count
                for (k in pixels.indices) {
                    assertEquals((prepared.rgb[k * step].toInt() and 0xff).toFloat(), (pixels[k].toInt() and 0xff).toFloat(), 1f)
                }
            }
        }
        assertEquals(0, QcnnDelegate.open())
    }

    @Test
    fun theReferenceKernelAnswersAsInPython() = check("reference", 1e-4f)

    @Test
    fun theFastestKernelFindsTheSame() = check(QcnnDelegate.AUTO, 5e-3f)

    @Test
    fun theFloatTwinRunsWithoutUs() {
        val store = ModelStore(context)
        val (_, twin) = store.twin(store.entries().first())!!
        Classifier(twin, delegate = null).use { it.run() }
    }
}
