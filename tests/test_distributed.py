"""Learning on a cluster gives the same bytes as on this machine alone."""

from __future__ import annotations

import joblib
import pytest
from small_network import float_model, images

import qcnn_tflite

# Part of the development extras; users bring their own.
distributed = pytest.importorskip("distributed")

CONFIG = {
    "preset": "paper",
    "min_weights": 500,
    "conv": {"d": 4, "K": 16},
    "fc": {"d": 4, "K": 16},
    "last_fc": {"d": 2, "K": 16},
    "learning": {"sweeps": 1},
}


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def test_dask(client, tmp_path):
    path = tmp_path / "small.tflite"
    path.write_bytes(float_model())
    here = qcnn_tflite.convert(path, config=CONFIG, calibration=images(40), jobs=1)
    with joblib.parallel_config(backend="dask"):
        there = qcnn_tflite.convert(path, config=CONFIG, calibration=images(40))
    assert there.model == here.model
    # It was the cluster that did the work: its scheduler has seen our tasks.
    assert _tasks_done(client) > 0


def _tasks_done(client):
    def count(dask_scheduler):
        return sum(
            prefix.state_counts["memory"] + prefix.state_counts["forgotten"]
            for prefix in dask_scheduler.task_prefixes.values()
        )

    return client.run_on_scheduler(count)
