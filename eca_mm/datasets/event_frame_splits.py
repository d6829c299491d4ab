"""Classes of DSEC's labels, and which sequences are for training, validation and testing."""

CSV_CLASSES = ('person', 'large_vehicle', 'car')
DET_CLASSES = ('pedestrian', 'rider', 'car', 'bus', 'truck', 'bicycle', 'motorcycle', 'train')


def _sequences(text: str) -> tuple[str, ...]:
    """``zurich_city_01_abc`` as the three sequences."""
    return tuple(f'{name}_{letter}' for entry in text.split()
                 for name, letters in [entry.rsplit('_', 1)] for letter in letters)


_TRAINING = _sequences(
    'interlaken_00_cdefg thun_00_a zurich_city_00_ab zurich_city_01_abcdef zurich_city_02_abcde '
    'zurich_city_03_a zurich_city_04_abcdef zurich_city_05_ab zurich_city_06_a zurich_city_07_a '
    'zurich_city_08_a zurich_city_09_abcde zurich_city_10_ab zurich_city_11_abc')
_CSV_TEST = _sequences('zurich_city_01_ef zurich_city_04_ae zurich_city_09_b')
_CSV_VAL = _sequences('zurich_city_01_a zurich_city_05_b interlaken_00_g')
# The published split of the CSV labels, and the one of DSEC-Detection.
CSV_SPLIT = dict(train=tuple(name for name in _TRAINING if name not in (*_CSV_TEST, *_CSV_VAL)),
                 val=_CSV_VAL, test=_CSV_TEST)
DET_SPLIT = dict(
    train=_TRAINING,
    val=tuple(f'zurich_city_{number}_a' for number in range(16, 22)),
    test=_sequences('thun_01_ab thun_02_a interlaken_00_ab interlaken_01_a zurich_city_12_a '
                    'zurich_city_13_ab zurich_city_14_abc zurich_city_15_a'))
