package qcnn.tflite.demo

import java.nio.ByteBuffer
import kotlin.math.abs
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import qcnn.tflite.RgbImage

/** Pixels on their way: YUV frames, rotations, EXIF, the preview's matrix. */
class PicturesTest {
    /** Colours in quarters of a frame: 4 x 2 pixels, chroma 2 x 1. */
    private fun frame(
        luma: List<Int>,
        blue: List<Int>,
        red: List<Int>,
        interleaved: Boolean,
    ): List<YuvConverter.Plane> {
        // Rows with four bytes of padding, as cameras have them; the last row without.
        val rows = luma.chunked(4).joinToString("") { row -> row.joinToString("") { Char(it).toString() } + "\u0000\u0000\u0000\u0000" }
        val y = YuvConverter.Plane(buffer(rows.dropLast(4).map { it.code }), 8, 1)
        if (!interleaved) return listOf(y, YuvConverter.Plane(buffer(blue), 2, 1), YuvConverter.Plane(buffer(red), 2, 1))
        val both = blue.zip(red).flatMap { listOf(it.first, it.second) }
        return listOf(y, YuvConverter.Plane(buffer(both.dropLast(1)), 4, 2), YuvConverter.Plane(buffer(both.drop(1)), 4, 2))
    }

    private fun buffer(values: List<Int>) =
        ByteBuffer.allocateDirect(values.size).apply {
            values.forEach { put(it.toByte()) }
            rewind()
        }

    private fun pixel(
        image: RgbImage,
        x: Int,
        y: Int,
    ) = List(3) { image.rgb[3 * (y * image.width + x) + it].toInt() and 0xff }

    @Test
    fun yuvBecomesRgbByJfif() {
        // Pure red, as JFIF says: Y 76, Cb 85, Cr 255; and mid grey.
        for (interleaved in listOf(true, false)) {
            val planes = frame(listOf(76, 76, 128, 128, 76, 76, 128, 128), listOf(85, 128), listOf(255, 128), interleaved)
            val image = YuvConverter().toRgb(planes, 4, 2, 0)
            assertTrue("${pixel(image, 0, 0)}", pixel(image, 0, 0).zip(listOf(254, 0, 0)).all { abs(it.first - it.second) <= 1 })
            assertEquals(listOf(128, 128, 128), pixel(image, 3, 1))
        }
    }

    @Test
    fun framesAreTurnedClockwise() {
        // 0 1 2 3      turned by 90: 4 0 / 5 1 / 6 2 / 7 3
        // 4 5 6 7
        val planes = frame((0..7).map { 10 * it }, listOf(128, 128), listOf(128, 128), true)
        val expected =
            mapOf(
                0 to listOf(0, 1, 2, 3, 4, 5, 6, 7),
                90 to listOf(4, 0, 5, 1, 6, 2, 7, 3),
                180 to listOf(7, 6, 5, 4, 3, 2, 1, 0),
                270 to listOf(3, 7, 2, 6, 1, 5, 0, 4),
            )
        for ((degrees, order) in expected) {
            val image = YuvConverter().toRgb(planes, 4, 2, degrees)
            assertEquals("$degrees", if (degrees % 180 == 0) 4 to 2 else 2 to 4, image.width to image.height)
            assertEquals("$degrees", order, List(8) { (image.rgb[3 * it].toInt() and 0xff) / 10 })
        }
    }

    @Test
    fun exifOrientationsAreUndone() {
        // What a camera stores of the upright picture 0 1 2 / 3 4 5, by orientation.
        val stored =
            mapOf(
                1 to (3 to listOf(0, 1, 2, 3, 4, 5)),
                2 to (3 to listOf(2, 1, 0, 5, 4, 3)),
                3 to (3 to listOf(5, 4, 3, 2, 1, 0)),
                4 to (3 to listOf(3, 4, 5, 0, 1, 2)),
                5 to (2 to listOf(0, 3, 1, 4, 2, 5)),
                6 to (2 to listOf(2, 5, 1, 4, 0, 3)),
                7 to (2 to listOf(5, 2, 4, 1, 3, 0)),
                8 to (2 to listOf(3, 0, 4, 1, 5, 2)),
            )
        for ((orientation, picture) in stored) {
            val (width, values) = picture
            val image = RgbImage(width, 6 / width, ByteArray(18) { values[it / 3].toByte() })
            val upright = Photos.orient(image, orientation)
            assertEquals("$orientation", 3 to 2, upright.width to upright.height)
            assertEquals("$orientation", (0..5).toList(), List(6) { upright.rgb[3 * it].toInt() })
        }
    }

    @Test
    fun framesAreTurnedAsTheDeviceIsHeld() {
        val turned = { front: Boolean, sensor: Int -> (0..3).map { PreviewTransform.frameDegrees(sensor, it, front) } }
        assertEquals(listOf(90, 0, 270, 180), turned(false, 90))
        assertEquals(listOf(270, 0, 90, 180), turned(true, 270))
    }

    @Test
    fun thePreviewFillsItsViewWithoutDistortion() {
        val camera = Preview(640, 480, 90)
        // Portrait: 480 x 640 upright on 720 x 720 is cut above and below.
        val upright = PreviewTransform.fill(720, 720, camera, 0)
        assertEquals(PreviewTransform(1f, 960f / 720, 0f), upright)
        for (rotation in 0..3) {
            for ((width, height) in listOf(720 to 1280, 1280 to 720, 500 to 500)) {
                val how = PreviewTransform.fill(width, height, camera, rotation)
                var shownWidth = width * how.scaleX
                var shownHeight = height * how.scaleY
                assertEquals("no distortion", 480f / 640, shownWidth / shownHeight, 1e-4f)
                if (rotation % 2 != 0) shownWidth = shownHeight.also { shownHeight = shownWidth }
                assertTrue("it covers the view", shownWidth >= width - 0.01f && shownHeight >= height - 0.01f)
                assertEquals((-90 * rotation).toFloat(), how.degrees)
            }
        }
    }

    @Test
    fun mediansRoll() {
        val times = RollingMedian(3)
        assertEquals(null, times.median)
        listOf(9.0, 1.0).forEach { times.add(it) }
        assertEquals(5.0, times.median!!, 0.0)
        listOf(2.0, 3.0).forEach { times.add(it) }
        assertEquals(2.0, times.median!!, 0.0)
        times.clear()
        assertEquals(null, times.median)
    }

    @Test
    fun namesOfImportedFilesHaveNoSurprises() {
        val names =
            mapOf(
                "net-q.tflite" to "net-q.tflite",
                "../../etc/passwd" to "passwd.tflite",
                "my net (1).tflite" to "my_net__1_.tflite",
                ".hidden" to "hidden.tflite",
                "模型.tflite" to "模型.tflite",
                "..." to "model.tflite",
                "" to "model.tflite",
                "x".repeat(500) to "x".repeat(80) + ".tflite",
            )
        for ((given, name) in names) assertEquals(name, ModelStore.fileName(given))
    }
}
