"""How often torch.compile may compile the code of one class."""
import torch


def allow_recompilation(networks: int) -> None:
    """Let several networks that share classes be compiled in one process.

    Args:
        networks (int): Number of networks.
    """
    torch._dynamo.config.cache_size_limit = max(
        torch._dynamo.config.cache_size_limit, 64, 8 * networks)
