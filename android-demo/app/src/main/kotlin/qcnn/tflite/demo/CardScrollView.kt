package qcnn.tflite.demo

import android.content.Context
import android.util.AttributeSet
import android.widget.ScrollView

/** A card that scrolls where large text would leave no room for the picture above it. */
class CardScrollView
    @JvmOverloads
    constructor(
        context: Context,
        attributes: AttributeSet? = null,
    ) : ScrollView(context, attributes) {
        override fun onMeasure(
            widthSpec: Int,
            heightSpec: Int,
        ) {
            val portrait = resources.configuration.screenHeightDp > resources.configuration.screenWidthDp
            val room = MeasureSpec.getSize(heightSpec)
            val most = if (portrait) (room * MOST).toInt() else room
            super.onMeasure(widthSpec, MeasureSpec.makeMeasureSpec(most, MeasureSpec.AT_MOST))
        }

        private companion object {
            const val MOST = 0.62
        }
    }
