"""Reading images from files that may be missing, cut short or no image at all."""
import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine import fileio
from mmengine.registry import TRANSFORMS

from ..compat import UserError

_JPEG_START, _JPEG_SCAN, _JPEG_END = b'\xff\xd8\xff', b'\xff\xda', b'\xff\xd9'
_PNG_START, _PNG_END = b'\x89PNG\r\n\x1a\n', b'IEND\xaeB`\x82'


def is_truncated(data: bytes) -> bool:
    """Tell whether an image file's bytes stop before the image does.

    Some OpenCV versions decode half a JPEG to half a picture and grey without a word. Bytes
    behind the end of the image are fine.

    Args:
        data (bytes): The file's content, any format.

    Returns:
        bool: True for a JPEG or PNG without its end marker; False for every other format.
    """
    if data.startswith(_PNG_START):
        return _PNG_END not in data
    if not data.startswith(_JPEG_START):
        return False
    # Walk over the header's segments: an embedded thumbnail has an end marker of its own.
    position = 2
    while data[position:position + 2] != _JPEG_SCAN:
        if position + 4 > len(data):
            return True
        if data[position] != 0xff:
            # A broken header; that is for the decoder to judge.
            return False
        fill = data[position + 1] == 0xff
        position += 1 if fill else 2 + int.from_bytes(data[position + 2:position + 4], 'big')
    return data.find(_JPEG_END, position) < 0


@TRANSFORMS.register_module()
class LoadImage(LoadImageFromFile):
    """mmcv's LoadImageFromFile that names the file when it cannot be read.

    Works in pipelines of MMDetection and MMPretrain. Reads ``img_path``; writes ``img`` (uint8 or
    float32, (H, W, 3) in BGR by default), ``img_shape`` and ``ori_shape``, both (H, W).

    Args:
        **kwargs: All arguments of :class:`mmcv.transforms.LoadImageFromFile`. With
            ``ignore_empty=True`` an unreadable image is skipped without an error, as there.
    """

    def transform(self, results: dict) -> dict | None:
        """Load the image of one sample.

        Args:
            results (dict): The sample; must have ``img_path``.

        Returns:
            dict | None: The sample with its image, or None where ``ignore_empty`` skips it.

        Raises:
            UserError: If the file is missing, empty, truncated or no image that OpenCV can decode.
        """
        path = results['img_path']
        try:
            image = self._decode(path)
        except UserError:
            if self.ignore_empty:
                return None
            raise
        if self.to_float32:
            image = image.astype(np.float32)
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def _decode(self, path: str) -> np.ndarray:
        try:
            data = self._read(path)
        except OSError as error:
            raise UserError(
                f'Cannot read image {path}: {error.strerror or error}; restore the file or take '
                'it out of the annotations.') from error
        remedy = 'replace the file or take it out of the annotations.'
        if not data:
            raise UserError(f'Image {path} is an empty file of 0 bytes; {remedy}')
        if is_truncated(data):
            raise UserError(f'Image {path} is truncated after {len(data)} bytes; {remedy}')
        try:
            image = mmcv.imfrombytes(data, flag=self.color_type, backend=self.imdecode_backend)
        except Exception as error:
            # Each backend has errors of its own: cv2.error, PIL's, tifffile's.
            raise UserError(f'Image {path} cannot be decoded ({error}); {remedy}') from error
        if image is None:
            raise UserError(f'Image {path} is damaged or no image ({len(data)} bytes); {remedy}')
        return image

    def _read(self, path: str) -> bytes:
        if self.file_client_args is not None:
            return fileio.FileClient.infer_client(self.file_client_args, path).get(path)
        return fileio.get(path, backend_args=self.backend_args)
