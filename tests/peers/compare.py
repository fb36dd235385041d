#!/usr/bin/env python3
"""Whole training steps of ours beside those of PyTorch and JAX: the same models, sizes, batches and threads, in turns on one machine.

    STMC_REFERENCE=DIR python3 tests/peers/compare.py --torch VENV --jax VENV [--size laptop|full] [--threads 1 2] [--systems NAME ...] [--rounds 5]
    python3 tests/peers/compare.py --table                     the table of what was measured

VENV are virtual environments: `pip install torch` in one, `pip install "jax[cpu]"` in the other. The systems are the programs of `tests/oracle`,
with the sizes in `systems.json`. All workers of a system live side by side, and whoever has no turn is stopped (SIGSTOP), so that waiting threads
disturb nobody. Results are appended to a table of JSON lines (`target/peers.jsonl`) as each system ends: what is there already is not measured
again; delete a line to do so.
"""
import argparse, json, math, os, signal, statistics, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
OURS = "stmc"
TORCH = ["torch", "torch-channels-last", "torch-compile"]
WITHOUT_JAX = ["climate_conv3d", "heart_cnn_2d", "heart_transformer_2d"]
STATE = 16  # bytes of a weight, its gradient and two moments

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--torch", metavar="VENV")
parser.add_argument("--jax", metavar="VENV")
parser.add_argument("--stmc", default=os.path.join(ROOT, "target/release/stmc"))
parser.add_argument("--size", default="laptop", choices=["laptop", "full"])
parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
parser.add_argument("--systems", nargs="+")
parser.add_argument("--variants", nargs="+", default=[*TORCH, "jax"])
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--seconds", type=float, default=2, help="of a turn, about")
parser.add_argument("--table", action="store_true")
parser.add_argument("--log", default=os.path.join(ROOT, "target/peers.jsonl"))


class Worker:
    """A process that times steps when it has its turn."""

    def __init__(self, command, environment):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.ready = self.read()
        self.results = []
        self.pause()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a worker ended with code {self.process.wait()}")
        return json.loads(line)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def turn(self, steps):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        self.results.append(self.read())
        self.pause()
        return self.results[-1]

    def end(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.close()
        self.process.wait()


def worker(variant, system, size, threads, a):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OMP_")}
    if variant == OURS:
        settings = json.load(open(os.path.join(HERE, "systems.json")))[system][size].split()
        program = os.path.join(ROOT, "tests/oracle", f"{system}.stm")
        command = ["taskset", "-c", ",".join(map(str, sorted(os.sched_getaffinity(0))[:threads])), a.stmc, "bench", program, "--step", "--json", "--turns"]
        command += ["--samples", "2", "--threads", str(threads), *(part for s in settings for part in ("--set", s))]
    else:
        python = os.path.join(a.jax if variant == "jax" else a.torch, "bin/python")
        size = {"full": "seed"}.get(size, size)
        command = [python, os.path.join(HERE, "worker.py"), "--system", system, "--variant", variant, "--size", size, "--threads", str(threads)]
    return Worker(command, environment)


def measure(system, threads, a):
    """Rounds of turns. The median over rounds of each round's median counts."""
    workers = {}
    for variant in [OURS, *a.variants]:
        if variant == "jax" and system in WITHOUT_JAX:
            continue
        try:
            workers[variant] = worker(variant, system, a.size, threads, a)
        except (RuntimeError, OSError) as error:
            print(f"{system}: {variant}: {error}", file=sys.stderr)
    for _ in range(a.rounds):
        for w in workers.values():
            known = w.results[-1]["seconds"] if w.results else w.turn(1)["seconds"]
            w.turn(max(3, min(200, math.ceil(a.seconds / statistics.median(known)))))
    line = {"system": system, "size": a.size, "threads": threads, "rounds": a.rounds, "variants": {}}
    for variant, w in workers.items():
        w.end()
        turns = [r["seconds"] for r in w.results[1:]]
        medians = [statistics.median(t) for t in turns]
        memory = w.results[-1]["memory"]
        result = {"seconds": statistics.median(medians), "min": min(map(min, turns)), "rounds": medians}
        result["memory"] = memory["peak"] - (memory["before"] or 0)
        if variant == OURS:
            first = w.ready
            line.update(parameters=first["parameters"], batch=first["batch"], flops=first["flops"], bytes=first["bytes"], roof=first["roof"])
            result["compile"] = sum(first["compile"].values())
            result["planned"] = memory["planned"]
        else:
            result["compile"] = w.ready["compile"]
        line["variants"][variant] = result
    return line


def table(lines):
    """Ratios above 1: ours is faster. Memory is what goes beyond weights, gradients, moments and what imports took."""
    out = []
    for size, threads in sorted({(l["size"], l["threads"]) for l in lines}):
        group = [l for l in lines if (l["size"], l["threads"]) == (size, threads)]
        out.append(f"\n{size} sizes, {threads} thread{'s' if threads > 1 else ''}: seconds in ms, medians\n")
        out.append(f"{'system':22}{'ours':>9}{'torch':>9}{'last':>9}{'compile':>9}{'jax':>9}{'/torch':>8}{'/jax':>7}{'roof':>9}{'of it':>7}{'memory':>9}{'torch':>9}")
        ratios = {"torch": [], "jax": []}
        for l in group:
            v = {k: x["seconds"] for k, x in l["variants"].items()}
            best = min((v[t] for t in TORCH if t in v), default=None)
            cells = [f"{1e3 * v[k]:9.2f}" if k in v else f"{'-':>9}" for k in [OURS, *TORCH, "jax"]]
            for name, other, width in (("torch", best, 8), ("jax", v.get("jax"), 7)):
                if other:
                    ratios[name].append(other / v[OURS])
                cells.append(f"{other / v[OURS]:{width - 1}.2f}x" if other else f"{'-':>{width}}")
            roof = l["roof"]["seconds"]
            cells.append(f"{1e3 * roof:9.2f}{100 * roof / v[OURS]:6.0f}%")
            beyond = lambda k: max(0, l["variants"][k]["memory"] - STATE * l["parameters"]) / 2**20
            cells += [f"{beyond(k):8.0f}M" if k in v else f"{'-':>9}" for k in (OURS, "torch")]
            out.append(f"{l['system']:22}" + "".join(cells))
        mean = lambda r: f"{math.exp(sum(map(math.log, r)) / len(r)):.2f}x (least {min(r):.2f}x)" if r else "-"
        out.append(f"geometric mean: {mean(ratios['torch'])} of the best PyTorch, {mean(ratios['jax'])} of JAX")
    return "\n".join(out)


def main():
    a = parser.parse_args()
    lines = [json.loads(line) for line in open(a.log)] if os.path.exists(a.log) else []
    if not a.table:
        if "STMC_REFERENCE" not in os.environ:
            sys.exit("STMC_REFERENCE must name the folder that holds the peers' models")
        systems = a.systems or list(json.load(open(os.path.join(HERE, "systems.json"))))
        for threads in a.threads:
            for system in systems:
                if any((l["system"], l["size"], l["threads"]) == (system, a.size, threads) for l in lines):
                    continue
                lines.append(measure(system, threads, a))
                os.makedirs(os.path.dirname(a.log), exist_ok=True)
                with open(a.log, "a") as log:
                    log.write(json.dumps(lines[-1]) + "\n")
                print({k: round(1e3 * x["seconds"], 2) for k, x in lines[-1]["variants"].items()}, system, threads, flush=True)
    print(table(lines))


if __name__ == "__main__":
    main()
