package qcnn.tflite.demo

import android.Manifest
import android.content.pm.PackageManager
import android.graphics.Matrix
import android.graphics.SurfaceTexture
import android.hardware.display.DisplayManager
import android.view.TextureView
import android.view.View
import android.view.ViewGroup

/** The camera, and what it sees. */
class LiveScreen(
    activity: MainActivity,
    parent: ViewGroup,
    private val source: FrameSource,
    private val preferences: Preferences,
) : Screen(activity, parent, R.layout.screen_live),
    FrameSource.Listener,
    DisplayManager.DisplayListener,
    TextureView.SurfaceTextureListener {
    private val panel = AnswerPanel(view)
    private val displays = activity.getSystemService(DisplayManager::class.java)
    private val preview: TextureView = find(R.id.preview)
    private val switch: View = find(R.id.switch_camera)
    private var shown = false
    private var started = false
    private var size: Preview? = null
    private var camera: Failed? = null
    private var model: Failed? = null

    init {
        preview.surfaceTextureListener = this
        preview.addOnLayoutChangeListener { _, _, _, _, _, _, _, _, _ -> transform() }
        switch.setOnClickListener {
            preferences.frontCamera = !preferences.frontCamera
            panel.clear()
            start()
        }
    }

    override fun onShow() {
        shown = true
        displays.registerDisplayListener(this, null)
        start()
    }

    override fun onHide() {
        shown = false
        displays.unregisterDisplayListener(this)
        if (started) source.stop()
        started = false
    }

    override fun onState(state: Engine.State) {
        model = (state as? Engine.State.Broken)?.failed
        if (state is Engine.State.Loading) panel.clear()
        panel.showModel(state)
        showFailure()
    }

    override fun onAction(action: Action) {
        when (action) {
            Action.RETRY -> start()
            Action.ALLOW_CAMERA -> activity.requestPermissions(arrayOf(Manifest.permission.CAMERA), MainActivity.CAMERA)
            else -> super.onAction(action)
        }
    }

    /** The user answered the system's question. */
    fun onPermission(granted: Boolean) {
        preferences.cameraDenied = !granted
        start()
    }

    private fun start() {
        if (!shown) return
        val granted = activity.checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED
        camera =
            when {
                granted -> null
                preferences.cameraDenied -> Failed(Failure.DENIED)
                else -> Failed(Failure.ASK)
            }
        showFailure()
        if (!granted) return
        started = true
        source.start(preferences.frontCamera, this)
    }

    override fun onOpened(
        preview: Preview,
        canSwitch: Boolean,
    ) {
        size = preview
        camera = null
        switch.visibility = if (canSwitch) View.VISIBLE else View.GONE
        transform()
        showFailure()
    }

    override fun onFrame(frame: Frame) {
        engine.offer(frame, { if (shown) panel.show(it) }, ::onModelFailure)
    }

    override fun onFailure(failed: Failed) {
        camera = failed
        panel.clear()
        showFailure()
    }

    private fun onModelFailure(failed: Failed) {
        model = failed
        showFailure()
    }

    /** A model that cannot be used comes first: with it, no camera helps. */
    private fun showFailure() = show(model ?: camera)

    private fun transform() {
        val buffers = size ?: return
        if (preview.width == 0 || preview.height == 0) return
        val how = PreviewTransform.fill(preview.width, preview.height, buffers, activity.displayRotation())
        val centreX = preview.width / 2f
        val centreY = preview.height / 2f
        preview.setTransform(
            Matrix().apply {
                setScale(how.scaleX, how.scaleY, centreX, centreY)
                postRotate(how.degrees, centreX, centreY)
            },
        )
    }

    /** Turned upside down: that is no change of the configuration. */
    override fun onDisplayChanged(id: Int) = transform()

    override fun onDisplayAdded(id: Int) {}

    override fun onDisplayRemoved(id: Int) {}

    override fun onSurfaceTextureAvailable(
        surface: SurfaceTexture,
        width: Int,
        height: Int,
    ) = source.show(surface)

    override fun onSurfaceTextureSizeChanged(
        surface: SurfaceTexture,
        width: Int,
        height: Int,
    ) = transform()

    override fun onSurfaceTextureDestroyed(surface: SurfaceTexture): Boolean {
        source.show(null)
        return true
    }

    override fun onSurfaceTextureUpdated(surface: SurfaceTexture) {}
}
