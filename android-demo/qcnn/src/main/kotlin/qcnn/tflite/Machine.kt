package qcnn.tflite

import java.io.File
import java.io.IOException

/** What a measurement ran on: the object `machine` of a result, and how many threads make sense. */
class Machine(
    val cpu: String,
    val cpus: Int,
    val instructionSet: String,
    val features: List<String>,
    val system: String,
) {
    companion object {
        // From best to least, as in the Python package.
        private val INSTRUCTION_SETS =
            linkedMapOf(
                "AVX-512 VNNI" to setOf("avx512f", "avx512bw", "avx512_vnni"),
                "AVX-512" to setOf("avx512f", "avx512bw"),
                "AVX2" to setOf("avx2", "fma"),
                "SSE4.2" to setOf("sse4_2"),
                "NEON dotprod" to setOf("asimd", "asimddp"),
                "NEON" to setOf("asimd"),
                "NEON (armv7)" to setOf("neon"),
            )
        private val MORE = setOf("avx512_vbmi", "avx_vnni", "i8mm", "sve")

        /**
         * This device.
         *
         * @param name of the device, should the system not tell its processor's.
         * @param system e.g. "Android 15".
         */
        fun describe(
            name: String,
            system: String,
            cpuinfo: File = File("/proc/cpuinfo"),
        ): Machine {
            val lines = HashMap<String, String>()
            for (line in read(cpuinfo).lineSequence()) {
                val key = line.substringBefore(':').trim()
                if (key !in lines) lines[key] = line.substringAfter(':', "").trim()
            }
            val flags = (lines["flags"] ?: lines["Features"] ?: "").split(' ').toSet()
            val wanted = INSTRUCTION_SETS.values.flatten().toSet() + MORE
            val architecture = System.getProperty("os.arch") ?: "unknown"
            return Machine(
                cpu = lines["model name"] ?: lines["Hardware"] ?: name,
                cpus = Runtime.getRuntime().availableProcessors(),
                instructionSet = INSTRUCTION_SETS.entries.find { flags.containsAll(it.value) }?.key ?: architecture,
                features = (wanted intersect flags).sorted(),
                system = "$system $architecture",
            )
        }

        /** The processor's big cores: those that are not of the slowest kind. All where there is one kind. */
        fun bigCores(cpus: File = File("/sys/devices/system/cpu")): Int {
            val all = Runtime.getRuntime().availableProcessors()
            val speeds =
                (0 until 64).mapNotNull { read(File(cpus, "cpu$it/cpufreq/cpuinfo_max_freq")).trim().toLongOrNull() }
            val big = speeds.count { it > (speeds.minOrNull() ?: 0) }
            return if (big > 0) big else all
        }

        private fun read(file: File): String =
            try {
                file.readText()
            } catch (_: IOException) {
                ""
            }
    }
}
