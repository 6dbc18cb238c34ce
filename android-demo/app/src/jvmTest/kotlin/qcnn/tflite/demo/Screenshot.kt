package qcnn.tflite.demo

import android.app.Activity
import android.graphics.Bitmap
import android.os.Handler
import android.os.Looper
import android.view.PixelCopy
import java.io.File
import javax.imageio.ImageIO
import kotlin.math.abs
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.robolectric.Shadows.shadowOf

/**
 * Compares a screen with its committed picture. `mvn test -Dscreenshots.record=true` writes them anew; look at each.
 *
 * The tolerance is for another version of the fonts' rasterizer: single pixels may differ, a moved line may not.
 */
object Screenshot {
    private const val SAME = 24
    private const val MOST_DIFFERENT = 0.004
    private val expected = File(System.getProperty("screenshots.expected"))
    private val actual = File(System.getProperty("screenshots.actual"))

    fun check(
        activity: Activity,
        name: String,
    ) {
        shadowOf(Looper.getMainLooper()).idle() // a text set after the first layout is laid out only then
        val view = activity.window.decorView
        val bitmap = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
        render(activity, bitmap)
        val written = File(actual.apply { mkdirs() }, "$name.png")
        written.outputStream().use { bitmap.compress(Bitmap.CompressFormat.PNG, 100, it) }
        val stored = File(expected, "$name.png")
        if (System.getProperty("screenshots.record") == "true") written.copyTo(stored, overwrite = true)
        assertTrue("there is no $stored: record it, and look at it", stored.isFile)
        compare(stored, written)
    }

    /** As the device's renderer does it: with outlines that clip, which `View.draw` leaves out. */
    private fun render(
        activity: Activity,
        bitmap: Bitmap,
    ) {
        var result = -1
        PixelCopy.request(activity.window, bitmap, { result = it }, Handler(Looper.getMainLooper()))
        shadowOf(Looper.getMainLooper()).idle()
        assertEquals("the screen is drawn", PixelCopy.SUCCESS, result)
    }

    private fun compare(
        stored: File,
        written: File,
    ) {
        val old = ImageIO.read(stored)
        val new = ImageIO.read(written)
        assertEquals("$stored: width", old.width, new.width)
        assertEquals("$stored: height", old.height, new.height)
        var different = 0
        for (y in 0 until old.height) {
            for (x in 0 until old.width) if (differ(old.getRGB(x, y), new.getRGB(x, y))) different++
        }
        val share = different.toDouble() / (old.width * old.height)
        assertTrue("%.2f %% of $written differ from $stored".format(100 * share), share <= MOST_DIFFERENT)
    }

    private fun differ(
        first: Int,
        second: Int,
    ) = (0..16 step 8).any { abs((first shr it and 0xff) - (second shr it and 0xff)) > SAME }
}
