package qcnn.tflite.demo

import android.content.res.Resources
import android.view.ViewGroup
import android.widget.LinearLayout

/** Whether what stands side by side would no longer fit and is put below each other. */
val Resources.largeFont: Boolean get() = configuration.fontScale > 1.4f

/** Children below each other, each as wide as this. */
fun LinearLayout.stack() {
    orientation = LinearLayout.VERTICAL
    for (i in 0 until childCount) {
        getChildAt(i).layoutParams = LinearLayout.LayoutParams(ViewGroup.LayoutParams.MATCH_PARENT, ViewGroup.LayoutParams.WRAP_CONTENT)
    }
}

/** Children beside each other, equally wide. */
fun LinearLayout.spread() {
    orientation = LinearLayout.HORIZONTAL
    for (i in 0 until childCount) {
        getChildAt(i).layoutParams = LinearLayout.LayoutParams(0, ViewGroup.LayoutParams.WRAP_CONTENT, 1f)
    }
}
