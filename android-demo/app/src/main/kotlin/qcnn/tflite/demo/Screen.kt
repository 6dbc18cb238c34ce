package qcnn.tflite.demo

import android.content.Intent
import android.os.Bundle
import android.view.LayoutInflater
import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.ImageView
import android.widget.TextView

/** One of the four tabs. Lives as long as its activity; shown and hidden with the tab and the activity. */
abstract class Screen(
    protected val activity: MainActivity,
    parent: ViewGroup,
    layout: Int,
) {
    val view: View = LayoutInflater.from(activity).inflate(layout, parent, false)
    protected val engine: Engine get() = activity.engine

    private val failure: View = view.findViewById(R.id.failure)

    open fun onShow() {}

    open fun onHide() {}

    open fun onState(state: Engine.State) {}

    open fun save(out: Bundle) {}

    open fun restore(saved: Bundle) {}

    /** @return whether the result was this screen's. */
    open fun onResult(
        request: Int,
        data: Intent?,
    ): Boolean = false

    /** What its failures offer. */
    open fun onAction(action: Action) = activity.onAction(action)

    protected fun <T : View> find(id: Int): T = view.findViewById(id)

    /** Shows what happened over everything else, or takes it away. */
    protected fun show(failed: Failed?) {
        failure.visibility = if (failed == null) View.GONE else View.VISIBLE
        if (failed == null) return
        val kind = failed.failure
        find<ImageView>(R.id.failure_icon).setImageResource(kind.icon)
        find<TextView>(R.id.failure_title).setText(kind.title)
        find<TextView>(R.id.failure_text).text = activity.getString(kind.text, failed.name)
        find<TextView>(R.id.failure_detail).apply {
            text = failed.detail
            visibility = if (failed.detail.isNullOrBlank()) View.GONE else View.VISIBLE
        }
        button(R.id.failure_first, kind.first)
        button(R.id.failure_second, kind.second)
    }

    private fun button(
        id: Int,
        action: Action?,
    ) = find<Button>(id).run {
        visibility = if (action == null) View.GONE else View.VISIBLE
        if (action != null) {
            setText(action.label)
            setOnClickListener { onAction(action) }
        }
    }
}
