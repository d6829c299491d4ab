"""What the tests of check_config share."""
import copy

from mmengine.config import Config

from eca_mm.config_check import check_config

NECK = {18: [64, 128, 256, 512], 50: [256, 512, 1024, 2048]}


def find(config: Config, gpus: int | None = None) -> list[tuple[str, str, str]]:
    return [(f.level, f.check, f.where) for f in check_config(config, gpus)]


def changed(config: Config, changes: dict) -> Config:
    config = copy.deepcopy(config)
    config.merge_from_dict(changes)
    return config
