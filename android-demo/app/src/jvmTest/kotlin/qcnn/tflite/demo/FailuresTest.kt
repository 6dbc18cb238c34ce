package qcnn.tflite.demo

import android.Manifest
import android.app.Activity
import android.content.Intent
import android.content.pm.PackageManager
import android.net.Uri
import android.provider.Settings
import android.view.View
import android.widget.Button
import java.io.ByteArrayInputStream
import java.io.File
import java.io.IOException
import java.io.InputStream
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import qcnn.tflite.Problem
import qcnn.tflite.QcnnDelegate
import qcnn.tflite.QcnnException
import qcnn.tflite.RgbImage
import qcnn.tflite.demo.MainActivity.Tab

/** Whatever goes wrong is a screen that says what and what to do, and the app goes on. */
@Config(qualifiers = ScreensTest.PHONE)
class FailuresTest : AppTest() {
    private fun click(id: Int) {
        view<Button>(id).performClick()
        settle()
    }

    private fun import(
        bytes: ByteArray,
        name: String = "model.tflite",
    ) = import(name) { ByteArrayInputStream(bytes) }

    private fun import(
        name: String,
        stream: () -> InputStream,
    ) {
        if (!started) start()
        open(Tab.SETTINGS)
        val uri = Uri.parse("content://files/$name")
        shadowOf(app.contentResolver).registerInputStreamSupplier(uri) { stream() }
        view<Button>(R.id.import_model).performClick()
        val asked = shadowOf(activity).nextStartedActivityForResult
        assertEquals(Intent.ACTION_OPEN_DOCUMENT, asked.intent.action)
        shadowOf(activity).receiveResult(asked.intent, Activity.RESULT_OK, Intent().setData(uri))
    }

    private fun assertImportShows(
        failure: Failure,
        bytes: ByteArray,
    ) {
        import(bytes)
        waitUntil("it is refused") { failureShown() }
        assertShows(failure)
        assertEquals(emptyList<String>(), File(app.filesDir, "models").list().orEmpty().toList())
        click(R.id.failure_first)
        assertFalse(failureShown())
        // The model that was there goes on.
        assertTrue(app.engine.state is Engine.State.Ready)
    }

    @Test
    fun theCameraIsAskedForAndDenied() {
        start()
        assertShows(Failure.ASK)
        Screenshot.check(activity, "failure-ask")
        click(R.id.failure_first)
        val asked = shadowOf(activity).lastRequestedPermission
        assertEquals(listOf(Manifest.permission.CAMERA), asked.requestedPermissions.toList())
        activity.onRequestPermissionsResult(asked.requestCode, asked.requestedPermissions, intArrayOf(PackageManager.PERMISSION_DENIED))
        assertShows(Failure.DENIED)
        Screenshot.check(activity, "failure-denied")

        click(R.id.failure_first)
        val opened = shadowOf(activity).nextStartedActivity
        assertEquals(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, opened.action)
        assertEquals("package:qcnn.tflite.demo", opened.dataString)

        // Photos work all the same, in one tap.
        click(R.id.failure_second)
        assertEquals("android.provider.action.PICK_IMAGES", shadowOf(activity).nextStartedActivityForResult.intent.action)
        assertFalse(failureShown())

        // Granted meanwhile, in the settings.
        grant()
        controller.pause()
        open(Tab.LIVE)
        controller.resume()
        settle()
        assertFalse(failureShown())
        assertEquals(1, frames.starts)
    }

    @Test
    fun aQuestionThatWasInterruptedIsNoAnswer() {
        start()
        activity.onRequestPermissionsResult(MainActivity.CAMERA, emptyArray(), intArrayOf())
        assertShows(Failure.ASK)
        grant()
        activity.onRequestPermissionsResult(MainActivity.CAMERA, arrayOf(Manifest.permission.CAMERA), intArrayOf(PackageManager.PERMISSION_GRANTED))
        assertFalse(failureShown())
    }

    @Test
    fun everyCameraFailureShowsItsScreen() {
        grant()
        start()
        val kinds =
            listOf(Failure.NO_CAMERA, Failure.CAMERA_IN_USE, Failure.CAMERA_LOST, Failure.CAMERA_BLOCKED, Failure.CAMERA_BROKEN)
        for (kind in kinds) {
            frames.listener!!.onFailure(Failed(kind))
            assertShows(kind)
            Screenshot.check(activity, "failure-${kind.name.lowercase().replace('_', '-')}")
            if (kind.first == Action.RETRY) {
                click(R.id.failure_first)
                assertFalse(failureShown())
            }
        }
    }

    @Test @Config(qualifiers = "zh-rCN-w360dp-h720dp-port-night-xhdpi", fontScale = 2.0f)
    fun failuresInChineseDarkAndLarge() {
        grant()
        start()
        frames.listener!!.onFailure(Failed(Failure.CAMERA_IN_USE))
        Screenshot.check(activity, "failure-chinese-dark-large-font")
    }

    @Test
    fun whatIsNoModelIsRefused() = assertImportShows(Failure.NOT_A_MODEL, "%PDF-1.7 and so on".toByteArray())

    @Test
    fun aCutOffModelIsRefused() {
        assertImportShows(Failure.DAMAGED, asset(QUANTIZED).copyOf(300_000))
    }

    @Test
    fun aModelWithoutMetadataIsRefused() =
        assertImportShows(Failure.NO_METADATA, patched(asset(FLOAT), "qcnn_tflite", "qcnn_nothin"))

    @Test
    fun metadataThatContradictAreRefused() =
        assertImportShows(Failure.BAD_METADATA, patched(asset(QUANTIZED), "\"crop\":[28,28]", "\"crop\":[28,99]"))

