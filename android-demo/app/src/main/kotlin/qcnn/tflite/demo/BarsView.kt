package qcnn.tflite.demo

import android.content.Context
import android.graphics.Canvas
import android.graphics.Paint
import android.graphics.RectF
import android.text.TextPaint
import android.text.TextUtils
import android.util.AttributeSet
import android.util.TypedValue
import android.view.View
import java.text.NumberFormat
import kotlin.math.ceil
import qcnn.tflite.Classifier.Prediction

/** The most probable classes as bars with names and percentages; mirrored where text runs from right to left. */
class BarsView
    @JvmOverloads
    constructor(
        context: Context,
        attributes: AttributeSet? = null,
    ) : View(context, attributes) {
        var predictions: List<Prediction> = emptyList()
            set(value) {
                val sameRows = field.size == value.size
                field = value
                contentDescription =
                    if (value.isEmpty()) null else context.getString(R.string.answer_list, value.joinToString { spoken(it) })
                if (!sameRows) requestLayout()
                invalidate()
            }

        private val percent =
            NumberFormat.getPercentInstance().apply {
                minimumFractionDigits = 1
                maximumFractionDigits = 1
            }
        private val name = TextPaint(Paint.ANTI_ALIAS_FLAG)
        private val share = TextPaint(Paint.ANTI_ALIAS_FLAG)
        private val fill = Paint(Paint.ANTI_ALIAS_FLAG)
        private val box = RectF()

        init {
            name.textSize = pixels(TypedValue.COMPLEX_UNIT_SP, 15f)
            name.color = context.getColor(R.color.ink)
            share.textSize = name.textSize
            share.color = context.getColor(R.color.muted)
            share.fontFeatureSettings = "tnum"
        }

        private val barHeight get() = pixels(TypedValue.COMPLEX_UNIT_DIP, 6f)
        private val rowHeight get() = name.fontSpacing + barHeight + resources.getDimension(R.dimen.bar_gap)

        private fun pixels(
            unit: Int,
            value: Float,
        ) = TypedValue.applyDimension(unit, value, resources.displayMetrics)

        private fun spoken(prediction: Prediction) =
            context.getString(R.string.answer_percent, prediction.label, percent.format(prediction.probability.toDouble()))

        override fun onMeasure(
            widthSpec: Int,
            heightSpec: Int,
        ) {
            val height = ceil(rowHeight * ROWS).toInt()
            setMeasuredDimension(getDefaultSize(suggestedMinimumWidth, widthSpec), resolveSize(height, heightSpec))
        }

        override fun onDraw(canvas: Canvas) {
            val mirrored = layoutDirection == LAYOUT_DIRECTION_RTL
            predictions.take(ROWS).forEachIndexed { row, prediction -> drawRow(canvas, row, prediction, mirrored) }
        }

        private fun drawRow(
            canvas: Canvas,
            row: Int,
            prediction: Prediction,
            mirrored: Boolean,
        ) {
            val full = width.toFloat()
            val top = row * rowHeight
            val baseline = top - name.fontMetrics.ascent
            val figure = percent.format(prediction.probability.toDouble())
            val gap = pixels(TypedValue.COMPLEX_UNIT_DIP, 12f)
            val room = full - share.measureText(figure) - gap
            val label = TextUtils.ellipsize(prediction.label, name, room, TextUtils.TruncateAt.END).toString()
            name.textAlign = if (mirrored) Paint.Align.RIGHT else Paint.Align.LEFT
            share.textAlign = if (mirrored) Paint.Align.LEFT else Paint.Align.RIGHT
            canvas.drawText(label, if (mirrored) full else 0f, baseline, name)
            canvas.drawText(figure, if (mirrored) 0f else full, baseline, share)

            val radius = barHeight / 2
            val barTop = top + name.fontSpacing + pixels(TypedValue.COMPLEX_UNIT_DIP, 2f)
            box.set(0f, barTop, full, barTop + barHeight)
            fill.color = context.getColor(R.color.track)
            canvas.drawRoundRect(box, radius, radius, fill)
            val length = full * prediction.probability.coerceIn(0f, 1f)
            if (length < 1) return
            box.set(if (mirrored) full - length else 0f, barTop, if (mirrored) full else length, barTop + barHeight)
            fill.color = context.getColor(if (row == 0) R.color.accent else R.color.quiet_bar)
            canvas.drawRoundRect(box, radius, radius, fill)
        }

        companion object {
            /** Always room for five, so that nothing jumps. */
            const val ROWS = 5
        }
    }
