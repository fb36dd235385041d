"""Holds exported ONNX models to what `stmc predict` gives, and every op of the op table to its definition, with onnxruntime.

    python3 tests/onnx/check.py

makes an environment of its own in target/onnx (pip downloads onnxruntime, numpy and safetensors), and runs the tests that
otherwise skip this comparison. What is written after it goes to cargo.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

root = Path(__file__).resolve().parents[2]
target = Path(os.environ.get("CARGO_TARGET_DIR", root / "target"))
python = target / "onnx" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
packages = ["onnxruntime", "numpy", "safetensors"]


def is_ready():
    imports = [python, "-c", "import onnxruntime, numpy, safetensors"]
    return python.exists() and subprocess.run(imports, capture_output=True).returncode == 0


if not is_ready():
    venv.create(target / "onnx", with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)

environment = {**os.environ, "STMC_ONNXRUNTIME": str(python)}
tests = [
    ["-p", "stmc", "--test", "export"],
    ["-p", "stmc-tests", "--test", "ops", "--test", "builtins"],
    ["-p", "stmc-tests", "--test", "precision", "every_device_rounds_alike"],
]
for test in tests:
    done = subprocess.run(["cargo", "test", "--release", *test, *sys.argv[1:]], cwd=root, env=environment)
    if done.returncode:
        sys.exit(done.returncode)