    @Test
    fun foreignOpsAreRefused() {
        assertImportShows(Failure.OPS_MISSING, patched(asset(QUANTIZED), "QConv", "XConv"))
    }

    @Test
    fun anEmptyFileIsNotImported() {
        import(ByteArray(0))
        waitUntil("it is refused") { failureShown() }
        assertShows(Failure.IMPORT_FAILED)
    }

    @Test
    fun aFullDiskOrABrokenProviderIsSaid() {
        import("big.tflite") {
            object : InputStream() {
                override fun read(): Int = throw IOException("No space left on device")
            }
        }
        waitUntil("it failed") { failureShown() }
        assertShows(Failure.IMPORT_FAILED)
        Screenshot.check(activity, "failure-import")
    }

    /** Whole and with metadata, but no runtime can run it: it is taken, and refused where it is loaded. */
    private fun assertLoadShows(
        failure: Failure,
        bytes: ByteArray,
        picture: String,
    ) {
        grant()
        import(bytes, "mine.tflite")
        waitUntil("it is loaded") { app.engine.options.model == "file:mine.tflite" && app.engine.state is Engine.State.Broken }
        open(Tab.LIVE)
        assertShows(failure)
        Screenshot.check(activity, picture)
        open(Tab.PHOTO)
        assertShows(failure)
        open(Tab.BENCHMARK)
        assertShows(failure)
        click(R.id.failure_first)
        assertFalse("the settings are open", failureShown())
        // Removing it brings the bundled one back.
        clickRemove()
        waitUntil("the first model is loaded") { app.engine.state is Engine.State.Ready }
        open(Tab.LIVE)
        assertFalse(failureShown())
    }

    private fun clickRemove() {
        val rows = view<android.widget.LinearLayout>(R.id.models)
        rows.getChildAt(rows.childCount - 1).findViewById<View>(R.id.model_remove).performClick()
    }

    @Test
    fun aModelThatTheRuntimeRefusesIsSaid() =
        assertLoadShows(Failure.REFUSED, patched(asset(QUANTIZED), "in_channels", "in_chanXels"), "failure-refused")

    @Test
    fun aModelOfAnotherShapeIsSaid() =
        assertLoadShows(Failure.UNSUPPORTED, patched(asset(QUANTIZED), "\"crop\":[28,28]", "\"crop\":[28,27]"), "failure-unsupported")

    @Test
    fun withoutTheDelegateTheScreenSaysSo() {
        app.makeEngine = { Engine(ModelStore(it), it.preferences) { null } }
        grant()
        start()
        assertShows(Failure.OPS_MISSING)
        assertTrue(text(R.id.failure_detail), "QConv" in text(R.id.failure_detail))
        Screenshot.check(activity, "failure-ops-missing")
    }

    @Test
    fun outOfMemoryIsSaid() {
        var full = true
        app.makeEngine = {
            Engine(ModelStore(it), it.preferences) { kernel ->
                if (full) throw OutOfMemoryError("test")
                QcnnDelegate(kernel)
            }
        }
        grant()
        start()
        assertShows(Failure.OUT_OF_MEMORY)
        Screenshot.check(activity, "failure-out-of-memory")
        full = false
        app.engine.load(again = true)
        waitUntil("it is loaded") { app.engine.state is Engine.State.Ready }
        assertFalse(failureShown())
    }

    @Test
    fun aLibraryThatIsMissingIsSaid() {
        app.makeEngine = { Engine(ModelStore(it), it.preferences) { throw UnsatisfiedLinkError("libqcnn_ops.so not found") } }
        grant()
        start()
        assertShows(Failure.OPS_MISSING)
    }

    @Test
    fun aModelThatIsGoneIsSaid() {
        app.preferences.options = app.preferences.options.copy(model = "file:gone.tflite")
        grant()
        start()
        assertShows(Failure.MODEL_GONE)
        assertTrue(text(R.id.failure_text), text(R.id.failure_text).startsWith("gone "))
        click(R.id.failure_first)
        assertFalse(failureShown())
    }

    @Test
    fun photosThatCannotBeReadAreSaid() {
        start()
        open(Tab.PHOTO)
        for (bytes in listOf(ByteArray(0), "no image".toByteArray(), File("src/main/assets/golden/06.png").readBytes().copyOf(40))) {
            val uri = Uri.parse("content://gallery/${bytes.size}")
            shadowOf(app.contentResolver).registerInputStreamSupplier(uri) { ByteArrayInputStream(bytes) }
            view<Button>(R.id.photo_choose).performClick()
            val asked = shadowOf(activity).nextStartedActivityForResult
            shadowOf(activity).receiveResult(asked.intent, Activity.RESULT_OK, Intent().setData(uri))
            waitUntil("it is refused") { failureShown() }
            assertShows(Failure.PHOTO_FAILED)
        }
        Screenshot.check(activity, "failure-photo")
        click(R.id.failure_first)
        assertEquals("android.provider.action.PICK_IMAGES", shadowOf(activity).nextStartedActivityForResult.intent.action)
    }

    @Test
    fun aFrameThatFailsIsAScreen() {
        grant()
        start()
        frames.send(RgbImage(1, 1, ByteArray(3))) { throw OutOfMemoryError("test") }
        waitUntil("it is said") { failureShown() }
        assertShows(Failure.OUT_OF_MEMORY)
        assertEquals(1, frames.closed)
    }

    @Test
    fun everyProblemHasAScreen() {
        for (problem in Problem.values()) Failure.of(problem)
        assertEquals(Problem.DAMAGED, QcnnException(Problem.DAMAGED, "x").problem)
    }
}
