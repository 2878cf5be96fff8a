"""These tests need TensorFlow; without it they are skipped, unless BRAMBLE_REQUIRE_AUTHORING=1 says that it must be there."""

from __future__ import annotations

import importlib
import os
import warnings

# TensorFlow looks for a GPU, and its helpers warn about themselves, before any test begins
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
        importlib.import_module("tensorflow")
    except ModuleNotFoundError:
        if os.environ.get("BRAMBLE_REQUIRE_AUTHORING") == "1":
            raise
