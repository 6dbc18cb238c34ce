"""What benchmark_model prints, in every form that its versions print it."""

from __future__ import annotations

import pytest

from qcnn_tflite.errors import RuntimeMissingError
from qcnn_tflite.measurement.devices.benchmark_model import arguments, parse

# TensorFlow 2.4: no INFO, tabs, [start] in the profile, times in exponents.
OLD = """\
STARTING!
Num threads: [4]
Loaded model net.tflite
The input model file size (MB): 16.9008
Initialized session in 17.187ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=1 curr=3512391

Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
count=50 first=2990275 curr=2913402 min=2727568 max=3189954 avg=2.95034e+06 std=109798

Inference timings in us: Init: 17187, First inference: 3512391, Warmup (avg): 3.51239e+06, Inference (avg): 2.95034e+06
Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual memory footprint.
Memory footprint delta from the start of the tool (MB): init=4.21094 overall=46.0859
Profiling Info for Benchmark Initialization:
============================== Run Order ==============================
\t             [node type]\t          [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t         AllocateTensors\t            0.000\t    1.356\t    1.356\t100.000%\t100.000%\t     0.000\t        1\tAllocateTensors/0

Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
\t             [node type]\t          [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t                 CONV_2D\t            0.066\t   87.754\t   60.957\t  2.066%\t  2.066%\t     0.000\t        1\t[Conv2d_0/Relu6]:0
\t       DEPTHWISE_CONV_2D\t           61.033\t   53.628\t   49.870\t  1.691%\t  3.757%\t     0.000\t        1\t[Conv2d_1, depthwise]:1

============================== Top by Computation Time ==============================
"""
# TensorFlow 2.16 and later: INFO, quantiles, spaces, peak memory, delegated operators with spaces in them.
NEW = """\
INFO: STARTING!
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
INFO: Initialized session in 6.395ms.
INFO: Running benchmark for at least 5 iterations and at least 0 seconds but terminate if exceeding 150 seconds.
INFO: count=153 first=2761 curr=2885 min=2605 max=18080 avg=3243.58 std=2165 p5=2630 median=2761 p95=5331

INFO: Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
INFO: count=337 first=2881 curr=2703 min=2605 max=20356 avg=2942.27 std=1190 p5=2647 median=2781 p95=3169

INFO: Inference timings in us: Init: 6395, First inference: 2761, Warmup (avg): 3243.58, Inference (avg): 2942.27
INFO: Memory footprint delta from the start of the tool (MB): init=39.4531 overall=40.8281
INFO: Overall peak memory footprint (MB) via periodic monitoring: 62.5
INFO: Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
                                     [node type]          [first]        [avg ms]            [%]          [cdf%]          [mem KB]        [times called]  [Name]
                                        QUANTIZE            0.199           0.203         1.328%          1.328%             0.000                1       [tfl.quantize]:0
                   Convolution (NHWC, QC8) IGEMM            0.398           0.407         2.658%          3.986%             0.000                1       Delegate/Convolution (NHWC, QC8) IGEMM:0

============================== Top by Computation Time ==============================
"""
LOGCAT = "\n".join(
    f"07-08 15:33:56.256 I/tflite  ( 5395): {line}" for line in NEW.splitlines()[:10]
)


def test_an_old_version():
    report = parse(OLD)
    assert report.load_ms == pytest.approx(17.187)
    assert (report.runs, report.is_median) == (50, False)
    assert report.ms == pytest.approx(2950.34)
    assert report.footprint_bytes == pytest.approx(46.0859 * 2**20, abs=1)
    assert report.profile == [
        {"type": "CONV_2D", "name": "[Conv2d_0/Relu6]:0", "ms": 60.957},
        {"type": "DEPTHWISE_CONV_2D", "name": "[Conv2d_1, depthwise]:1", "ms": 49.87},
    ]


def test_a_new_version():
    report = parse(NEW)
    assert (report.load_ms, report.runs, report.ms, report.is_median) == (6.395, 337, 2.781, True)
    assert report.footprint_bytes == 62.5 * 2**20
    assert [(row["type"], row["ms"]) for row in report.profile] == [
        ("QUANTIZE", 0.203),
        ("Convolution (NHWC, QC8) IGEMM", 0.407),
    ]


def test_lines_of_androids_log():
    report = parse(LOGCAT)
    assert (report.runs, report.ms) == (337, 2.781)
    assert report.profile == []
    assert report.footprint_bytes is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "printed nothing"),
        ("STARTING!\nERROR: Could not open 'net.tflite'.\nbye\n", "Could not open 'net.tflite'"),
        ("ERROR: Encountered unresolved custom op: QConv.\n", "unresolved custom op: QConv"),
        (NEW[: NEW.index("INFO: Inference")], "measured nothing"),
    ],
)
def test_what_is_no_measurement(text, words):
    with pytest.raises(RuntimeMissingError, match=words):
        parse(text)


def test_arguments():
    found = arguments(
        "/d/n.tflite", threads=2, runs=5, library="/d/l.so", library_options="lrn:0", profile=True
    )
    assert found == [
        "--graph=/d/n.tflite",
        "--num_threads=2",
        "--num_runs=5",
        "--min_secs=0",
        "--warmup_runs=1",
        "--warmup_min_secs=0",
        "--external_delegate_path=/d/l.so",
        "--external_delegate_options=lrn:0",
        "--enable_op_profiling=true",
    ]
