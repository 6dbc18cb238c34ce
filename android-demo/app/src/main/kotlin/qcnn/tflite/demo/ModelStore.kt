package qcnn.tflite.demo

import android.content.Context
import java.io.File
import java.io.FileInputStream
import java.io.FileNotFoundException
import java.io.IOException
import java.io.InputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.channels.FileChannel
import qcnn.tflite.ModelInfo

/** The models in the app's assets and those that the user brought. */
class ModelStore(
    private val context: Context,
) {
    /** @property id where it is; [name] what people see. */
    data class Entry(
        val id: String,
        val name: String,
        val imported: Boolean,
    )

    private val folder = File(context.filesDir, "models")

    /** Bundled ones first. The float twin of a bundled model is no entry of its own. */
    fun entries(): List<Entry> {
        val bundled = context.assets.list(ASSETS).orEmpty().filter { it.endsWith(SUFFIX) }.sorted()
        val shown = bundled.filterNot { it.removeSuffix(SUFFIX) + QUANTIZED in bundled }
        val imported = folder.list().orEmpty().filter { it.endsWith(SUFFIX) }.sorted()
        return shown.map { Entry("$BUNDLED$it", it.removeSuffix(SUFFIX), false) } +
            imported.map { Entry("$IMPORTED$it", it.removeSuffix(SUFFIX), true) }
    }

    /** The entry of an id, the first one for null. An id without a file is an entry all the same: it fails to open. */
    fun entry(id: String?): Entry? =
        if (id == null) {
            entries().firstOrNull()
        } else {
            Entry(id, id.substringAfter(':').removeSuffix(SUFFIX), id.startsWith(IMPORTED))
        }

    /**
     * Maps a model into memory; of the file only what is used is ever read.
     *
     * @throws IOException if it is gone.
     */
    fun open(entry: Entry): ByteBuffer {
        val name = entry.id.substringAfter(':')
        return if (entry.imported) map(File(folder, name)) else mapAsset("$ASSETS/$name")
    }

    /** The float model beside a quantized one, or null. */
    fun twin(entry: Entry): Pair<String, ByteBuffer>? {
        val name = entry.id.substringAfter(':')
        if (!name.endsWith(QUANTIZED)) return null
        val float = name.removeSuffix(QUANTIZED) + SUFFIX
        return try {
            float.removeSuffix(SUFFIX) to
                (if (entry.imported) map(File(folder, float)) else mapAsset("$ASSETS/$float"))
        } catch (_: IOException) {
            null
        }
    }

    /**
     * Copies a model into the app and checks it there. Nothing is left of one that is refused.
     *
     * @throws qcnn.tflite.QcnnException if it is refused.
     * @throws IOException if it could not be copied.
     */
    fun import(
        name: String,
        source: () -> InputStream,
    ): Entry {
        if (!folder.isDirectory && !folder.mkdirs()) throw IOException("$folder could not be made")
        val file = File(folder, fileName(name))
        val part = File(folder, file.name + ".part")
        try {
            source().use { from -> part.outputStream().use { from.copyTo(it) } }
            if (part.length() == 0L) throw IOException("$name is empty")
            ModelInfo.read(map(part), twin = quantizedTwin(file))
            if (!part.renameTo(file)) throw IOException("$file could not be written")
        } finally {
            part.delete()
        }
        return checkNotNull(entry(IMPORTED + file.name))
    }

    /** A float model that another tool wrote is prepared as its quantized twin says. */
    private fun quantizedTwin(file: File): ModelInfo? {
        val twin = File(file.path.removeSuffix(SUFFIX) + QUANTIZED)
        return if (twin.isFile) ModelInfo.read(map(twin)) else null
    }

    fun remove(entry: Entry) {
        if (entry.imported) File(folder, entry.id.substringAfter(':')).delete()
    }

    private fun mapAsset(path: String): ByteBuffer =
        try {
            context.assets.openFd(path).use { asset ->
                FileInputStream(asset.fileDescriptor).channel.use {
                    it.map(FileChannel.MapMode.READ_ONLY, asset.startOffset, asset.declaredLength)
                }
            }
        } catch (error: FileNotFoundException) {
            // Compressed in the package, or gone.
            readAsset(path)
        }.order(ByteOrder.nativeOrder())

    private fun readAsset(path: String): ByteBuffer {
        val bytes = context.assets.open(path).use { it.readBytes() }
        return ByteBuffer.allocateDirect(bytes.size).apply {
            put(bytes)
            rewind()
        }
    }

    private fun map(file: File): ByteBuffer =
        FileInputStream(file).channel.use {
            it.map(FileChannel.MapMode.READ_ONLY, 0, it.size()).order(ByteOrder.nativeOrder())
        }

    companion object {
        const val SUFFIX = ".tflite"
        private const val QUANTIZED = "-q$SUFFIX"
        private const val ASSETS = "models"
        private const val BUNDLED = "asset:"
        private const val IMPORTED = "file:"
        private const val LONGEST_NAME = 80

        /** A name without folders or surprises. */
        fun fileName(name: String): String {
            val plain = name.substringAfterLast('/').removeSuffix(SUFFIX).take(LONGEST_NAME)
            return plain.replace(Regex("[^\\p{L}\\p{N}._-]"), "_").trimStart('.').ifEmpty { "model" } + SUFFIX
        }
    }
}
