"""Links libqcnn_ops.so for the three Android ABIs without an NDK, and checks what came out.

    python android-demo/tools/native_libraries.py OUT [--run]

Compiler, linker and C++ runtime are those of PyPI's ziglang; bionic's place is taken by empty stubs, so
that a function which bionic does not have is a link error. What ships is built by CMake and the NDK
(`./gradlew assembleDebug`); this checks the code, its exports, what it needs and how it is aligned. With
`--run` the kernels run in each library under qemu-user, on Debian's C library in bionic's place.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = 16384

# What the library may take from bionic: scalars and plain pointers only, so that musl's headers, which
# stand in for bionic's, cannot disagree about a struct. (pthread types: musl's are no smaller, and all
# zero when fresh, as bionic's.)
LIBC = [
    "__cxa_atexit",
    "__cxa_finalize",
    "__errno",
    "abort",
    "calloc",
    "free",
    "malloc",
    "realloc",
    "madvise",
    "posix_memalign",
    "aligned_alloc",
    "memchr",
    "wmemchr",
    "memcmp",
    "memcpy",
    "memmove",
    "memset",
    "strchr",
    "strcmp",
    "strlen",
    "strncmp",
    "strtol",
    "strtoul",
    "strtoll",
    "strtoull",
    "strtof",
    "strtod",
    "snprintf",
    "vsnprintf",
    "fprintf",
    "vfprintf",
    "fputc",
    "fputs",
    "fwrite",
    "fflush",
    "fopen",
    "fclose",
    "stderr",
    "fscanf",
    "sscanf",
    "vsscanf",
    "getauxval",
    "pthread_create",
    "pthread_join",
    "pthread_detach",
    "pthread_self",
    "pthread_once",
    "pthread_key_create",
    "pthread_key_delete",
    "pthread_getspecific",
    "pthread_setspecific",
    "pthread_mutex_init",
    "pthread_mutex_lock",
    "pthread_mutex_trylock",
    "pthread_mutex_unlock",
    "pthread_mutex_destroy",
    "pthread_cond_wait",
    "pthread_cond_timedwait",
    "pthread_cond_signal",
    "pthread_cond_broadcast",
    "pthread_cond_destroy",
    "pthread_rwlock_rdlock",
    "pthread_rwlock_wrlock",
    "pthread_rwlock_unlock",
    "sched_yield",
    "nanosleep",
    "sysconf",
    "syscall",
    "clock_gettime",
    "strerror_r",
    "getenv",
    "dl_iterate_phdr",
    "__aeabi_memcpy",
    "__aeabi_memcpy4",
    "__aeabi_memcpy8",
    "__aeabi_memset",
    "__aeabi_memset4",
    "__aeabi_memset8",
    "__aeabi_memclr",
    "__aeabi_memclr4",
    "__aeabi_memclr8",
    "__aeabi_memmove",
    "__aeabi_memmove4",
    "__aeabi_memmove8",
    "__aeabi_unwind_cpp_pr0",
    "__aeabi_unwind_cpp_pr1",
    "__gnu_Unwind_Find_exidx",
]
LIBM = [
    "ceil",
    "ceilf",
    "cos",
    "cosf",
    "exp",
    "exp2",
    "exp2f",
    "expf",
    "fabs",
    "fabsf",
    "floor",
    "floorf",
    "fma",
    "fmaf",
    "fmax",
    "fmaxf",
    "fmin",
    "fminf",
    "log",
    "log2",
    "log2f",
    "logf",
    "lrint",
    "lrintf",
    "lround",
    "lroundf",
    "nearbyint",
    "nearbyintf",
    "pow",
    "powf",
    "rint",
    "rintf",
    "round",
    "roundf",
    "sin",
    "sinf",
    "sqrt",
    "sqrtf",
    "tanh",
    "tanhf",
    "trunc",
    "truncf",
    "llround",
    "llroundf",
    "ldexp",
    "ldexpf",
    "frexp",
    "frexpf",
    "scalbn",
    "scalbnf",
]
LIBDL = ["dlsym", "dladdr"]

EXPORTS = re.compile(
    r"qcnn_\w+|tflite_plugin_(create|destroy)_delegate|Java_qcnn_tflite_Native_\w+"
)

# Where zig's own way of naming a processor makes LLVM stop ("Do not know how to split the result of this
# operator"): clang's, as the NDK does it, with what zig otherwise says of its libc++.
_NEON_CLANG = (
    "--target=armv7a-linux-androideabi24", "-mthumb", "-mfpu=neon", "-mfloat-abi=softfp", "-DNDEBUG",
    "-D_LIBCPP_ABI_VERSION=1", "-D_LIBCPP_ABI_NAMESPACE=__1", "-D_LIBCPP_HAS_THREADS=1",
    "-D_LIBCPP_HAS_MONOTONIC_CLOCK", "-D_LIBCPP_HAS_TERMINAL", "-D_LIBCPP_HAS_FILESYSTEM=1",
    "-D_LIBCPP_HAS_RANDOM_DEVICE", "-D_LIBCPP_HAS_LOCALIZATION", "-D_LIBCPP_HAS_UNICODE",
    "-D_LIBCPP_HAS_WIDE_CHARACTERS", "-D_LIBCPP_HAS_TIME_ZONE_DATABASE", "-D_LIBCPP_PSTL_BACKEND_SERIAL",
    "-D_LIBCPP_HAS_VENDOR_AVAILABILITY_ANNOTATIONS=0",
    "-D_LIBCPP_HARDENING_MODE_DEFAULT=_LIBCPP_HARDENING_MODE_NONE",
    "-D_LIBCPP_ASSERTION_SEMANTIC_DEFAULT=_LIBCPP_ASSERTION_SEMANTIC_IGNORE",
)  # fmt: skip


@dataclass(frozen=True)
class Abi:
    name: str
    triple: str
    musl: str
    flags: tuple[str, ...]
    special: dict[str, tuple[str, ...]]
    emulator: tuple[str, ...]
    sysroot: str


ABIS = (
    Abi(
        "arm64-v8a", "aarch64-linux-android.24", "aarch64", (),
        {"_dotprod": ("-mcpu=generic+v8_2a+fullfp16+dotprod",)},
        ("qemu-aarch64", "-cpu", "max"), "/usr/aarch64-linux-gnu",
    ),
    Abi(
        "armeabi-v7a", "arm-linux-androideabi.24", "arm",
        ("-mcpu=generic+v7a+vfp3d16+thumb2", "-mfloat-abi=softfp"),
        {"_neon": _NEON_CLANG},
        ("qemu-arm", "-cpu", "cortex-a9"), "/usr/arm-linux-gnueabi",
    ),
    Abi(
        "x86_64", "x86_64-linux-android.24", "x86_64", (),
        {
            "_avx2": ("-mavx2", "-mfma", "-mf16c"),
            "_avx512_vnni": ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mfma", "-mavx512vnni", "-mavx512vbmi"),
            "_avx512": ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mfma"),
        },
        (), "/",
    ),
)  # fmt: skip

_CXX = [
    "algorithm",
    "call_once",
    "condition_variable",
    "condition_variable_destructor",
    "error_category",
    "exception",
    "future",
    "hash",
    "memory",
    "mutex",
    "mutex_destructor",
    "new_handler",
    "new_helpers",
    "stdexcept",
    "string",
    "system_error",
    "thread",
    "verbose_abort",
    "vector",
    "chrono",
]
_ABI = [
    "abort_message",
    "cxa_aux_runtime",
    "cxa_default_handlers",
    "cxa_exception",
    "cxa_exception_storage",
    "cxa_guard",
    "cxa_handlers",
    "cxa_personality",
    "cxa_vector",
    "cxa_virtual",
    "fallback_malloc",
    "private_typeinfo",
    "stdlib_exception",
    "stdlib_new_delete",
    "stdlib_stdexcept",
    "stdlib_typeinfo",
]
_UNWIND = [
    "libunwind.cpp",
    "UnwindLevel1.c",
    "UnwindLevel1-gcc-ext.c",
    "Unwind-EHABI.cpp",
    "UnwindRegistersRestore.S",
    "UnwindRegistersSave.S",
]


class Builder:
    """Compiles and links for one ABI."""

    def __init__(self, abi: Abi, out: Path) -> None:
        import ziglang

        self.zig = Path(ziglang.__file__).parent / "zig"
        self.lib = self.zig.parent / "lib"
        self.abi = abi
        self.out = out / abi.name
        self.objects = self.out / "objects"
        self.objects.mkdir(parents=True, exist_ok=True)
        # A copy: of libunwind's own folder -I has no effect, because zig names it as a system one,
        # behind the compiler's, whose unwind.h is another one on 32-bit ARM.
        self.unwind = self.out / "libunwind"
        shutil.copytree(self.lib / "libunwind/include", self.unwind, dirs_exist_ok=True)

    def build(self) -> Path:
        runtime = [f"libcxx/src/{name}.cpp" for name in _CXX]
        runtime += [f"libcxxabi/src/{name}.cpp" for name in _ABI]
        runtime += [f"libunwind/src/{name}" for name in _UNWIND]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = [*pool.map(self._ours, self._sources()), self._bridge()]
            cxx = [*pool.map(self._runtime, runtime)]
        archive = self.out / "libc++_static.a"
        archive.unlink(missing_ok=True)
        self._zig("ar", "rcs", archive, *cxx)
        stubs = [
            self._stub(name, symbols)
            for name, symbols in (("libc.so", LIBC), ("libm.so", LIBM), ("libdl.so", LIBDL))
        ]
        target = self.out / "libqcnn_ops.so"
        self._zig(
            "ld.lld", "-shared", "-nostdlib", "-soname", "libqcnn_ops.so", "-z", f"max-page-size={PAGE}",
            "-z", "now", "-z", "relro", "-z", "noexecstack", "--hash-style=both", "--eh-frame-hdr", "--gc-sections",
            "--no-undefined", "--exclude-libs", "ALL", "--as-needed", "-s", "-o", target, *objects, archive, *stubs, *self._builtins(),
        )  # fmt: skip
        return target

    def _sources(self) -> list[Path]:
        ops = ROOT / "custom_ops"
        listed = re.findall(
            r"^  ((?:core|tflite)/\w+\.cc)\)?$", (ops / "CMakeLists.txt").read_text(), re.M
        )
        return [
            *(ops / name for name in listed),
            ROOT / "android-demo/qcnn/src/main/cpp/qcnn_jni.cc",
        ]

    def _ours(self, source: Path) -> Path:
        special = next(
            (f for part, f in self.abi.special.items() if source.stem.endswith(part)), ()
        )
        jdk = Path(
            os.environ.get("JAVA_HOME")
            or Path(shutil.which("javac") or "javac").resolve().parents[1]
        )
        return self._compile(
            source, "-std=c++17", "-O3", "-Wall", "-Wextra", "-Werror", *special,
            f"-I{ROOT / 'custom_ops'}", f"-I{ROOT / 'custom_ops/include'}", '-DQCNN_VERSION="0.1.0"',
            "-isystem", str(jdk / "include"), "-isystem", str(jdk / "include/linux"),
        )  # fmt: skip

    def _runtime(self, name: str) -> Path:
        source = self.lib / name
        flags = ["-w", "-O2", "-D_LIBCPP_BUILDING_LIBRARY", "-D_LIBCXXABI_BUILDING_LIBRARY", "-DLIBCXX_BUILDING_LIBCXXABI",
                 "-D_LIBCPP_DISABLE_VISIBILITY_ANNOTATIONS", "-D_LIBCXXABI_DISABLE_VISIBILITY_ANNOTATIONS",
                 "-D_LIBUNWIND_HIDE_SYMBOLS", "-DLIBCXXABI_NON_DEMANGLING_TERMINATE", "-funwind-tables", "-DNDEBUG",
                 f"-I{self.lib / 'libcxx/src'}", f"-I{self.lib / 'libcxxabi/src'}", f"-I{self.unwind}"]  # fmt: skip
        if source.suffix == ".cpp":
            flags.append("-std=c++23")
        if "libunwind" in name:
            flags += ["-fno-exceptions"] + (["-fno-rtti"] if source.suffix == ".cpp" else [])
        return self._compile(source, *flags)

    def _bridge(self) -> Path:
        """musl's headers ask for errno by another name than bionic has."""
        source = self.objects / "bridge.c"
        source.write_text(
            "int *__errno(void);\nint *__errno_location(void) { return __errno(); }\n"
        )
        return self._compile(source, "-O2")

    def _builtins(self) -> list[Path]:
        """The compiler's own runtime, whose functions arithmetic on ARM calls."""
        target = self.out / "libcompiler_rt.a"
        if not target.exists():
            cpu = [f for f in self.abi.flags if f.startswith("-mcpu=")]
            self._zig(
                "build-lib", self.lib / "compiler_rt.zig", "-target", self.abi.triple, *cpu, "-O", "ReleaseSmall",
                "-fPIC", "-fno-stack-check", "--name", "compiler_rt", f"-femit-bin={target}",
            )  # fmt: skip
        return [target]

    def _compile(self, source: Path, *flags: str) -> Path:
        target = self.objects / f"{source.parent.name}-{source.name}.o"
        if target.exists() and target.stat().st_mtime > max(
            source.stat().st_mtime, newest_header(), Path(__file__).stat().st_mtime
        ):
            return target
        lib, musl = self.lib, self.abi.musl
        headers = []
        if source.suffix in (".cc", ".cpp"):
            headers += [lib / "libcxx/include", lib / "libcxxabi/include"]
        headers += [lib / "include", lib / f"libc/include/{musl}-linux-musl", lib / "libc/include/generic-musl",
                    lib / f"libc/include/{musl}-linux-any", lib / "libc/include/any-linux-any"]  # fmt: skip
        compiler = [
            "c++" if source.suffix in (".cc", ".cpp") else "cc",
            "-target",
            self.abi.triple,
            *self.abi.flags,
        ]
        if any(flag.startswith("--target=") for flag in flags):
            compiler = ["clang"]
        self._zig(
            *compiler, "-fPIC", "-fvisibility=hidden", "-ffunction-sections",
            "-fno-stack-protector", "-fno-sanitize=all", "-U_LIBCPP_HAS_MUSL_LIBC", "-D_LIBCPP_HAS_MUSL_LIBC=1",
            "-Wno-macro-redefined", "-nostdinc", *(f"-isystem{folder}" for folder in headers),
            *flags, "-c", source, "-o", target,
        )  # fmt: skip
        return target

    def _stub(self, name: str, symbols: list[str]) -> Path:
        source = self.objects / f"{name}.c"
        source.write_text("".join(f"void {symbol}(void) {{}}\n" for symbol in symbols))
        compiled = self.objects / f"{name}.o"
        self._zig("cc", "-target", self.abi.triple, *self.abi.flags, "-fPIC", "-fno-builtin", "-fno-sanitize=all",
                  "-fno-stack-protector", "-w", "-c", source, "-o", compiled)  # fmt: skip
        target = self.out / "stubs" / name
        target.parent.mkdir(exist_ok=True)
        self._zig("ld.lld", "-shared", "-nostdlib", "-soname", name, "-o", target, compiled)
        return target

    def _zig(self, *arguments: object) -> None:
        done = subprocess.run(
            [str(a) for a in (self.zig, *arguments)], capture_output=True, text=True
        )
        if done.returncode != 0:
            sys.exit(
                f"{self.abi.name}: {' '.join(map(str, arguments[-4:]))}\n{done.stderr[-4000:]}"
            )


