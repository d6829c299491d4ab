"""The blocks of other packages that take an attention, and what in them it replaces.

How to find the place in a block: ``'norm norm3'`` is the normalisation that the block knows by that
name; ``'end conv2'`` the last normalisation in that part, or its last convolution where there is
none; ``'after'`` and ``'before'`` that part itself, where a lone word means the block; ``'sum'``
before that part and in place of the block's squeeze-and-excitation, if there is one.
"""
_MMDET, _MMPRETRAIN = 'mmdet.models', 'mmpretrain.models'
_OPENMMLAB = {
    f'{_MMDET}.backbones.resnet.BasicBlock': 'norm norm2',
    f'{_MMDET}.backbones.resnet.Bottleneck': 'norm norm3',
    f'{_MMDET}.backbones.darknet.ResBlock': 'end conv2',
    f'{_MMDET}.layers.csp_layer.DarknetBottleneck': 'end conv2',
    f'{_MMDET}.layers.csp_layer.CSPNeXtBlock': 'end conv2',
    f'{_MMDET}.layers.inverted_residual.InvertedResidual': 'end linear_conv',
    f'{_MMDET}.backbones.efficientnet.EdgeResidual': 'end conv2',
    f'{_MMPRETRAIN}.backbones.resnet.BasicBlock': 'norm norm2',
    f'{_MMPRETRAIN}.backbones.resnet.Bottleneck': 'norm norm3',
    f'{_MMPRETRAIN}.backbones.cspnet.DarknetBottleneck': 'end conv2',
    f'{_MMPRETRAIN}.utils.inverted_residual.InvertedResidual': 'end linear_conv',
    f'{_MMPRETRAIN}.backbones.efficientnet.EdgeResidual': 'end conv2',
    f'{_MMPRETRAIN}.backbones.mobilenet_v2.InvertedResidual': 'end conv',
    f'{_MMPRETRAIN}.backbones.shufflenet_v1.ShuffleUnit': 'end g_conv_1x1_expand',
    f'{_MMPRETRAIN}.backbones.shufflenet_v2.InvertedResidual': 'end branch2',
    f'{_MMPRETRAIN}.backbones.repvgg.RepVGGBlock': 'sum act',
    f'{_MMPRETRAIN}.backbones.mobileone.MobileOneBlock': 'after se',
    f'{_MMPRETRAIN}.backbones.convnext.ConvNeXtBlock': 'before drop_path',
    f'{_MMPRETRAIN}.backbones.van.VANBlock': 'after mlp',
    f'{_MMPRETRAIN}.backbones.poolformer.PoolFormerBlock': 'after mlp',
    f'{_MMPRETRAIN}.backbones.riformer.RIFormerBlock': 'after mlp',
    f'{_MMPRETRAIN}.backbones.hornet.HorNetBlock': 'after gnconv',
    f'{_MMPRETRAIN}.backbones.replknet.RepLKBlock': 'before drop_path',
    f'{_MMPRETRAIN}.backbones.replknet.ConvFFN': 'before drop_path',
    f'{_MMPRETRAIN}.backbones.convmixer.Residual': 'end fn',
    f'{_MMPRETRAIN}.backbones.conformer.ConvBlock': 'end bn3',
    f'{_MMPRETRAIN}.backbones.tinyvit.MBConvBlock': 'end conv3',
    f'{_MMPRETRAIN}.backbones.efficientformer.Meta4D': 'end mlp',
    f'{_MMPRETRAIN}.backbones.vig.Grapher': 'before drop_path',
    f'{_MMPRETRAIN}.backbones.vig.FFN': 'before drop_path',
    f'{_MMPRETRAIN}.backbones.densenet.DenseLayer': 'after conv2',
    **{f'{_MMPRETRAIN}.backbones.inception_v3.Inception{letter}': 'after' for letter in 'ABCDE'},
    'mmseg.models.backbones.resnet.BasicBlock': 'norm norm2',
    'mmseg.models.backbones.resnet.Bottleneck': 'norm norm3',
    'mmseg.models.utils.inverted_residual.InvertedResidual': 'end conv',
    'mmseg.models.utils.inverted_residual.InvertedResidualV3': 'end linear_conv',
}
_TORCHVISION = {f'torchvision.models.{block}': rule for block, rule in {
    'resnet.BasicBlock': 'end bn2',
    'resnet.Bottleneck': 'end bn3',
    'regnet.ResBottleneckBlock': 'end f',
    'efficientnet.MBConv': 'end block',
    'efficientnet.FusedMBConv': 'end block',
    'mobilenetv2.InvertedResidual': 'end conv',
    'mobilenetv3.InvertedResidual': 'end block',
    'shufflenetv2.InvertedResidual': 'end branch2',
    'mnasnet._InvertedResidual': 'end layers',
    'convnext.CNBlock': 'before stochastic_depth',
    'densenet._DenseLayer': 'after conv2',
    'squeezenet.Fire': 'after',
    'googlenet.Inception': 'after',
    **{f'inception.Inception{letter}': 'after' for letter in 'ABCDE'},
}.items()}
_TIMM = {f'timm.models.{block}': rule for block, rule in {
    'resnet.BasicBlock': 'end bn2',
    'resnet.Bottleneck': 'end bn3',
    'res2net.Bottle2neck': 'end bn3',
    'resnest.ResNestBottleneck': 'end bn3',
    'sknet.SelectiveKernelBasic': 'end conv2',
    'sknet.SelectiveKernelBottleneck': 'end conv3',
    'resnetv2.PreActBasic': 'after conv2',
    'resnetv2.PreActBottleneck': 'after conv3',
    'resnetv2.Bottleneck': 'end norm3',
    'nfnet.NormFreeBlock': 'after conv3',
    'regnet.Bottleneck': 'end conv3',
    'regnet.PreBottleneck': 'after conv3',
    'dla.DlaBasic': 'end bn2',
    'dla.DlaBottleneck': 'end bn3',
    'dla.DlaBottle2neck': 'end bn3',
    'cspnet.BottleneckBlock': 'end conv3',
    'cspnet.DarkBlock': 'end conv2',
    'cspnet.EdgeBlock': 'end conv2',
    'byobnet.BasicBlock': 'end conv2_kxk',
    'byobnet.BottleneckBlock': 'end conv3_1x1',
    'byobnet.DarkBlock': 'end conv2_kxk',
    'byobnet.EdgeBlock': 'end conv2_1x1',
    'byobnet.RepVggBlock': 'after attn',
    'byobnet.MobileOneBlock': 'after attn',
    '_efficientnet_blocks.DepthwiseSeparableConv': 'end bn2',
    '_efficientnet_blocks.InvertedResidual': 'end bn3',
    '_efficientnet_blocks.UniversalInvertedResidual': 'after dw_end',
    '_efficientnet_blocks.EdgeResidual': 'end bn2',
    'rexnet.LinearBottleneck': 'end conv_pwl',
    'tresnet.BasicBlock': 'end conv2',
    'tresnet.Bottleneck': 'end conv3',
    'vovnet.OsaBlock': 'after conv_concat',
    'hgnet.HighPerfGpuBlock': 'after aggregation',
    'convnext.ConvNeXtBlock': 'before drop_path',
    'edgenext.ConvBlock': 'before drop_path',
    'starnet.Block': 'end dwconv2',
    'densenet.DenseLayer': 'after conv2',
    **{f'inception_v3.Inception{letter}': 'after' for letter in 'ABCDE'},
    **{f'inception_v4.Inception{letter}': 'after' for letter in 'ABC'},
}.items()}
BLOCKS = {**_OPENMMLAB, **_TORCHVISION, **_TIMM}

