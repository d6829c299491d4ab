"""Event cameras: recordings, voxel grids, alignment with frames. Knows no network."""
from .alignment import Calibration, frame_map, read_rectify_map, rectify_events, warp_frame
from .arrays import Events
from .dsec_file import DSECEventFile
from .simulation import simulate_events
from .voxel_grid import voxel_grid
from .writing import write_dsec_events

__all__ = [
    'Calibration', 'DSECEventFile', 'Events', 'frame_map', 'read_rectify_map', 'rectify_events',
    'simulate_events', 'voxel_grid', 'warp_frame', 'write_dsec_events'
]
