package qcnn.tflite.demo

import android.app.Activity
import android.content.ActivityNotFoundException
import android.content.Intent
import android.content.pm.PackageManager
import android.net.Uri
import android.os.Build
import android.os.Bundle
import android.provider.Settings
import android.util.TypedValue
import android.view.View
import android.view.ViewGroup
import android.view.WindowInsets
import android.widget.ImageView
import android.widget.TextView

/** Four tabs. What outlives it is in [DemoApplication]. */
class MainActivity : Activity() {
    enum class Tab(
        val view: Int,
        val icon: Int,
        val label: Int,
    ) {
        LIVE(R.id.tab_live, R.drawable.ic_live, R.string.tab_live),
        PHOTO(R.id.tab_photo, R.drawable.ic_photo, R.string.tab_photo),
        BENCHMARK(R.id.tab_benchmark, R.drawable.ic_benchmark, R.string.tab_benchmark),
        SETTINGS(R.id.tab_settings, R.drawable.ic_settings, R.string.tab_settings),
    }

    val demo: DemoApplication get() = application as DemoApplication
    val engine: Engine get() = demo.engine

    private lateinit var screens: Map<Tab, Screen>
    private var tab = Tab.LIVE
    private var resumed = false
    private val onState = { state: Engine.State -> screens.values.forEach { it.onState(state) } }

    override fun onCreate(saved: Bundle?) {
        super.onCreate(saved)
        setContentView(R.layout.activity_main)
        val parent = findViewById<ViewGroup>(R.id.screen)
        screens =
            mapOf(
                Tab.LIVE to LiveScreen(this, parent, demo.frames(this), demo.preferences),
                Tab.PHOTO to PhotoScreen(this, parent),
                Tab.BENCHMARK to BenchmarkScreen(this, parent),
                Tab.SETTINGS to SettingsScreen(this, parent, demo.preferences.mostThreads),
            )
        screens.values.forEach {
            it.view.visibility = View.GONE
            parent.addView(it.view)
        }
        Tab.values().forEach { setUp(it) }
        keepClearOfBars(findViewById(R.id.root))
        engine.listen(onState)
        if (saved == null) {
            select(Tab.LIVE)
            receive(intent)
        } else {
            screens.values.forEach { it.restore(saved) }
            select(Tab.valueOf(saved.getString(KEY) ?: Tab.LIVE.name))
        }
    }

    private fun setUp(tab: Tab) {
        val view = findViewById<View>(tab.view)
        view.findViewById<ImageView>(R.id.tab_icon).setImageResource(tab.icon)
        view.findViewById<TextView>(R.id.tab_label).apply {
            setText(tab.label)
            // Four words must fit beside each other, however large the rest is.
            setTextSize(TypedValue.COMPLEX_UNIT_PX, minOf(textSize, resources.getDimension(R.dimen.largest_tab_label)))
        }
        view.contentDescription = getString(tab.label)
        view.setOnClickListener { select(tab) }
    }

    // Since Android 15 the window reaches below the system's bars.
    @Suppress("DEPRECATION")
    private fun keepClearOfBars(root: View) =
        root.setOnApplyWindowInsetsListener { view, insets ->
            if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.R) {
                val bars = insets.getInsets(WindowInsets.Type.systemBars() or WindowInsets.Type.displayCutout())
                view.setPadding(bars.left, bars.top, bars.right, bars.bottom)
            } else {
                view.setPadding(
                    insets.systemWindowInsetLeft,
                    insets.systemWindowInsetTop,
                    insets.systemWindowInsetRight,
                    insets.systemWindowInsetBottom,
                )
            }
            insets
        }

    fun select(new: Tab) {
        val old = screens.getValue(tab)
        val next = screens.getValue(new)
        if (resumed && new != tab) old.onHide()
        old.view.visibility = View.GONE
        next.view.visibility = View.VISIBLE
        Tab.values().forEach { findViewById<View>(it.view).isSelected = it == new }
        val changed = new != tab
        tab = new
        if (resumed && changed) next.onShow()
    }

    override fun onResume() {
        super.onResume()
        resumed = true
        screens.getValue(tab).onShow()
    }

    override fun onPause() {
        screens.getValue(tab).onHide()
        resumed = false
        super.onPause()
    }

    override fun onDestroy() {
        engine.forget(onState)
        super.onDestroy()
    }

    override fun onSaveInstanceState(out: Bundle) {
        super.onSaveInstanceState(out)
        out.putString(KEY, tab.name)
        screens.values.forEach { it.save(out) }
    }

    override fun onNewIntent(intent: Intent) {
        super.onNewIntent(intent)
        receive(intent)
    }

    /** A photo that another app shares. */
    @Suppress("DEPRECATION")
    private fun receive(intent: Intent) {
        if (intent.action != Intent.ACTION_SEND) return
        val uri = intent.getParcelableExtra<Uri>(Intent.EXTRA_STREAM) ?: return
        select(Tab.PHOTO)
        (screens.getValue(Tab.PHOTO) as PhotoScreen).open(uri)
    }

    /** What a failure offers that is not the affair of its own screen. */
    fun onAction(action: Action) {
        when (action) {
            Action.CHOOSE_PHOTO -> {
                select(Tab.PHOTO)
                (screens.getValue(Tab.PHOTO) as PhotoScreen).choose()
            }
            Action.OTHER_MODEL -> select(Tab.SETTINGS)
            Action.OPEN_SETTINGS ->
                try {
                    startActivity(
                        Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, Uri.fromParts("package", packageName, null)),
                    )
                } catch (_: ActivityNotFoundException) {
                    select(Tab.PHOTO)
                }
            else -> {}
        }
    }

    override fun onActivityResult(
        request: Int,
        result: Int,
        data: Intent?,
    ) {
        if (result == RESULT_OK) screens.values.any { it.onResult(request, data) }
    }

    override fun onRequestPermissionsResult(
        request: Int,
        permissions: Array<out String>,
        results: IntArray,
    ) {
        // An interrupted question has no results: it was not answered.
        if (request != CAMERA || results.isEmpty()) return
        (screens.getValue(Tab.LIVE) as LiveScreen).onPermission(results[0] == PackageManager.PERMISSION_GRANTED)
    }

    /** The display's rotation from its natural orientation, in quarters. */
    @Suppress("DEPRECATION")
    fun displayRotation(): Int = windowManager.defaultDisplay.rotation

    companion object {
        const val CAMERA = 10
        private const val KEY = "tab"
    }
}
