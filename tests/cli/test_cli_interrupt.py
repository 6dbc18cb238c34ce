"""An interrupted command leaves the process that called it able to go on."""

from __future__ import annotations

from joblib import Parallel, delayed

import qcnn_tflite


def test_parallel_work_goes_on_after_an_interrupted_command(command, nets, monkeypatch):
    assert Parallel(n_jobs=2)(delayed(abs)(-i) for i in range(4)) == [0, 1, 2, 3]

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(qcnn_tflite, "convert", interrupted)
    for _ in range(5):
        assert command("convert", nets / "float.tflite").code == 130
        assert Parallel(n_jobs=2)(delayed(abs)(-i) for i in range(4)) == [0, 1, 2, 3]
