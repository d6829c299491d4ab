"""A Sphinx extension that makes the model zoo a page to filter, sort and compare models on.

The table is plain HTML from the metafiles, readable without scripts; ``_static/model_zoo.js`` adds
filters, sorting, the chart and copying.
"""
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from modelindex.models.Model import Model
from project_urls import REPOSITORY

from eca_mm.analysis.model_zoo import load_families

ROOT = Path(__file__).resolve().parents[2]
INDEX = ROOT / 'model-index.yml'
_SOURCE = f'{REPOSITORY}/blob/main/configs/'
_DETECTORS = {'faster-rcnn': 'Faster R-CNN', 'mask-rcnn': 'Mask R-CNN', 'retinanet': 'RetinaNet',
              'cascade-rcnn': 'Cascade R-CNN', 'cascade-mask-rcnn': 'Cascade Mask R-CNN',
              'fcos': 'FCOS', 'atss': 'ATSS', 'gfl': 'GFL', 'sparse-rcnn': 'Sparse R-CNN',
              'deformable-detr': 'Deformable DETR', 'solov2': 'SOLOv2', 'rtmdet': 'RTMDet',
              'rtmdet-ins': 'RTMDet-Ins', 'yolox': 'YOLOX'}
# Detectors that are named by the size of their own backbone.
_OWN_BACKBONES = {'rtmdet': 'CSPNeXt', 'rtmdet-ins': 'CSPNeXt', 'yolox': 'CSPDarknet'}
_SEGMENTATION = 'Instance segmentation'
_TASKS = {'mask-rcnn': f'Object detection|{_SEGMENTATION}',
          'rtmdet-ins': f'Object detection|{_SEGMENTATION}',
          'cascade-mask-rcnn': f'Object detection|{_SEGMENTATION}', 'solov2': _SEGMENTATION}
_ATTENTIONS = {'eca-ns': 'ECA-NS', 'eca-cbam': 'ECA, spatial', 'scse': 'scSE', 'eca': 'ECA',
               'se': 'SE', 'cbam': 'CBAM', 'gc': 'GC', 'a2': 'A2',
               'aa': 'AA', 'gsop': 'GSoP', 'nl': 'Non-local', **{
                   f'se-{kind}{i}': f'SE-{title}{i}' for kind, title in
                   (('var', 'Var'), ('gc', 'GC')) for i in (1, 2, 3)}}
_NETWORKS = {'resnet': 'ResNet', 'r': 'ResNet', 'resnext': 'ResNeXt', 'densenet': 'DenseNet',
             'mobilenet-v2': 'MobileNetV2', 'mobilenet-v3': 'MobileNetV3',
             'inception-v3': 'Inception-v3', 'resnest': 'ResNeSt', 'res2net': 'Res2Net',
             'regnetx': 'RegNetX', 'efficientnet': 'EfficientNet', 'convnext': 'ConvNeXt',
             'vovnet': 'VoVNet'}
_NAME = re.compile(rf'(?:({"|".join(sorted(_ATTENTIONS, key=len, reverse=True))})-)?'
                   rf'({"|".join(sorted(_NETWORKS, key=len, reverse=True))})'
                   r'(\d+[a-z]*|-(?:light|tiny|small|large|b\d|[\d.]+gf))?(?:-|_|$)')
_SIZE = re.compile(rf'(?:({"|".join(sorted(_ATTENTIONS, key=len, reverse=True))})-)?([a-z]+)_')
# Two streams, with what fuses them or the one that is used alone.
_STREAMS = re.compile(r'2xr(\d+)-([a-z]+)_')
_METRICS = {'top1': 'Top 1 Accuracy', 'box': 'box AP', 'mask': 'mask AP'}


