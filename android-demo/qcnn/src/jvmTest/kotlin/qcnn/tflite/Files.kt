package qcnn.tflite

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import javax.imageio.ImageIO
import org.json.JSONObject

/** The app's own assets, and ways to damage them. */
internal object Files {
    val assets = File(System.getProperty("assets.dir"))
    val preprocessing = File(System.getProperty("golden.dir"))
    val golden = JSONObject(File(assets, "golden/golden.json").readText())

    val quantized: ByteArray by lazy { model(golden.getString("model")) }
    val float: ByteArray by lazy { model(golden.getString("float")) }

    private fun model(name: String) = File(assets, "models/$name").readBytes()

    fun image(file: File): RgbImage {
        val image = ImageIO.read(file)
        if (image.raster.numBands == 1) {
            // AWT takes the values of grey images for linear light.
            val grey = image.raster.getPixels(0, 0, image.width, image.height, null as IntArray?)
            return RgbImage(image.width, image.height, ByteArray(3 * grey.size) { grey[it / 3].toByte() })
        }
        return RgbImage.fromArgb(image.width, image.height, image.getRGB(0, 0, image.width, image.height, null, 0, image.width))
    }

    fun direct(bytes: ByteArray): ByteBuffer =
        ByteBuffer.allocateDirect(bytes.size).order(ByteOrder.nativeOrder()).apply {
            put(bytes)
            rewind()
        }

    /** Every occurrence of a text replaced by another one of its length. */
    fun patched(
        bytes: ByteArray,
        old: String,
        new: String,
    ): ByteArray {
        require(old.length == new.length)
        val text = String(bytes, Charsets.ISO_8859_1)
        require(old in text) { "there is no $old" }
        return text.replace(old, new).toByteArray(Charsets.ISO_8859_1)
    }
}
