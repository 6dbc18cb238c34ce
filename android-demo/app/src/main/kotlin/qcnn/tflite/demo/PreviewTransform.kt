package qcnn.tflite.demo

/**
 * How the preview fills its view upright and undistorted, cut at the sides that stick out.
 *
 * A TextureView shows the camera's buffers upright for the device's natural orientation (a front camera's mirrored),
 * stretched to the view. So: undo the stretching, then turn against the display's rotation; about the view's centre.
 *
 * @property scaleX before turning.
 * @property degrees clockwise, after scaling.
 */
data class PreviewTransform(
    val scaleX: Float,
    val scaleY: Float,
    val degrees: Float,
) {
    companion object {
        /** @param rotation of the display in quarters, as `Display.getRotation` tells. */
        fun fill(
            viewWidth: Int,
            viewHeight: Int,
            preview: Preview,
            rotation: Int,
        ): PreviewTransform {
            val lying = preview.sensorDegrees % 180 != 0
            val naturalWidth = (if (lying) preview.height else preview.width).toFloat()
            val naturalHeight = (if (lying) preview.width else preview.height).toFloat()
            val turned = rotation % 2 != 0
            val shownWidth = if (turned) naturalHeight else naturalWidth
            val shownHeight = if (turned) naturalWidth else naturalHeight
            val scale = maxOf(viewWidth / shownWidth, viewHeight / shownHeight)
            return PreviewTransform(
                naturalWidth * scale / viewWidth,
                naturalHeight * scale / viewHeight,
                (-90 * rotation).toFloat(),
            )
        }

        /** Degrees clockwise by which a frame must be turned to stand upright. */
        fun frameDegrees(
            sensorDegrees: Int,
            rotation: Int,
            front: Boolean,
        ): Int {
            val display = 90 * rotation
            return ((if (front) sensorDegrees + display else sensorDegrees - display) % 360 + 360) % 360
        }
    }
}