@dataclass(frozen=True)
class Entry:
    """One row of the page.

    Attributes:
        name (str): The config's name.
        base (str): What a config inherits it by, e.g. ``'eca_mm::eca_resnet/....py'``.
        task (str): What the model does, several separated by ``|``.
        detector (str): The detector, ``''`` for a classifier.
        backbone (str): E.g. ``'ResNet-50'``.
        attention (str): E.g. ``'ECA'``, or ``'none'``.
        parameters (int): Number of trainable parameters.
        flops (int): Multiply-adds of one image.
        metrics (dict[str, float]): Published accuracies by ``top1``, ``box`` and ``mask``.
        source (str): Who published them.
        weights (str): Whose weights are available, or ``'train'``.
    """

    name: str
    base: str
    task: str
    detector: str
    backbone: str
    attention: str
    parameters: int
    flops: int
    metrics: dict[str, float]
    source: str
    weights: str


def entries(index: Path = INDEX) -> list[Entry]:
    """Read all models.

    Args:
        index (Path): The ``model-index.yml``.

    Returns:
        list[Entry]: In the order of the file.
    """
    return [_entry(model, family.folder.name)
            for family in load_families(index) for model in family.models]


def _entry(model: Model, folder: str) -> Entry:
    detector, _, rest = model.name.partition('_')
    if detector not in _DETECTORS:
        detector, rest = '', model.name
    streams, match = _STREAMS.match(rest), _NAME.match(rest)
    own = _SIZE.match(rest) if detector in _OWN_BACKBONES else None
    if streams:
        match = _NAME.match(f'{streams[2]}-r{streams[1]}' if streams[2] in _ATTENTIONS
                            else f'r{streams[1]}')
    if match is None and own is None:
        raise ValueError(f'The name {model.name} contains no known backbone: extend _NETWORKS or '
                         f'_ATTENTIONS in {__file__}.')
    if own:
        attention, backbone = own[1], f'{_OWN_BACKBONES[detector]}-{own[2]}'
    else:
        attention, network, depth = match.groups()
        backbone = '-'.join([_NETWORKS[network], *([depth.lstrip('-')] if depth else [])])
    if streams and streams[2] not in ('frames', 'events'):
        backbone = f'2 x {backbone}'
    values = {name: value for result in model.results or () for name, value in
              result.metrics.items()}
    data = model.metadata.data
    task = _TASKS.get(detector, 'Object detection') if detector else 'Classification'
    return Entry(model.name, f'eca_mm::{folder}/{Path(model.config).name}', task,
                 _DETECTORS.get(detector, ''), backbone, _ATTENTIONS.get(attention, 'none'),
                 data['Parameters'], data['FLOPs'],
                 {key: values[name] for key, name in _METRICS.items() if name in values},
                 data.get('Source of Results', ''),
                 data.get('Source of Weights', 'train').partition(',')[0])


def _row(entry: Entry) -> str:
    base = f"_base_ = '{entry.base}'"
    accuracy = ''.join(
        f'<td class="number" data-value="{entry.metrics.get(key, "")}"'
        f' title="{escape(entry.source if key in entry.metrics else "not published")}">'
        + (f'{entry.metrics[key]:.{2 if key == "top1" else 1}f}' if key in entry.metrics else
           '<span aria-label="not published">-</span>') + '</td>' for key in _METRICS)
    source = _SOURCE + entry.base.removeprefix('eca_mm::')
    return (f'<tr data-task="{entry.task}" data-backbone="{entry.backbone}" data-attention='
            f'"{entry.attention}" data-detector="{entry.detector}" data-name="{entry.name}">'
            f'<th scope="row" data-value="{entry.name}"><a href="{source}">{entry.name}</a></th>'
            f'<td><button type="button" class="zoo-copy" data-copy="{escape(base)}" hidden '
            f'aria-label="Copy the _base_ line of {entry.name}">copy</button></td>'
            f'<td>{entry.detector or "Classifier"}</td><td>{entry.backbone}</td>'
            f'<td>{entry.attention}</td>'
            f'<td class="number" data-value="{entry.parameters}">{entry.parameters / 1e6:.2f}</td>'
            f'<td class="number" data-value="{entry.flops}">{entry.flops / 1e9:.2f}</td>{accuracy}'
            f'<td>{escape(entry.weights)}</td></tr>')


