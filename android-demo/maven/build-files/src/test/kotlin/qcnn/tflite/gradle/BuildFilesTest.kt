package qcnn.tflite.gradle

import java.io.File
import java.security.MessageDigest
import javax.xml.parsers.DocumentBuilderFactory
import org.jetbrains.kotlin.cli.jvm.compiler.EnvironmentConfigFiles
import org.jetbrains.kotlin.cli.jvm.compiler.KotlinCoreEnvironment
import org.jetbrains.kotlin.com.intellij.openapi.util.Disposer
import org.jetbrains.kotlin.com.intellij.psi.PsiElement
import org.jetbrains.kotlin.com.intellij.psi.PsiErrorElement
import org.jetbrains.kotlin.com.intellij.psi.PsiFileFactory
import org.jetbrains.kotlin.config.CommonConfigurationKeys
import org.jetbrains.kotlin.config.CompilerConfiguration
import org.jetbrains.kotlin.idea.KotlinFileType
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.w3c.dom.Element

/** The two builds say the same. That AGP can configure the Gradle one is for CI with the Android SDK to show. */
class BuildFilesTest {
    private val root = File(System.getProperty("root"))
    private val scripts = listOf("settings.gradle.kts", "build.gradle.kts", "app/build.gradle.kts", "qcnn/build.gradle.kts")
    private val app = text("app/build.gradle.kts")
    private val library = text("qcnn/build.gradle.kts")
    private val pom = text("pom.xml")
    private val appPom = text("app/pom.xml")
    private val manifest = xml("app/src/main/AndroidManifest.xml")
    private val versions =
        Regex("""^(\S+) = "(.+)"$""", RegexOption.MULTILINE)
            .findAll(text("gradle/libs.versions.toml").substringBefore("[libraries]"))
            .associate { it.groupValues[1] to it.groupValues[2] }

    private fun text(path: String) = File(root, path).readText()

    private fun xml(path: String): Element =
        DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(File(root, path)).documentElement

    private fun elements(name: String): List<Element> =
        manifest.getElementsByTagName(name).let { all -> List(all.length) { all.item(it) as Element } }

    private fun property(
        pom: String,
        name: String,
    ) = Regex("<${Regex.escape(name)}>(.*)</").find(pom)!!.groupValues[1]

    @Test
    fun scriptsHaveNoSyntaxErrors() {
        val disposable = Disposer.newDisposable()
        try {
            val configuration = CompilerConfiguration().apply { put(CommonConfigurationKeys.MODULE_NAME, "scripts") }
            val environment = KotlinCoreEnvironment.createForProduction(disposable, configuration, EnvironmentConfigFiles.JVM_CONFIG_FILES)
            val factory = PsiFileFactory.getInstance(environment.project)
            val parse = { name: String, text: String -> errors(factory.createFileFromText(name, KotlinFileType.INSTANCE, text)) }
            for (script in scripts) assertEquals(script, emptyList<String>(), parse(File(script).name, text(script)))
            assertEquals("a broken one is seen", 1, parse("build.gradle.kts", "android { minSdk = 24").size)
        } finally {
            Disposer.dispose(disposable)
        }
    }

    private fun errors(element: PsiElement): List<String> {
        val own = if (element is PsiErrorElement) listOf("${element.textRange.startOffset}: ${element.errorDescription}") else emptyList()
        return own + generateSequence(element.firstChild) { it.nextSibling }.flatMap { errors(it) }
    }

    @Test
    fun versionsAreThoseOfTheMavenBuild() {
        assertEquals(property(pom, "kotlin.version"), versions["kotlin"])
        assertEquals(property(pom, "junit.version"), versions["junit"])
        assertEquals("1.4.2", versions["litert"])
        val used = Regex("""libs\.versions\.(\w+)\.get""").findAll(app + library).map { it.groupValues[1] }.toSet()
        assertTrue("$used", versions.keys.containsAll(used) && used.size >= 5)
    }

