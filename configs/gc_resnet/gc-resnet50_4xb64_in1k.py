_base_ = '../resnet/resnet50_4xb64_in1k.py'

# In all blocks of c3 to c5, as in the GCNet paper.
gc = dict(type='GCBlock', reduction=16)
model = dict(backbone=dict(type='AttentionResNet', attention=[None, gc, gc, gc]))
