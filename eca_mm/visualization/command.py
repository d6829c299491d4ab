"""What the command lines of tools/visualizations share."""
import argparse
from pathlib import Path

from mmengine.config import Config
from torch import nn

from eca_mm.engine.config import load_config
from eca_mm.utils.cli import KeyValues
from eca_mm.utils.errors import UserError
from eca_mm.utils.help import HelpFormatter
from eca_mm.utils.outputs import check_output

from .models import load_model
from .style import check_format


def new_parser(description: str, example: str, out: str) -> argparse.ArgumentParser:
    """Start the argument parser of a tool that draws a picture.

    Args:
        description (str): What the tool does.
        example (str): A command line for the end of ``--help``.
        out (str): Where the picture goes by default.

    Returns:
        argparse.ArgumentParser: With ``--out``, ``--json`` and ``--force``.
    """
    parser = argparse.ArgumentParser(description=description, epilog=f'example: python {example}',
                                     formatter_class=HelpFormatter)
    parser.add_argument('--out', default=out, metavar='F',
                        help=f'the picture, a .png, .pdf or .svg (default: {out})')
    parser.add_argument('--json', metavar='F', help='write the figures to this JSON file too')
    parser.add_argument('--force', action='store_true', help='replace files that exist')
    return parser


def add_models(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name trained models."""
    parser.add_argument('models', nargs='+', metavar='CONFIG CHECKPOINT',
                        help='config and checkpoint of a model; more pairs to compare models')
    parser.add_argument('--labels', nargs='+', metavar='L',
                        help='names of the models in the picture (default: those of the configs)')
    parser.add_argument('--device', default='cpu', help='cpu (the default), cuda, cuda:1 ...')
    parser.add_argument('--cfg-options', nargs='+', action=KeyValues, metavar='K=V',
                        help='override entries of all configs')


def check_outputs(args: argparse.Namespace, *more: str) -> None:
    """Make sure, before the work is done, that its results can be written.

    Args:
        args (argparse.Namespace): With ``out``, ``json`` and ``force``.
        *more (str): Further files to be written.

    Raises:
        UserError: If a file is there already, or cannot be there.
    """
    check_format(args.out)
    for path in (args.out, *more, *([args.json] if args.json else [])):
        check_output(path, args.force, '--force')


def labels_of(parser: argparse.ArgumentParser, labels: list[str] | None,
              paths: list[str]) -> list[str]:
    """Names for things that come from files or folders.

    Args:
        parser (argparse.ArgumentParser): Ends the program for a wrong number of labels.
        labels (list[str], optional): What the command line says.
        paths (list[str]): The files or folders; without labels their names serve.

    Returns:
        list[str]: One different label each.
    """
    if labels is None:
        names = [Path(path).resolve().stem for path in paths]
        # Two of the same name are told apart by number.
        return [name if names.count(name) == 1 else f'{name} ({i + 1})'
                for i, name in enumerate(names)]
    if len(labels) != len(paths) or len(set(labels)) != len(labels):
        parser.error(f'--labels expects {len(paths)} different names')
    return labels


def named_models(parser: argparse.ArgumentParser,
                 args: argparse.Namespace) -> list[tuple[str, Config, nn.Module]]:
    """Load the models of :func:`add_models`.

    Args:
        parser (argparse.ArgumentParser): Ends the program for misuse.
        args (argparse.Namespace): What it parsed.

    Returns:
        list[tuple[str, Config, nn.Module]]: Label, config and model of each.

    Raises:
        UserError: If a config or a checkpoint cannot be used.
    """
    if len(args.models) % 2:
        parser.error('expects pairs of a config and its checkpoint')
    configs, checkpoints = args.models[::2], args.models[1::2]
    labels = labels_of(parser, args.labels, configs)
    loaded = []
    for label, path, checkpoint in zip(labels, configs, checkpoints, strict=True):
        config = load_config(path, args.cfg_options)
        loaded.append((label, config, load_model(config, checkpoint, args.device)))
    return loaded


def same_classes(groups: list[tuple]) -> None:
    """Make sure that models are compared on the same classes.

    Args:
        groups (list[tuple[str, ...]]): The classes of each model's images.

    Raises:
        UserError: If they differ.
    """
    if any(group != groups[0] for group in groups):
        raise UserError("The configs' validation sets have different classes; give --data-root "
                        'with images for all models.')
