package qcnn.tflite.demo

import android.content.Intent
import android.graphics.BitmapFactory
import android.net.Uri
import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.ImageView
import android.widget.RadioButton
import android.widget.RadioGroup
import android.widget.ScrollView
import android.widget.TextView
import java.io.ByteArrayInputStream
import java.io.ByteArrayOutputStream
import java.io.File
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import qcnn.tflite.Benchmark
import qcnn.tflite.Classifier
import qcnn.tflite.QcnnDelegate
import qcnn.tflite.demo.MainActivity.Tab

/** Every screen in the ways that people have set up their devices; pictures beside what they say. */
class ScreensTest : AppTest() {
    private fun live(name: String) {
        grant()
        start()
        feed(5)
        assertEquals("sneaker", text(R.id.answer_top))
        assertFalse(failureShown())
        for (id in TIMES) assertNotEquals(activity.getString(R.string.time_none), text(id))
        freezeTimes()
        showPreview()
        Screenshot.check(activity, name)
    }

    /** Robolectric's TextureView stays empty: a picture stands in for what the camera sees. */
    private fun showPreview() {
        val picture =
            ImageView(activity).apply {
                setImageBitmap(BitmapFactory.decodeFile("src/main/assets/golden/05.png"))
                scaleType = ImageView.ScaleType.CENTER_CROP
            }
        view<ViewGroup>(R.id.preview_frame).addView(picture, 1)
    }

    private fun photo(name: String) {
        start()
        open(Tab.PHOTO)
        give(File("src/main/assets/golden/06.png").readBytes())
        waitUntil("the photo is classified") { view<BarsView>(R.id.bars).predictions.isNotEmpty() }
        freezeTimes()
        Screenshot.check(activity, name)
    }

    /** The picker's answer. */
    private fun give(bytes: ByteArray) {
        val uri = Uri.parse("content://gallery/1")
        shadowOf(app.contentResolver).registerInputStreamSupplier(uri) { ByteArrayInputStream(bytes) }
        view<Button>(R.id.photo_choose).performClick()
        val asked = shadowOf(activity).nextStartedActivityForResult
        shadowOf(activity).receiveResult(asked.intent, android.app.Activity.RESULT_OK, Intent().setData(uri))
    }

    private fun benchmark(name: String) {
        // Figures that do not change from run to run: what they are made of is in aBenchmarkRuns.
        val outcome =
            Benchmark.Outcome(
                listOf(measurement("q", 0.31, 600_384), measurement("float", 0.58, 8_053_696)),
                1.0,
                8,
            )
        app.measured = BenchmarkScreen.Measured(outcome, app.preferences.options.copy(threads = 1))
        app.preferences.options = app.preferences.options.copy(threads = 1)
        start()
        open(Tab.BENCHMARK)
        view<TextView>(R.id.benchmark_setting).text = activity.getString(R.string.benchmark_setting, "fashion_alexnet-q", activity.resources.getQuantityString(R.plurals.threads, 4, 4), "neon")
        Screenshot.check(activity, name)
    }

    private fun measurement(
        variant: String,
        ms: Double,
        bytes: Long,
    ) = Benchmark.Measurement(
        "fashion_alexnet", variant, listOf(ms, ms, 1.3 * ms), 3.0, bytes, bytes / 3, 70_000, bytes / 2, "neon", null, direct(ByteArray(9)),
    )

    private fun settings(name: String) {
        app.preferences.options = app.preferences.options.copy(threads = 1)
        start()
        open(Tab.SETTINGS)
        // What depends on the machine that the test runs on.
        view<RadioGroup>(R.id.kernels).run { (0 until childCount).map { getChildAt(it) as RadioButton } }.forEachIndexed { i, button ->
            button.text = "kernel $i"
            button.visibility = if (i < 3) View.VISIBLE else View.GONE
            button.isEnabled = true
        }
        view<RadioGroup>(R.id.threads).run { (2 until childCount).forEach { getChildAt(it).visibility = View.GONE } }
        view<TextView>(R.id.versions).text = "qcnn, TensorFlow Lite"
        Screenshot.check(activity, name)
    }