def _select(name: str, label: str, options: list[str]) -> str:
    items = ''.join(f'<option value="{option}">{option}</option>' for option in options)
    return (f'<label for="zoo-{name}">{label}</label><select id="zoo-{name}" data-filter="{name}">'
            f'<option value="">all</option>{items}</select>')


def render(models: list[Entry]) -> str:
    """Write the page's HTML.

    Args:
        models (list[Entry]): The rows.

    Returns:
        str: Filters, chart and table; filters and chart are hidden until the script runs.
    """
    def values(attribute: str) -> list[str]:
        found = {part for entry in models for part in getattr(entry, attribute).split('|')}
        return sorted(found, key=lambda text: [int(part) if part.isdigit() else part.lower()
                                               for part in re.split(r'(\d+)', text)])

    columns = [('Config', 'name'), ('<code>_base_</code>', None), ('Model', ''), ('Backbone', ''),
               ('Attention', ''), ('Params (M)', 'parameters'), ('FLOPs (G)', 'flops'),
               ('Top-1 (%)', 'top1'), ('Box AP', 'box'), ('Mask AP', 'mask'), ('Weights', '')]
    header = ''.join(f'<th scope="col"{"" if key is None else " data-sortable"}'
                     f'{f" data-key={key}" if key else ""}'
                     f'{" class=number" if key and key != "name" else ""}>{title}</th>'
                     for title, key in columns)
    rows = '\n'.join(map(_row, models))
    return f'''<div class="zoo" id="zoo">
<form class="zoo-controls" id="zoo-controls" hidden aria-label="Filters">
<div>{_select('task', 'Task', values('task'))}</div>
<div>{_select('backbone', 'Backbone', values('backbone'))}</div>
<div>{_select('attention', 'Attention', values('attention'))}</div>
<div><label for="zoo-search">Name contains</label><input type="search" id="zoo-search"></div>
<div><button type="reset">Reset</button></div>
<p id="zoo-count" role="status"></p>
</form>
<figure class="zoo-chart" id="zoo-chart" hidden>
<div class="zoo-axes">
<div><label for="zoo-y">Accuracy</label><select id="zoo-y">
<option value="top1">ImageNet top-1 (%)</option><option value="box">COCO box AP</option>
<option value="mask">COCO mask AP</option></select></div>
<div><label for="zoo-x">Cost</label><select id="zoo-x">
<option value="parameters">parameters (M)</option><option value="flops">FLOPs (G)</option>
</select></div></div>
<div id="zoo-plot"></div><div id="zoo-legend"></div>
<figcaption>Published accuracy against cost of the models below. Arrow keys move from point to
point, Enter goes to the model's row. Lines join one attention on backbones of one
kind.</figcaption>
</figure>
<p id="zoo-message" role="status" class="zoo-message"></p>
<div class="zoo-scroll" role="region" aria-label="Models" tabindex="0">
<table class="zoo-table" id="zoo-table"><thead><tr>{header}</tr></thead>
<tbody>
{rows}
</tbody></table></div>
<noscript><p>Filters, sorting and the chart need JavaScript.</p></noscript>
</div>'''


class ModelZoo(Directive):
    """``{model-zoo}``: the models of ``model-index.yml``."""

    def run(self) -> list[nodes.Node]:
        """Make the page's content."""
        environment = self.state.document.settings.env
        environment.note_dependency(str(INDEX))
        for family in load_families(INDEX):
            environment.note_dependency(str(family.folder / 'metafile.yml'))
        return [nodes.raw('', render(entries()), format='html')]


def _replace_tables(app: object, name: str, source: list[str]) -> None:
    """Replace the tables of docs/model_zoo.md, which are for readers of the repository."""
    if name == 'model_zoo':
        text = source[0].partition('\n## ')[0]
        source[0] = f'---\nhide-toc: true\n---\n{text}\n```{{model-zoo}}\n```\n'


def setup(app: object) -> dict:
    """Register the extension."""
    app.add_directive('model-zoo', ModelZoo)
    app.connect('source-read', _replace_tables)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
