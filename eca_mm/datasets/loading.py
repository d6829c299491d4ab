"""Reading images from files that may be missing, truncated or something else altogether."""
import json
import os
import stat

import cv2
import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine import fileio
from mmengine.registry import TRANSFORMS
from PIL import Image

from eca_mm.utils.errors import UserError

from .decoder_messages import decoder_messages
from .image_header import JPEG_START, PNG_START, stated_size

_JPEG_SCAN, _JPEG_END = b'\xff\xda', b'\xff\xd9'
_PNG_END = b'IEND\xaeB`\x82'


def is_truncated(data: bytes) -> bool:
    """Tell whether an image file's bytes stop before the image does.

    Some OpenCV versions decode half a JPEG to half a picture and grey silently. Bytes
    behind the end of the image are fine.

    Args:
        data (bytes): The file's content, any format.

    Returns:
        bool: True for a JPEG or PNG without its end marker; False for every other format.
    """
    if data.startswith(PNG_START):
        return _PNG_END not in data
    if not data.startswith(JPEG_START):
        return False
    # Walk over the header's segments: an embedded thumbnail has its own end marker.
    position = 2
    while data[position:position + 2] != _JPEG_SCAN:
        if position + 4 > len(data):
            return True
        if data[position] != 0xff:
            # A broken header; the decoder decides.
            return False
        fill = data[position + 1] == 0xff
        position += 1 if fill else 2 + int.from_bytes(data[position + 2:position + 4], 'big')
    return data.find(_JPEG_END, position) < 0


