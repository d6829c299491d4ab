"""What the tests of inference forms share."""
import torch
from torch import Tensor, nn


def randomize(model: nn.Module) -> nn.Module:
    """Random BN statistics; weights that neither hide the residual branches nor blow them up."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.weight, .1, .3)
            nn.init.uniform_(module.bias, -.2, .2)
            nn.init.uniform_(module.running_mean, -.2, .2)
            nn.init.uniform_(module.running_var, .5, 1.5)
    # MMPretrain's eval() does not return the model.
    model.eval()
    return model


@torch.no_grad()
def relative_difference(expected: Tensor, value: Tensor) -> float:
    """Norm of the difference beside that of what is expected."""
    difference = (value.double() - expected.double()).norm()
    return float(difference / expected.double().norm())
