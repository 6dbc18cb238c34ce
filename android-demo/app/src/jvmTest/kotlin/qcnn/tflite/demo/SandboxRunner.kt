package qcnn.tflite.demo

import org.junit.runners.model.FrameworkMethod
import org.robolectric.RobolectricTestRunner
import org.robolectric.internal.bytecode.InstrumentationConfiguration

/** Leaves the classes with native functions to the ordinary class loader: a JVM loads a library for one loader only. */
class SandboxRunner(
    test: Class<*>,
) : RobolectricTestRunner(test) {
    override fun createClassLoaderConfig(method: FrameworkMethod): InstrumentationConfiguration =
        InstrumentationConfiguration
            .Builder(super.createClassLoaderConfig(method))
            .doNotAcquirePackage("org.tensorflow.lite.")
            .doNotAcquireClass("qcnn.tflite.Native")
            .build()
}
