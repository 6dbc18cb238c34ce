package qcnn.tflite.demo

import android.view.View
import android.widget.LinearLayout
import android.widget.TextView
import java.text.NumberFormat

/** The top answer, the five bars and three times, on the live and the photo screen. */
class AnswerPanel(
    private val view: View,
) {
    private val prepare = RollingMedian()
    private val inference = RollingMedian()
    private val total = RollingMedian()
    private val top: TextView = view.findViewById(R.id.answer_top)
    private val bars: BarsView = view.findViewById(R.id.bars)
    private val number =
        NumberFormat.getNumberInstance().apply {
            minimumFractionDigits = 1
            maximumFractionDigits = 1
        }

    init {
        if (view.resources.largeFont) {
            val times = view.findViewById<LinearLayout>(R.id.times)
            times.stack()
            for (i in 0 until times.childCount) (times.getChildAt(i) as LinearLayout).spread()
        }
    }

    fun show(result: Engine.Result) {
        val first = result.answer.top.firstOrNull()
        // A live region speaks whenever it changes, so it changes with the answer only.
        val label = first?.label ?: view.context.getString(R.string.live_waiting)
        if (top.text.toString() != label) top.text = label
        bars.predictions = result.answer.top
        prepare.add(result.answer.prepareMs)
        inference.add(result.answer.inferenceMs)
        total.add(result.totalMs)
        showTimes()
    }

    fun showModel(state: Engine.State) {
        view.findViewById<TextView>(R.id.answer_model).text =
            when (state) {
                is Engine.State.Loading -> view.context.getString(R.string.model_loading, state.name)
                else -> state.name
            }
    }

    fun clear() {
        top.setText(R.string.live_waiting)
        bars.predictions = emptyList()
        prepare.clear()
        inference.clear()
        total.clear()
        showTimes()
    }

    private fun showTimes() {
        show(R.id.time_prepare, prepare)
        show(R.id.time_inference, inference)
        show(R.id.time_total, total)
    }

    private fun show(
        id: Int,
        times: RollingMedian,
    ) {
        val median = times.median
        view.findViewById<TextView>(id).text =
            if (median == null) {
                view.context.getString(R.string.time_none)
            } else {
                view.context.getString(R.string.time_ms, number.format(median))
            }
    }
}
