"""Predictions for pictures, folders, videos and cameras, drawn and listed."""
import os
from collections.abc import Iterator
from typing import Any

from eca_mm.utils.errors import UserError
from eca_mm.utils.outputs import check_targets
from eca_mm.utils.terminal import printable, progress, say

from .drawing import picture_name, write_picture
from .predict import Predictor, summary
from .sources import Sources, Video, VideoFile


def predict_sources(predictor: Predictor, sources: Sources, folder: str | None,
                    frames: int | None = None) -> list[dict[str, Any]]:
    """Predict for all sources; print what is found and what was skipped.

    Args:
        predictor (Predictor): The model.
        sources (Sources): Pictures and videos.
        folder (str | None): Where annotated pictures and videos go; None for nowhere.
        frames (int, optional): How many frames of each video to take. Defaults to all.

    Returns:
        list[dict]: For each picture ``file`` and ``predictions``, or ``error`` where it could not
        be used; for each frame of a video ``frame`` and ``seconds`` besides.

    Raises:
        UserError: If none of the sources can be used, or a picture would replace one.
    """
    targets = _targets(sources, folder)
    results: list[dict[str, Any]] = []
    for path in progress(sources.images, 'Pictures') if sources.images else ():
        try:
            prediction = predictor.predict(path)
        except UserError as error:
            results.append(_skipped(path, error, sources))
            continue
        if path in targets:
            write_picture(predictor.draw(prediction), targets[path])
        most = None if predictor.detects else 1
        say(f'{printable(path)}: {summary(prediction.found, most)}')
        results.append(dict(file=path, predictions=prediction.found))
    for path in sources.videos:
        try:
            results += _predict_video(predictor, path, targets.get(path), frames)
        except UserError as error:
            results.append(_skipped(path, error, sources))
    failed = sum('error' in result for result in results)
    done = len(sources.images) + len(sources.videos) - failed
    notes = [f'{failed} skipped'] * bool(failed) + [
        f'{len(sources.others)} other files passed over'] * bool(sources.others)
    if not done:
        raise UserError(results[0]['error'] if len(results) == 1 else
                        f'None of the {failed} pictures and videos can be used.')
    say(f'{done} of {done + failed} pictures and videos'
        + ''.join(f', {note}' for note in notes))
    return results


def _skipped(path: str, error: UserError, sources: Sources) -> dict[str, Any]:
    # A single source's error is the tool's.
    if len(sources.images) + len(sources.videos) > 1:
        say(f'Skipped: {printable(error, 500)}', error=True)
    return dict(file=path, error=str(error))


def _predict_video(predictor: Predictor, path: str, target: str | None,
                   frames: int | None) -> list[dict[str, Any]]:
    video = Video(path)
    count = min(filter(None, (video.count, frames)), default=None)
    out = VideoFile(target, video.fps) if target else None
    results: list[dict[str, Any]] = []
    interrupted = False
    try:
        for number, frame in enumerate(progress(_first(video, frames), printable(path, 40), count)):
            prediction = predictor.predict_frame(frame, f'{path}#{number}')
            if out is not None:
                out.add(predictor.draw(prediction))
            results.append(dict(file=path, frame=number, seconds=round(number / video.fps, 3),
                                predictions=prediction.found))
    except KeyboardInterrupt:
        # The usual end of a camera: what there is becomes the video.
        say('Interrupted.', error=True)
        interrupted = True
    finally:
        if out is not None:
            out.close()
    if not results and not interrupted:
        raise UserError(f'{printable(path)} was opened, but gave no frame that can be read.')
    say(f'{printable(path)}: {len(results)} frames')
    return results


def _first(video: Video, frames: int | None) -> Iterator[Any]:
    for number, frame in enumerate(video):
        if number == frames:
            return
        yield frame


def _targets(sources: Sources, folder: str | None) -> dict[str, str]:
    """Where the annotated form of each source goes: never to a source."""
    if folder is None:
        return {}
    targets = {path: os.path.join(folder, picture_name(sources.name(path)))
               for path in sources.images}
    for path in sources.videos:
        name = sources.name(path)
        # Two videos that differ in their ending only.
        targets[path] = os.path.join(
            folder, name if name.lower().endswith('.mp4') else f'{name}.mp4')
    check_targets(targets.values(), targets)
    return targets
