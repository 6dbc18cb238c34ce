package qcnn.tflite.demo

import android.content.ActivityNotFoundException
import android.content.Intent
import android.graphics.BitmapFactory
import android.net.Uri
import android.os.Build
import android.os.Bundle
import android.text.format.Formatter
import android.view.LayoutInflater
import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.LinearLayout
import android.widget.ProgressBar
import android.widget.TextView
import android.widget.Toast
import java.io.IOException
import java.text.NumberFormat
import java.util.Date
import java.util.concurrent.atomic.AtomicBoolean
import org.json.JSONObject
import org.tensorflow.lite.TensorFlowLite
import qcnn.tflite.Benchmark
import qcnn.tflite.Machine
import qcnn.tflite.QcnnDelegate
import qcnn.tflite.ResultDocument
import qcnn.tflite.RgbImage

/** The model beside its float twin: times, sizes, memory, agreement. */
class BenchmarkScreen(
    activity: MainActivity,
    parent: ViewGroup,
) : Screen(activity, parent, R.layout.screen_benchmark) {
    private val run: Button = find(R.id.benchmark_run)
    private val progress: ProgressBar = find(R.id.benchmark_progress)
    private val running: TextView = find(R.id.benchmark_running)
    private var stop: AtomicBoolean? = null
    private var document: String? = null
    private var measured: Measured? = null

    /** What was measured, with what it was measured with. */
    class Measured(
        val outcome: Benchmark.Outcome,
        val options: Options,
    )

    init {
        find<TextView>(R.id.benchmark_intro).text = activity.getString(R.string.benchmark_intro, RUNS)
        run.setOnClickListener { if (stop == null) start() else cancel() }
        find<Button>(R.id.benchmark_export).setOnClickListener { export() }
        // Results outlive the activity that waited for them.
        activity.demo.measured?.let { show(it) }
    }

    override fun onHide() = cancel()

    override fun onState(state: Engine.State) {
        run.isEnabled = state is Engine.State.Ready
        val options = engine.options
        val kernel = (state as? Engine.State.Ready)?.kernel ?: options.kernel
        find<TextView>(R.id.benchmark_setting).text = setting(state.name, options.threads, kernel)
        show((state as? Engine.State.Broken)?.failed)
        if (state is Engine.State.Loading && measured?.options != options) {
            measured = null
            activity.demo.measured = null
            find<View>(R.id.benchmark_results).visibility = View.GONE
        }
    }

    private fun setting(
        model: String,
        threads: Int,
        kernel: String,
    ) = activity.getString(
        R.string.benchmark_setting,
        model,
        activity.resources.getQuantityString(R.plurals.threads, threads, threads),
        kernel,
    )

    private fun start() {
        val stopped = AtomicBoolean()
        stop = stopped
        val options = engine.options
        run.setText(R.string.benchmark_cancel)
        progress.progress = 0
        showProgress(true)
        engine.benchmark(
            ::images,
            RUNS,
            { done, total ->
                view.post { if (stop === stopped) step(done, total) }
                !stopped.get()
            },
            { outcome -> finish(stopped) { outcome?.let { show(Measured(it, options)) } } },
            { failed -> finish(stopped) { show(failed) } },
        )
    }

    private fun step(
        done: Int,
        total: Int,
    ) {
        progress.max = total
        progress.progress = done
        running.text = activity.getString(R.string.benchmark_running, done, total)
    }

    private fun cancel() {
        stop?.set(true)
    }

    private fun finish(
        stopped: AtomicBoolean,
        then: () -> Unit,
    ) {
        if (stop !== stopped) return
        stop = null
        run.setText(R.string.benchmark_run)
        showProgress(false)
        then()
    }

    private fun showProgress(shown: Boolean) {
        val visibility = if (shown) View.VISIBLE else View.GONE
        progress.visibility = visibility
        running.visibility = visibility
        if (!shown) running.text = null
    }

    /** The golden images: the same on every device. */
    private fun images(): List<RgbImage> {
        val assets = activity.assets
        val golden = JSONObject(assets.open("golden/golden.json").use { String(it.readBytes(), Charsets.UTF_8) })
        val rows = golden.getJSONArray("images")
        return List(rows.length()) { i ->
            val name = rows.getJSONObject(i).getString("file")
            val bitmap = assets.open("golden/$name").use { BitmapFactory.decodeStream(it) } ?: throw IOException(name)
            val pixels = IntArray(bitmap.width * bitmap.height)
            bitmap.getPixels(pixels, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
            RgbImage.fromArgb(bitmap.width, bitmap.height, pixels)
        }
    }

    private fun show(new: Measured) {
        measured = new
        activity.demo.measured = new
        val (first, second) = new.outcome.measurements.let { it[0] to it.getOrNull(1) }
        find<View>(R.id.benchmark_results).visibility = View.VISIBLE
        find<TextView>(R.id.benchmark_headline).apply {
            text = headline(first, second)
            visibility = if (second == null) View.GONE else View.VISIBLE
        }
        val table = find<LinearLayout>(R.id.benchmark_table)
        table.removeAllViews()
        row(table, "", if (first.variant == "q") R.string.benchmark_q else R.string.benchmark_float, R.string.benchmark_float.takeIf { second != null })
        row(table, R.string.benchmark_median, first, second) { milliseconds(it.medianMs) }
        row(table, R.string.benchmark_p90, first, second) { milliseconds(it.p90Ms) }
        row(table, R.string.benchmark_file, first, second) { size(it.fileBytes) }
        row(table, R.string.benchmark_memory, first, second) { size(maxOf(it.heapBytes, it.packedBytes + it.scratchBytes)) }
        find<TextView>(R.id.benchmark_note).text =
            new.outcome.agreement?.let {
                val value = NumberFormat.getPercentInstance().format(it)
                val text = activity.getString(R.string.benchmark_agreement_value, value, new.outcome.images)
                "${activity.getString(R.string.benchmark_agreement)}: $text"
            } ?: activity.getString(R.string.benchmark_no_float)
    }

    private fun headline(
        first: Benchmark.Measurement,
        second: Benchmark.Measurement?,
    ): String? {
        if (second == null) return null
        val speed = second.medianMs / first.medianMs
        val size = second.fileBytes.toDouble() / first.fileBytes
        val text = if (speed >= 1) R.string.benchmark_faster else R.string.benchmark_slower
        return activity.getString(text, ratio(maxOf(speed, 1 / speed)), ratio(size))
    }

    private fun ratio(value: Double) = number(1).format(value)

    private fun milliseconds(value: Double) = activity.getString(R.string.time_ms, number(decimals(value)).format(value))

    /** Three figures or a little more: so many are measured. */
    private fun decimals(value: Double) = if (value < 10) 2 else if (value < 100) 1 else 0

    private fun size(bytes: Long) = Formatter.formatShortFileSize(activity, bytes)

    private fun number(digits: Int) =
        NumberFormat.getNumberInstance().apply {
            minimumFractionDigits = digits
            maximumFractionDigits = digits
        }

    private fun row(
        table: LinearLayout,
        name: Int,
        first: Benchmark.Measurement,
        second: Benchmark.Measurement?,
        value: (Benchmark.Measurement) -> String,
    ) = row(table, activity.getString(name), value(first), second?.let(value))

    private fun row(
        table: LinearLayout,
        name: String,
        first: Int,
        second: Int?,
    ) = row(table, name, activity.getString(first), second?.let { activity.getString(it) }, heading = true)

    private fun row(
        table: LinearLayout,
        name: String,
        first: String,
        second: String?,
        heading: Boolean = false,
    ) {
        val row = LayoutInflater.from(activity).inflate(R.layout.benchmark_row, table, false) as LinearLayout
        if (activity.resources.largeFont) row.stack()
        row.findViewById<TextView>(R.id.row_name).apply {
            text = name
            visibility = if (name.isEmpty() && activity.resources.largeFont) View.GONE else View.VISIBLE
        }
        for ((id, value) in listOf(R.id.row_first to first, R.id.row_second to second)) {
            row.findViewById<TextView>(id).apply {
                text = value
                visibility = if (value == null) View.GONE else View.VISIBLE
                if (heading) setTextColor(activity.getColor(R.color.muted))
            }
        }
        table.addView(row)
    }

    private fun export() {
        val found = measured ?: return
        val system = "Android ${Build.VERSION.RELEASE} (API ${Build.VERSION.SDK_INT})"
        document =
            ResultDocument.write(
                found.outcome.measurements,
                Machine.describe("${Build.MANUFACTURER} ${Build.MODEL}", system),
                found.options.threads,
                TensorFlowLite.runtimeVersion(),
                mapOf("qcnn" to QcnnDelegate.version()),
                Date(),
            )
        val name = "${found.outcome.measurements[0].name}-${Build.MODEL}.json".replace(' ', '-')
        try {
            activity.startActivityForResult(
                Intent(Intent.ACTION_CREATE_DOCUMENT)
                    .addCategory(Intent.CATEGORY_OPENABLE)
                    .setType("application/json")
                    .putExtra(Intent.EXTRA_TITLE, name),
                EXPORT,
            )
        } catch (_: ActivityNotFoundException) {
            tell(R.string.benchmark_export_failed)
        }
    }

    override fun onResult(
        request: Int,
        data: Intent?,
    ): Boolean {
        if (request != EXPORT) return false
        val text = document
        val uri = data?.data
        if (uri != null && text != null) write(uri, text)
        return true
    }

    override fun save(out: Bundle) = out.putString(KEY, document)

    override fun restore(saved: Bundle) {
        document = saved.getString(KEY)
    }

    private fun write(
        uri: Uri,
        text: String,
    ) {
        try {
            val stream = activity.contentResolver.openOutputStream(uri) ?: throw IOException("nothing there")
            stream.use { it.write(text.toByteArray()) }
            tell(R.string.benchmark_exported)
        } catch (_: IOException) {
            tell(R.string.benchmark_export_failed)
        } catch (_: SecurityException) {
            tell(R.string.benchmark_export_failed)
        }
    }

    private fun tell(text: Int) = Toast.makeText(activity, text, Toast.LENGTH_LONG).show()

    companion object {
        const val RUNS = 30
        const val EXPORT = 12
        private const val KEY = "document"
    }
}
