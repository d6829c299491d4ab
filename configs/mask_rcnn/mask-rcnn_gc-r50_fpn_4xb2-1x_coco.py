_base_ = './mask-rcnn_r50_fpn_4xb2-1x_coco.py'

# In c3 to c5. The blocks start as the identity, so the plain backbone's weights fit.
model = dict(
    backbone=dict(plugins=[
        dict(
            cfg=dict(type='eca_mm.GCBlock', reduction=16),
            stages=(False, True, True, True),
            position='after_conv3')
    ]))
