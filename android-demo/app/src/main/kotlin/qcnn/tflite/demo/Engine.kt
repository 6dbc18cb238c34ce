package qcnn.tflite.demo

import android.os.Debug
import android.os.Handler
import android.os.Looper
import java.io.IOException
import java.io.InputStream
import java.util.concurrent.Executors
import java.util.concurrent.atomic.AtomicBoolean
import qcnn.tflite.Benchmark
import qcnn.tflite.Classifier
import qcnn.tflite.ModelInfo
import qcnn.tflite.Preprocessing
import qcnn.tflite.Problem
import qcnn.tflite.QcnnDelegate
import qcnn.tflite.QcnnException
import qcnn.tflite.RgbImage

/**
 * Holds the classifier, for as long as the process lives: activities come and go. Methods are called on the main thread,
 * answers come there; the work is done on one thread of its own.
 *
 * @param delegates makes the delegate of a kernel; a test leaves it out.
 */
class Engine(
    val models: ModelStore,
    private val preferences: Preferences,
    private val delegates: (String) -> QcnnDelegate? = { QcnnDelegate(it) },
) {
    sealed class State {
        abstract val name: String

        data class Loading(
            override val name: String,
        ) : State()

        class Ready(
            override val name: String,
            val info: ModelInfo,
            val kernel: String?,
        ) : State()

        class Broken(
            override val name: String,
            val failed: Failed,
        ) : State()
    }

    /** An answer, and what it took from the frame to the answer: milliseconds. */
    class Result(
        val answer: Classifier.Answer,
        val totalMs: Double,
    )

    private val main = Handler(Looper.getMainLooper())
    private val worker = Executors.newSingleThreadExecutor { Thread(it, "classifier") }
    private val listeners = ArrayList<(State) -> Unit>()
    private val busy = AtomicBoolean()
    private var classifier: Classifier? = null // of the worker
    private var loaded: Options? = null
    private var loads = 0

    @Volatile
    var state: State = State.Loading("")
        private set

    var options: Options
        get() = preferences.options
        set(value) {
            preferences.options = value
            load()
        }

    /** Calls at once, and whenever the state changes. */
    fun listen(listener: (State) -> Unit) {
        listeners += listener
        load()
        listener(state)
    }

    fun forget(listener: (State) -> Unit) {
        listeners -= listener
    }

    /** Loads the chosen model, if it is not loaded already. */
    fun load(again: Boolean = false) {
        val wanted = options
        if (wanted == loaded && !again) return
        loaded = wanted
        val load = ++loads
        val entry = models.entry(wanted.model)
        val name = entry?.name ?: ""
        change(State.Loading(name))
        worker.execute {
            val result =
                guarded(name) {
                    classifier?.close()
                    classifier = null
                    val made = Classifier(models.open(entry ?: throw IOException()), wanted.threads, delegate(wanted.kernel))
                    classifier = made
                    State.Ready(name, made.info, made.kernel)
                }
            main.post { if (load == loads) change(result.fold({ it }, { State.Broken(name, it) })) }
        }
    }

    /** A kernel that this processor lacks (the choice came from another device) is no reason to fail. */
    private fun delegate(kernel: String): QcnnDelegate? =
        try {
            delegates(kernel)
        } catch (_: IllegalArgumentException) {
            delegates(QcnnDelegate.AUTO)
        }

    /** Whether a frame would be taken now. */
    val idle: Boolean get() = state is State.Ready && !busy.get()

    /**
     * Classifies a live frame unless one is being classified; closes it in any case. May be called on any thread.
     *
     * @return whether it was taken.
     */
    fun offer(
        frame: Frame,
        onResult: (Result) -> Unit,
        onFailure: (Failed) -> Unit,
    ): Boolean {
        if (!idle || !busy.compareAndSet(false, true)) {
            frame.close()
            return false
        }
        val started = System.nanoTime()
        run({ result: Result? -> if (result != null) onResult(result) }, onFailure, { busy.set(false) }) {
            frame.use { taken -> taken.toRgb()?.let { classify(it, started) } }
        }
        return true
    }

    /** Classifies a photo, after whatever is under way. */
    fun classify(
        image: RgbImage,
        onResult: (Result) -> Unit,
        onFailure: (Failed) -> Unit,
    ) = run(onResult, onFailure) { classify(image, System.nanoTime()) }

    private fun classify(
        image: RgbImage,
        started: Long,
    ): Result {
        val ready = classifier ?: throw QcnnException(Problem.REFUSED, "no model is loaded")
        try {
            val answer = ready.classify(image)
            return Result(answer, (System.nanoTime() - started) / 1e6)
        } catch (error: IllegalArgumentException) {
            throw QcnnException(Problem.UNSUPPORTED, error.message ?: "the model cannot take this image", error)
        }
    }

    /** Does something on the worker. */
    fun <T> run(
        onResult: (T) -> Unit,
        onFailure: (Failed) -> Unit,
        finally: () -> Unit = {},
        work: () -> T,
    ) {
        val name = state.name
        worker.execute {
            val result = guarded(name, work = work)
            main.post {
                finally()
                result.fold(onResult, onFailure)
            }
        }
    }

    /** Copies a model into the app and chooses it. */
    fun import(
        name: String,
        source: () -> InputStream,
        onDone: (ModelStore.Entry) -> Unit,
        onFailure: (Failed) -> Unit,
    ) = worker.execute {
        val result = guarded(name, Failure.IMPORT_FAILED) { models.import(name, source) }
        main.post {
            result.fold({ entry ->
                // The file may have replaced the one that is loaded.
                loaded = null
                options = options.copy(model = entry.id)
                onDone(entry)
            }, onFailure)
        }
    }

    /** Times the model beside its float twin; `progress` is called on the worker. */
    fun benchmark(
        images: () -> List<RgbImage>,
        runs: Int,
        progress: (Int, Int) -> Boolean,
        onResult: (Benchmark.Outcome?) -> Unit,
        onFailure: (Failed) -> Unit,
    ) {
        val wanted = options
        run(onResult, onFailure) {
            val entry = models.entry(wanted.model) ?: throw IOException()
            val model = models.open(entry)
            val info = checkNotNull(classifier) { "no model is loaded" }.info
            val subjects =
                arrayListOf(Benchmark.Subject(entry.name, model) { Classifier(model, wanted.threads, delegate(wanted.kernel)) })
            models.twin(entry)?.let { (name, twin) ->
                // As a stock app would run it: without anything of ours.
                subjects += Benchmark.Subject(name, twin) { Classifier(twin, wanted.threads, null, info) }
            }
            val fitting = images().filter { fits(it, info.preprocessing) }.ifEmpty { listOf(blank(info.preprocessing)) }
            Benchmark(runs).run(subjects, fitting, { Debug.getNativeHeapAllocatedSize() }, progress)
        }
    }

    /** Frees the model once all that was asked for is done. Nothing may be asked for any more. */
    fun close() {
        loads++ // nobody hears of what is under way
        worker.execute {
            classifier?.close()
            classifier = null
        }
        worker.shutdown()
    }

    private fun fits(
        image: RgbImage,
        how: Preprocessing,
    ) = how.resize != Preprocessing.Resize.NONE || (image.height == how.size.height && image.width == how.size.width)

    private fun blank(how: Preprocessing) =
        RgbImage(how.size.width, how.size.height, ByteArray(3 * how.size.width * how.size.height) { 127 })

    private fun change(new: State) {
        state = new
        listeners.toList().forEach { it(new) }
    }

    private sealed class Guarded<out T> {
        class Done<T>(
            val value: T,
        ) : Guarded<T>()

        class Not(
            val failed: Failed,
        ) : Guarded<Nothing>()

        inline fun <R> fold(
            done: (T) -> R,
            not: (Failed) -> R,
        ): R =
            when (this) {
                is Done -> done(value)
                is Not -> not(failed)
            }
    }

    /** The app never dies of a model or a photo: everything that can happen becomes a screen. */
    private fun <T> guarded(
        name: String,
        io: Failure = Failure.MODEL_GONE,
        work: () -> T,
    ): Guarded<T> =
        try {
            Guarded.Done(work())
        } catch (error: QcnnException) {
            Guarded.Not(Failed(Failure.of(error.problem), name, error.message))
        } catch (error: IOException) {
            Guarded.Not(Failed(io, name, null))
        } catch (error: SecurityException) {
            Guarded.Not(Failed(io, name, null))
        } catch (error: OutOfMemoryError) {
            Guarded.Not(Failed(Failure.OUT_OF_MEMORY, name, null))
        } catch (error: LinkageError) {
            Guarded.Not(Failed(Failure.OPS_MISSING, name, error.message))
        } catch (error: RuntimeException) {
            Guarded.Not(Failed(Failure.REFUSED, name, error.message))
        }
}
