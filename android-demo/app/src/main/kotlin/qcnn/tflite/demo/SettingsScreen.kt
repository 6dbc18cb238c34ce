package qcnn.tflite.demo

import android.content.ActivityNotFoundException
import android.content.Intent
import android.net.Uri
import android.provider.OpenableColumns
import android.view.LayoutInflater
import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.ImageButton
import android.widget.LinearLayout
import android.widget.RadioButton
import android.widget.RadioGroup
import android.widget.TextView
import android.widget.Toast
import java.io.IOException
import org.tensorflow.lite.TensorFlowLite
import qcnn.tflite.QcnnDelegate

/** Which model, how many threads, which kernel. */
class SettingsScreen(
    activity: MainActivity,
    parent: ViewGroup,
    private val mostThreads: Int,
) : Screen(activity, parent, R.layout.screen_settings) {
    private val models: LinearLayout = find(R.id.models)

    init {
        find<Button>(R.id.import_model).setOnClickListener { choose() }
        showThreads()
        showKernels()
        showVersions()
    }

    override fun onShow() {
        show(null)
        showModels()
    }

    /** Other screens show a model that cannot be used; here another one is chosen. */
    override fun onState(state: Engine.State) {
        showModels()
        find<TextView>(R.id.model_licence).apply {
            val licence = (state as? Engine.State.Ready)?.info?.licence
            text = licence?.let { activity.getString(R.string.settings_licence, it) }
            visibility = if (licence == null) View.GONE else View.VISIBLE
        }
    }

    override fun onAction(action: Action) = if (action == Action.OTHER_MODEL) show(null) else super.onAction(action)

    private fun showModels() {
        models.removeAllViews()
        val chosen = engine.models.entry(engine.options.model)?.id
        for (entry in engine.models.entries()) {
            val row = LayoutInflater.from(activity).inflate(R.layout.model_row, models, false)
            row.findViewById<RadioButton>(R.id.model_name).apply {
                text = entry.name
                isChecked = entry.id == chosen
                setOnClickListener {
                    engine.options = engine.options.copy(model = entry.id)
                    showModels()
                }
            }
            row.findViewById<ImageButton>(R.id.model_remove).apply {
                visibility = if (entry.imported) View.VISIBLE else View.GONE
                contentDescription = activity.getString(R.string.settings_remove, entry.name)
                setOnClickListener { remove(entry) }
            }
            models.addView(row)
        }
    }

    private fun remove(entry: ModelStore.Entry) {
        engine.models.remove(entry)
        if (engine.options.model == entry.id) engine.options = engine.options.copy(model = null)
        showModels()
    }

    private fun showThreads() {
        val group = find<RadioGroup>(R.id.threads)
        for (count in 1..mostThreads) {
            option(group, activity.resources.getQuantityString(R.plurals.threads, count, count), engine.options.threads == count) {
                engine.options = engine.options.copy(threads = count)
            }
        }
    }

    private fun showKernels() {
        val group = find<RadioGroup>(R.id.kernels)
        val kernels =
            try {
                QcnnDelegate.kernels()
            } catch (_: LinkageError) {
                return // every other screen says so
            }
        val best = kernels.first { it.available }.name
        val chosen = engine.options.kernel
        option(group, activity.getString(R.string.settings_kernel_auto, best), chosen == QcnnDelegate.AUTO) {
            engine.options = engine.options.copy(kernel = QcnnDelegate.AUTO)
        }
        for (kernel in kernels) {
            val name =
                if (kernel.available) {
                    kernel.name
                } else {
                    activity.getString(R.string.settings_kernel_missing, kernel.name, kernel.features)
                }
            option(group, name, chosen == kernel.name, kernel.available) {
                engine.options = engine.options.copy(kernel = kernel.name)
            }
        }
    }

    private fun option(
        group: RadioGroup,
        name: String,
        chosen: Boolean,
        enabled: Boolean = true,
        choose: () -> Unit,
    ) {
        val button = LayoutInflater.from(activity).inflate(R.layout.option, group, false) as RadioButton
        button.id = View.generateViewId()
        button.text = name
        button.isEnabled = enabled
        if (!enabled) button.setTextColor(activity.getColor(R.color.muted))
        // State comes from the options alone: ids differ from activity to activity.
        button.isSaveEnabled = false
        group.addView(button)
        if (chosen) group.check(button.id)
        button.setOnClickListener { choose() }
    }

    private fun showVersions() {
        find<TextView>(R.id.versions).text =
            try {
                activity.getString(R.string.settings_versions, QcnnDelegate.version(), TensorFlowLite.runtimeVersion())
            } catch (_: LinkageError) {
                null
            }
    }

    private fun choose() {
        try {
            activity.startActivityForResult(
                Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("*/*"),
                IMPORT,
            )
        } catch (_: ActivityNotFoundException) {
            show(Failed(Failure.IMPORT_FAILED))
        }
    }

    override fun onResult(
        request: Int,
        data: Intent?,
    ): Boolean {
        if (request != IMPORT) return false
        data?.data?.let { import(it) }
        return true
    }

    private fun import(uri: Uri) {
        val resolver = activity.contentResolver
        engine.import(
            nameOf(uri),
            { resolver.openInputStream(uri) ?: throw IOException("nothing there") },
            { entry ->
                showModels()
                Toast.makeText(activity, activity.getString(R.string.settings_imported, entry.name), Toast.LENGTH_LONG).show()
            },
            { show(it) },
        )
    }

    private fun nameOf(uri: Uri): String {
        val name =
            try {
                activity.contentResolver.query(uri, arrayOf(OpenableColumns.DISPLAY_NAME), null, null, null)?.use {
                    if (it.moveToFirst()) it.getString(0) else null
                }
            } catch (_: RuntimeException) {
                null // a provider of another app
            }
        return name ?: uri.lastPathSegment ?: "model"
    }

    companion object {
        const val IMPORT = 13
    }
}