    @Test @Config(qualifiers = PHONE)
    fun liveLight() = live("live")

    @Test @Config(qualifiers = PHONE_AT_NIGHT)
    fun liveDark() = live("live-dark")

    @Test @Config(qualifiers = "w700dp-h340dp-land-xhdpi")
    fun liveLandscape() = live("live-landscape")

    @Test @Config(qualifiers = PHONE, fontScale = 2.0f)
    fun liveLargeFont() {
        live("live-large-font")
        scrollToEnd(view(R.id.bars), "live-large-font-end")
    }

    /** The rest of what does not fit, in a picture of its own. */
    private fun scrollToEnd(
        inside: View,
        name: String,
    ) {
        val scroll = generateSequence(inside) { it.parent as? View }.first { it is ScrollView } as ScrollView
        scroll.scrollTo(0, scroll.getChildAt(0).height)
        Screenshot.check(activity, name)
    }

    @Test @Config(qualifiers = "ar-rXB-ldrtl-w360dp-h720dp-port-xhdpi")
    fun liveRightToLeft() {
        live("live-right-to-left")
        assertEquals(View.LAYOUT_DIRECTION_RTL, activity.window.decorView.layoutDirection)
    }

    @Test @Config(qualifiers = "zh-rCN-w360dp-h720dp-port-xhdpi")
    fun liveChinese() {
        live("live-chinese")
        assertEquals("实时", activity.findViewById<View>(R.id.tab_live).contentDescription)
    }

    @Test @Config(qualifiers = PHONE)
    fun photoEmpty() {
        start()
        open(Tab.PHOTO)
        Screenshot.check(activity, "photo-empty")
    }

    @Test @Config(qualifiers = PHONE)
    fun photoLight() = photo("photo")

    @Test @Config(qualifiers = "w700dp-h340dp-land-xhdpi")
    fun photoLandscape() = photo("photo-landscape")

    @Test @Config(qualifiers = PHONE_AT_NIGHT, fontScale = 2.0f)
    fun photoDarkLargeFont() = photo("photo-dark-large-font")

    @Test @Config(qualifiers = PHONE)
    fun benchmarkLight() = benchmark("benchmark")

    @Test @Config(qualifiers = PHONE, fontScale = 2.0f)
    fun benchmarkLargeFont() {
        benchmark("benchmark-large-font")
        scrollToEnd(view(R.id.benchmark_results), "benchmark-large-font-end")
    }

    @Test @Config(qualifiers = "zh-rCN-w360dp-h720dp-port-night-xhdpi")
    fun benchmarkChineseDark() = benchmark("benchmark-chinese-dark")

    @Test @Config(qualifiers = PHONE)
    fun settingsLight() = settings("settings")

    @Test @Config(qualifiers = "ar-rXB-ldrtl-w360dp-h720dp-port-night-xhdpi")
    fun settingsRightToLeftDark() = settings("settings-right-to-left-dark")

    @Test @Config(qualifiers = "zh-rCN-w360dp-h720dp-port-xhdpi", fontScale = 2.0f)
    fun settingsChineseLargeFont() = settings("settings-chinese-large-font")

    @Test @Config(qualifiers = PHONE)
    fun theLiveAnswersAreTheGoldenOnes() {
        grant()
        start()
        val rows = JSONObject(File("src/main/assets/golden/golden.json").readText()).getJSONArray("images")
        for (i in 0 until rows.length()) {
            val shown = view<BarsView>(R.id.bars)
            shown.predictions = emptyList()
            feed(i)
            val expected = rows.getJSONObject(i).getJSONArray("top").getJSONObject(0)
            val best: Classifier.Prediction = shown.predictions.first()
            assertEquals(expected.getString("label"), best.label)
            assertEquals(expected.getDouble("probability").toFloat(), best.probability, 5e-3f)
            assertEquals(best.label, text(R.id.answer_top))
            assertTrue(best.label in shown.contentDescription)
        }
        assertEquals(frames.sent, frames.closed)
    }

