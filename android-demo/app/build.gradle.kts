// src/jvmTest is Maven's: it needs the desktop runtime that pom.xml brings.
plugins {
    alias(libs.plugins.android.application)
}

android {
    namespace = "qcnn.tflite.demo"
    compileSdk = libs.versions.compileSdk.get().toInt()

    defaultConfig {
        applicationId = "qcnn.tflite.demo"
        minSdk = libs.versions.minSdk.get().toInt()
        targetSdk = libs.versions.targetSdk.get().toInt()
        versionCode = 1
        versionName = "0.1.0"
        testInstrumentationRunner = "androidx.test.runner.AndroidJUnitRunner"
        ndk {
            abiFilters += listOf("arm64-v8a", "armeabi-v7a", "x86_64")
        }
    }

    androidResources {
        // Models are mapped from the package.
        noCompress += "tflite"
        localeFilters += listOf("en", "zh-rCN")
    }

    buildTypes {
        release {
            isMinifyEnabled = true
            isShrinkResources = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"))
        }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }
}

dependencies {
    implementation(project(":qcnn"))
    androidTestImplementation(libs.junit)
    androidTestImplementation(libs.androidx.test.runner)
    androidTestImplementation(libs.androidx.test.junit)
}

// ./gradlew demoAssets [-Pmodel=efficientnet_lite0]: model, labels, float twin and golden file, from Python.
tasks.register<Exec>("demoAssets") {
    group = "build"
    description = "Writes the models and golden files of both apps with qcnn-tflite demo-assets."
    workingDir = rootDir.parentFile
    val model = providers.gradleProperty("model").orNull
    commandLine(listOfNotNull("qcnn-tflite", "demo-assets", model, "-f"))
}