# What an attention takes the place of.
SQUEEZE_EXCITATION = {
    f'{_MMDET}.layers.se_layer.SELayer', f'{_MMDET}.layers.se_layer.ChannelAttention',
    f'{_MMPRETRAIN}.utils.se_layer.SELayer', 'mmseg.models.utils.se_layer.SELayer',
    'torchvision.ops.misc.SqueezeExcitation',
    'timm.layers.squeeze_excite.SEModule', 'timm.layers.squeeze_excite.EffectiveSEModule',
    'timm.models._efficientnet_blocks.SqueezeExcite', 'timm.models.senet.SEModule',
    'timm.models.hgnet.EseModule',
}

# Attentions of other packages that somebody has chosen for the network.
ATTENTIONS = {
    'mmcv.cnn.bricks.context_block.ContextBlock', 'mmcv.cnn.bricks.non_local.NonLocal2d',
    'mmcv.cnn.bricks.generalized_attention.GeneralizedAttention',
    'timm.layers.eca.EcaModule', 'timm.layers.eca.CecaModule', 'timm.layers.cbam.CbamModule',
    'timm.layers.cbam.LightCbamModule', 'timm.layers.gather_excite.GatherExcite',
    'timm.layers.global_context.GlobalContext', 'timm.layers.non_local_attn.NonLocalAttn',
    'timm.layers.non_local_attn.BatNonLocalAttn',
}

# Networks without blocks: an attention before each pooling.
PLAIN = {f'{_MMPRETRAIN}.backbones.vgg.VGG', f'{_MMPRETRAIN}.backbones.alexnet.AlexNet',
         'mmcv.cnn.vgg.VGG', 'torchvision.models.vgg.VGG', 'torchvision.models.alexnet.AlexNet',
         'timm.models.vgg.VGG'}
