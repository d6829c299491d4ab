"""What the command lines of tools/visualizations share."""
import argparse
from collections.abc import Iterable

from mmengine.config import Config
from torch import nn

from eca_mm.engine.config import load_config
from eca_mm.utils.errors import UserError
from eca_mm.utils.grammar import check_device, labels_for, new_parser
from eca_mm.utils.outputs import check_outputs

from .models import load_model
from .style import check_format


def picture_parser(description: str, example: str, out: str,
                   *shared: str) -> argparse.ArgumentParser:
    """Start the argument parser of a tool that draws a picture.

    Args:
        description (str): What the tool does.
        example (str): A command line for the end of ``--help``.
        out (str): Where the picture goes by default.
        *shared (str): Further shared arguments of :func:`eca_mm.utils.grammar.new_parser`.

    Returns:
        argparse.ArgumentParser: With ``--out``, ``--json`` and ``--overwrite``.
    """
    return new_parser(description, example, *shared, 'out', 'json', 'overwrite', force=True,
                      out=dict(default=out,
                               help=f'the picture, a .png, .pdf or .svg (default: {out})'),
                      cfg_options='override entries of all configs')


def add_models(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name trained models."""
    parser.add_argument('models', nargs='+', metavar='CONFIG CHECKPOINT',
                        help='config and checkpoint of a model; more pairs to compare models')
    parser.add_argument('--labels', nargs='+', metavar='L',
                        help='names of the models in the picture (default: those of the configs)')


def check_picture(args: argparse.Namespace, *more: str, inputs: Iterable[str] = ()) -> None:
    """Make sure, before the work is done, that its results can be written.

    Args:
        args (argparse.Namespace): What :func:`picture_parser`'s parser returns.
        *more (str): Further files to be written.
        inputs (Iterable[str]): Files that are read besides those that the arguments name.

    Raises:
        UserError: If a file is there already, is an input, or cannot be there.
    """
    check_format(args.out)
    check_outputs(args, *more, inputs=inputs)


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
    labels = labels_for(parser, args.labels, configs)
    check_device(args.device)
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
