"""One system in PyTorch or JAX, ready to take its turns: a line on standard input asks for so many steps, a line of JSON tells their times.

The models, their sizes and their batches are those of the folder named by STMC_REFERENCE (`oracle/models`, `peers/jax_models.py`, `peers/shapes.json`).
"""
import argparse, dataclasses, json, os, resource, sys, time

args = argparse.ArgumentParser(description=__doc__)
args.add_argument("--system", required=True)
args.add_argument("--variant", choices=["torch", "torch-channels-last", "torch-compile", "jax"], required=True)
args.add_argument("--size", default="laptop")
args.add_argument("--threads", type=int, required=True)
a = args.parse_args()

reference = os.environ["STMC_REFERENCE"]
sys.path[:0] = [os.path.join(reference, "oracle"), os.path.join(reference, "peers")]
os.environ.update(
    CUDA_VISIBLE_DEVICES="", JAX_PLATFORMS="cpu", OMP_NUM_THREADS=str(a.threads), MKL_NUM_THREADS=str(a.threads),
    TORCHINDUCTOR_COMPILE_THREADS="1", OMP_WAIT_POLICY="ACTIVE", TF_CPP_MIN_LOG_LEVEL="2",
)
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: a.threads])


def resident():
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def torch_step():
    import torch
    from models import REGISTRY

    torch.set_num_threads(a.threads)
    imported = resident()
    spec = REGISTRY[a.system]
    config = spec.presets[a.size]
    torch.manual_seed(0)
    model = spec.build(config).train()
    if a.variant == "torch-channels-last":
        model = model.to(memory_format=torch.channels_last)
    batch = spec.batch(config, torch.Generator().manual_seed(1))
    if a.variant == "torch-channels-last":
        batch = {k: v.to(memory_format=torch.channels_last) if v.ndim == 4 else v for k, v in batch.items()}
    rule = torch.optim.AdamW if spec.optim["kind"] == "adamw" else torch.optim.Adam
    optimizer = rule(model.parameters(), lr=spec.optim["lr"], weight_decay=spec.optim["weight_decay"], fused=True)
    loss_of = lambda batch: spec.loss(model, batch, config)[0]
    if a.variant == "torch-compile":
        loss_of = torch.compile(loss_of)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(batch)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step, config.batch, sum(p.numel() for p in model.parameters()), imported


def jax_step():
    import jax, jax.numpy as jnp, numpy as np
    import jax_models

    jax_models.UNROLL = a.system.startswith("convlstm")  # the gradient of a convolution in `lax.scan` is 20 times slower
    imported = resident()
    with open(os.path.join(reference, "peers", "shapes.json")) as shapes:
        system = json.load(shapes)[a.system]
    size = system["sizes"][a.size]
    config, rng = size["config"], np.random.default_rng(0)

    def weight(shape):
        bound = 2 / max(1, np.prod(shape[1:])) ** 0.5 if len(shape) > 1 else 0.1
        return jnp.asarray((rng.random(shape, dtype=np.float32) - 0.5) * bound + (1.0 if len(shape) == 1 else 0))

    def part(name, shape, dtype):
        if dtype == "int64":
            return jnp.asarray(rng.integers(0, config["classes"], shape))
        values = rng.random(shape, dtype=np.float32)
        if "mask" in name:
            values = (values < 0.5).astype(np.float32)
        if a.system.startswith("et_") and name == "y":
            values[rng.random(shape) < 0.1] = np.nan
        return jnp.asarray(values)

    weights = {name: weight(shape) for name, shape in size["params"].items()}
    batch = {name: part(name, shape, dtype) for name, (shape, dtype) in size["batch"].items()}
    first, second = (jax.tree.map(jnp.zeros_like, weights) for _ in range(2))
    state = [weights, first, second, jnp.zeros((), jnp.float32)]
    compiled = jax.jit(jax_models.adam_step(a.system, config, system["optim"]), donate_argnums=(0, 1, 2))
    compiled = compiled.lower(*state, batch).compile()

    def step():
        *state[:], loss = compiled(*state, batch)
        return float(loss)

    return step, config["batch"], size["nparams"], imported


began = time.perf_counter()
step, batch, parameters, imported = jax_step() if a.variant == "jax" else torch_step()
step()
compile_s = time.perf_counter() - began
step()
print(json.dumps({"ready": True, "batch": batch, "parameters": parameters, "compile": compile_s}), flush=True)
for line in sys.stdin:
    seconds = []
    for _ in range(int(line)):
        began = time.perf_counter()
        loss = step()
        seconds.append(time.perf_counter() - began)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "loss": loss, "memory": {"before": imported, "peak": peak}}), flush=True)
