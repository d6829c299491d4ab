"""What the tests of all backbones share."""
import torch
from torch import nn


def randomize_norms(model: nn.Module, seed: int = 0) -> None:
    """Give every BN random statistics and weights; zeros would hide the residual branches."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in ((module.weight.data, 0.1, 0.3), (module.bias.data, -0.2, 0.2),
                                      (module.running_mean, -0.2, 0.2), (module.running_var, 0.5,
                                                                        1.5)):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)


def snapshot(model: nn.Module) -> dict:
    """A copy of all parameters and buffers."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def train_step(model: nn.Module, x: torch.Tensor) -> None:
    """One SGD step on the sum of all outputs."""
    model.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    sum((out**2).mean() for out in model(x)).backward()
    optimizer.step()


def changed(model: nn.Module, before: dict) -> set:
    """Names of the parameters and buffers that differ from a snapshot."""
    return {name for name, value in model.state_dict().items() if not value.equal(before[name])}
