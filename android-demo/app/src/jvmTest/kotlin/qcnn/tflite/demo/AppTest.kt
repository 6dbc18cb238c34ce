package qcnn.tflite.demo

import android.Manifest
import android.content.Intent
import android.graphics.SurfaceTexture
import android.os.Bundle
import android.os.Looper
import android.view.View
import android.view.ViewGroup
import android.widget.TextView
import java.io.File
import java.nio.ByteBuffer
import javax.imageio.ImageIO
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.fail
import org.junit.Before
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import qcnn.tflite.QcnnDelegate
import qcnn.tflite.RgbImage

/** What the tests of screens share: the app with fake frames, waiting for its worker, looking for leaks. */
@RunWith(SandboxRunner::class)
abstract class AppTest {
    protected val app: DemoApplication get() = RuntimeEnvironment.getApplication() as DemoApplication
    protected val frames = FakeFrames()
    protected lateinit var controller: ActivityController<MainActivity>
    protected val activity: MainActivity get() = controller.get()
    protected val started: Boolean get() = ::controller.isInitialized

    @Before
    fun fakeFrames() {
        app.frames = { frames }
    }

    @After
    fun nothingIsLeft() {
        if (started) controller.close()
        app.engine.close()
        waitUntil("delegates are closed") { QcnnDelegate.open() == 0 }
        assertEquals(QcnnDelegate.Memory(0, 0), QcnnDelegate.memory())
    }

    protected fun grant() = shadowOf(app).grantPermissions(Manifest.permission.CAMERA)

    protected fun start(
        intent: Intent? = null,
        saved: Bundle? = null,
    ): MainActivity {
        controller =
            if (intent == null) Robolectric.buildActivity(MainActivity::class.java) else Robolectric.buildActivity(MainActivity::class.java, intent)
        if (saved == null) controller.setup() else controller.setup(saved)
        waitUntil("a model is loaded or refused") { app.engine.state !is Engine.State.Loading }
        return activity
    }

    protected fun open(tab: MainActivity.Tab) {
        activity.findViewById<View>(tab.view).performClick()
        settle()
    }

    protected fun settle() = shadowOf(Looper.getMainLooper()).idle()

    protected fun waitUntil(
        what: String,
        condition: () -> Boolean,
    ) {
        val end = System.nanoTime() + 300_000_000_000
        while (true) {
            settle()
            if (condition()) break
            if (System.nanoTime() > end) fail("waited for five minutes until $what")
            Thread.sleep(5)
        }
        settle()
    }

    /** A view of the screen that is shown. */
    protected fun <T : View> view(id: Int): T {
        val parent = activity.findViewById<ViewGroup>(R.id.screen)
        val screen = (0 until parent.childCount).map { parent.getChildAt(it) }.single { it.visibility == View.VISIBLE }
        return screen.findViewById(id)
    }

    protected fun text(id: Int): String = view<TextView>(id).text.toString()

    protected fun failureShown() = view<View>(R.id.failure).visibility == View.VISIBLE

    protected fun assertShows(failure: Failure) {
        assertEquals("a failure is shown", true, failureShown())
        assertEquals(activity.getString(failure.title), text(R.id.failure_title))
    }

    /** One of the golden images. */
    protected fun golden(number: Int): RgbImage = decode(File("src/main/assets/golden/0$number.png"))

    protected fun feed(number: Int) {
        waitUntil("frames are taken") { app.engine.idle }
        val seen = frames.closed
        frames.send(golden(number))
        waitUntil("the frame is classified") {
            frames.closed > seen && app.engine.idle && view<BarsView>(R.id.bars).predictions.isNotEmpty()
        }
    }

    /** Times differ from run to run, pictures shall not. */
    protected fun freezeTimes() {
        for (id in TIMES) view<TextView>(id).text = activity.getString(R.string.time_ms, "1.2")
    }

    companion object {
        val TIMES = listOf(R.id.time_prepare, R.id.time_inference, R.id.time_total)

        fun decode(file: File): RgbImage {
            val image = ImageIO.read(file)
            return RgbImage.fromArgb(image.width, image.height, image.getRGB(0, 0, image.width, image.height, null, 0, image.width))
        }

        fun asset(name: String): ByteArray = File("src/main/assets/models/$name").readBytes()

        const val QUANTIZED = "fashion_alexnet-q.tflite"
        const val FLOAT = "fashion_alexnet.tflite"

        fun patched(
            bytes: ByteArray,
            old: String,
            new: String,
        ): ByteArray {
            require(old.length == new.length)
            return String(bytes, Charsets.ISO_8859_1).replace(old, new).toByteArray(Charsets.ISO_8859_1)
        }

        fun direct(bytes: ByteArray): ByteBuffer =
            ByteBuffer.allocateDirect(bytes.size).apply {
                put(bytes)
                rewind()
            }
    }
}

/** Frames when a test says so, and failures. Counts that every frame is closed. */
class FakeFrames : FrameSource {
    var listener: FrameSource.Listener? = null
    var front = false
    var starts = 0
    var stops = 0
    var sent = 0

    @Volatile var closed = 0

    /** What happens on start. */
    var onStart: (FrameSource.Listener) -> Unit = { it.onOpened(Preview(640, 480, 90), canSwitch = true) }

    override fun start(
        front: Boolean,
        listener: FrameSource.Listener,
    ) {
        this.front = front
        this.listener = listener
        starts++
        onStart(listener)
    }

    override fun show(texture: SurfaceTexture?) {}

    override fun stop() {
        listener = null
        stops++
    }

    /** @param image null: its camera was closed. */
    fun send(
        image: RgbImage?,
        decode: () -> Unit = {},
    ) {
        sent++
        listener?.onFrame(
            object : Frame {
                override fun toRgb(): RgbImage? {
                    decode()
                    return image
                }

                override fun close() {
                    closed++
                }
            },
        )
    }
}