def newest_header() -> float:
    headers = (ROOT / "custom_ops").rglob("*.h")
    return max(path.stat().st_mtime for path in headers)


def readelf(*arguments: object) -> str:
    return subprocess.run(
        ["readelf", "-W", *map(str, arguments)], capture_output=True, text=True, check=True
    ).stdout


def check(library: Path) -> list[str]:
    """What is wrong with a library; nothing, if all is well."""
    wrong = []
    dynamic = readelf("-d", library)
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
    if not needed <= {"libc.so", "libm.so", "libdl.so"}:
        wrong.append(f"needs {', '.join(sorted(needed))}")
    if "TEXTREL" in dynamic:
        wrong.append("has text relocations")
    if "BIND_NOW" not in dynamic:
        wrong.append("is not bound at once")
    headers = readelf("-l", library)
    loads = [line.split() for line in headers.splitlines() if line.strip().startswith("LOAD")]
    if not loads or any(int(row[-1], 16) < PAGE for row in loads):
        wrong.append("is not aligned to 16 KiB")
    if "GNU_RELRO" not in headers:
        wrong.append("has no RELRO")
    if re.search(r"^\s+TLS ", headers, re.M):
        wrong.append("has thread-local storage, which Android 7 does not load")
    rows = [line.split() for line in readelf("--dyn-syms", library).splitlines()]
    symbols = [(row[7], row[6] != "UND") for row in rows if len(row) >= 8 and row[0][:-1].isdigit()]
    exported = {name for name, defined in symbols if defined}
    strange = {name for name in exported if not EXPORTS.fullmatch(name)}
    if strange:
        wrong.append(f"exports {', '.join(sorted(strange)[:5])}")
    declared = set(re.findall(r"QCNN_EXPORT [\w* ]+?\*?(qcnn_\w+)\(",
                              (ROOT / "custom_ops/include/qcnn/qcnn_ops.h").read_text()))  # fmt: skip
    kotlin = (ROOT / "android-demo/qcnn/src/main/kotlin/qcnn/tflite/Native.kt").read_text()
    declared |= {
        f"Java_qcnn_tflite_Native_{name}" for name in re.findall(r"external fun (\w+)", kotlin)
    }
    if declared - exported:
        wrong.append(f"does not export {', '.join(sorted(declared - exported))}")
    if len(declared) < 20:
        wrong.append(
            f"only {len(declared)} functions are declared: the headers were not understood"
        )
    return wrong


