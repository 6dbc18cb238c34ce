package qcnn.tflite.demo

import android.content.ActivityNotFoundException
import android.content.Intent
import android.net.Uri
import android.os.Build
import android.os.Bundle
import android.provider.MediaStore
import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.ImageView
import java.io.File
import java.io.IOException

/** One photo, chosen with the system's picker or shared by another app. */
class PhotoScreen(
    activity: MainActivity,
    parent: ViewGroup,
) : Screen(activity, parent, R.layout.screen_photo) {
    private val panel = AnswerPanel(view)
    private val kept = File(activity.cacheDir, "photo")
    private var photo: Photo? = null
    private var present = false
    private var broken: Failed? = null
    private var model: Failed? = null
    private var loads = 0

    init {
        find<Button>(R.id.photo_choose).setOnClickListener { choose() }
    }

    override fun onAction(action: Action) = if (action == Action.OTHER_PHOTO) choose() else super.onAction(action)

    /** Opens the system's picker: it gives this app the one photo, and needs no permission. */
    fun choose() {
        val pick =
            if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.TIRAMISU) {
                Intent(MediaStore.ACTION_PICK_IMAGES).setType("image/*")
            } else {
                Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("image/*")
            }
        try {
            activity.startActivityForResult(pick, PICK)
        } catch (_: ActivityNotFoundException) {
            fail(Failed(Failure.PHOTO_FAILED))
        }
    }

    override fun onResult(
        request: Int,
        data: Intent?,
    ): Boolean {
        if (request != PICK) return false
        data?.data?.let { open(it) }
        return true
    }

    /** Copies the photo, as the right to read it ends with this process, and classifies it. */
    fun open(uri: Uri) {
        val resolver = activity.contentResolver
        load {
            try {
                Photos.keep(resolver.openInputStream(uri) ?: throw IOException("nothing there"), kept)
            } catch (error: RuntimeException) {
                // Providers of other apps throw what they like.
                throw IOException(error)
            }
        }
    }

    override fun save(out: Bundle) = out.putBoolean(KEY, present)

    override fun restore(saved: Bundle) {
        if (saved.getBoolean(KEY)) load {}
    }

    private fun load(prepare: () -> Unit) {
        val load = ++loads
        present = true
        engine.run({ result: kotlin.Result<Photo> ->
            if (load == loads) result.fold({ show(it) }, { fail(failureOf(it)) })
        }, { if (load == loads) fail(it) }) {
            runCatching {
                prepare()
                Photos.read(kept)
            }
        }
    }

    private fun failureOf(error: Throwable) =
        if (error is OutOfMemoryError) {
            Failed(Failure.PHOTO_TOO_LARGE, activity.getString(R.string.tab_photo))
        } else {
            Failed(Failure.PHOTO_FAILED)
        }

    private fun show(new: Photo) {
        photo = new
        broken = null
        showFailure()
        panel.clear()
        find<ImageView>(R.id.photo).apply {
            setImageBitmap(new.shown)
            visibility = View.VISIBLE
        }
        find<View>(R.id.photo_empty).visibility = View.GONE
        find<View>(R.id.photo_card).visibility = View.VISIBLE
        find<Button>(R.id.photo_choose).setText(R.string.photo_other)
        classify()
    }

    private fun classify() {
        val shown = photo ?: return
        val load = loads
        if (engine.state !is Engine.State.Ready) return
        engine.classify(shown.image, { if (load == loads) panel.show(it) }, { if (load == loads) fail(it) })
    }

    override fun onState(state: Engine.State) {
        model = (state as? Engine.State.Broken)?.failed
        if (model == null && broken?.failure != Failure.PHOTO_FAILED) broken = null
        panel.showModel(state)
        showFailure()
        if (state is Engine.State.Ready) {
            panel.clear()
            classify()
        }
    }

    private fun fail(failed: Failed) {
        broken = failed
        if (failed.failure == Failure.PHOTO_FAILED) present = false
        showFailure()
    }

    private fun showFailure() = show(model ?: broken)

    private companion object {
        const val PICK = 11
        const val KEY = "photo"
    }
}
