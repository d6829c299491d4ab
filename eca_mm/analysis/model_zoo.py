"""The table of all models, from the metafiles."""
from pathlib import Path

import yaml

# Configs that a file published by the authors loads into.
_AUTHORS = {
    'eca-resnet18-k3577_4xb64_in1k', 'eca-resnet34-k3357_4xb64_in1k',
    'eca-resnet50-k3557_4xb64_in1k', 'eca-resnet101-k3357_4xb64_in1k',
    'eca-resnet152-k3357_4xb64_in1k', 'eca-mobilenet-v2-k13_4xb24_in1k',
    *(f'{detector}_eca-{depth}_fpn_4xb2-1x_coco'
      for detector in ('faster-rcnn', 'mask-rcnn', 'retinanet') for depth in ('r50', 'r101'))}
# Those that torchvision has weights of.
_TORCHVISION = {*(f'resnet{depth}_4xb64_in1k' for depth in (18, 34, 50, 101, 152)),
                'mobilenet-v2_4xb24_in1k'}
_METRICS = {'Top 1 Accuracy': 'top-1', 'Top 5 Accuracy': 'top-5', 'box AP': 'box AP',
            'mask AP': 'mask AP'}
_HEAD = """# Model zoo

All models that have a config here. Parameters and FLOPs (multiply-adds of one image; classifiers
at 224 x 224, Inception-v3 at 299 x 299, detectors at 800 x 1280) are recomputed by a test.
**Accuracies are those published elsewhere**, by the paper or for timm's weights; none of them was
measured here.

Weights: *authors* is a file of ECA-Net's authors, converted by
`tools/model_converters/ecanet_to_eca_mm.py`; a name of timm's is converted by `timm_to_eca_mm.py`;
*torchvision* stands for its weights of the plain network, converted by `torchvision_to_eca_mm.py`,
which reach other accuracies than those of the paper; *train* means that there are none and
`tools/train.py` makes them. See [checkpoints.md](checkpoints.md).

This page is written by `python tools/analysis_tools/model_zoo.py`.
"""


def model_zoo(index: Path) -> str:
    """Write the table of all models.

    Args:
        index (Path): The ``model-index.yml``; the metafiles that it imports lie beside it.

    Returns:
        str: A page of Markdown with one table per metafile.
    """
    parts = [_HEAD]
    for name in yaml.safe_load(index.read_text())['Import']:
        content = yaml.safe_load((index.parent / name).read_text())
        rows = [_row(model) for model in content['Models']]
        parts.append('\n'.join([
            f'## {content["Collections"][0]["Name"]}', '',
            '| config | parameters | FLOPs | published | weights |',
            '| --- | ---: | ---: | --- | --- |', *rows]) + '\n')
    return '\n'.join(parts)


def _row(model: dict) -> str:
    data = model['Metadata']
    metrics = {name: value for result in model.get('Results', ())
               for name, value in result['Metrics'].items()}
    published = ', '.join(f'{_METRICS[name]} {value:.{1 if "AP" in name else 2}f}'
                          for name, value in metrics.items())
    weights = data.get('Source of Weights', '').partition(',')[0].removeprefix("timm's ")
    if model['Name'] in _AUTHORS:
        weights = 'authors'
    elif model['Name'] in _TORCHVISION:
        weights = 'torchvision'
    return (f'| [{model["Name"]}](../{model["Config"]}) | {data["Parameters"] / 1e6:.3f} M '
            f'| {data["FLOPs"] / 1e9:.3f} G | {published or "-"} | {weights or "train"} |')