def run(abi: Abi, library: Path, out: Path) -> str:
    """Runs the small golden network's kernels in the library under qemu-user; returns what they answer."""
    host = out / "runner"
    host.mkdir(exist_ok=True)
    libraries = Path(abi.sysroot) / "lib"
    compiler = {
        "arm64-v8a": "aarch64-linux-gnu-gcc",
        "armeabi-v7a": "arm-linux-gnueabi-gcc",
        "x86_64": "gcc",
    }[abi.name]
    if abi.name == "x86_64":
        libraries = Path("/lib/x86_64-linux-gnu")
    for name, real in (
        ("libc.so", "libc.so.6"),
        ("libm.so", "libm.so.6"),
        ("libdl.so", "libdl.so.2"),
    ):
        link = out / name
        link.unlink(missing_ok=True)
        link.symlink_to(libraries / real)
    errno = host / "liberrno.so"
    (host / "errno.c").write_text(
        "#include <errno.h>\nint *__errno(void) { return __errno_location(); }\n"
    )
    subprocess.run([compiler, "-shared", "-fPIC", "-o", errno, host / "errno.c"], check=True)
    program = host / "run"
    subprocess.run(
        [compiler, "-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'custom_ops/include'}", "-o", program,
         ROOT / "android-demo/tools/run_library.c", "-ldl", "-lm"], check=True,
    )  # fmt: skip
    environment = {**os.environ, "LD_LIBRARY_PATH": f"{out}:{host}", "LD_PRELOAD": ""}
    command = [*abi.emulator]
    if command:
        command += [
            "-L",
            abi.sysroot,
            "-E",
            f"LD_LIBRARY_PATH={out}:{host}",
            "-E",
            f"LD_PRELOAD={errno}",
        ]
        environment.pop("LD_LIBRARY_PATH")
        environment.pop("LD_PRELOAD")
    else:
        environment["LD_PRELOAD"] = str(errno)
    done = subprocess.run(
        [
            *map(str, command),
            str(program),
            str(library),
            str(ROOT / "custom_ops/tests/golden/options.txt"),
        ],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    if done.returncode != 0:
        sys.exit(
            f"{abi.name}: the library does not run ({done.returncode})\n{done.stdout}{done.stderr}"
        )
    return done.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--run", action="store_true", help="run the kernels, under qemu-user")
    parser.add_argument("--abi", action="append", choices=[abi.name for abi in ABIS])
    args = parser.parse_args()
    for abi in ABIS:
        if args.abi and abi.name not in args.abi:
            continue
        library = Builder(abi, args.out).build()
        wrong = check(library)
        if wrong:
            sys.exit(f"{abi.name}: libqcnn_ops.so {'; '.join(wrong)}")
        print(
            f"{abi.name}: {library.stat().st_size} bytes, exports, needed libraries and 16 KiB pages are right",
            flush=True,
        )
        if args.run:
            print(f"{abi.name}: {run(abi, library, args.out / abi.name)}", flush=True)


if __name__ == "__main__":
    main()
