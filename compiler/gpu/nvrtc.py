#!/usr/bin/env python3
"""Compiles emitted CUDA C++ with NVRTC and ptxas, without a GPU, and reports registers and spills.

    nvrtc.py kernel.cu ... [--arch sm_80 --arch sm_90] [--environment target/nvrtc]

The compilers come from PyPI wheels, installed on the first run into a virtual environment. The exit code is 1
when a kernel does not compile, 2 when it spills and --no-spills was given.
"""

import argparse
import ctypes
import pathlib
import re
import subprocess
import sys
import venv

WHEELS = [
    "nvidia-cuda-nvrtc-cu12==12.9.86",
    "nvidia-cuda-runtime-cu12==12.9.79",
    "nvidia-cuda-nvcc-cu12==12.9.86",
    "nvidia-cuda-cccl-cu12==12.9.27",
]


def install(environment: pathlib.Path) -> pathlib.Path:
    """The folder of the NVIDIA wheels, installed if it is not there yet."""
    found = list(environment.glob("lib/python3*/site-packages/nvidia"))
    if not found:
        venv.create(environment, with_pip=True)
        pip = environment / "bin" / "pip"
        subprocess.run([pip, "install", "--quiet", "--disable-pip-version-check", *WHEELS], check=True)
        found = list(environment.glob("lib/python3*/site-packages/nvidia"))
    return found[0]


class Nvrtc:
    """The run-time compiler: CUDA C++ to PTX."""

    def __init__(self, wheels: pathlib.Path):
        self.library = ctypes.CDLL(str(wheels / "cuda_nvrtc/lib/libnvrtc.so.12"))
        self.includes = [wheels / "cuda_runtime/include", wheels / "cuda_cccl/include"]

    def compile(self, source: bytes, arch: str) -> tuple[bytes | None, str]:
        """The PTX, or None and the compiler's log."""
        program = ctypes.c_void_p()
        self.library.nvrtcCreateProgram(ctypes.byref(program), source, b"kernel.cu", 0, None, None)
        flags = [f"--gpu-architecture={arch.replace('sm', 'compute')}", *(f"-I{path}" for path in self.includes)]
        encoded = (ctypes.c_char_p * len(flags))(*(flag.encode() for flag in flags))
        failed = self.library.nvrtcCompileProgram(program, len(flags), encoded)
        log = self.text(program, "ProgramLog").decode(errors="replace")
        ptx = None if failed else self.text(program, "PTX")
        self.library.nvrtcDestroyProgram(ctypes.byref(program))
        return ptx, log

    def text(self, program: ctypes.c_void_p, what: str) -> bytes:
        size = ctypes.c_size_t()
        getattr(self.library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value)
        getattr(self.library, f"nvrtcGet{what}")(program, text)
        return text.value


def assemble(wheels: pathlib.Path, ptx: bytes, arch: str, target: pathlib.Path) -> tuple[int, int, int] | str:
    """Registers and spilled bytes (stores, loads) of one kernel, or ptxas's complaint."""
    target.write_bytes(ptx)
    command = [wheels / "cuda_nvcc/bin/ptxas", "-v", f"-arch={arch}", target, "-o", target.with_suffix(".cubin")]
    result = subprocess.run(command, capture_output=True, text=True)
    report = result.stdout + result.stderr
    if result.returncode:
        return report
    registers = re.search(r"Used (\d+) registers", report)
    spills = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", report)
    return int(registers[1]), *(map(int, spills.groups()) if spills else (0, 0))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", type=pathlib.Path)
    parser.add_argument("--arch", action="append", help="sm_80 and sm_90 if not given")
    parser.add_argument("--environment", type=pathlib.Path, default=pathlib.Path("target/nvrtc"))
    parser.add_argument("--no-spills", action="store_true")
    options = parser.parse_args()
    options.environment.mkdir(parents=True, exist_ok=True)
    wheels = install(options.environment)
    nvrtc = Nvrtc(wheels)
    failures = spilling = 0
    for source in options.sources:
        for arch in options.arch or ["sm_80", "sm_90"]:
            ptx, log = nvrtc.compile(source.read_bytes(), arch)
            outcome = assemble(wheels, ptx, arch, options.environment / f"{source.stem}.{arch}.ptx") if ptx else log
            if isinstance(outcome, str):
                failures += 1
                print(f"{source} {arch}: does not compile\n{outcome}")
                continue
            registers, stores, loads = outcome
            spilling += stores + loads > 0
            print(f"{source} {arch}: {registers} registers, spills {stores} B stored, {loads} B loaded")
    if failures:
        return 1
    return 2 if spilling and options.no_spills else 0


if __name__ == "__main__":
    sys.exit(main())
