package qcnn.tflite.demo

import android.content.Intent
import android.content.res.Configuration
import android.net.Uri
import android.os.Bundle
import android.view.View
import java.io.ByteArrayInputStream
import java.io.File
import java.util.concurrent.CountDownLatch
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import qcnn.tflite.QcnnDelegate
import qcnn.tflite.demo.MainActivity.Tab

/** Activities come and go; the model stays, nothing grows, nothing is lost. */
@Config(qualifiers = ScreensTest.PHONE)
class LifecycleTest : AppTest() {
    private fun rotate(landscape: Boolean) {
        RuntimeEnvironment.setQualifiers(if (landscape) "w720dp-h360dp-land-xhdpi" else "w360dp-h720dp-port-xhdpi")
        controller.configurationChange()
        controller.visible()
        settle()
    }

    @Test
    fun tenRotationsGrowNothing() {
        grant()
        start()
        feed(0)
        val memory = QcnnDelegate.memory()
        for (turn in 1..10) {
            rotate(turn % 2 == 1)
            val wanted = if (turn % 2 == 1) Configuration.ORIENTATION_LANDSCAPE else Configuration.ORIENTATION_PORTRAIT
            assertEquals(wanted, activity.resources.configuration.orientation)
            feed(turn % 8)
            assertEquals(memory, QcnnDelegate.memory())
            assertEquals(1, QcnnDelegate.open())
        }
        assertEquals(frames.sent, frames.closed)
        assertEquals(frames.starts, frames.stops + 1)
    }

    @Test
    fun theModelIsSwitchedFiftyTimes() {
        grant()
        start()
        val store = app.engine.models
        val mine = store.import("mine.tflite") { ByteArrayInputStream(asset(QUANTIZED)) }
        val bundled = store.entries().first()
        feed(0)
        val memory = QcnnDelegate.memory()
        for (turn in 1..50) {
            val entry = if (turn % 2 == 1) mine else bundled
            app.engine.options = app.engine.options.copy(model = entry.id)
            waitUntil("it is loaded") { app.engine.state is Engine.State.Ready }
            assertEquals(entry.name, app.engine.state.name)
            assertEquals(1, QcnnDelegate.open())
            feed(turn % 8)
            assertEquals(memory, QcnnDelegate.memory())
        }
    }

    @Test
    fun switchingFasterThanLoadingEndsWithTheLast() {
        start()
        val mine = app.engine.models.import("mine.tflite") { ByteArrayInputStream(asset(QUANTIZED)) }
        repeat(20) { app.engine.options = app.engine.options.copy(model = if (it % 2 == 0) null else mine.id) }
        waitUntil("it is loaded") { app.engine.state is Engine.State.Ready }
        assertEquals("mine", app.engine.state.name)
        assertEquals(1, QcnnDelegate.open())
    }

    @Test
    fun theCameraIsLostAndRegained() {
        grant()
        start()
        feed(0)
        val memory = QcnnDelegate.memory()
        repeat(10) {
            frames.listener!!.onFailure(Failed(Failure.CAMERA_LOST))
            assertShows(Failure.CAMERA_LOST)
            frames.listener!!.onOpened(Preview(640, 480, 90), canSwitch = false)
            settle()
            assertFalse(failureShown())
            feed(it % 8)
            assertEquals(memory, QcnnDelegate.memory())
        }
    }

    @Test
    fun oneFrameAtATimeAndTheLatestOnly() {
        grant()
        start()
        val begun = CountDownLatch(1)
        val go = CountDownLatch(1)
        frames.send(golden(0)) {
            begun.countDown()
            go.await()
        }
        begun.await()
        repeat(5) { frames.send(golden(1)) }
        assertEquals("those that came meanwhile are closed at once", 5, frames.closed)
        go.countDown()
        waitUntil("the first is done") { frames.closed == 6 && app.engine.idle }
        assertEquals("ankle boot", text(R.id.answer_top))
        feed(1)
        assertEquals("sneaker", text(R.id.answer_top))
    }

    @Test
    fun aFrameOfAClosedCameraIsNoFailure() {
        grant()
        start()
        frames.send(null)
        waitUntil("it is closed") { frames.closed == 1 && app.engine.idle }
        assertFalse(failureShown())
        assertEquals("Looking…", text(R.id.answer_top))
    }

    @Test
    fun theCameraStopsWithTheScreen() {
        grant()
        start()
        assertEquals(1, frames.starts)
        open(Tab.PHOTO)
        assertEquals(1, frames.stops)
        open(Tab.LIVE)
        assertEquals(2, frames.starts)
        controller.pause()
        assertEquals(2, frames.stops)
        controller.resume()
        assertEquals(3, frames.starts)
    }

    @Test
    fun aPhotoOutlivesTheProcess() {
        start()
        open(Tab.PHOTO)
        val uri = Uri.parse("content://gallery/1")
        val bytes = File("src/main/assets/golden/00.png").readBytes()
        shadowOf(app.contentResolver).registerInputStreamSupplier(uri) { ByteArrayInputStream(bytes) }
        controller.newIntent(share(uri))
        waitUntil("it is classified") { view<BarsView>(R.id.bars).predictions.isNotEmpty() }
        val saved = Bundle()
        controller.pause().saveInstanceState(saved).stop().destroy()

        // The right to read the picture went with the old process.
        shadowOf(app.contentResolver).registerInputStreamSupplier(uri) { throw SecurityException("no longer") }
        start(saved = saved)
        waitUntil("it is classified again") { view<BarsView>(R.id.bars).predictions.isNotEmpty() }
        assertEquals("ankle boot", text(R.id.answer_top))
        assertTrue(activity.findViewById<View>(R.id.tab_photo).isSelected)
        freezeTimes()
        Screenshot.check(activity, "photo-after-process-death")
    }

    @Test
    fun aSharedPhotoOpensThePhotoScreen() {
        val uri = Uri.parse("content://other/1")
        val bytes = File("src/main/assets/golden/01.png").readBytes()
        shadowOf(app.contentResolver).registerInputStreamSupplier(uri) { ByteArrayInputStream(bytes) }
        start(share(uri))
        waitUntil("it is classified") { view<BarsView>(R.id.bars).predictions.isNotEmpty() }
        assertEquals("sneaker", text(R.id.answer_top))
    }

    private fun share(uri: Uri) =
        Intent(Intent.ACTION_SEND).setType("image/png").putExtra(Intent.EXTRA_STREAM, uri)
}
