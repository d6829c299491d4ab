"""The tables of all models, from the metafiles: the model zoo's page and every family's README."""
from dataclasses import dataclass
from pathlib import Path

from modelindex.load_model_index import load
from modelindex.models.Model import Model

from eca_mm.utils.errors import UserError
from eca_mm.utils.terminal import markdown_table

_METRICS = {'Top 1 Accuracy': 'top-1', 'Top 5 Accuracy': 'top-5', 'box AP': 'box AP',
            'mask AP': 'mask AP', 'mAP': 'mAP', 'mAP50': 'mAP50'}
_BEGIN, _END = '<!-- models: written by tools/analysis_tools/model_zoo.py -->', '<!-- end -->'
_HEAD = """# Model zoo

All models with a config in this repository. Parameters and FLOPs (multiply-adds of one image;
classifiers at 224 x 224, Inception-v3 at 299 x 299, ResNeSt and timm's eca_resne* at 256 x 256,
CIFAR models at 32 x 32, detectors at 800 x 1280, those for frames and events at 480 x 640) are
recomputed by a test. **Accuracies are those published elsewhere**: by the paper, by timm for its
weights, and by FRN for frames and events; none of them was measured here.

Weights: *authors* means a file of ECA-Net's authors, converted by
`tools/model_converters/ecanet_to_eca_mm.py`; the name of a timm model is converted by
`timm_to_eca_mm.py`; *torchvision* means its weights of the plain network, converted by
`torchvision_to_eca_mm.py`, whose accuracies differ from the paper's; *train* means that no weights
are available and `tools/train.py` trains them. See [checkpoints.md](checkpoints.md).

This page is written by `python tools/analysis_tools/model_zoo.py --overwrite`.
"""


@dataclass(frozen=True)
class Family:
    """The models of one folder of configs.

    Attributes:
        name (str): The name of their collection, e.g. ``'ECA-ResNet'``.
        folder (Path): The folder, absolute.
        models (tuple[Model, ...]): Their entries in the metafile.
    """

    name: str
    folder: Path
    models: tuple[Model, ...]

    @property
    def readme(self) -> Path:
        """The page of the family."""
        return self.folder / 'README.md'

    def table(self, links: str = '') -> str:
        """Write the table of the family's models.

        Args:
            links (str): What leads from the page to the folder, ``''`` in the folder itself.

        Returns:
            str: A table in Markdown, ending with a line break.
        """
        return markdown_table(('config', 'parameters', 'FLOPs', 'published', 'weights'),
                              [_row(model, links) for model in self.models], 'lrrll',
                              compact=True) + '\n'

    def updated_readme(self) -> str:
        """Update the README's table from the metafile.

        Returns:
            str: The whole text; all but the table is as it was.

        Raises:
            UserError: If there is no README, or none with a place for the table.
        """
        text = self.readme.read_text('utf-8') if self.readme.is_file() else ''
        before, begin, rest = text.partition(_BEGIN)
        _, end, after = rest.partition(_END)
        if not (begin and end):
            raise UserError(f'{self.readme} needs a line {_BEGIN!r} and a line {_END!r}, between '
                            'which the table of the models goes.')
        return f'{before}{_BEGIN}\n{self.table()}{_END}{after}'


def load_families(index: Path) -> list[Family]:
    """Read all metafiles.

    Args:
        index (Path): The ``model-index.yml``; the metafiles that it imports lie beside it.

    Returns:
        list[Family]: In the order of the file.
    """
    content = load(str(index))
    families = []
    for collection in content.collections:
        models = tuple(model for model in content.models if model.in_collection == collection.name)
        families.append(Family(collection.name, Path(collection.filepath).resolve().parent, models))
    return families


def model_zoo(index: Path) -> str:
    """Write the page of all models.

    Args:
        index (Path): The ``model-index.yml``; the metafiles that it imports lie beside it.

    Returns:
        str: A page of Markdown for ``docs/``, with one table per metafile.
    """
    return '\n'.join([_HEAD, *(
        f'## {family.name}\n\n{family.table(f"../configs/{family.folder.name}/")}'
        for family in load_families(index))])


def _row(model: Model, links: str) -> tuple[str, ...]:
    data = model.metadata.data
    published = ', '.join(f'{_METRICS[name]} {value:.{1 if "AP" in name else 2}f}'
                          for result in model.results or ()
                          for name, value in result.metrics.items())
    weights = data.get('Source of Weights', 'train').partition(',')[0].removeprefix("timm's ")
    return (f'[{model.name}]({links}{Path(model.config).name})',
            f'{data["Parameters"] / 1e6:.3f} M', f'{data["FLOPs"] / 1e9:.3f} G',
            published or '-', weights)