    @Test @Config(qualifiers = PHONE)
    fun aBenchmarkRunsIsCancelledAndExported() {
        start()
        open(Tab.BENCHMARK)
        val run = view<Button>(R.id.benchmark_run)
        run.performClick()
        assertEquals("Cancel", run.text)
        run.performClick()
        waitUntil("it has stopped") { run.text == "Run benchmark" }
        assertEquals(View.GONE, view<View>(R.id.benchmark_results).visibility)

        run.performClick()
        waitUntil("it is done") { view<View>(R.id.benchmark_results).visibility == View.VISIBLE }
        assertTrue(text(R.id.benchmark_headline).endsWith("13.4× smaller"))
        assertTrue(text(R.id.benchmark_note).endsWith("on 8 images"))

        view<Button>(R.id.benchmark_export).performClick()
        val asked = shadowOf(activity).nextStartedActivityForResult
        assertEquals(Intent.ACTION_CREATE_DOCUMENT, asked.intent.action)
        val uri = Uri.parse("content://documents/result.json")
        val out = ByteArrayOutputStream()
        shadowOf(app.contentResolver).registerOutputStream(uri, out)
        shadowOf(activity).receiveResult(asked.intent, android.app.Activity.RESULT_OK, Intent().setData(uri))
        val results = JSONObject(out.toString("UTF-8")).getJSONArray("results")
        assertEquals(listOf("q", "float"), List(2) { results.getJSONObject(it).getString("variant") })
        assertEquals(BenchmarkScreen.RUNS, results.getJSONObject(0).getJSONArray("samples_ms").length())
        File(System.getProperty("screenshots.actual")).apply { mkdirs() }.resolve("../result.json").writeText(out.toString("UTF-8"))
    }

    @Test @Config(qualifiers = PHONE)
    fun threadsAndKernelAreChosenAndKept() {
        start()
        open(Tab.SETTINGS)
        view<RadioGroup>(R.id.kernels).run { getChildAt(childCount - 1) as RadioButton }.performClick()
        waitUntil("the kernel runs") { (app.engine.state as? Engine.State.Ready)?.kernel == QcnnDelegate.kernels().last().name }
        view<RadioGroup>(R.id.threads).getChildAt(0).performClick()
        assertEquals(Options(null, 1, QcnnDelegate.kernels().last().name), Preferences(app).options)
        waitUntil("it is loaded") { app.engine.state is Engine.State.Ready }
    }

    @Test @Config(qualifiers = PHONE)
    fun theCameraIsSwitchedAndTheChoiceKept() {
        grant()
        start()
        assertFalse(frames.front)
        view<View>(R.id.switch_camera).performClick()
        assertTrue(frames.front)
        assertTrue(Preferences(RuntimeEnvironment.getApplication()).frontCamera)
    }

    @Test @Config(qualifiers = PHONE)
    fun everythingThatIsTouchedIsLargeEnoughAndSaysWhatItIs() {
        grant()
        start()
        for (tab in Tab.values()) {
            open(tab)
            val density = activity.resources.displayMetrics.density
            for (touched in clickable(activity.window.decorView)) {
                val what = "${tab.name}: ${touched.javaClass.simpleName} ${(touched as? TextView)?.text}"
                assertTrue("$what is ${touched.width} x ${touched.height}", touched.height >= 48 * density - 1 && touched.width >= 48 * density - 1)
                assertTrue(what, !touched.contentDescription.isNullOrEmpty() || !(touched as? TextView)?.text.isNullOrEmpty())
            }
        }
    }

    private fun clickable(view: View): List<View> =
        when {
            view.visibility != View.VISIBLE -> emptyList()
            view.isClickable -> listOf(view)
            view is android.view.ViewGroup -> (0 until view.childCount).flatMap { clickable(view.getChildAt(it)) }
            else -> emptyList()
        }

    companion object {
        const val PHONE = "w360dp-h720dp-port-xhdpi"
        const val PHONE_AT_NIGHT = "w360dp-h720dp-port-night-xhdpi"
    }
}
