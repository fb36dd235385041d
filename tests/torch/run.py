"""A network of PyTorch, the twin of compiler/stmc/tests/programs/twin.stm: python run.py make|load FOLDER

`make` saves its state dict as FOLDER/theirs.safetensors and what goes in and comes out as FOLDER/inputs.safetensors and
FOLDER/outputs.safetensors. `load` takes the weights of FOLDER/ours.safetensors, by the names of FOLDER/names.toml, and
writes FOLDER/outputs.safetensors anew.
"""

import sys
import tomllib
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn


class Twin(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 3, stride=2, padding=1)
        )
        self.gru = nn.GRU(6, 8, num_layers=2, bidirectional=True, batch_first=True)
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 3)

    def forward(self, film):
        samples, steps = film.shape[:2]
        seen = self.encoder(film.flatten(0, 1)).mean((2, 3)).view(samples, steps, 6)
        told, _ = self.gru(seen)
        told = self.norm(told + self.attention(told, told, told)[0])
        return self.head(told[:, -1])


command, folder = sys.argv[1], Path(sys.argv[2])
torch.manual_seed(5)
twin = Twin()
if command == "make":
    # Running statistics and all that is drawn as 0 or 1 get values of their own.
    with torch.no_grad():
        for p in twin.parameters():
            p.add_(0.1 * torch.randn_like(p))
    twin(torch.randn(4, 5, 2, 8, 8))
    save_file(twin.state_dict(), folder / "theirs.safetensors")
    save_file({"film": torch.randn(3, 5, 2, 8, 8)}, folder / "inputs.safetensors")
else:
    ours = load_file(folder / "ours.safetensors")
    renames = tomllib.loads((folder / "names.toml").read_text())["rename"]
    theirs = {renames.get(name, name): tensor for name, tensor in ours.items() if not name.startswith("fit.")}
    found = twin.load_state_dict(theirs, strict=False)
    counters = [name for name in found.missing_keys if not name.endswith("num_batches_tracked")]
    assert not counters and not found.unexpected_keys, found
twin.eval()
with torch.no_grad():
    outputs = twin(load_file(folder / "inputs.safetensors")["film"])
save_file({"scores": outputs}, folder / "outputs.safetensors")
