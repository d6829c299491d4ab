"""The networks that :func:`eca_mm.add_attention` supports, and where attentions go in them."""
from typing import Any

from mmengine.logging import MMLogger
from mmengine.registry import MODELS, DefaultScope

from eca_mm.backbones import add_attention
from eca_mm.utils.terminal import markdown_table

BEGIN, END = '<!-- networks: written by tools/analysis_tools/any_network.py -->', '<!-- end -->'
_BRANCHES = ((1, 'BOTTLENECK', (64,)), (2, 'BASIC', (32, 64)), (3, 'BASIC', (32, 64, 128)),
             (4, 'BASIC', (32, 64, 128, 256)))
_HRNET = {f'stage{branches}': dict(
    num_modules=modules, num_branches=branches, block=block, num_blocks=(4,) * branches,
    num_channels=channels)
    for (branches, block, channels), modules in zip(_BRANCHES, (1, 1, 4, 3), strict=True)}
_TRIDENT = dict(num_branch=3, test_branch_idx=1, num_stages=3, strides=(1, 2, 2),
                dilations=(1, 1, 1), trident_dilations=(1, 2, 3), out_indices=(2,))


def _net(kind: str, **options: Any) -> dict:
    return dict(type=kind, **options)


# By scope: the config of each network.
NETWORKS = {
    'mmdet': (
        _net('ResNet', depth=50), _net('ResNetV1d', depth=50),
        _net('ResNeXt', depth=50, groups=32, base_width=4),
        _net('Res2Net', depth=50, scales=4, base_width=26), _net('ResNeSt', depth=50),
        _net('RegNet', arch='regnetx_4.0gf'), _net('HRNet', extra=_HRNET),
        _net('Darknet', depth=53), _net('CSPDarknet', deepen_factor=.33, widen_factor=.5),
        _net('CSPNeXt', deepen_factor=.167, widen_factor=.375), _net('EfficientNet', arch='b0'),
        _net('MobileNetV2'), _net('HourglassNet'), _net('TridentResNet', depth=50, **_TRIDENT),
        _net('DetectoRS_ResNet', depth=50),
        _net('DetectoRS_ResNeXt', depth=50, groups=32, base_width=4),
        _net('SSDVGG', depth=16, ceil_mode=True, out_indices=(3, 4), out_feature_indices=(22, 34)),
        _net('YOLOXPAFPN', in_channels=[128, 256, 512], out_channels=128, num_csp_blocks=1),
        _net('CSPNeXtPAFPN', in_channels=[96, 192, 384], out_channels=96, num_csp_blocks=1)),
    'mmpretrain': (
        _net('ResNet', depth=50), _net('ResNetV1c', depth=50), _net('ResNetV1d', depth=50),
        _net('ResNet_CIFAR', depth=18), _net('ResNeXt', depth=50), _net('Res2Net', depth=50),
        _net('ResNeSt', depth=50), _net('RegNet', arch='regnetx_4.0gf'),
        _net('SEResNet', depth=50), _net('SEResNeXt', depth=50), _net('HRNet', arch='w18'),
        _net('CSPDarkNet', depth=53), _net('CSPResNet', depth=50), _net('CSPResNeXt', depth=50),
        _net('EfficientNet', arch='b0'), _net('EfficientNetV2', arch='s'), _net('MobileNetV2'),
        _net('MobileNetV3', arch='large'), _net('ShuffleNetV1'), _net('ShuffleNetV2'),
        _net('RepVGG', arch='A0'), _net('MobileOne', arch='s0'), _net('ConvNeXt', arch='tiny'),
        _net('VAN', arch='tiny'), _net('HorNet', arch='tiny'), _net('EdgeNeXt', arch='xxsmall'),
        _net('InceptionV3', aux_logits=False), _net('DenseNet', arch='121'), _net('VGG', depth=16),
        _net('MobileViT', arch='small'), _net('RepLKNet', arch='31B'),
        _net('ConvMixer', arch='768/32'), _net('Conformer', arch='tiny'),
        _net('TinyViT', arch='5m'), _net('EfficientFormer', arch='l1'), _net('Vig', arch='tiny'),
        _net('PoolFormer', arch='s12'), _net('RIFormer', arch='s12'), _net('AlexNet'))}


def describe(scope: str, network: dict) -> tuple[str, str, str, str]:
    """Put ECA into a network and say where it went.

    Args:
        scope (str): Scope that its name belongs to.
        network (dict): Its config.

    Returns:
        tuple[str, str, str, str]: The name with its options, the first attention's place, the
        number of attentions and the number of parameters added.
    """
    logger = MMLogger.get_current_instance()
    level = logger.level
    # Backbones tell at length what they were built with.
    logger.setLevel('ERROR')
    try:
        with DefaultScope.overwrite_default_scope(scope):
            model = MODELS.build(dict(network))
        report = add_attention(model, dict(type='ECALayer'))
    finally:
        logger.setLevel(level)
    place = next(iter(report.places.values()))
    option = next((str(network[key]) for key in ('depth', 'arch') if key in network), '')
    name = f'`{scope}.{network["type"]}`' + (f', {option}' if option else '')
    words, _, where = place.rpartition(' ')
    return (name, f'{words} `{where}`', str(len(report.layers)),
            f'{report.num_parameters:,}')


def networks_table() -> str:
    """Describe all known networks.

    Returns:
        str: A table in Markdown, between its marks.
    """
    rows = [describe(scope, network) for scope, networks in NETWORKS.items()
            for network in networks]
    table = markdown_table(('network', 'first place', 'attentions', 'parameters'), rows, 'llrr',
                           compact=True)
    return f'{BEGIN}\n{table.rstrip()}\n{END}\n'
