package qcnn.tflite.demo

import android.annotation.SuppressLint
import android.content.Context
import android.graphics.ImageFormat
import android.graphics.SurfaceTexture
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.hardware.camera2.CaptureRequest
import android.os.Handler
import android.os.Looper
import android.util.Size
import android.view.Surface
import kotlin.math.abs

/**
 * The device's cameras through Camera2. One that is taken away comes back by itself when it is free again.
 *
 * @param rotation of the display in quarters.
 */
class CameraSource(
    context: Context,
    private val rotation: () -> Int,
) : FrameSource {
    private val manager = context.getSystemService(CameraManager::class.java)
    private val main = Handler(Looper.getMainLooper())
    private var listener: FrameSource.Listener? = null
    private var device: CameraDevice? = null
    private var session: CameraCaptureSession? = null
    private var reader: FrameReader? = null
    private var texture: SurfaceTexture? = null
    private var preview = Preview(0, 0, 0)
    private var front = false
    private var cameraId: String? = null

    /** Tells late callbacks of a camera that was stopped from those of the present one. */
    private var number = 0

    private val availability =
        object : CameraManager.AvailabilityCallback() {
            override fun onCameraAvailable(id: String) {
                val waiting = listener
                if (waiting != null && device == null && lost && (cameraId == null || id == cameraId)) start(front, waiting)
            }
        }
    private var lost = false

    override fun start(
        front: Boolean,
        listener: FrameSource.Listener,
    ) {
        stop()
        this.front = front
        this.listener = listener
        manager.registerAvailabilityCallback(availability, main)
        try {
            open()
        } catch (error: CameraAccessException) {
            fail(failureOf(error.reason), error.message)
        } catch (error: SecurityException) {
            fail(Failure.DENIED, null)
        } catch (error: IllegalArgumentException) {
            // The camera was unplugged between the list and here.
            fail(Failure.CAMERA_LOST, error.message)
        }
    }

    // The screen asks for the permission before; without it openCamera throws what start() catches.
    @SuppressLint("MissingPermission")
    private fun open() {
        val cameras = manager.cameraIdList.associateWith { manager.getCameraCharacteristics(it) }
        val wanted = if (front) CameraCharacteristics.LENS_FACING_FRONT else CameraCharacteristics.LENS_FACING_BACK
        val facing = cameras.mapValues { it.value.get(CameraCharacteristics.LENS_FACING) }
        val id = facing.entries.firstOrNull { it.value == wanted }?.key ?: cameras.keys.firstOrNull()
        if (id == null) {
            cameraId = null
            lost = true // an external camera may be plugged in
            fail(Failure.NO_CAMERA, null)
            return
        }
        cameraId = id
        val characteristics = cameras.getValue(id)
        val degrees = characteristics.get(CameraCharacteristics.SENSOR_ORIENTATION) ?: 0
        val size = size(characteristics)
        preview = Preview(size.width, size.height, degrees)
        val isFront = facing[id] == CameraCharacteristics.LENS_FACING_FRONT
        val canSwitch = CameraCharacteristics.LENS_FACING_FRONT in facing.values && CameraCharacteristics.LENS_FACING_BACK in facing.values
        val listening = listener
        reader =
            FrameReader(size, { PreviewTransform.frameDegrees(degrees, rotation(), isFront) }) { frame ->
                listening?.onFrame(frame)
            }
        manager.openCamera(id, Opening(++number, canSwitch), main)
    }

    private inner class Opening(
        private val number: Int,
        private val canSwitch: Boolean,
    ) : CameraDevice.StateCallback() {
        override fun onOpened(camera: CameraDevice) {
            if (number != this@CameraSource.number) {
                camera.close()
                return
            }
            device = camera
            lost = false
            listener?.onOpened(preview, canSwitch)
            startSession()
        }

        override fun onDisconnected(camera: CameraDevice) {
            camera.close()
            if (number == this@CameraSource.number) fail(Failure.CAMERA_LOST, null)
        }

        override fun onError(
            camera: CameraDevice,
            error: Int,
        ) {
            camera.close()
            if (number != this@CameraSource.number) return
            fail(
                when (error) {
                    ERROR_CAMERA_IN_USE, ERROR_MAX_CAMERAS_IN_USE -> Failure.CAMERA_IN_USE
                    ERROR_CAMERA_DISABLED -> Failure.CAMERA_BLOCKED
                    else -> Failure.CAMERA_BROKEN
                },
                null,
            )
        }
    }

    override fun show(texture: SurfaceTexture?) {
        this.texture = texture
        if (device != null) startSession()
    }

    // The replacement wants API 28.
    @Suppress("DEPRECATION")
    private fun startSession() {
        val camera = device ?: return
        val frames = reader?.surface ?: return
        closeSession()
        val shown = texture?.let { it.setDefaultBufferSize(preview.width, preview.height); Surface(it) }
        val surfaces = listOfNotNull(shown, frames)
        val opened = number
        try {
            camera.createCaptureSession(
                surfaces,
                object : CameraCaptureSession.StateCallback() {
                    override fun onConfigured(made: CameraCaptureSession) {
                        if (opened != number) return
                        session = made
                        repeat(made, camera, surfaces)
                    }

                    override fun onConfigureFailed(made: CameraCaptureSession) {
                        if (opened == number) fail(Failure.CAMERA_BROKEN, null)
                    }

                    override fun onClosed(made: CameraCaptureSession) {
                        shown?.release()
                    }
                },
                main,
            )
        } catch (error: CameraAccessException) {
            fail(failureOf(error.reason), error.message)
        } catch (error: IllegalStateException) {
            fail(Failure.CAMERA_LOST, error.message)
        } catch (error: IllegalArgumentException) {
            fail(Failure.CAMERA_BROKEN, error.message)
        }
    }

    private fun repeat(
        made: CameraCaptureSession,
        camera: CameraDevice,
        surfaces: List<Surface>,
    ) {
        try {
            val request = camera.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW)
            surfaces.forEach { request.addTarget(it) }
            request.set(CaptureRequest.CONTROL_AF_MODE, CaptureRequest.CONTROL_AF_MODE_CONTINUOUS_PICTURE)
            made.setRepeatingRequest(request.build(), null, main)
        } catch (error: CameraAccessException) {
            fail(failureOf(error.reason), error.message)
        } catch (error: IllegalStateException) {
            fail(Failure.CAMERA_LOST, error.message)
        } catch (error: IllegalArgumentException) {
            // A surface went away meanwhile; the next one starts another session.
        }
    }

    override fun stop() {
        if (listener != null) manager.unregisterAvailabilityCallback(availability)
        listener = null
        lost = false
        close()
    }

    private fun close() {
        number++
        closeSession()
        device?.close()
        device = null
        reader?.close()
        reader = null
    }

    private fun closeSession() {
        session?.close()
        session = null
    }

    private fun fail(
        failure: Failure,
        detail: String?,
    ) {
        close()
        lost = lost || failure == Failure.CAMERA_LOST || failure == Failure.CAMERA_IN_USE
        listener?.onFailure(Failed(failure, detail = detail))
    }

    private fun failureOf(reason: Int): Failure =
        when (reason) {
            CameraAccessException.CAMERA_IN_USE, CameraAccessException.MAX_CAMERAS_IN_USE -> Failure.CAMERA_IN_USE
            CameraAccessException.CAMERA_DISABLED -> Failure.CAMERA_BLOCKED
            CameraAccessException.CAMERA_DISCONNECTED -> Failure.CAMERA_LOST
            else -> Failure.CAMERA_BROKEN
        }

    /** The size nearest to 640 x 480: networks take less, and larger frames cost time. */
    private fun size(characteristics: CameraCharacteristics): Size {
        val map = characteristics.get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP)
        val sizes = map?.getOutputSizes(ImageFormat.YUV_420_888).orEmpty()
        return sizes.minByOrNull { abs(it.width - WIDTH) + abs(it.height - HEIGHT) } ?: Size(WIDTH, HEIGHT)
    }

    private companion object {
        const val WIDTH = 640
        const val HEIGHT = 480
    }
}
