package qcnn.tflite.demo

import android.app.Application

/** Owns what outlives activities. Tests put their own parts in before the first activity asks. */
class DemoApplication : Application() {
    val preferences by lazy { Preferences(this) }
    /** Made when the first activity asks. */
    val engine: Engine by lazy { makeEngine(this) }

    /** The last benchmark's results, for the next activity. */
    var measured: BenchmarkScreen.Measured? = null

    var makeEngine: (DemoApplication) -> Engine = { Engine(ModelStore(it), it.preferences) }

    /** Makes the source of live frames for an activity. */
    var frames: (MainActivity) -> FrameSource = { activity -> CameraSource(this) { activity.displayRotation() } }
}
