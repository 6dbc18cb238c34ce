package qcnn.tflite.demo

import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraManager
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Before
import org.junit.Test
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.shadows.ShadowCameraCharacteristics

/** Camera2 as Robolectric has it: cameras open, are lost and closed; frames it has none. */
@Config(qualifiers = ScreensTest.PHONE)
class CameraTest : AppTest() {
    private val manager get() = app.getSystemService(CameraManager::class.java)
    private val seen = ArrayList<String>()
    private lateinit var source: CameraSource
    private val listener =
        object : FrameSource.Listener {
            override fun onOpened(
                preview: Preview,
                canSwitch: Boolean,
            ) {
                seen += "opened ${preview.sensorDegrees} $canSwitch"
            }

            override fun onFrame(frame: Frame) = frame.close()

            override fun onFailure(failed: Failed) {
                seen += failed.failure.name
            }
        }

    @Before
    fun source() {
        grant()
        source = CameraSource(app) { 0 }
    }

    @After
    fun stop() = source.stop()

    private fun add(
        id: String,
        facing: Int,
        degrees: Int,
    ) {
        val characteristics = ShadowCameraCharacteristics.newCameraCharacteristics()
        shadowOf(characteristics).set(CameraCharacteristics.LENS_FACING, facing)
        shadowOf(characteristics).set(CameraCharacteristics.SENSOR_ORIENTATION, degrees)
        shadowOf(manager).addCamera(id, characteristics)
    }

    @Test
    fun withoutACameraItSaysSo() {
        source.start(false, listener)
        settle()
        assertEquals(listOf("NO_CAMERA"), seen)
        // One is plugged in.
        add("9", CameraCharacteristics.LENS_FACING_EXTERNAL, 0)
        waitUntil("it opens") { seen.size == 2 }
        assertEquals("opened 0 false", seen[1])
    }

    @Test
    fun theCameraAskedForOpens() {
        add("0", CameraCharacteristics.LENS_FACING_BACK, 90)
        add("1", CameraCharacteristics.LENS_FACING_FRONT, 270)
        source.start(false, listener)
        settle()
        source.start(true, listener)
        settle()
        source.stop()
        source.start(false, listener)
        settle()
        assertEquals(listOf("opened 90 true", "opened 270 true", "opened 90 true"), seen)
    }

    @Test
    fun aLostCameraComesBackByItself() {
        add("0", CameraCharacteristics.LENS_FACING_BACK, 90)
        source.start(false, listener)
        settle()
        repeat(10) {
            shadowOf(manager).triggerDisconnect()
            waitUntil("the loss is seen") { seen.last() == "CAMERA_LOST" }
            shadowOf(manager).removeCamera("0")
            add("0", CameraCharacteristics.LENS_FACING_BACK, 90)
            waitUntil("it is back") { seen.last() == "opened 90 false" }
        }
        assertEquals(21, seen.size)
    }

    @Test
    fun itStopsAndStartsManyTimes() {
        add("0", CameraCharacteristics.LENS_FACING_BACK, 90)
        repeat(20) {
            source.start(false, listener)
            if (it % 2 == 0) settle()
            source.stop()
        }
        settle()
        assertEquals(List(10) { "opened 90 false" }, seen)
    }
}
