package qcnn.tflite

import java.text.SimpleDateFormat
import java.util.Date
import java.util.Locale
import java.util.TimeZone
import org.json.JSONArray
import org.json.JSONObject

/** Measurements as JSON in the format of the project's benchmarks, `benchmarks/schema/result-1.json`. */
object ResultDocument {
    private const val FORMAT = 1

    /**
     * A document of one interleaved run.
     *
     * @param runtimeVersion of TensorFlow Lite.
     * @param versions of the app and others, by name.
     */
    fun write(
        measurements: List<Benchmark.Measurement>,
        machine: Machine,
        threads: Int,
        runtimeVersion: String,
        versions: Map<String, String>,
        date: Date,
    ): String {
        val results = JSONArray()
        for (measurement in measurements) {
            results.put(result(measurement, machine, threads, runtimeVersion, versions, date))
        }
        return JSONObject().put("format", FORMAT).put("results", results).toString(2)
    }

    private fun result(
        measured: Benchmark.Measurement,
        machine: Machine,
        threads: Int,
        runtimeVersion: String,
        versions: Map<String, String>,
        date: Date,
    ): JSONObject {
        val sizes =
            JSONObject()
                .put("file", measured.fileBytes)
                .put("zipped", Benchmark.zippedSize(measured.model))
        if (measured.variant == "q") {
            sizes.put("repacked", measured.packedBytes).put("scratch", measured.scratchBytes)
        }
        val result =
            JSONObject()
                .put("model", measured.name)
                .put("variant", measured.variant)
                .put("machine", describe(machine))
                .put("kernel", measured.kernel ?: JSONObject.NULL)
                .put("threads", threads)
                .put("batch", 1)
                .put("runtime", JSONObject().put("name", "TensorFlow Lite").put("version", runtimeVersion))
                .put("versions", JSONObject(versions))
                .put("date", utc(date))
                .put("samples_ms", JSONArray(measured.samplesMs))
                .put("summary_ms", summary(measured.samplesMs))
                .put("load_ms", measured.loadMs)
                .put("sizes", sizes)
        measured.lrn?.let { result.put("lrn", it) }
        return result
    }

    private fun describe(machine: Machine) =
        JSONObject()
            .put("cpu", machine.cpu)
            .put("cpus", machine.cpus)
            .put("instruction_set", machine.instructionSet)
            .put("features", JSONArray(machine.features))
            .put("system", machine.system)

    private fun summary(samplesMs: List<Double>) =
        JSONObject()
            .put("median", Benchmark.quantile(samplesMs, 0.5))
            .put("p10", Benchmark.quantile(samplesMs, 0.1))
            .put("p90", Benchmark.quantile(samplesMs, 0.9))
            .put("min", samplesMs.min())

    // java.time needs API 26.
    private fun utc(date: Date): String =
        SimpleDateFormat("yyyy-MM-dd'T'HH:mm:ss'Z'", Locale.ROOT)
            .apply { timeZone = TimeZone.getTimeZone("UTC") }
            .format(date)
}