@TRANSFORMS.register_module()
class LoadImage(LoadImageFromFile):
    """mmcv's LoadImageFromFile that names the file when it cannot be used.

    Works in pipelines of MMDetection and MMPretrain. Reads ``img_path``; writes ``img`` (uint8 or
    float32, (H, W, 3) in BGR by default), ``img_shape`` and ``ori_shape``, both (H, W). Grey
    images get three equal channels, transparency is dropped, 16 bits become 8, and of an
    animation the first picture is taken. A damaged JPEG, which OpenCV decodes to a picture that is
    partly wrong or grey, is refused because of the decoder's warnings; damage to WebP and BMP
    cannot be detected.

    A picture that is stored turned (EXIF orientation) is turned upright, as mmcv does. Where the
    sample has the annotation file's ``height`` and ``width`` these decide: if only the picture
    as it is stored has that size, its boxes were drawn on that, and it stays as it is stored.

    Args:
        on_bad_image (str): ``'error'`` stops at an image that cannot be used, ``'skip'`` leaves
            it out: the data set then takes another one, chosen at random.
        blank (bool): With ``'skip'``: give an empty (black) image of the annotated size, or of
            224 x 224 pixels where that is unknown or beyond the limits below, instead of leaving
            it out. For testing, where each image counts.
        report (str, optional): File to which the skipped images and their reasons are appended.
        max_pixels (int): Larger images are refused before they are decoded. A file of some
            kilobytes can fill the memory.
        max_ratio (int): Images with one side this many times as long as the other are refused:
            pipelines that keep the aspect ratio make them vanish or huge.
        **kwargs: All arguments of :class:`mmcv.transforms.LoadImageFromFile`. With
            ``ignore_empty=True`` an unreadable image is skipped silently, as there.
    """

    def __init__(self, *args, on_bad_image: str = 'error', blank: bool = False,
                 report: str | None = None, max_pixels: int | None = Image.MAX_IMAGE_PIXELS,
                 max_ratio: int = 200, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if on_bad_image not in ('error', 'skip'):
            raise UserError(f"on_bad_image must be 'error' or 'skip', but is {on_bad_image!r}.")
        self.on_bad_image, self.blank, self.report = on_bad_image, blank, report
        self.max_pixels, self.max_ratio = max_pixels, max_ratio
        self._in_a_row = 0

    def transform(self, results: dict) -> dict | None:
        """Load the image of one sample.

        Args:
            results (dict): The sample; must have ``img_path``.

        Returns:
            dict | None: The sample with its image, or None where it is skipped.

        Raises:
            UserError: If the file is missing, empty, truncated, no image that OpenCV can decode,
                too large, too long or not of the annotated size, unless such images are skipped;
                and if a hundred in a row had to be.
        """
        try:
            image = self._load(results)
            self._in_a_row = 0
        except UserError as error:
            if self.on_bad_image == 'skip':
                self._note(results['img_path'], error)
                if self.blank:
                    return self._fill(results, self._black(results))
            elif not self.ignore_empty:
                raise
            return None
        return self._fill(results, image)

    def _black(self, results: dict) -> np.ndarray:
        height, width = int(results.get('height', 224)), int(results.get('width', 224))
        if self._too_large(width, height) or self._too_long(width, height):
            height = width = 224
        return np.zeros((height, width, 3), np.uint8)

    def _too_large(self, width: int, height: int) -> bool:
        return self.max_pixels is not None and width * height > self.max_pixels

    def _too_long(self, width: int, height: int) -> bool:
        return max(width, height) > self.max_ratio * min(width, height)

    def _fill(self, results: dict, image: np.ndarray) -> dict:
        results['img'] = image.astype(np.float32) if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def _note(self, path: str, error: UserError) -> None:
        self._in_a_row += 1
        if self._in_a_row == 100:
            raise UserError(f'100 images in a row could not be used, the last one being: {error}')
        if self.report is not None:
            line = json.dumps([path, str(error)]) + '\n'
            # One write to a file opened for appending: several workers do so at a time.
            with open(self.report, 'ab', buffering=0) as stream:
                stream.write(line.encode())

    def _load(self, results: dict) -> np.ndarray:
        path = results['img_path']
        try:
            data = self._read(path)
        except (OSError, ValueError) as error:
            raise UserError(
                f'Cannot read image {path}: {getattr(error, "strerror", None) or error}; restore '
                'the file or take it out of the annotations.') from error
        remedy = 'replace the file or take it out of the annotations.'
        if not data:
            raise UserError(f'Image {path} is an empty file of 0 bytes; {remedy}')
        if is_truncated(data):
            raise UserError(f'Image {path} is truncated after {len(data)} bytes; {remedy}')
        try:
            size = stated_size(data)
        except UserError as error:
            raise UserError(f'Image {path} is too large: {error}; {remedy}') from error
        if size is None:
            raise UserError(f'Image {path} is damaged or no image ({len(data)} bytes); {remedy}')
        self._check_size(size, path, remedy)
        image = self._decode(data, self.color_type, path, remedy)
        # Decoders may read a header differently.
        self._check_size(image.shape[1::-1], path, remedy)
        stated = results.get('height'), results.get('width')
        if None in stated or image.shape[:2] == stated:
            return image
        if image.shape[1::-1] == stated and 'ignore' not in self.color_type:
            stored = self._decode(data, f'{self.color_type}_ignore_orientation', path, remedy)
            if stored.shape[:2] == stated:
                return stored
        raise UserError(f'Image {path} has {image.shape[1]} x {image.shape[0]} pixels, but its '
                        f'annotations are for {stated[1]} x {stated[0]}; correct width and height '
                        'there, or restore the file.')

    def _check_size(self, size: tuple[int, int], path: str, remedy: str) -> None:
        width, height = size
        said = f'Image {path} has {width} x {height} pixels'
        if self._too_large(width, height):
            raise UserError(f'{said}, which is more than the {self.max_pixels} allowed '
                            f'(max_pixels of LoadImage); {remedy}')
        if self._too_long(width, height):
            raise UserError(f'{said}, which is longer than {self.max_ratio} times its width '
                            f'(max_ratio of LoadImage); {remedy}')

    def _decode(self, data: bytes, color_type: str, path: str, remedy: str) -> np.ndarray:
        backend = self.imdecode_backend
        if data.startswith(b'GIF8') and backend == 'cv2':
            # OpenCV has read these since 4.12 only.
            backend = 'pillow'
        try:
            with decoder_messages() as messages:
                image = mmcv.imfrombytes(data, flag=color_type, backend=backend)
                if backend != 'cv2' and data.startswith(JPEG_START):
                    # The other decoders of JPEG keep their complaints to themselves.
                    cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)
        except Exception as error:
            # Each backend raises its own errors: cv2.error, PIL's, tifffile's.
            raise UserError(f'Image {path} cannot be decoded ({error}); {remedy}') from error
        if image is None:
            raise UserError(f'Image {path} is damaged or no image ({len(data)} bytes); {remedy}')
        if messages:
            raise UserError(f'Image {path} is damaged ({messages[0]}); {remedy}')
        return image

    def _read(self, path: str) -> bytes:
        if '://' not in str(path) and os.path.exists(path) and not (
                stat.S_ISREG(os.stat(path).st_mode) or os.path.isdir(path)):
            # Opening a pipe waits forever, reading a device never ends.
            raise ValueError('it is a pipe or a device')
        if self.file_client_args is not None:
            return fileio.FileClient.infer_client(self.file_client_args, path).get(path)
        return fileio.get(path, backend_args=self.backend_args)
