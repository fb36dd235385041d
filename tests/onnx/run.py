"""Runs every ONNX model of a folder: python run.py FOLDER

Inputs are in FOLDER/inputs.safetensors, named `model/input`; outputs go to FOLDER/outputs.safetensors, named
`model/output`. A model that does not run goes to FOLDER/errors.txt.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
from safetensors.numpy import load_file, save_file

folder = Path(sys.argv[1])
given = load_file(folder / "inputs.safetensors")
options = ort.SessionOptions()
options.log_severity_level = 3
options.intra_op_num_threads = 1
types = {"tensor(float)": np.float32, "tensor(int32)": np.int32, "tensor(bool)": np.bool_}
outputs, errors = {}, []
for path in sorted(folder.glob("*.onnx")):
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        inputs = {i.name: given[f"{path.stem}/{i.name}"].astype(types[i.type]) for i in session.get_inputs()}
        results = session.run(None, inputs)
    except Exception as error:
        errors.append(f"{path.stem}: {str(error).splitlines()[0]}")
        continue
    for port, value in zip(session.get_outputs(), results):
        outputs[f"{path.stem}/{port.name}"] = np.ascontiguousarray(value)
save_file(outputs, folder / "outputs.safetensors")
(folder / "errors.txt").write_text("".join(f"{line}\n" for line in errors))
