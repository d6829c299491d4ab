#!/usr/bin/env python
"""Find what is wrong with a config before a GPU hour is spent on it."""
import sys
from dataclasses import asdict

import eca_mm  # noqa: F401  (first: it makes mmdet importable without compiled mmcv)
from eca_mm.config_check import check_config
from eca_mm.engine.config import load_config
from eca_mm.utils.cli import run
from eca_mm.utils.grammar import new_parser, positive
from eca_mm.utils.outputs import check_outputs
from eca_mm.utils.results import write_results
from eca_mm.utils.terminal import printable, say, working


def main() -> None:
    """Check what the command line names; exit with 1 if there is an error."""
    parser = new_parser(
        'Check a config: unknown and old keys, classes against the annotations, missing data '
        'and weights, the learning rate against the batch, frozen stages without weights, BN with '
        'small batches, schedules, evaluators, what is lost without our runner and hooks; and '
        'build what train.py builds, with one small image through the model. '
        'Exit code 0: no errors (warnings at most), 1: errors, 2: misuse.',
        'python tools/analysis_tools/check_config.py '
        'configs/faster_rcnn/faster-rcnn_eca-r50_fpn_4xb2-1x_coco.py --gpus 4 --json findings.json',
        'config', 'cfg-options', 'json', 'overwrite',
        json='write the findings to this JSON file too: a list of {level, check, where, message, '
        'expected}')
    parser.add_argument('--gpus', type=positive, metavar='N', help='number of GPUs of the run '
                        "(default: what the config's name says, 4 for ..._4xb2_..., else 1)")
    args = parser.parse_args()
    check_outputs(args)

    with working('Checking'):
        config = load_config(args.config, args.cfg_options, checked=False)
        findings = check_config(config, args.gpus)
    for finding in findings:
        say(f'{finding.level}: {printable(finding.where)}: {printable(finding.message, 2000)}\n'
            f'    expected: {printable(finding.expected, 2000)}')
    levels = [finding.level for finding in findings]
    say(f'{args.config}: {levels.count("error")} errors, {levels.count("warning")} warnings')
    if args.json:
        write_results([asdict(finding) for finding in findings], args.json,
                      args.overwrite)
    if 'error' in levels:
        sys.exit(1)


if __name__ == '__main__':
    run(main)
