"""Every change that this package makes to others, in the order in which they are made.

``README.md`` of this folder has the same as a table; a test holds it against this list.
"""
from collections.abc import Callable
from dataclasses import dataclass

from . import (
    checkpoint_loading,
    config_scope,
    config_text,
    data_files,
    data_sets,
    data_workers,
    drawing,
    dynamo,
    file_backend,
    freezing,
    fusing,
    hub,
    imports,
    ops,
    registries,
    voc_files,
    warning_filters,
)


@dataclass(frozen=True)
class Change:
    """A change to another package.

    Attributes:
        function (Callable): Makes the change.
        package (str): What is changed.
        versions (str): The versions that need it.
        reason (str): Why it is made.
        when (str): When it is made.
    """

    function: Callable[..., object]
    package: str
    versions: str
    reason: str
    when: str = 'import eca_mm'

    @property
    def name(self) -> str:
        """Module and function, below ``eca_mm.compat``."""
        return f'{self.function.__module__.removeprefix(f"{__package__}.")}.' \
               f'{self.function.__name__}'


CHANGES = (
    Change(warning_filters.ignore_pkg_resources, 'Python (warnings)', 'mmengine up to 0.10.7',
           'mmengine imports pkg_resources several times; each import would warn of its end.'),
    Change(ops.install, 'mmcv', '2.0 and later',
           'Without compiled operators mmdet cannot be imported: torchvision has those that boxes '
           'and masks need. Compiled ones get their arguments in the form that they can read.'),
    Change(imports.repair, 'mmcv, mmdet, mmpretrain', 'all, where imported before eca_mm',
           'An import that failed without mmcv._ext leaves half a package behind.'),
    Change(fusing.refuse_across_attention, 'mmcv', '2.0 and later',
           '`fuse_conv_bn` would fold a normalisation into a convolution although an attention '
           'stands between them.'),
    Change(checkpoint_loading.install, 'mmengine', 'all',
           'Checkpoints load without running code from them, with what mmengine writes into them.'),
    Change(checkpoint_loading.keep_own_config, 'mmengine', 'all',
           'A resumed run would execute the config text that its checkpoint brings.'),
    Change(checkpoint_loading.forget_foreign_files, 'mmengine', 'all',
           'A resumed run would remove the file that its checkpoint names as the best one, '
           'wherever it lies.'),
    Change(checkpoint_loading.read_config_of_checkpoint, 'mmengine', 'all',
           'Inferencers that are given weights alone would execute the config text in them.'),
    Change(data_files.load_yaml_safely, 'mmengine', 'all',
           "mmengine's YAML loader would build the Python objects that a config names."),
    Change(file_backend.install, 'mmengine', 'all',
           'A file is whole or absent, whenever its writer is killed.'),
    Change(file_backend.dump_whole_configs, 'mmengine', 'all',
           'A run that is interrupted while it formats its config, for seconds, would leave an '
           'empty one.'),
    Change(config_text.format_once, 'mmengine', 'all',
           'The start of a run formats its config five times, and each checkpoint once more, for '
           'a second or more each.'),
    Change(config_scope.find_bases_by_path, 'mmengine', 'all',
           'For every `_base_` of another package mmengine reads all metafiles of that package, '
           'which takes a second.'),
    Change(config_scope.install, 'mmengine', 'all',
           '`_base_` lines and `mmengine.hub` find our configs by `eca_mm::`.'),
    Change(registries.install, 'mmengine', 'all',
           'Other projects may register classes under names that ours have; ours stay reachable '
           'as `eca_mm.<name>`.'),
    Change(data_sets.label_folders_by_name, 'mmpretrain', '1.0 and later',
           '`CustomDataset` numbers folders in alphabetical order, whatever order of names the '
           'config gives, and takes hidden folders for classes.'),
    Change(data_sets.report_left_out, 'mmdet, mmengine', 'all',
           'Data sets leave images out without a word, and an empty one ends in "need at least one '
           'array to concatenate". VOC\'s boxes from 0 to 1, without area or outside of the image '
           'are taken as they are.'),
    Change(voc_files.name_broken_voc_files, 'mmdet', 'all',
           'A broken annotation file of VOC ends in an error of the XML parser that does not name '
           'it.'),
    Change(hub.install, 'mmpretrain', '1.0 and later',
           '`mmpretrain.get_model` and `list_models` know our classifiers by name.'),
    Change(hub.refuse_random_weights, 'mmpretrain', '1.0 and later',
           '`get_model(..., pretrained=True)` of a model without weights is an error, not a '
           'warning and random predictions.'),
    Change(hub.build_by_scope, 'mmengine', 'all',
           '`mmengine.hub.get_model` looks for the layers of `eca_mm::` configs in a scope of that '
           'name, not in those of mmdet and mmpretrain.'),
    Change(freezing.spare_in_mmdet_resnet, 'mmdet', '3.0 and later',
           'Frozen stages of a ResNet would freeze plugins of ours that no weights were loaded '
           'into, at random values forever.', 'import eca_mm, with the network known'),
    Change(freezing.call_before_wrapping, 'mmengine', 'all',
           'What is trained must be known before DistributedDataParallel wraps the model, and no '
           'hook runs that early.', 'import eca_mm, with the network known'),
    Change(freezing.add_checkpoint_meta, 'mmengine', 'all',
           'A resumed run trains the same parameters as before, under any Runner.',
           'import eca_mm, with the network known'),
    Change(data_workers.send_errors, 'Python (multiprocessing)', 'all',
           'A batch that does not fit into /dev/shm would be dropped, and the run wait forever.',
           'data workers of CheckedRunner'),
    Change(dynamo.allow_recompilation, 'torch', '2.1 and later',
           'Several networks that share the code of a class are compiled in one process; beyond '
           'eight torch would run them uncompiled.', 'benchmark with compiled steps'),
    Change(drawing.drawing_in_every_process, 'mmengine', 'all',
           'Visualizers draw in the first process only; pictures of the others would be lost.',
           'test with --show-dir, undone afterwards'),
    Change(drawing.prefer_fonts, 'matplotlib', 'all',
           'The font that matplotlib ships lacks the characters of many scripts.',
           'demo with class names in such a script'),
)


def install() -> None:
    """Make the changes that belong to ``import eca_mm``, once each."""
    for change in CHANGES:
        if change.when == 'import eca_mm':
            change.function()


def table() -> str:
    """The changes as a table in Markdown."""
    lines = ['| function | changes | versions | when | why |', '| --- | --- | --- | --- | --- |']
    lines += [f'| `{c.name}` | {c.package} | {c.versions} | {c.when} | {c.reason} |'
              for c in CHANGES]
    return '\n'.join(lines) + '\n'