    @Test
    fun sdkLevelsAreThoseOfTheMavenBuild() {
        for (level in listOf("min" to "minSdk", "target" to "targetSdk")) {
            assertTrue(level.first, "--${level.first}-sdk-version ${versions[level.second]} " in appPom)
        }
        assertTrue(versions.getValue("compileSdk").toInt() >= versions.getValue("targetSdk").toInt())
        assertTrue("versionName = \"${property(pom, "version")}\"" in app)
        assertTrue("--version-code 1 " in appPom && "versionCode = 1" in app)
        assertEquals("the manifest leaves levels to the builds", 0, elements("uses-sdk").size)
    }

    @Test
    fun namesAreTheSame() {
        val name = property(appPom, "app.package")
        assertTrue("namespace = \"$name\"" in app && "applicationId = \"$name\"" in app)
        assertTrue("namespace = \"qcnn.tflite\"" in library)
        assertTrue(File(root, "qcnn/src/main/kotlin/qcnn/tflite/Native.kt").isFile)
        assertEquals("the namespace is the builds' affair", "", manifest.getAttribute("package"))
        for (part in elements("activity") + elements("application")) {
            val path = (name + part.getAttribute("android:name")).replace('.', '/')
            assertTrue(path, File(root, "app/src/main/kotlin/$path.kt").isFile)
        }
    }

    @Test
    fun pathsExist() {
        for (module in Regex("\":(\\w+)\"").findAll(text("settings.gradle.kts")).map { it.groupValues[1] }) {
            assertTrue(module, File(root, "$module/build.gradle.kts").isFile && "<module>$module</module>" in pom)
        }
        assertTrue("file(\"CMakeLists.txt\")" in library)
        val native = Regex("add_subdirectory\\((\\S+) ").find(text("qcnn/CMakeLists.txt"))!!.groupValues[1]
        assertTrue(native, File(root, "qcnn/$native/CMakeLists.txt").isFile)
        assertTrue("targets += \"qcnn_ops\"" in library && "target_sources(qcnn_ops" in text("qcnn/CMakeLists.txt"))
    }

    @Test
    fun threeAbisWithLargePages() {
        val wanted = "abiFilters += listOf(\"arm64-v8a\", \"armeabi-v7a\", \"x86_64\")"
        assertTrue(wanted in app && wanted in library)
        assertTrue("-DANDROID_SUPPORT_FLEXIBLE_PAGE_SIZES=ON" in library)
        assertTrue("max-page-size=16384" in text("../custom_ops/CMakeLists.txt"))
    }

    @Test
    fun modelsStayUncompressed() {
        assertTrue("noCompress += \"tflite\"" in app)
        assertTrue("<arg value=\"-0\"/><arg value=\".tflite\"/>" in appPom)
    }

    @Test
    fun theCameraIsTheOnlyPermissionAndNothingIsBackedUp() {
        assertEquals(listOf("android.permission.CAMERA"), elements("uses-permission").map { it.getAttribute("android:name") })
        assertEquals(listOf("false"), elements("uses-feature").map { it.getAttribute("android:required") })
        val application = elements("application").single()
        assertEquals("false", application.getAttribute("android:allowBackup"))
        assertEquals("false", application.getAttribute("android:fullBackupContent"))
        assertEquals("@xml/data_extraction_rules", application.getAttribute("android:dataExtractionRules"))
    }

    @Test
    fun everyStringIsTranslated() {
        val texts =
            listOf("values", "values-zh-rCN").map { folder ->
                Regex("<(?:string|plurals) name=\"(\\w+)\"(?:>(.*)</string>)?").findAll(text("app/src/main/res/$folder/strings.xml")).associate {
                    it.groupValues[1] to Regex("%\\d\\$[sd]").findAll(it.groupValues[2]).map { place -> place.value }.sorted().toList()
                }
            }
        assertEquals(texts[0], texts[1])
        assertTrue(texts[0].size > 90)
    }

    @Test
    fun theWrapperIsTheRecordedOne() {
        val sums = text("gradle/wrapper/SHA256SUMS").trim().lines()
        assertEquals(4, sums.size)
        for (line in sums) {
            val (sum, path) = line.split("  ")
            val digest = MessageDigest.getInstance("SHA-256").digest(File(root, path).readBytes())
            assertEquals(path, sum, digest.joinToString("") { "%02x".format(it) })
        }
    }
}
